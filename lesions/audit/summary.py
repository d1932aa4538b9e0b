"""Summarise the data: `metrics/data.json`."""

from typing import Any

import pandas as pd

from lesions.audit.associations import lesion_of, size_of
from lesions.audit.bias_checks import Finding
from lesions.audit.duplicates import under_two_lesions
from lesions.audit.matching import kind_of_reason
from lesions.audit.normalise import count_values, unknown_values
from lesions.audit.plots import DESCRIPTIVE
from lesions.audit.skin_tone import SKIN_TONES
from lesions.audit.usable import Audit

AGE_STATUS = ("given", "placeholder", "missing", "unread", "filled")
_EXAMPLES = 10


def published_counts(table: pd.DataFrame, images: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Count the images of each published split as it came, `published`, and those that are left of it, `usable`.

    Args:
        table: `data/raw/metadata.csv`.
        images: `data/clean/images.csv`.
    """
    if "split" not in table:
        return {}
    published, usable = table["split"].value_counts(), images["published_split"].value_counts()
    return {
        name: {"published": int(published[name]), "usable": int(usable.get(name, 0))}
        for name in ("train", "val", "test")
        if name in published
    }


def summarise(
    audit: Audit,
    published_splits: dict[str, dict[str, int]],
    coefficients: dict[str, float],
    unreadable: dict[str, dict[str, int]],
    warnings: list[Finding],
) -> dict[str, Any]:
    """Summarise the data in numbers.

    Args:
        audit: what was found.
        published_splits: of `published_counts`.
        coefficients: of `uncertainty_coefficients`.
        unreadable: of `normalise.unreadable_values`.
        warnings: what a person should know before training.

    Returns:
        Counts, all of images where nothing else is said. `missing` counts what the table does not say; an age
        that is a placeholder, could not be read, or was filled is none of these: see `ages`.
    """
    images, rejected, classes = audit.images, audit.rejects, audit.classes
    known = [key for key in ("lesion_id", "patient_id") if (images[key] != "").any()]
    together = _known_together(images)
    labels = images["label"].value_counts()
    lesions = lesion_of(images).groupby(images["label"]).nunique()
    status = images["age_status"].value_counts()
    missing = {column: int((images[column] == "").sum()) for column in DESCRIPTIVE}
    filled = images.loc[images["age_status"] == "filled", "age"]
    return {
        "images": len(images),
        "lesions": int(images.loc[images["lesion_id"] != "", "lesion_id"].nunique()),
        "patients": int(images.loc[images["patient_id"] != "", "patient_id"].nunique()),
        "groups": int(images["group_id"].nunique()),
        "set_aside": len(rejected),
        "set_aside_for": count_values(kind_of_reason(rejected["reason"])),
        "exact_duplicates": int(images["sha256"].duplicated().sum()),
        "near_duplicates": int(images.loc[images["near_duplicate_id"] != "", "sha256"].nunique())
        - int(images.loc[images["near_duplicate_id"] != "", "near_duplicate_id"].nunique()),
        **together,
        "duplicates_under_two_lesions": int(under_two_lesions(audit.duplicates).sum()),
        "label_conflicts": audit.conflicts,
        "merged": audit.collections,
        "published_splits": published_splits,
        "kept_together": [*known, "duplicates", *(name for name, number in together.items() if number)],
        "classes": {label: int(labels[label]) for label in classes["label"]},
        "lesions_by_class": {label: int(lesions[label]) for label in classes["label"]},
        "malignancy": dict(zip(classes["label"], classes["malignancy"], strict=True)),
        "missing": {**missing, "age": int(status.get("missing", 0))},
        "ages": {name: int(status.get(name, 0)) for name in AGE_STATUS},
        "skin_tones": {band: int((images["skin_tone"] == band).sum()) for band in SKIN_TONES},
        "ages_filled_with": float(filled.iloc[0]) if len(filled) else None,
        "unread": {column: _with_examples(values) for column, values in unreadable.items()},
        "own_words": {column: _with_examples(values) for column, values in unknown_values(images).items()},
        "sizes": _sizes(images),
        "tells_the_diagnosis": coefficients,
        "warnings": [warning._asdict() for warning in warnings],
    }


def _known_together(images: pd.DataFrame) -> dict[str, int]:
    """Count the known pairs, and the known groups, of which more than one image is there."""
    columns = {"known_pairs": "known_pair_id", "known_groups": "known_group_id"}
    return {
        name: int((images.loc[images[column] != "", column].value_counts() > 1).sum())
        for name, column in columns.items()
    }


def _with_examples(values: dict[str, int]) -> dict[str, Any]:
    return {"images": sum(values.values()), "examples": list(values)[:_EXAMPLES]}


def _sizes(images: pd.DataFrame) -> dict[str, Any]:
    """Count the sizes of the images, in pixels."""
    sizes = count_values(size_of(images))
    pixels = images["width"].astype(int) * images["height"].astype(int)
    commonest = next(iter(sizes))
    return {
        "different": len(sizes),
        "commonest": {"size": commonest, "images": sizes[commonest]},
        "fewest_pixels": int(pixels.min()),
        "most_pixels": int(pixels.max()),
    }
