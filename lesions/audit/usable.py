"""Decide which images are usable, with a reason for each that is not, and which belong together."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesions.audit.classes import NOT_AMONG, class_table, map_to_classes, refuse_classes
from lesions.audit.duplicates import find_duplicates, near_duplicate_ids
from lesions.audit.groups import group_ids
from lesions.audit.known_groups import known_group_ids
from lesions.audit.known_pairs import known_pair_ids, with_known_pairs
from lesions.audit.label_conflicts import describe_conflicts, label_conflicts
from lesions.audit.matching import UNLISTED, find_members, kind_of_reason, set_aside
from lesions.audit.merged import (
    DUPLICATE,
    describe_collections,
    renamed_sets,
    set_duplicates_aside,
    with_published_splits,
)
from lesions.audit.near_duplicates import BLOCK
from lesions.audit.normalise import fill_ages, normalise
from lesions.audit.pair_cache import open_similarities
from lesions.audit.scan import open_scans, scan_images
from lesions.core.params import NO_FILE
from lesions.images.content_cache import ContentCache
from lesions.params.clean import Clean
from lesions.reporting.common.numbers import first_few
from lesions.taxonomy import ordered

COLUMNS = [
    *("image_id", "archive", "member", "label", "diagnosis", "lesion_id", "group_id", "dx_type", "age", "age_status"),
    *("sex", "site", "ita", "skin_tone", "source", "collection", "patient_id", "published_split", "height", "width"),
    *("near_duplicate_id", "known_pair_id", "known_group_id", "sha256"),
]


class Audit(NamedTuple):
    """What was found in the data.

    Attributes:
        images: the usable images, sorted by `image_id`, with `COLUMNS`.
        rejects: what cannot be used, with its `reason`.
        duplicates: the pairs of `find_duplicates`, some of which may be set aside for a label conflict, and the known
            pairs.
        classes: of `class_table`.
        members: `image_id`, `archive` and `member` of all images in the pairs.
        conflicts: of `describe_conflicts`.
        collections: of `describe_collections`.
        problem: why the data cannot be used as it is, or "".
    """

    images: pd.DataFrame
    rejects: pd.DataFrame
    duplicates: pd.DataFrame
    classes: pd.DataFrame
    members: pd.DataFrame
    conflicts: dict[str, Any]
    collections: dict[str, Any]
    problem: str


ImagesRead = tuple[pd.DataFrame, NDArray[np.uint8], NDArray[np.float32], pd.DataFrame]
"""Usable images, their two fingerprints, and what cannot be used."""


def read_images(raw: Path, table: pd.DataFrame, age_zero: str, cache: ContentCache | None = None) -> ImagesRead:
    """Read all images of a table once.

    Args:
        raw: the folder of the archives.
        table: one row per image, all values text, with `label`, `diagnosis` and `reason`, why a row is not used, or "".
        age_zero: see `normalise`.
        cache: see `scan_images`.

    Returns:
        The usable images, as `normalise` returns them, in the table's order; their fingerprints, (N, 64, 64) and
        (N, 2, 8, 8); and what cannot be used, with the first `reason` of each.
    """
    found, unmatched = find_members(raw, table)
    scanned, luma, colour = scan_images(raw, found[found["reason"] == ""], cache)
    good = (scanned["problem"] == "").to_numpy()
    luma, colour = _take(luma, good), _take(colour, good)
    rejects = [set_aside(table, table["reason"]), unmatched, set_aside(scanned, scanned["problem"])]
    return normalise(scanned[good], age_zero), luma, colour, without_repeats(rejects)


def _take(array: NDArray[Any], good: NDArray[np.bool_]) -> NDArray[Any]:
    """Return the good rows of an array, moved to its front: no second one of hundreds of thousands of images."""
    places = np.flatnonzero(good)
    for start in range(0, len(places), BLOCK):
        block = places[start : start + BLOCK]
        array[start : start + len(block)] = array[block]
    return array[: len(places)]


def without_repeats(rejects: Sequence[pd.DataFrame]) -> pd.DataFrame:
    """Return tables of rejects as one, sorted; the first reason of an image counts."""
    key = ["image_id", "archive", "member"]
    return pd.concat(rejects).drop_duplicates(key).sort_values(key, ignore_index=True)


def find_usable(raw: Path, table: pd.DataFrame, params: Clean) -> Audit:
    """Read all images once, and decide which are usable and which belong together.

    Args:
        raw: the folder of the archives.
        table: `metadata.csv`, all values text.
        params: the classes, the limits, and how gaps in the table are read.

    Raises:
        UserError: the classes cannot be used.
    """
    table = table.assign(**map_to_classes(table, params))
    classes = ordered(set(table["label"]) - {""})
    refuse_classes(classes)
    with open_scans() as cache:
        decoded, luma, colour, rejects = read_images(raw, table, params.age_zero, cache)
    with open_similarities() as cache:
        duplicates = find_duplicates(decoded, luma, colour, cache)
    conflict = label_conflicts(decoded, duplicates, params.label_conflicts)
    # With all copies of an image, those in conflict too: what is known of one joins the lesions of others.
    grouped = with_groups(decoded.sort_values("image_id"), duplicates, params.known_groups)
    grouped = grouped[conflict.reindex(grouped.index) == ""]
    grouped["published_split"] = with_published_splits(grouped)
    duplicate = set_duplicates_aside(grouped)
    images = renamed_sets(fill_ages(grouped[duplicate == ""].reset_index(drop=True), params.impute_age))
    rejects = without_repeats([rejects, set_aside(decoded, conflict), set_aside(grouped, duplicate)])
    problem = _problem(images, rejects, classes, params.max_rejected)
    if params.label_conflicts == "error" and (conflict != "").any():
        problem = (
            f"{(conflict != '').sum()} images contradict their duplicates:{_by_reason(set_aside(decoded, conflict))}\n"
            "Mend their diagnoses (in the table, or by the class's folder that a file is in), or let "
            "clean.label_conflicts in params.yaml be drop or keep_first."
        )
    return Audit(
        images[COLUMNS],
        rejects,
        with_known_pairs(duplicates, decoded),
        class_table(images, params),
        decoded[["image_id", "archive", "member"]],
        describe_conflicts(decoded, duplicates),
        describe_collections(decoded, images, rejects, duplicates),
        problem,
    )


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


def _problem(images: pd.DataFrame, rejects: pd.DataFrame, classes: list[str], limit: float) -> str:
    """Say why too little can be used; "" where enough can.

    What a person left out by `clean.classes` is not counted, nor are images that no table lists, and copies: nothing is
    lost of the data set then.
    """
    rejects = rejects[~rejects["reason"].isin([NOT_AMONG, UNLISTED]) & ~rejects["reason"].str.startswith(DUPLICATE)]
    total = len(rejects) + len(images)
    if len(rejects) > limit * total:
        enough = math.ceil(1000 * len(rejects) / total) / 1000
        return (
            f"{len(rejects):,} of {total:,} images ({len(rejects) / total:.1%}) must be set aside, more than "
            f"clean.max_rejected allows ({limit:.1%}):{_by_reason(rejects)}\n"
            "Mend the data; or, if this is as it should be, set in params.yaml\n"
            f"  clean:\n    max_rejected: {enough:g}"
        )
    if empty := [label for label in classes if label not in set(images["label"])]:
        return (
            f"of {', '.join(empty)} no image can be used, and of every class at least three are needed. "
            f"Mend the images, or take the class out of the table. Set aside were:{_by_reason(rejects)}"
        )
    return ""


def _by_reason(rejects: pd.DataFrame) -> str:
    """Return a line for each kind of reason, the commonest first, with examples."""
    kinds = rejects.groupby(kind_of_reason(rejects["reason"]))["image_id"]
    return "".join(
        f"\n  {len(ids):6,} {kind}: {first_few(sorted(ids))}"
        for kind, ids in sorted(kinds, key=lambda pair: -len(pair[1]))
    )
