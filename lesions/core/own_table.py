"""Tables that a person writes and params.yaml names: two columns, a value in each row."""

import csv
from pathlib import Path

from lesions.core.errors import UserError
from lesions.core.params import NO_FILE
from lesions.core.sanitize import sanitize


def read_two_columns(path: str, key: str, columns: tuple[str, str]) -> list[tuple[str, str]]:
    """Return the values of two columns, row by row.

    Args:
        path: of a CSV table with these columns, and any others; or `NO_FILE`.
        key: what names it in params.yaml.
        columns: their names.

    Raises:
        UserError: it is no such table, or leaves a value out.
    """
    if path == NO_FILE:
        return []
    where = f"{path} ({key})"
    rows = []
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            found = [name.strip() for name in reader.fieldnames or []]
            if not {*columns} <= {*found}:
                words = f"the columns {sanitize(', '.join(found))}" if found else "no line"
                raise UserError(f"{where} has {words}; expected {' and '.join(columns)}, with a comma between.")
            reader.fieldnames = found
            for row in reader:
                one, other = ((row[column] or "").strip() for column in columns)
                if not one or not other:
                    raise UserError(
                        f"{where}, line {reader.line_num}: expected an {columns[0]} and its {columns[1]}, found "
                        f"{one!r} and {other!r}. Fill it in, or remove the line."
                    )
                rows.append((one, other))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{where} is no CSV table in UTF-8: {error}. Save it as one.") from None
    return rows
