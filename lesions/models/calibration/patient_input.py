"""A patient's age and sex and the lesion's site as a person writes them, in the words of images.csv."""

from lesions.core.errors import UserError
from lesions.core.params import did_you_mean
from lesions.core.sanitize import sanitize
from lesions.models.calibration.metadata_prior import FIELDS, REGIONS, MetadataPrior, PatientMetadata
from lesions.taxonomy import MAX_AGE, SEXES, SITE_OF, SITES


def read(words: PatientMetadata, prior: MetadataPrior) -> PatientMetadata:
    """Return what is known, by the columns of images.csv.

    Args:
        words: by the same names, each "" where it is not known: `age` in years; `sex`, female or male, f or m; `site`,
            where on the body, as HAM10000 or the ISIC challenges call it.
        prior: the model's metadata prior.

    Raises:
        UserError: a word is not understood, or the model does not use metadata.
    """
    known = {field: words.get(field, "").strip().lower() for field in FIELDS}
    if not any(known.values()):
        return {}
    if not prior.is_active:
        raise UserError(
            "this model uses the image alone, not age, sex or site: leave them out. One calibrated with "
            "calibrate.use_metadata: true uses them."
        )
    if known["age"]:
        try:
            fits = 0 <= float(known["age"]) <= MAX_AGE
        except ValueError:
            fits = False
        if not fits:
            raise UserError(f"age {sanitize(known['age'])}: expected years from 0 to {MAX_AGE}.")
    for field, ours in (("sex", SEXES), ("site", SITE_OF)):
        word = known[field]
        if word and word not in ours:
            raise UserError(f"{field} {sanitize(word)} is not known; {did_you_mean(word, set(ours.values()))}.")
        known[field] = ours.get(word, "")
    return known


def regions() -> list[str]:
    """Return the regions of the body that a person chooses from, from head to foot."""
    return list(dict.fromkeys(REGIONS.get(site, site) for site in SITES))
