"""Find what in a data set can mislead the person who trains on it, with what to do about it.

A network sees images only. But what describes an image is often visible in it: the camera, the size, the ruler beside
a lesion that was to be cut out. Where such a thing goes with the diagnosis, metrics come out better than the network
is.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.metrics import roc_auc_score

from lesions.audit.associations import (
    COLUMNS,
    MIN_LESIONS,
    are_notable,
    cases_of,
    lesion_of,
    values_with_one_partner,
    with_sizes,
)
from lesions.audit.merged import lacking_classes
from lesions.reporting.common.numbers import first_few, joined, quantity
from lesions.taxonomy import about, ordered

FEW_LESIONS = 50
"""With fewer lesions, a class's metrics say little."""
IMBALANCED = 10
"""The largest class by the smallest, in images: from here on accuracy misleads."""
MIN_UNCERTAINTY_COEFFICIENT = 0.5
"""From here on a column is said to tell the diagnosis as a whole."""
MIN_EXPECTED = 10
"""Lesions of a class that a source should hold by chance before their absence is news."""
ABSENT = 0.05
"""A value that is no more often than this fraction of its expected number counts as absent."""
MIN_AUC = 0.75
"""The area under the ROC curve from which the sizes of images are said to tell a class."""

ADVICE = {
    "melanoma_unstated": "If it is one, join it to the class mel by clean.classes in params.yaml; else no alert for "
    "melanoma counts it.",
    "no_malignant_class": "State what each class counts as by clean.classes in params.yaml (docs/own_data.md); else "
    "the task malignant is not evaluated, and no alert is given.",
    "malignant_with_benign": "Whatever the class counts as is wrong for a part of it. Divide it by clean.classes in "
    "params.yaml.",
    "no_lesion_or_patient_ids": "Add a column lesion_id or patient_id if you can find out; else expect metrics on new "
    "patients to be lower than those on the test split.",
    "lesions_of_two_classes": "Check these rows: a diagnosis is wrong, or which images show one lesion.",
    "duplicates_of_two_classes": "No network can be right on all of these. Set clean.label_conflicts to drop, unless "
    "you repeat what was published with them.",
    "dx_type_tells_the_diagnosis": "Use it to describe, never as an input: it was recorded because of the diagnosis. "
    "Read the metrics for each way of confirmation apart; what was not worth a biopsy is the easier case.",
    "source_tells_the_diagnosis": "A network can learn to know the camera or the clinic instead of the lesion. Read "
    "the metrics by source.",
    "collection_tells_the_diagnosis": "A network can learn to know the collection instead of the lesion. Balance by "
    "train.balance: both, read the metrics by collection, and test on one that took no part in training.",
    "site_tells_the_diagnosis": "Check how the images were collected; if this is chance or choice, read the metrics by "
    "site.",
    "sex_tells_the_diagnosis": "Check how the images were collected, and read the metrics by sex.",
    "skin_tone_tells_the_diagnosis": "It is an estimate that depends on camera and light. Look at the images by "
    "source, and read the metrics by skin_tone and by source.",
    "age_status_tells_the_diagnosis": "The gaps are not random. Never let a gap be an input, and do not drop the "
    "images that have one.",
    "size_tells_the_diagnosis": "Resizing leaves traces that a network can learn. Read the metrics for images of one "
    "size apart.",
    "sizes_differ_by_class": "Resizing leaves traces in sharpness and proportions, and a network can learn these. Read "
    "the metrics for images of one size apart, or bring all to one size and shape the same way before they come here.",
    "sources_without_classes": "A network can learn to know the camera or the clinic instead of the lesion. Read the "
    "metrics by source, and test on a source that took no part in training.",
    "collections_without_classes": "That need not mean that its clinic has none: they may be copies of another "
    "collection's, or lie in another class. See the table of diagnoses, and join classes by clean.classes.",
    "few_lesions": "A test split holds a fraction of them: read these classes' metrics with their intervals. Test on "
    "each lesion once, in folds (split.folds; `lesions study folds`), collect more, or join classes (clean.classes).",
    "unequal_classes": "Read the balanced accuracy and each class's sensitivity, not the accuracy. rebalance.target "
    "adds augmented images of the rare classes to the training split.",
    "unread_values": "They count as missing. Mend the table: an age is a number of years up to 120, a sex is male or "
    "female.",
    "classes_not_in_data": "Check how they are written; data/clean/classes.csv lists what is.",
}
"""What to do about each kind of warning; the gravest first."""


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
    images: pd.DataFrame,
    classes: pd.DataFrame,
    coefficients: dict[str, float],
    unreadable: dict[str, dict[str, int]],
    absent: list[str],
) -> list[Finding]:
    """Return what a person should know before training, the gravest first.

    Args:
        images: `data/clean/images.csv`.
        classes: `data/clean/classes.csv`.
        coefficients: the `uncertainty_coefficients` of these images.
        unreadable: the values that could not be read, of `normalise.unreadable_values`.
        absent: the diagnoses of `clean.classes` that the data does not hold.
    """
    images = with_sizes(images)
    found = {
        "melanoma_unstated": _melanoma(classes),
        "no_malignant_class": _malignancy(classes),
        "malignant_with_benign": _mixed_classes(classes),
        "no_lesion_or_patient_ids": _no_ids(images),
        "lesions_of_two_classes": _two_classes(images),
        "duplicates_of_two_classes": _two_classes_of_one_image(images),
        **{f"{column}_tells_the_diagnosis": _column(images, column, coefficients[column]) for column in COLUMNS},
        "sizes_differ_by_class": _sizes(images),
        "sources_without_classes": _sources(images),
        "collections_without_classes": _collections(images),
        "few_lesions": _few_lesions(images),
        "unequal_classes": _imbalance(images),
        "unread_values": _unreadable(unreadable),
        "classes_not_in_data": f"clean.classes names diagnoses that the data does not hold: {first_few(absent)}."
        if absent
        else "",
    }
    return [Finding(key, found[key], advice) for key, advice in ADVICE.items() if found[key]]


