"""How strongly the columns that describe an image go with its diagnosis.

Lesions are counted and not images, as the images of one lesion are no independent cases.
"""

from collections.abc import Iterable

import pandas as pd
from sklearn.metrics import mutual_info_score
from sklearn.metrics.cluster import contingency_matrix, expected_mutual_information

COLUMNS = {
    "dx_type": "How the diagnosis was confirmed (dx_type)",
    "source": "Where the image was taken (source)",
    "collection": "The collection that the image is of (collection)",
    "site": "The site on the body",
    "sex": "The sex",
    "skin_tone": "The skin tone, estimated from the image",
    "age_status": "Whether the age is known (age_status)",
    "size": "The image's height and width",
}
"""The columns compared with the diagnosis, in words."""

MIN_LESIONS = 20
"""A value or class with fewer is no evidence."""
NEARLY_ALL = 0.99
"""The share from which a value has one class only, for practical purposes."""
MAX_P_VALUE = 0.001
"""A value with one class only is no news where so many random lesions have one class as often."""
NOTABLE_OF_ALL, NOTABLE_OF_CLASS = 0.05, 0.5
"""Values with one class only are worth a warning if they hold this share of all lesions, or of those of a class."""


def lesion_of(images: pd.DataFrame) -> "pd.Series[str]":
    """Return each image's lesion; where the data names none, its group."""
    return images["lesion_id"].where(images["lesion_id"] != "", images["group_id"])


def size_of(images: pd.DataFrame) -> "pd.Series[str]":
    """Return each image's size, such as 600×450."""
    return images["width"].astype(str) + "×" + images["height"].astype(str)


def with_sizes(images: pd.DataFrame) -> pd.DataFrame:
    """Add the column `size`, with the rare ones pooled."""
    size = size_of(images)
    lesions = lesion_of(images).groupby(size).transform("nunique")
    return images.assign(size=size.where(lesions >= MIN_LESIONS, "rare sizes"))


def cases_of(images: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return one row for each lesion, class and value of a column that occur together.

    Args:
        images: one row per image, with `lesion_id`, `group_id` and `label`.
        column: the column.
    """
    return images.assign(lesion=lesion_of(images))[["lesion", "label", column]].drop_duplicates()


def uncertainty_coefficients(images: pd.DataFrame) -> dict[str, float]:
    """Return how much each descriptive column tells of the class, from 0 (nothing) to 1 (all).

    The uncertainty coefficient is the share of the class's entropy that knowing the column removes (Theil 1970). It is
    corrected for chance as Vinh, Epps and Bailey correct mutual information (JMLR 11, 2010), so that a column of many
    rare values does not gain by having them. One case is a lesion with a value.
    """
    images = with_sizes(images)
    coefficients = {}
    for column in COLUMNS:
        cases = cases_of(images, column)
        label, value = cases["label"].to_numpy(), cases[column].to_numpy()
        chance = expected_mutual_information(contingency_matrix(label, value), len(cases))
        entropy = mutual_info_score(label, label) - chance
        corrected = max(0.0, (mutual_info_score(label, value) - chance) / entropy) if entropy > 1e-9 else 0.0
        coefficients[column] = round(corrected, 3)
    return coefficients


def values_with_one_partner(cases: pd.DataFrame, column: str, other: str) -> dict[str, tuple[str, float]]:
    """Return the values of a column that nearly always go with one value of another column.

    Args:
        cases: of `cases_of`.
        column: the column whose values are returned.
        other: the column of their partners.

    Returns:
        For each value its partner, and the share of its lesions that have it.
    """
    counts = pd.crosstab(cases[column], cases[other])
    lesions, partner = counts.sum(axis=1), counts.idxmax(axis=1)
    share = counts.max(axis=1) / lesions
    p_value = (counts.sum() / len(cases))[partner].to_numpy() ** lesions
    found = counts.index[(share >= NEARLY_ALL) & (lesions >= MIN_LESIONS) & (p_value < MAX_P_VALUE)]
    return {str(value): (str(partner[value]), float(share[value])) for value in found}


def are_notable(cases: pd.DataFrame, column: str, values: Iterable[str]) -> bool:
    """Whether the lesions with some values of a column are a notable part of all, or of one class.

    Args:
        cases: of `cases_of`.
        column: the column.
        values: some of its values.
    """
    among = cases[column].isin(list(values))
    return bool(among.mean() >= NOTABLE_OF_ALL or among.groupby(cases["label"]).mean().max() >= NOTABLE_OF_CLASS)
