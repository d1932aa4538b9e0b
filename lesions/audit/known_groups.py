"""Groups that a person names in a table, `clean.known_groups`: images that belong together and nothing else joins."""

import pandas as pd

from lesions.audit.bias_checks import Finding
from lesions.audit.groups import components
from lesions.core.sanitize import sanitize
from lesions.params.clean import GROUP_COLUMNS, read_known_groups
from lesions.reporting.common.numbers import first_few, quantity


def known_group_ids(image_ids: "pd.Series[str]", path: str) -> "pd.Series[str]":
    """Name each image's group by the smallest `image_id` in it; "" where the table names none.

    Groups that share an image are one.

    Args:
        image_ids: of the images.
        path: of the table, or `NO_FILE`.

    Raises:
        UserError: see `read_two_columns`.
    """
    table = pd.DataFrame(read_known_groups(path), columns=list(GROUP_COLUMNS), dtype=str)
    first = table.groupby("group")["image_id"].transform("first")
    pairs = list(zip(table["image_id"], first, strict=True))
    named = table[["image_id"]].drop_duplicates(ignore_index=True)
    named["component"] = components(named, [], pairs)
    held = named[named["image_id"].isin(image_ids)].set_index("image_id")["component"]
    names = held.index.to_series().groupby(held).transform("min")
    found = [names.get(image_id, "") for image_id in image_ids]
    return pd.Series(found, image_ids.index, dtype=str, name="known_group_id")


def unmatched_images(path: str, image_ids: "pd.Series[str]") -> list[Finding]:
    """Warn of images that the table names and the data does not hold.

    Args:
        path: of the table, or `NO_FILE`.
        image_ids: of all rows of the data's own table.
    """
    unknown = [
        sanitize(name) for name in sorted({image_id for image_id, _ in read_known_groups(path)} - set(image_ids))
    ]
    if not unknown:
        return []
    found = f"{path} names {quantity(len(unknown), 'image')} that the data does not hold: {first_few(unknown)}."
    advice = "Check how their names are written; an image_id stands there without the suffix of its file."
    return [Finding("known_groups_without_image", found, advice)]
