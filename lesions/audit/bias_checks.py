"""What in a data set can fool the person who trains on it: found by measuring, with what to do about it.

A network sees pictures only. But what describes a picture is often visible in it: the camera, the size, the
ruler beside a lesion that was to be cut out. Where such a thing goes with the diagnosis, figures come out better
than the network is.

Lesions are counted and not pictures wherever chance is weighed, as the pictures of one lesion are no
independent cases.
"""

from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.metrics import mutual_info_score, roc_auc_score
from sklearn.metrics.cluster import contingency_matrix, expected_mutual_information

from lesions.taxonomy import ordered

FEW = 50
"""Lesions: with fewer, a class's figures say little."""

UNEQUAL = 10
"""The largest class by the smallest, in pictures: from here on accuracy misleads."""

NEARLY_ALL = 0.99
"""The share from which a value has one class only, for practical purposes."""

ENOUGH = 20
"""Lesions: a value or class with fewer is no evidence."""

CHANCE = 0.001
"""A value with one class only is no news where drawing so many lesions at random gives that as often."""

NOTABLE, HALF = 0.05, 0.5
"""Values with one class only are worth a warning if they hold this share of all lesions, or of those of a class."""

TELLING = 0.5
"""The uncertainty coefficient from which a column is said to tell the diagnosis as a whole."""

EXPECTED = 10
"""Lesions of a class that a source should hold by chance before their absence is news."""

HARDLY_ANY = 0.05
"""Of the expected number: no more than this counts as absent."""

SEPARABLE = 0.75
"""The area under the ROC curve from which the sizes of pictures are said to tell a class."""

COLUMNS = {
    "dx_type": "How the diagnosis was confirmed (dx_type)",
    "source": "Where the picture was taken (source)",
    "site": "The site on the body",
    "sex": "The sex",
    "age_status": "Whether the age is known (age_status)",
    "size": "The picture's height and width",
}
"""What is held against the diagnosis."""

ADVICE = {
    "dx_type": "Use it to describe, never as an input: it was recorded because of the diagnosis. Read the figures for "
    "each way of confirmation apart; what was not worth a biopsy is the easier case.",
    "source": "A network can learn to know the camera or the clinic instead of the lesion. Read the figures by source.",
    "site": "Check how the pictures were collected; if this is chance or choice, read the figures by site.",
    "sex": "Check how the pictures were collected, and read the figures by sex.",
    "age_status": "The gaps are not random. Never let a gap be an input, and do not drop the pictures that have one.",
    "size": "Resizing leaves traces that a network can learn. Read the figures for pictures of one size apart.",
}
"""What to do where one of these tells the class."""

_NAMED = 4
"""How many of a kind a sentence names."""


class Finding(NamedTuple):
    """One warning.

    Attributes:
        key: names its kind.
        found: one sentence or two: what the data shows.
        advice: what to do about it.
    """

    key: str
    found: str
    advice: str


def find_warnings(
    images: pd.DataFrame, told: dict[str, float], unread: dict[str, dict[str, int]], absent: list[str]
) -> list[Finding]:
    """Return what a person should know before training, the gravest first.

    Args:
        images: `data/clean/images.csv`.
        told: as `tells_diagnosis` returns it for these images.
        unread: the values that could not be read, as `canonical.unread` returns them.
        absent: the diagnoses of `clean.classes` that the data does not hold.
    """
    images = with_sizes(images)
    return [
        *_ids(images),
        *_two_classes(images),
        *_telling(images, told),
        *_sizes(images),
        *_sources(images),
        *_few(images),
        *_unequal(images),
        *_unread(unread),
        *_absent(absent),
    ]


def tells_diagnosis(images: pd.DataFrame) -> dict[str, float]:
    """Say how much each descriptive column tells of the class, from 0 (nothing) to 1 (all).

    The measure is the uncertainty coefficient, the share of the class's entropy that knowing the column
    removes (Theil 1970), corrected for chance as Vinh, Epps and Bailey correct mutual information (JMLR 11,
    2010): a column of many rare values tells nothing by having them. One case is a lesion with a value.
    """
    images = with_sizes(images)
    told = {}
    for column in [name for name in COLUMNS if name in images]:
        cases = _cases(images, column)
        label, value = cases["label"].to_numpy(), cases[column].to_numpy()
        chance = expected_mutual_information(contingency_matrix(label, value), len(cases))
        left = mutual_info_score(label, label) - chance  # a variable's entropy is what it tells of itself
        told[column] = round(max(0.0, (mutual_info_score(label, value) - chance) / left), 3) if left > 1e-9 else 0.0
    return told


def lesion_of(images: pd.DataFrame) -> "pd.Series[str]":
    """Return each picture's lesion; where the data names none, the group of pictures it belongs to."""
    return images["lesion_id"].where(images["lesion_id"] != "", images["group_id"])


