"""Decide which images are usable, with a reason for each that is not, and which belong together."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesions.audit.classes import NOT_AMONG, class_table, classify, refuse_classes
from lesions.audit.duplicates import find_duplicates, label_conflicts, near_duplicate_ids
from lesions.audit.groups import group_ids
from lesions.audit.known_groups import known_group_ids
from lesions.audit.known_pairs import known_pair_ids, with_known_pairs
from lesions.audit.matching import find_members, kind_of_reason, set_aside
from lesions.audit.normalise import fill_ages, normalise
from lesions.audit.scan import scan_images
from lesions.core.errors import UserError
from lesions.core.params import NO_FILE
from lesions.params.clean import Clean
from lesions.reporting.common.numbers import first_few
from lesions.taxonomy import ordered

COLUMNS = [
    *("image_id", "archive", "member", "label", "diagnosis", "lesion_id", "group_id", "dx_type", "age", "age_status"),
    *("sex", "site", "ita", "skin_tone", "source", "patient_id", "published_split", "height", "width"),
    *("near_duplicate_id", "known_pair_id", "known_group_id", "sha256"),
]


class UnusableDataError(UserError):
    """Too much of the data cannot be used.

    Args:
        rejects: what was set aside, with each one's `reason`.
        words: the message.
    """

    def __init__(self, rejects: pd.DataFrame, words: str) -> None:
        super().__init__(words)
        self.rejects = rejects


ImagesRead = tuple[pd.DataFrame, NDArray[np.uint8], NDArray[np.float32], pd.DataFrame]
"""Usable images, their two fingerprints, and what cannot be used."""


def read_images(raw: Path, table: pd.DataFrame, age_zero: str) -> ImagesRead:
    """Read all images of a table once.

    Args:
        raw: the folder of the archives.
        table: one row per image, all values text, with `label`, `diagnosis` and `reason`, why a row is not used, or "".
        age_zero: see `normalise`.

    Returns:
        The usable images, as `normalise` returns them, in the table's order; their fingerprints, (N, 64, 64) and
        (N, 2, 8, 8); and what cannot be used, with the first `reason` of each.
    """
    found, unmatched = find_members(raw, table)
    scanned, luma, colour = scan_images(raw, found[found["reason"] == ""])
    good = (scanned["problem"] == "").to_numpy()
    rejects = [set_aside(table, table["reason"]), unmatched, set_aside(scanned, scanned["problem"])]
    return normalise(scanned[good], age_zero), luma[good], colour[good], without_repeats(rejects)


def without_repeats(rejects: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return tables of rejects as one, sorted; the first reason of an image counts."""
    key = ["image_id", "archive", "member"]
    return pd.concat(rejects).drop_duplicates(key).sort_values(key, ignore_index=True)


def find_usable(
    raw: Path, table: pd.DataFrame, params: Clean
) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Read all images once, and decide which are usable and which belong together.

    Args:
        raw: the folder of the archives.
        table: `metadata.csv`, all values text.
        params: the classes, the limits, and how gaps in the table are read.

    Returns:
        The usable images, sorted by `image_id`, with `COLUMNS`; what cannot be used, with its `reason`; the pairs of
        duplicates, of `find_duplicates`, some of which may be set aside for a label conflict, and the known pairs; the
        classes, of `class_table`; and `image_id`, `archive` and `member` of all images in the pairs.

    Raises:
        UnusableDataError: too much is set aside, or all of a class.
        UserError: the classes cannot be used, or duplicates conflict and the policy is to stop.
    """
    table = table.assign(**classify(table, params))
    classes = ordered(set(table["label"]) - {""})
    refuse_classes(classes)
    decoded, luma, colour, rejects = read_images(raw, table, params.age_zero)
    duplicates = find_duplicates(decoded, luma, colour)
    conflict = label_conflicts(decoded, duplicates, params.label_conflicts)
    images = decoded[conflict == ""].sort_values("image_id", ignore_index=True)
    images = with_groups(fill_ages(images, params.impute_age), duplicates, params.known_groups)
    rejects = without_repeats([rejects, set_aside(decoded, conflict)])
    _refuse_if_unusable(images, rejects, classes, params.max_rejected)
    members = decoded[["image_id", "archive", "member"]]
    pairs = with_known_pairs(duplicates, decoded)
    return images[COLUMNS], rejects, pairs, class_table(images, params), members


def with_groups(images: pd.DataFrame, duplicates: pd.DataFrame, known_groups: str = NO_FILE) -> pd.DataFrame:
    """Add `near_duplicate_id`, `known_pair_id`, `known_group_id` and `group_id`.

    Args:
        images: one row per image.
        duplicates: of `find_duplicates`.
        known_groups: the path of `clean.known_groups`.
    """
    images = images.assign(
        near_duplicate_id=near_duplicate_ids(images, duplicates),
        known_pair_id=known_pair_ids(images["image_id"]),
        known_group_id=known_group_ids(images["image_id"], known_groups),
    )
    return images.assign(group_id=group_ids(images))


def _refuse_if_unusable(images: pd.DataFrame, rejects: pd.DataFrame, classes: list[str], limit: float) -> None:
    """Stop where too much is set aside, or all of a class; what a person left out by `clean.classes` is not counted."""
    rejects = rejects[rejects["reason"] != NOT_AMONG]
    share = len(rejects) / (len(rejects) + len(images))
    kinds = rejects.groupby(kind_of_reason(rejects["reason"]))["image_id"]
    reasons = "".join(
        f"\n  {len(ids):6,} {kind}: {first_few(sorted(ids))}"
        for kind, ids in sorted(kinds, key=lambda pair: -len(pair[1]))
    )
    if share > limit:
        raise UnusableDataError(
            rejects,
            f"{len(rejects):,} of {len(rejects) + len(images):,} images ({share:.1%}) must be set aside, "
            f"more than clean.max_rejected allows ({limit:.1%}):{reasons}\n"
            "Mend the data, or raise clean.max_rejected in params.yaml if this is as it should be.",
        )
    empty = [label for label in classes if label not in set(images["label"])]
    if empty:
        raise UnusableDataError(
            rejects,
            f"of {', '.join(empty)} no image can be used, and of every class at least three are needed. "
            f"Mend the images, or take the class out of the table. Set aside were:{reasons}",
        )