def _melanoma(classes: pd.DataFrame) -> str:
    named = classes["label"].str.contains("melanom") | classes["diagnoses"].str.contains("melanom")
    found = list(classes.loc[named & (classes["malignancy"] == "unstated"), "label"])
    if not found:
        return ""
    return f"{first_few(found)}: by its name a melanoma, and it counts as neither malignant nor benign."


def _malignancy(classes: pd.DataFrame) -> str:
    if (classes["malignancy"] == "malignant").any():
        return ""
    return f"Of no class is it known that it is malignant: {first_few(list(classes['label']))}."


def _mixed_classes(classes: pd.DataFrame) -> str:
    mixed = []
    for row in classes.itertuples():
        held = {code: about(code).malignancy for code in str(row.diagnoses).split("; ")}
        if {"malignant", "benign"} <= set(held.values()):
            mixed.append(f"{row.label} of {joined([f'{code} ({malignancy})' for code, malignancy in held.items()])}")
    return f"A class is made of malignant and of benign diagnoses: {first_few(mixed, '; ')}." if mixed else ""


def _no_ids(images: pd.DataFrame) -> str:
    unnamed = int(((images["lesion_id"] == "") & (images["patient_id"] == "")).sum())
    if unnamed == len(images):
        return (
            "The data names neither lesions nor patients: only duplicates can be kept in one split, and two "
            "photographs of one lesion may stand in two."
        )
    if not unnamed:
        return ""
    return f"{unnamed:,} of {len(images):,} images name neither lesion nor patient: each counts as a lesion."


def _two_classes(images: pd.DataFrame) -> str:
    several = []
    for key in ("lesion_id", "known_pair_id"):
        labels = images.loc[images[key] != "", [key, "label"]].drop_duplicates()
        several.append(labels[labels[key].duplicated(keep=False)].groupby(key)["label"].agg(set))
    divided = pd.concat(several)
    if divided.empty:
        return ""
    examples = first_few([f"{lesion}: {joined(ordered(classes))}" for lesion, classes in divided.items()])
    return f"{quantity(len(divided), 'lesion')} with images of more than one class ({examples})."


def _two_classes_of_one_image(images: pd.DataFrame) -> str:
    sets = images[images["near_duplicate_id"] != ""].groupby("near_duplicate_id")["label"]
    contradict = images.loc[sets.transform("nunique").reindex(images.index, fill_value=1) > 1, "image_id"]
    if contradict.empty:
        return ""
    return (
        f"{quantity(len(contradict), 'image')} have a duplicate under another diagnosis, and stay, since "
        f"clean.label_conflicts is keep: {first_few(sorted(contradict))}."
    )