def with_sizes(images: pd.DataFrame) -> pd.DataFrame:
    """Add the column `size`, such as 600×450, the rare ones as one; nothing where pictures have no `height`."""
    if "height" not in images:
        return images
    size = images["width"].astype(str) + "×" + images["height"].astype(str)
    lesions = lesion_of(images).groupby(size).transform("nunique")
    return images.assign(size=size.where(lesions >= ENOUGH, "rare sizes"))


def _cases(images: pd.DataFrame, column: str) -> pd.DataFrame:
    """Return a row for each lesion, class and value of a column that occur together."""
    return images.assign(lesion=lesion_of(images))[["lesion", "label", column]].drop_duplicates()


def _alone(cases: pd.DataFrame, given: str, other: str) -> dict[str, tuple[str, float]]:
    """Return the values of the column `given` that nearly always go with one value of `other`, and how often."""
    counts = pd.crosstab(cases[given], cases[other])
    lesions, with_it = counts.sum(axis=1), counts.idxmax(axis=1)
    share = counts.max(axis=1) / lesions
    by_chance = (counts.sum() / len(cases))[with_it].to_numpy() ** lesions
    found = counts.index[(share >= NEARLY_ALL) & (lesions >= ENOUGH) & (by_chance < CHANCE)]
    return {str(value): (str(with_it[value]), float(share[value])) for value in found}


def _are_many(cases: pd.DataFrame, column: str, values: Iterable[str]) -> bool:
    """Tell whether the lesions with these values are a notable part of all, or of one class."""
    among = cases[column].isin(list(values))
    return bool(among.mean() >= NOTABLE or among.groupby(cases["label"]).mean().max() >= HALF)


def _ids(images: pd.DataFrame) -> list[Finding]:
    advice = (
        "Add a column lesion_id or patient_id if you can find out; else expect figures on new patients to be lower "
        "than those on the test side."
    )
    unnamed = int(((images["lesion_id"] == "") & (images["patient_id"] == "")).sum())
    if unnamed == len(images):
        found = (
            "The data names neither lesions nor patients: only copies of a picture can be kept on one side of the "
            "split, and two photographs of one lesion may stand on both."
        )
        return [Finding("no_lesion_or_patient_ids", found, advice)]
    if unnamed:
        found = f"{unnamed:,} of {len(images):,} pictures name neither lesion nor patient: each counts as a lesion."
        return [Finding("no_lesion_or_patient_ids", found, advice)]
    return []


def _two_classes(images: pd.DataFrame) -> list[Finding]:
    labels = images[images["lesion_id"] != ""].groupby("lesion_id")["label"].agg(set)
    divided = labels[labels.map(len) > 1]
    if divided.empty:
        return []
    examples = _some([f"{lesion}: {_joined(ordered(classes))}" for lesion, classes in divided.items()])
    found = f"{_number(len(divided), 'lesion')} with pictures of more than one class ({examples})."
    return [Finding("lesions_of_two_classes", found, "Check these rows: a diagnosis or a lesion_id is wrong.")]


def _sizes(images: pd.DataFrame) -> list[Finding]:
    if "size" not in images:
        return []
    first = images.assign(lesion=lesion_of(images)).drop_duplicates(["lesion", "label"])
    height, width = first["height"].astype(float), first["width"].astype(float)
    told = []
    for label in ordered(set(first["label"])):
        of_class = (first["label"] == label).to_numpy()
        if min(of_class.sum(), (~of_class).sum()) >= ENOUGH:
            areas = [roc_auc_score(of_class, values) for values in (height * width, width / height)]
            area = max(max(value, 1 - value) for value in areas)
            if area >= SEPARABLE:
                told.append((area, label))
    if not told:
        return []
    named = _some([f"{label} {area:.2f}" for area, label in sorted(told, key=lambda pair: -round(pair[0], 2))])
    found = (
        "The sizes of the pictures differ by class: their pixels or proportions alone tell classes from the others "
        f"(area under the ROC curve, where 0.5 is chance: {named})."
    )
    advice = (
        "Resizing leaves traces in sharpness and proportions, and a network can learn these. Read the figures for "
        "pictures of one size apart, or bring all to one size and shape the same way before they come here."
    )
    return [Finding("sizes_differ_by_class", found, advice)]


