"""A patient's age and sex and the lesion's site as a person writes them, in the words of images.csv."""

import re
from collections.abc import Mapping
from typing import TypeAlias

import pandas as pd

from lesions.core.errors import UserError
from lesions.core.params import did_you_mean
from lesions.core.sanitize import sanitize
from lesions.models.calibration.metadata_prior import FIELDS, REGIONS, MetadataPrior, PatientMetadata
from lesions.taxonomy import MAX_AGE, SEXES, SITE_OF, SITES

PatientWords: TypeAlias = Mapping[str, str | float | None]
"""What is known of one patient, as a person or a program has it: some of `FIELDS`; "", None or NaN where not known."""

_YEARS = re.compile(r"\d+(\.\d*)?", re.ASCII)
"""Fewer numbers than Python reads: 5_5 is a slip."""


def read(words: PatientWords, prior: MetadataPrior) -> PatientMetadata:
    """Return what is known, by the columns of images.csv.

    Args:
        words: by the same names: `age` in years; `sex`, female or male, f or m; `site`, where on the body, as HAM10000
            or the ISIC challenges call it.
        prior: the model's metadata prior.

    Raises:
        UserError: a name or a word is not understood, or the model does not use metadata.
    """
    for name in words:
        if name not in FIELDS:
            raise UserError(f"metadata: {sanitize(str(name))} is not known; {did_you_mean(str(name), FIELDS)}.")
    given = {field: words.get(field) for field in FIELDS}
    known = {field: "" if pd.isna(word) else str(word).strip().lower() for field, word in given.items()}
    if not any(known.values()):
        return {}
    if not prior.is_active:
        raise UserError(
            "this model uses the image alone, not age, sex or site: leave them out. One calibrated with "
            "calibrate.use_metadata: true uses them."
        )
    age = known["age"]
    if age and not (_YEARS.fullmatch(age) and float(age) <= MAX_AGE):
        raise UserError(f"age {sanitize(age)}: expected years from 0 to {MAX_AGE}.")
    for field, ours in (("sex", SEXES), ("site", SITE_OF)):
        word = known[field]
        if word and word not in ours:
            raise UserError(f"{field} {sanitize(word)} is not known; {did_you_mean(word, set(ours.values()))}.")
        known[field] = ours.get(word, "")
    return known


def regions() -> list[str]:
    """Return the regions of the body that a person chooses from, from head to foot."""
    return list(dict.fromkeys(REGIONS.get(site, site) for site in SITES))
