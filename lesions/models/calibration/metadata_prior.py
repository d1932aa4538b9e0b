"""The metadata prior: multiplies the network's probabilities by likelihood ratios of age, sex and site (naive Bayes).

The likelihood ratio of an age is how much more frequent it is among training lesions of a class than among all;
likewise of a sex and a site, as if these were independent of the image and of one another within a class. Unknown
metadata changes nothing, and neither does an inactive prior.
"""

from collections.abc import Mapping
from typing import ClassVar, Self, TypeAlias

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import Field, model_validator

from lesions.evaluation.common.fitted_json import FittedJson

FIELDS = ("age", "sex", "site")
"""What may be known, by the columns of images.csv: years, female or male, and a site in clean's words."""

REGIONS = {
    **dict.fromkeys(("scalp", "face", "ear", "neck"), "head and neck"),
    **dict.fromkeys(("chest", "abdomen", "back", "anterior trunk", "lateral trunk"), "trunk"),
    **dict.fromkeys(("hand", "foot", "acral"), "hand or foot"),
    "genital": "oral or genital",
}
"""The regions of sites: collections name them more or less finely, and one calls trunk what another calls back."""

DECADES = range(0, 100, 10)
"""The first years of ages that are counted together; older ones are in the last."""

PSEUDOCOUNT = 20
"""Lesions of the mean patient that are added to each class: without them, a site where a rare class happens not to
occur in train would rule that class out."""

PatientMetadata: TypeAlias = Mapping[str, str]
"""What is known of one patient: some of `FIELDS`, or ""."""

Ratios: TypeAlias = dict[str, list[float]]


class MetadataPrior(FittedJson):
    """Multiplies the probability of each class by likelihood ratios of age, sex and site; all of metadata_prior.json.

    Attributes:
        classes: their labels.
        age: by the first year of each decade, for each class the logarithm of the likelihood ratio: how many times as
            frequent that age is among its lesions as among all; {} where it is not used.
        sex: the same.
        site: the same, by region.
    """

    FILE: ClassVar[str] = "metadata_prior.json"
    CONTENT: ClassVar[str] = "metadata prior"

    classes: list[str]
    age: Ratios = Field(default_factory=dict)
    sex: Ratios = Field(default_factory=dict)
    site: Ratios = Field(default_factory=dict)

    @model_validator(mode="after")
    def _a_number_a_class(self) -> Self:
        numbers = [ratios for field in FIELDS for ratios in getattr(self, field).values()]
        if not all(len(ratios) == len(self.classes) and np.isfinite(ratios).all() for ratios in numbers):
            raise ValueError("expected one number per class")
        return self

    @property
    def is_active(self) -> bool:
        """Whether any metadata changes a probability."""
        return any(getattr(self, field) for field in FIELDS)

    def log_ratios(self, patients: pd.DataFrame) -> NDArray[np.float64]:
        """Return (N, classes), what is added to the logarithms of the probabilities.

        Args:
            patients: N rows, as `values` takes them.
        """
        nothing = np.zeros(len(self.classes))
        found = np.zeros((len(patients), len(self.classes)))
        known = values(patients)
        for field in FIELDS:
            ratios = {value: np.array(row) for value, row in getattr(self, field).items()}
            found += np.array([ratios.get(value, nothing) for value in known[field]]).reshape(found.shape)
        return found


def values(patients: pd.DataFrame) -> pd.DataFrame:
    """Return the decade, the sex and the region of each row, "" where that is not known.

    Args:
        patients: with `age`, `sex` and `site` as in images.csv, each of which may be missing; with `age_status`, ages
            that were filled in count as not known.
    """
    found = pd.DataFrame("", patients.index, list(FIELDS), dtype=str)
    for field in FIELDS:
        if field in patients:
            found[field] = patients[field].fillna("").astype(str)
    if "age_status" in patients:
        found["age"] = found["age"].where(patients["age_status"] == "given", "")
    years = pd.to_numeric(found["age"], errors="coerce")
    decade = (years // DECADES.step * DECADES.step).clip(upper=DECADES[-1])
    found["age"] = decade.map(lambda year: "" if pd.isna(year) else str(int(year)))
    found["site"] = found["site"].replace(REGIONS)
    return found


def fit_prior(images: pd.DataFrame, classes: list[str]) -> MetadataPrior:
    """Count the training lesions.

    Args:
        images: rows of images.csv that train, and no others. Images of one lesion count once; where the data name
            no lesion, those of one group, which may be all of a patient's, and one diagnosis.
        classes: the labels.
    """
    lesion = images["lesion_id"].where(images["lesion_id"] != "", images["group_id"])
    lesions = images[~images.assign(lesion=lesion).duplicated(["lesion", "label"])]
    labels = lesions["label"].map(classes.index).to_numpy()
    found = {}
    known = values(lesions)
    for field in FIELDS:
        column = known[field]
        held = sorted(set(column) - {""}, key=lambda value: (len(value), value))
        counts = np.array([np.bincount(labels[column == value], minlength=len(classes)) for value in held], float)
        if field == "age" and held:
            counts = smoothing([int(value) for value in held]) @ counts
        found[field] = {
            value: [float(f"{ratio:.4g}") for ratio in ratios]
            for value, ratios in zip(held, _log_ratios(counts), strict=True)
        }
    return MetadataPrior(classes=classes, **found)


def smoothing(decades: list[int]) -> NDArray[np.float64]:
    """Return (decades, decades), each column summing to one: a lesion counts in the neighbouring decades as well.

    A Gaussian of ten years, since the decades' borders mean nothing.
    """
    apart = np.subtract.outer(decades, decades) / DECADES.step
    weight = np.exp(-(apart**2) / 2)
    result: NDArray[np.float64] = weight / weight.sum(axis=0)
    return result


def _log_ratios(counts: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return log p(value | class) / p(value), (values, classes), of lesions counted in that shape."""
    if not len(counts):
        return counts
    share = counts.sum(axis=1, keepdims=True) / counts.sum()
    of_class = (counts + PSEUDOCOUNT * share) / (counts.sum(axis=0) + PSEUDOCOUNT)
    result: NDArray[np.float64] = np.log(of_class / share)
    return result


def apply_prior(probability: NDArray[np.floating], log_ratios: NDArray[np.float64]) -> NDArray[np.float32]:
    """Return the probabilities, (N, classes), combined with the metadata; where all is unknown, the same bits.

    Args:
        probability: (N, classes), float32, each row summing to one.
        log_ratios: of `MetadataPrior.log_ratios`.
    """
    products = probability.astype(np.float64) * np.exp(log_ratios)
    products /= products.sum(axis=1, keepdims=True)
    known = log_ratios.any(axis=1, keepdims=True)
    return np.where(known, products, probability).astype(np.float32)


def with_metadata(table: pd.DataFrame, prior: MetadataPrior, images: pd.DataFrame) -> pd.DataFrame:
    """Return a table of predictions combined with what images.csv knows of each image's patient.

    Args:
        table: with `image_id` and a column of probabilities, float32, for each class.
        prior: the metadata prior.
        images: rows of images.csv; of augmented images, which are not in it, nothing is known.
    """
    known = images.set_index("image_id").reindex(table["image_id"])
    final = apply_prior(table[prior.classes].to_numpy(), prior.log_ratios(known))
    return table.assign(**dict(zip(prior.classes, final.T, strict=True)))