def _sources(images: pd.DataFrame) -> list[Finding]:
    cases = _cases(images[images["source"] != ""], "source")
    counts = pd.crosstab(cases["source"], cases["label"])
    if len(counts) < 2:
        return []
    expected = np.outer(counts.sum(axis=1), counts.sum()) / counts.to_numpy().sum()
    lacking = (expected >= EXPECTED) & (counts.to_numpy() <= HARDLY_ANY * expected)
    pictures = pd.crosstab(images["source"], images["label"])
    told = _alone(cases, "source", "label")  # of these a warning of their own says more
    phrases = []
    for row in np.argsort(-(expected * lacking).sum(axis=1), kind="stable"):
        source = str(counts.index[row])
        labels = ordered(set(counts.columns[lacking[row]]))
        if labels and source not in told:
            held = pictures.loc[source].to_dict()
            few = _joined([f"{held[label] or 'no'} {label}" for label in labels])
            phrases.append(f"{source} has {few} among {sum(held.values()):,} pictures")
    if not phrases:
        return []
    found = f"Not every source holds every class: {_some(phrases, '; ')}."
    advice = (
        "A network can learn to know the camera or the clinic instead of the lesion. Read the figures by source, and "
        "test on a source that took no part in training."
    )
    return [Finding("sources_without_classes", found, advice)]


def _telling(images: pd.DataFrame, told: dict[str, float]) -> list[Finding]:
    findings = []
    for column, words in COLUMNS.items():
        if column not in images or images[column].nunique() < 2:
            continue
        counts, cases = images[column].value_counts(), _cases(images, column)
        alone = _alone(cases, column, "label")
        if not _are_many(cases, column, alone):
            alone = {}
        phrases = [
            f"{value or 'no value'} {_always(share)} {label} ({counts[value]:,} pictures)"
            for value, (label, share) in sorted(alone.items(), key=lambda item: -counts[item[0]])
        ]
        if column == "dx_type":
            sole = _alone(cases, "label", column)
            for value in sorted({value for value, _ in sole.values()} - {"", *alone}):
                labels = ordered({label for label, (with_it, _) in sole.items() if with_it == value})
                share = min(sole[label][1] for label in labels)
                phrases.append(f"{_joined(labels)} {_always(share, len(labels))} {value}")
        if phrases:
            found = f"{words} gives much of the diagnosis away: {_some(phrases, '; ')}."
        elif told[column] >= TELLING:
            found = f"{words} removes {told[column]:.0%} of the uncertainty about the diagnosis."
        else:
            continue
        findings.append(Finding(f"{column}_tells_the_diagnosis", found, ADVICE[column]))
    return findings


def _few(images: pd.DataFrame) -> list[Finding]:
    lesions = lesion_of(images).groupby(images["label"]).nunique()
    few = [f"{label} {lesions[label]}" for label in ordered(set(lesions.index[lesions < FEW]))]
    if not few:
        return []
    found = f"{_number(len(few), 'class', 'classes')} with fewer than {FEW} lesions: {', '.join(few)}."
    advice = (
        "A test side holds a fraction of them: read these classes' figures with their intervals. Collect more, or join "
        "classes (clean.classes)."
    )
    return [Finding("few_lesions", found, advice)]


def _unequal(images: pd.DataFrame) -> list[Finding]:
    counts = images["label"].value_counts()
    largest, smallest = counts.index[0], counts.index[-1]
    if counts.iloc[0] < UNEQUAL * counts.iloc[-1]:
        return []
    found = (
        f"The classes are very unequal: {largest} has {counts.iloc[0]:,} pictures, {smallest} {counts.iloc[-1]:,}. "
        f'Always answering "{largest}" is right in {counts.iloc[0] / len(images):.1%} of all cases.'
    )
    advice = (
        "Read the balanced accuracy and each class's recall, not the accuracy. rebalance.target adds augmented copies "
        "of the rare classes to the training side."
    )
    return [Finding("unequal_classes", found, advice)]


def _unread(unread: dict[str, dict[str, int]]) -> list[Finding]:
    found = []
    for column, values in unread.items():
        if values:
            examples = _some([f'"{value[:20]}"' for value in values])
            found.append(f"The {column} of {_number(sum(values.values()), 'picture')} cannot be read ({examples}).")
    advice = "They count as missing. Mend the table: an age is a number of years up to 120, a sex is male or female."
    return [Finding("unread_values", " ".join(found), advice)] if found else []


def _absent(absent: list[str]) -> list[Finding]:
    if not absent:
        return []
    found = f"clean.classes names diagnoses that the data does not hold: {_some(absent)}."
    return [Finding("classes_not_in_data", found, "Check how they are written; data/clean/classes.csv lists what is.")]


def _always(share: float, number: int = 1) -> str:
    verb = "is" if number == 1 else "are"
    return f"{verb} always" if share == 1 else f"{verb} nearly always"


def _number(count: int, one: str, many: str = "") -> str:
    return f"{count:,} {one if count == 1 else many or one + 's'}"


def _joined(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"{', '.join(words[:-1])} and {words[-1]}"


def _some(words: list[str], separator: str = ", ") -> str:
    more = f"{separator}and {len(words) - _NAMED} more" if len(words) > _NAMED else ""
    return separator.join(words[:_NAMED]) + more
