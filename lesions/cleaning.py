"""Which of the listed pictures can be used, and why the others cannot.

Every row of the table and every picture in the archives ends in one of two tables: usable, or set aside with
a reason.
"""

import hashlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from lesions import pictures
from lesions.archives import Member, list_members, read_members
from lesions.parallel import in_order

UNKNOWN = {"", "unknown", "nan", "na", "n/a", "none", "null", "-", "?"}
"""How tables write that a value is missing."""

REJECTS = ["image_id", "archive", "member", "reason"]


class Seen(NamedTuple):
    """What reading a picture once told.

    Attributes:
        sha256: of its bytes, or "".
        problem: why it cannot be used, or "".
    """

    sha256: str
    problem: str


def find_members(raw: Path, table: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Bring the table's rows and the archives' members together.

    Args:
        raw: the folder of the archives.
        table: a row a picture, with `image_id`.

    Returns:
        The rows that have one readable member, with `archive` and `member`; and what is set aside.
    """
    members = [member for path in sorted(raw.glob("*.zip")) for member in list_members(path)]
    listed = set(table["image_id"])
    first: dict[str, Member] = {}
    rejects: list[tuple[str, str, str, str]] = []
    for member in members:
        problem = member.problem
        if not problem and member.image_id not in listed:
            problem = "not listed in the table"
        if not problem and member.image_id in first:
            problem = f"a second picture of this id; the first is {first[member.image_id].name}"
        if problem:
            rejects.append((member.image_id, member.archive, member.name, problem))
        else:
            first[member.image_id] = member
    present = table["image_id"].isin(list(first))
    accounted = set(first) | {image_id for image_id, *_ in rejects}
    rejects += [(image_id, "", "", "listed, but not in any archive") for image_id in sorted(listed - accounted)]
    found = table[present].copy()
    found["archive"] = [first[image_id].archive for image_id in found["image_id"]]
    found["member"] = [first[image_id].name for image_id in found["image_id"]]
    return found, pd.DataFrame(rejects, columns=REJECTS)


def look_at(raw: Path, found: pd.DataFrame, workers: int = -1) -> pd.DataFrame:
    """Read each picture once, to its last byte, and add the columns `sha256` and `problem`."""
    members = list(zip(found["archive"], found["member"], strict=True))
    seen = in_order(
        _look, read_members(raw, members), len(members), what="looking at", prefer="threads", workers=workers
    )
    columns = pd.DataFrame(list(seen), columns=Seen._fields, index=found.index)
    return pd.concat([found, columns], axis=1)


def _look(content: bytes | ValueError) -> Seen:
    if isinstance(content, ValueError):
        return Seen("", str(content))
    try:
        # At the smallest scale: libjpeg still reads every byte, so a truncated file is found.
        pictures.to_pixels(content, 8, 8)
    except ValueError as error:
        return Seen("", str(error))
    return Seen(hashlib.sha256(content).hexdigest(), "")


def contradictions(images: pd.DataFrame) -> pd.Series:
    """Give a reason for each picture whose very bytes stand under another diagnosis as well, else ""."""
    same_bytes = images.groupby("sha256")["label"]
    diagnoses = images["sha256"].map(same_bytes.agg(lambda labels: " and ".join(sorted(set(labels)))))
    contradicted = same_bytes.transform("nunique") > 1
    return ("the same bytes are diagnosed as " + diagnoses.astype(str)).where(contradicted, "")


def canonical(images: pd.DataFrame) -> pd.DataFrame:
    """Bring the descriptive columns into one form; what is missing or unknown becomes "".

    Args:
        images: with `image_id`, `label`, `archive`, `member`, `sha256` and any of HAM10000's other columns.

    Returns:
        The columns of `data/clean/images.csv`, without `group_id`. An age of 0 becomes "": HAM10000 uses it
        as a placeholder, at least in part.
    """
    text = {column: _tidy(images, column) for column in ("dx_type", "sex", "localization", "dataset")}
    age = pd.to_numeric(_tidy(images, "age"), errors="coerce")
    return pd.DataFrame(
        {
            "image_id": images["image_id"],
            "archive": images["archive"],
            "member": images["member"],
            "label": images["label"],
            "lesion_id": _tidy(images, "lesion_id"),
            "patient_id": _tidy(images, "patient_id"),
            "dx_type": text["dx_type"].str.lower(),
            "age": age.where((age > 0) & (age < 130)).map(lambda years: "" if pd.isna(years) else f"{years:g}"),
            "sex": text["sex"].str.lower(),
            "site": text["localization"].str.lower(),
            "source": text["dataset"],
            "declared_split": _tidy(images, "split").str.lower(),
            "sha256": images["sha256"],
        }
    )


def _tidy(images: pd.DataFrame, column: str) -> pd.Series:
    if column not in images:
        return pd.Series("", index=images.index)
    stripped = images[column].str.strip()
    return stripped.where(~stripped.str.lower().isin(sorted(UNKNOWN)), "")


def set_aside(images: pd.DataFrame, reasons: Sequence[str] | pd.Series) -> pd.DataFrame:
    """Return the rows that have a reason, in the columns of `data/clean/rejects.csv`."""
    rows = images.assign(reason=reasons)
    rows = rows[rows["reason"] != ""]
    return rows.reindex(columns=REJECTS, fill_value="")
