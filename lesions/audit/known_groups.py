"""Groups that a person names in a table, `clean.known_groups`: images that belong together and nothing else joins."""

import csv
from pathlib import Path

import pandas as pd

from lesions.audit.bias_checks import Finding
from lesions.audit.groups import components
from lesions.core.errors import UserError
from lesions.core.params import NO_FILE
from lesions.core.sanitize import sanitize
from lesions.reporting.common.numbers import first_few, quantity

COLUMNS = ["image_id", "group"]


def known_group_ids(image_ids: "pd.Series[str]", path: str) -> "pd.Series[str]":
    """Name each image's group by the smallest `image_id` in it; "" where the table names none.

    Groups that share an image are one.

    Args:
        image_ids: of the images.
        path: of the table, or `NO_FILE`.

    Raises:
        UserError: see `read_known_groups`.
    """
    table = read_known_groups(path)
    first = table.groupby("group")["image_id"].transform("first")
    pairs = list(zip(table["image_id"], first, strict=True))
    named = table[["image_id"]].drop_duplicates(ignore_index=True)
    named["component"] = components(named, [], pairs)
    held = named[named["image_id"].isin(image_ids)].set_index("image_id")["component"]
    names = held.index.to_series().groupby(held).transform("min")
    found = [names.get(image_id, "") for image_id in image_ids]
    return pd.Series(found, image_ids.index, dtype=str, name="known_group_id")


def read_known_groups(path: str) -> pd.DataFrame:
    """Return the table, `image_id` and `group`, both text.

    Args:
        path: of a CSV table with these columns, or `NO_FILE`.

    Raises:
        UserError: it is no such table, or leaves a value out.
    """
    if path == NO_FILE:
        return pd.DataFrame(columns=COLUMNS, dtype=str)
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
    return pd.DataFrame(rows, columns=COLUMNS, dtype=str)


def unmatched_images(path: str, image_ids: "pd.Series[str]") -> list[Finding]:
    """Warn of images that the table names and the data does not hold.

    Args:
        path: of the table, or `NO_FILE`.
        image_ids: of all rows of the data's own table.
    """
    unknown = [sanitize(name) for name in sorted(set(read_known_groups(path)["image_id"]) - set(image_ids))]
    if not unknown:
        return []
    found = f"{path} names {quantity(len(unknown), 'image')} that the data does not hold: {first_few(unknown)}."
    advice = "Check how their names are written; an image_id stands there without the suffix of its file."
    return [Finding("known_groups_without_image", found, advice)]
