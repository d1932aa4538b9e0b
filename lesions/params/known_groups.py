"""The table that `clean.known_groups` names."""

import csv
from pathlib import Path

from lesions.core.errors import UserError
from lesions.core.params import NO_FILE
from lesions.core.sanitize import sanitize

COLUMNS = ["image_id", "group"]


def read_known_groups(path: str) -> list[tuple[str, str]]:
    """Return the rows of the table, each an image_id and its group.

    Args:
        path: of a CSV table with these columns, or `NO_FILE`.

    Raises:
        UserError: it is no such table, or leaves a value out.
    """
    if path == NO_FILE:
        return []
    where = f"{path} (clean.known_groups)"
    rows = []
    try:
        with Path(path).open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, skipinitialspace=True)
            columns = [name.strip() for name in reader.fieldnames or []]
            if not {*COLUMNS} <= {*columns}:
                found = f"the columns {sanitize(', '.join(columns))}" if columns else "no line"
                raise UserError(f"{where} has {found}; expected image_id and group, with a comma between.")
            reader.fieldnames = columns
            for row in reader:
                image_id, group = ((row[column] or "").strip() for column in COLUMNS)
                if not image_id or not group:
                    raise UserError(
                        f"{where}, line {reader.line_num}: expected an image_id and its group, found {image_id!r} and "
                        f"{group!r}. Fill it in, or remove the line."
                    )
                rows.append((image_id, group))
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{where} is no CSV table in UTF-8: {error}. Save it as one.") from None
    return rows
