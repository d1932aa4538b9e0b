"""Normalise the descriptive columns, whatever the data set calls its values.

A site, a way of confirmation or a source outside the vocabularies stays as it is written, without needless white space;
an age or a sex that cannot be read becomes "" and is counted.
"""

import pandas as pd

from lesions.audit.skin_tone import skin_tone
from lesions.taxonomy import MAX_AGE, SEXES, SITE_OF, SITES, is_unknown

CONFIRMATIONS = {
    "histopathology": "histo",
    "follow-up": "follow_up",
    "follow up": "follow_up",
    "serial imaging showing no change": "follow_up",
    "single image expert consensus": "consensus",
    "confocal microscopy with consensus dermoscopy": "confocal",
    "single contributor clinical assessment": "clinical",
}
"""How a diagnosis was confirmed: the ISIC archive's words for HAM10000's (histo, follow_up, consensus,
confocal), and one kind that HAM10000 lacks."""


def normalise(images: pd.DataFrame, age_zero: str) -> pd.DataFrame:
    """Bring the descriptive columns into one form; what is missing or cannot be read becomes "".

    Args:
        images: with `image_id`, `label`, `diagnosis`, `archive`, `member`, `sha256`, `height`, `width`, `ita` and
            any of HAM10000's other columns.
        age_zero: "placeholder", an age of 0 says nothing, as in part of HAM10000; or "real".

    Returns:
        The columns of `data/clean/images.csv`, without `group_id`. `age_status` says for each image what
        its age is: given, placeholder, missing, or unread (no age from 0 to 120 could be read).
    """
    ages = _ages(tidy(images, "age"), age_zero)
    same = ["image_id", "archive", "member", "label", "diagnosis", "sha256", "height", "width", "ita"]
    return images[same].assign(
        lesion_id=tidy(images, "lesion_id"),
        patient_id=tidy(images, "patient_id"),
        dx_type=tidy(images, "dx_type").str.lower().replace(CONFIRMATIONS),
        age=ages["age"].map(lambda years: "" if pd.isna(years) else f"{years:g}"),
        age_status=ages["status"],
        sex=tidy(images, "sex").str.lower().map(SEXES).fillna(""),
        skin_tone=images["ita"].map(skin_tone),
        site=tidy(images, "localization").str.lower().map(_site),
        source=_one_spelling(tidy(images, "dataset")),
        collection=tidy(images, "collection"),
        published_split=tidy(images, "split").str.lower(),
    )


def fill_ages(images: pd.DataFrame, rule: str) -> pd.DataFrame:
    """Fill the ages that are not given, and say so in `age_status`.

    Args:
        images: of `normalise`.
        rule: "keep", nothing is filled; or "mean" or "median", of the given ages over all images.
    """
    given = images.loc[images["age_status"] == "given", "age"].astype(float)
    if rule == "keep" or given.empty:
        return images
    filler = given.mean() if rule == "mean" else given.median()
    gaps = images["age_status"] != "given"
    return images.assign(
        age=images["age"].mask(gaps, f"{filler:.4g}"), age_status=images["age_status"].mask(gaps, "filled")
    )


def unreadable_values(images: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Return the ages and sexes of the table as it came that cannot be read, and how many images have each."""
    age, sex = tidy(images, "age"), tidy(images, "sex")
    no_age = _ages(age, "real")["status"] == "unread"
    no_sex = (sex != "") & ~sex.str.lower().isin(list(SEXES))
    return {"age": count_values(age[no_age]), "sex": count_values(sex[no_sex])}


def unknown_values(images: pd.DataFrame) -> dict[str, dict[str, int]]:
    """Return the sites and ways of confirmation that no vocabulary has, and how many images have each."""
    known = {"site": {"", *SITES}, "dx_type": {"", "histo", *CONFIRMATIONS.values()}}
    return {column: count_values(images[column][~images[column].isin(list(words))]) for column, words in known.items()}


def tidy(images: pd.DataFrame, column: str) -> "pd.Series[str]":
    """Return a column without needless white space, "" where it is missing or says that nothing is known.

    Args:
        images: a table; it may lack the column.
        column: its name.
    """
    if column not in images:
        return pd.Series("", index=images.index, dtype=str)
    stripped = images[column].str.split().str.join(" ")
    return stripped.mask(stripped.map(is_unknown), "")


def _ages(text: "pd.Series[str]", zero: str) -> pd.DataFrame:
    """Read ages in years, with a decimal comma too, and the ISIC archive's "85+": `age`, float or NaN, and `status`."""
    age = pd.to_numeric(text.str.replace(",", ".").str.removesuffix("+"), errors="coerce")
    status = pd.Series("given", index=text.index, dtype=str)
    status[~age.between(0, MAX_AGE)] = "unread"
    status[text == ""] = "missing"
    if zero == "placeholder":
        status[age == 0] = "placeholder"
    return pd.DataFrame({"age": age.where(status == "given"), "status": status})


def _site(word: str) -> str:
    """Return a site's canonical word; of a path such as "Trunk:Lateral trunk:Axilla" its deepest known part."""
    return next((SITE_OF[part] for part in [word, *word.split(":")[::-1]] if part in SITE_OF), word)


def _one_spelling(names: "pd.Series[str]") -> "pd.Series[str]":
    """Write names that differ in capitals alone in one way: the commonest."""
    return names.groupby(names.str.casefold()).transform(lambda spellings: spellings.mode()[0])


def count_values(values: "pd.Series[str]") -> dict[str, int]:
    """Count each value, the commonest first, equal ones by name."""
    counts = values.value_counts().sort_index().sort_values(ascending=False, kind="stable")
    return {str(value): int(count) for value, count in counts.items()}
