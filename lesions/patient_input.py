"""What a person says of a patient, brought into the words that the model learned."""

from lesions.core.errors import UserError
from lesions.core.params import nearest
from lesions.core.sanitize import shown
from lesions.inference.metadata_prior import FIELDS, REGIONS, Known, Patient
from lesions.taxonomy import MAX_AGE, SEXES, SITE_OF, SITES


def read(words: Known, model: Patient) -> Known:
    """Return what is known, by the columns of images.csv.

    Args:
        words: by the same names, each "" where it is not known: `age` in years; `sex`, female or male, f or m; `site`,
            where on the body, as HAM10000 or the ISIC challenges call it.
        model: what the model knows of patients.

    Raises:
        UserError: a word is not understood, or something is said to a model that asks for nothing.
    """
    said = {field: words.get(field, "").strip().lower() for field in FIELDS}
    if not any(said.values()):
        return {}
    if not model.weighs:
        raise UserError(
            "this model looks at the picture alone, and does not weigh age, sex or site: leave them out. One trained "
            "with predict.patient: true does."
        )
    if said["age"]:
        try:
            fits = 0 <= float(said["age"]) <= MAX_AGE
        except ValueError:
            fits = False
        if not fits:
            raise UserError(f"age {shown(said['age'])}: expected years from 0 to {MAX_AGE}.")
    for field, ours in (("sex", SEXES), ("site", SITE_OF)):
        word = said[field]
        if word and word not in ours:
            raise UserError(f"{field} {shown(word)} is not known; {nearest(word, set(ours.values()))}.")
        said[field] = ours.get(word, "")
    return said


def regions() -> list[str]:
    """Return the regions of the body that a person chooses from, from head to foot."""
    return list(dict.fromkeys(REGIONS.get(site, site) for site in SITES))
