"""The data in numbers: what `metrics/data.json` holds and the report says in words."""

from typing import Any

import pandas as pd

from lesions.audit.bias_checks import Finding, lesion_of
from lesions.audit.duplicates import under_two_lesions
from lesions.audit.normalise import own_words

DESCRIPTIVE = ("age", "sex", "site", "dx_type", "source", "lesion_id", "patient_id")
AGE_STATUS = ("given", "placeholder", "missing", "unread", "filled")
_EXAMPLES = 10


def summarise(
    images: pd.DataFrame,
    rejected: pd.DataFrame,
    copies: pd.DataFrame,
    classes: pd.DataFrame,
    told: dict[str, float],
    unread: dict[str, dict[str, int]],
    warnings: list[Finding],
) -> dict[str, Any]:
    """Count what there is.

    Args:
        images: `data/clean/images.csv`.
        rejected: `data/clean/rejects.csv`.
        copies: `data/clean/copies.csv`.
        classes: `data/clean/classes.csv`.
        told: how much each column tells of the class, as `tells_diagnosis` returns it.
        unread: the values that could not be read, as `canonical.unread` returns them.
        warnings: what a person should know before training.

    Returns:
        Counts, all of pictures where nothing else is said. `missing` counts what the table does not say; an age
        that is a placeholder, could not be read, or was filled is none of these: see `ages`.
    """
    known = [key for key in ("lesion_id", "patient_id") if (images[key] != "").any()]
    labels = images["label"].value_counts()
    lesions = lesion_of(images).groupby(images["label"]).nunique()
    status = images["age_status"].value_counts()
    missing = {column: int((images[column] == "").sum()) for column in DESCRIPTIVE}
    filled = images.loc[images["age_status"] == "filled", "age"]
    return {
        "pictures": len(images),
        "lesions": int(images.loc[images["lesion_id"] != "", "lesion_id"].nunique()),
        "patients": int(images.loc[images["patient_id"] != "", "patient_id"].nunique()),
        "groups": int(images["group_id"].nunique()),
        "set_aside": len(rejected),
        "set_aside_for": counted(kind_of_reason(rejected["reason"])),
        "exact_copies": int(images["sha256"].duplicated().sum()),
        "near_copies": int(images.loc[images["near_copy_id"] != "", "sha256"].nunique())
        - int(images.loc[images["near_copy_id"] != "", "near_copy_id"].nunique()),
        "copies_under_two_lesions": int(under_two_lesions(copies).sum()),
        "kept_together": [*known, "copies"],
        "classes": {label: int(labels[label]) for label in classes["label"]},
        "lesions_by_class": {label: int(lesions[label]) for label in classes["label"]},
        "natures": dict(zip(classes["label"], classes["nature"], strict=True)),
        "missing": {**missing, "age": int(status.get("missing", 0))},
        "ages": {name: int(status.get(name, 0)) for name in AGE_STATUS},
        "ages_filled_with": float(filled.iloc[0]) if len(filled) else None,
        "unread": {column: _with_examples(values) for column, values in unread.items()},
        "own_words": {column: _with_examples(values) for column, values in own_words(images).items()},
        "sizes": _sizes(images),
        "tells_the_diagnosis": told,
        "warnings": [warning._asdict() for warning in warnings],
    }


def kind_of_reason(reasons: "pd.Series[str]") -> "pd.Series[str]":
    """Return reasons without what is particular to one picture, after a colon, semicolon or number."""
    return reasons.str.replace(r"\s*[:;].*", "", regex=True)


def counted(values: "pd.Series[str]") -> dict[str, int]:
    """Count each value, the commonest first, equal ones by name."""
    counts = values.value_counts().sort_index().sort_values(ascending=False, kind="stable")
    return {str(value): int(count) for value, count in counts.items()}


def _with_examples(values: dict[str, int]) -> dict[str, Any]:
    return {"pictures": sum(values.values()), "examples": list(values)[:_EXAMPLES]}


def _sizes(images: pd.DataFrame) -> dict[str, Any]:
    """Count the sizes of the pictures, in pixels; {} where nobody looked."""
    if "height" not in images:
        return {}
    sizes = counted(images["width"].astype(str) + "×" + images["height"].astype(str))
    pixels = images["width"].astype(int) * images["height"].astype(int)
    commonest = next(iter(sizes))
    return {
        "different": len(sizes),
        "commonest": {"size": commonest, "pictures": sizes[commonest]},
        "fewest_pixels": int(pixels.min()),
        "most_pixels": int(pixels.max()),
    }