def _column(images: pd.DataFrame, column: str, coefficient: float) -> str:
    """Check whether a column gives the diagnosis away, by single values or as a whole."""
    counts = images[column].value_counts()
    if len(counts) < 2:
        return ""
    cases = cases_of(images, column)
    alone = values_with_one_partner(cases, column, "label")
    if not are_notable(cases, column, alone):
        alone = {}
    phrases = [
        f"{value or 'no value'} {_always(share)} {label} ({counts[value]:,} images)"
        for value, (label, share) in sorted(alone.items(), key=lambda item: -counts[item[0]])
    ]
    if column == "dx_type":
        only = values_with_one_partner(cases, "label", column)
        for value in sorted({value for value, _ in only.values()} - {"", *alone}):
            labels = ordered({label for label, (partner, _) in only.items() if partner == value})
            share = min(only[label][1] for label in labels)
            phrases.append(f"{joined(labels)} {_always(share, len(labels))} {value}")
    if phrases:
        return f"{COLUMNS[column]} gives much of the diagnosis away: {first_few(phrases, '; ')}."
    if coefficient >= MIN_UNCERTAINTY_COEFFICIENT:
        return f"{COLUMNS[column]} removes {coefficient:.0%} of the uncertainty about the diagnosis."
    return ""


def _sizes(images: pd.DataFrame) -> str:
    first = images.assign(lesion=lesion_of(images)).drop_duplicates(["lesion", "label"])
    height, width = first["height"].astype(float), first["width"].astype(float)
    separable = []
    for label in ordered(set(first["label"])):
        of_class = (first["label"] == label).to_numpy()
        if min(of_class.sum(), (~of_class).sum()) >= MIN_LESIONS:
            aucs = [roc_auc_score(of_class, values) for values in (height * width, width / height)]
            auc = max(max(value, 1 - value) for value in aucs)
            if auc >= MIN_AUC:
                separable.append((label, auc))
    if not separable:
        return ""
    named = first_few([f"{label} {auc:.2f}" for label, auc in sorted(separable, key=lambda pair: -round(pair[1], 2))])
    return (
        "The sizes of the images differ by class: their pixels or proportions alone tell classes from the others "
        f"(area under the ROC curve, where 0.5 is chance: {named})."
    )


def _sources(images: pd.DataFrame) -> str:
    cases = cases_of(images[images["source"] != ""], "source")
    counts = pd.crosstab(cases["source"], cases["label"])
    if len(counts) < 2:
        return ""
    expected = np.outer(counts.sum(axis=1), counts.sum()) / counts.to_numpy().sum()
    lacking = (expected >= MIN_EXPECTED) & (counts.to_numpy() <= ABSENT * expected)
    n_images = pd.crosstab(images["source"], images["label"])
    of_one_class = values_with_one_partner(cases, "source", "label")  # of these a warning of their own says more
    phrases = []
    for row in np.argsort(-(expected * lacking).sum(axis=1), kind="stable"):
        source = str(counts.index[row])
        labels = ordered(set(counts.columns[lacking[row]]))
        if labels and source not in of_one_class:
            held = n_images.loc[source].to_dict()
            few = joined([f"{held[label] or 'no'} {label}" for label in labels])
            phrases.append(f"{source} has {few} among {sum(held.values()):,} images")
    return f"Not every source holds every class: {first_few(phrases, '; ')}." if phrases else ""


def _collections(images: pd.DataFrame) -> str:
    lacking = [f"{name} has no {', '.join(labels)}" for name, labels in lacking_classes(images).items()]
    return (
        f"Not every collection has images of every class that are used: {first_few(lacking, '; ')}." if lacking else ""
    )


def _few_lesions(images: pd.DataFrame) -> str:
    lesions = lesion_of(images).groupby(images["label"]).nunique()
    few = [f"{label} {lesions[label]}" for label in ordered(set(lesions.index[lesions < FEW_LESIONS]))]
    if not few:
        return ""
    return f"{quantity(len(few), 'class', 'classes')} with fewer than {FEW_LESIONS} lesions: {', '.join(few)}."


def _imbalance(images: pd.DataFrame) -> str:
    counts = images["label"].value_counts()
    largest, smallest = counts.index[0], counts.index[-1]
    if counts.iloc[0] < IMBALANCED * counts.iloc[-1]:
        return ""
    return (
        f"The classes are very unequal: {largest} has {counts.iloc[0]:,} images, {smallest} {counts.iloc[-1]:,}. "
        f'Always answering "{largest}" is right in {counts.iloc[0] / len(images):.1%} of all cases.'
    )


def _unreadable(unreadable: dict[str, dict[str, int]]) -> str:
    found = []
    for column, values in unreadable.items():
        if values:
            examples = first_few([f'"{value[:20]}"' for value in values])
            found.append(f"The {column} of {quantity(sum(values.values()), 'image')} cannot be read ({examples}).")
    return " ".join(found)


def _always(share: float, number: int = 1) -> str:
    return f"{'is' if number == 1 else 'are'} {'always' if share == 1 else 'nearly always'}"
