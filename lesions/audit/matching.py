"""Match the table's rows with the archives' images, with a reason for each that has no partner."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import pandas as pd

from lesions.archives import Member, list_archives, list_members
from lesions.core.merged_ids import merged_id
from lesions.core.sanitize import sanitize, unsafe_reason

UNLISTED = "not listed in the table"
"""Why an image is not used that is there."""
REJECTS = ["image_id", "archive", "member", "reason"]


def find_members(raw: Path, table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Match the table's rows with the archives' members.

    Args:
        raw: the folder of the archives.
        table: one row per image, with `image_id`; all values text.

    Returns:
        The rows that have one readable member and no value that is unsafe in our tables, with `archive` and
        `member`; and what is set aside, as `set_aside` gives it.
    """
    unsafe = dict(zip(table["image_id"], _unsafe_values(table), strict=True))
    first: dict[str, Member] = {}
    rejects: list[tuple[str, str, str, str]] = []
    for member in _members(raw, sorted(set(table["collection"]) if "collection" in table else [""])):
        problem = member.problem
        if not problem:
            problem = unsafe.get(member.image_id, UNLISTED)
        if not problem and member.image_id in first:
            problem = f"a second image of this id; the first is {first[member.image_id].name}"
        if problem:
            rejects.append((member.image_id, member.archive, member.name, problem))
        else:
            first[member.image_id] = member
    present = table["image_id"].isin(list(first))
    accounted = set(first) | {image_id for image_id, *_ in rejects}
    rejects += [
        (image_id, "", "", unsafe[image_id] or "listed, but not in any archive")
        for image_id in sorted(unsafe.keys() - accounted)
    ]
    found = table[present].copy()
    found["archive"] = [first[image_id].archive for image_id in found["image_id"]]
    found["member"] = [first[image_id].name for image_id in found["image_id"]]
    return found, pd.DataFrame(rejects, columns=REJECTS, dtype=str).map(sanitize)


def _members(raw: Path, collections: Sequence[str]) -> Iterator[Member]:
    """Yield the members of all archives; those of a merged collection by the ids and the path that they have there."""
    for collection, path in [(name, path) for name in collections for path in list_archives(raw / name)]:
        archive = path.relative_to(raw).as_posix()
        for member in list_members(path):
            yield member._replace(archive=archive, image_id=merged_id(member.image_id, collection))


def _unsafe_values(table: pd.DataFrame) -> pd.Series:
    """Say for each row which of its values is unsafe, and how; "" where none is."""
    unsafe = pd.Series("", index=table.index)
    for column in table:
        found = table[column].map({value: unsafe_reason(value) for value in table[column].unique()})
        unsafe = unsafe.where((unsafe != "") | (found == ""), f"{column} " + found)
    return unsafe


def set_aside(images: pd.DataFrame, reasons: Sequence[str] | pd.Series) -> pd.DataFrame:
    """Return the rows that have a reason, in the columns of `data/clean/rejects.csv`, safe to read in a spreadsheet.

    Args:
        images: any of the columns `REJECTS`.
        reasons: for each row why it cannot be used, or "".
    """
    rows = images.assign(reason=reasons)
    rows = rows[rows["reason"] != ""]
    return rows.reindex(columns=REJECTS, fill_value="").map(sanitize)


def kind_of_reason(reasons: "pd.Series[str]") -> "pd.Series[str]":
    """Return reasons without what is particular to one image, after a colon, semicolon or number."""
    return reasons.str.replace(r"\s*[:;].*", "", regex=True)
