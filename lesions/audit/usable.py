"""Decide which images are usable, with a reason for each that is not, and which belong together."""

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from lesions.audit.classes import NOT_AMONG, class_table, classify, refuse_classes
from lesions.audit.duplicates import find_duplicates, label_conflicts, near_duplicate_ids
from lesions.audit.groups import group_ids
from lesions.audit.matching import find_members, set_aside
from lesions.audit.normalise import fill_ages, normalise
from lesions.audit.scan import scan_images
from lesions.core.errors import UserError
from lesions.params.clean import Clean
from lesions.taxonomy import ordered

COLUMNS = [
    *("image_id", "archive", "member", "label", "diagnosis", "lesion_id", "group_id", "dx_type", "age", "age_status"),
    *("sex", "site", "source", "patient_id", "published_split", "height", "width", "near_duplicate_id", "sha256"),
]


class CleanData(NamedTuple):
    """What the audit decides.

    Attributes:
        images: one row per usable image, sorted by `image_id`, with `COLUMNS`.
        rejects: what cannot be used, with its `reason`.
        duplicates: pairs of duplicates, of `find_duplicates`; some may be set aside for a label conflict.
        classes: of `class_table`.
        members: `image_id`, `archive` and `member` of all images in `duplicates`.
    """

    images: pd.DataFrame
    rejects: pd.DataFrame
    duplicates: pd.DataFrame
    classes: pd.DataFrame
    members: pd.DataFrame


def find_usable(raw: Path, table: pd.DataFrame, params: Clean) -> CleanData:
    """Read all images once, and decide which are usable and which belong together.

    Args:
        raw: the folder of the archives.
        table: `metadata.csv`, all values text.
        params: the classes, the limits, and how gaps in the table are read.

    Raises:
        UserError: the classes cannot be used, too much is set aside, or duplicates conflict and the policy is to stop.
    """
    table = table.assign(**classify(table, params))
    classes = ordered(set(table["label"]) - {""})
    refuse_classes(classes)
    found, unmatched = find_members(raw, table)
    scanned, luma, colour = scan_images(raw, found[found["reason"] == ""])
    good = (scanned["problem"] == "").to_numpy()
    decoded = normalise(scanned[good], params.age_zero)
    duplicates = find_duplicates(decoded, luma[good], colour[good])
    conflict = label_conflicts(decoded, duplicates, params.label_conflicts)
    images = decoded[conflict == ""].sort_values("image_id", ignore_index=True)
    images = fill_ages(images, params.impute_age)
    images["near_duplicate_id"] = near_duplicate_ids(images, duplicates)
    images["group_id"] = group_ids(images)

    aside = [set_aside(table, table["reason"]), unmatched, set_aside(scanned, scanned["problem"])]
    # The first reason of an image counts.
    rejects = pd.concat([*aside, set_aside(decoded, conflict)]).drop_duplicates(["image_id", "archive", "member"])
    rejects = rejects.sort_values(["image_id", "archive", "member"], ignore_index=True)
    _refuse_if_unusable(images, rejects, classes, params.max_rejected)
    members = decoded[["image_id", "archive", "member"]]
    return CleanData(images[COLUMNS], rejects, duplicates, class_table(images, params), members)


def _refuse_if_unusable(images: pd.DataFrame, rejects: pd.DataFrame, classes: list[str], limit: float) -> None:
    """Stop where too much is set aside, or all of a class; what a person left out by `clean.classes` is not counted."""
    rejects = rejects[rejects["reason"] != NOT_AMONG]
    share = len(rejects) / (len(rejects) + len(images))
    commonest = rejects["reason"].value_counts().head(8)
    reasons = "".join(f"\n  {count:6,} {reason}" for reason, count in commonest.items())
    if share > limit:
        raise UserError(
            f"{len(rejects):,} of {len(rejects) + len(images):,} images ({share:.1%}) must be set aside, "
            f"more than clean.max_rejected allows ({limit:.1%}):{reasons}\n"
            "Mend the data, or raise clean.max_rejected in params.yaml if this is as it should be."
        )
    empty = [label for label in classes if label not in set(images["label"])]
    if empty:
        raise UserError(
            f"of {', '.join(empty)} no image can be used, and of every class at least three are needed. "
            f"Mend the images, or take the class out of the table. Set aside were:{reasons}"
        )
