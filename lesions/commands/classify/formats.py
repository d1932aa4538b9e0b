"""Predictions as a table, CSV or JSON."""

import csv
import json
from collections.abc import Iterable
from typing import Any, TextIO

from lesions.classifier import Classifier, Prediction
from lesions.core.sanitize import sanitize
from lesions.evaluation.common.decision_rule import RULE_DESCRIPTIONS
from lesions.evaluation.common.thresholds import Threshold
from lesions.taxonomy import about

NOTICE = "No medical device: made for research, never to decide what is done with a person's skin."
OOD = "no answer: unlike the training images"
HEAD = ("image", "diagnosis", "probability", "not excluded", "malignant", "melanoma")


def write_table(predictions: Iterable[Prediction], classifier: Classifier, out: TextIO) -> None:
    """Write one line per image, and below what the columns mean, where an image is classified."""
    rows = [HEAD, *(_row(one, classifier) for one in predictions)]
    whole = [row for row in rows if len(row) == len(HEAD)]
    widths = [max(len(row[column]) for row in whole) for column in range(len(HEAD))]
    widths[0] = max(len(row[0]) for row in rows)
    for row in rows:
        out.write("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() + "\n")
    if len(whole) > 1:
        out.write("\nWhat the columns mean:\n" + "".join(f"- {note}\n" for note in notes(classifier)))


def _row(found: Prediction, classifier: Classifier) -> tuple[str, ...]:
    if found.problem:
        return sanitize(found.name), sanitize(found.problem)
    if found.is_ood:
        return sanitize(found.name), OOD, "-", "-", "-", "-"
    malignant = malignant_probability(found, classifier)
    return (
        sanitize(found.name),
        sanitize(about(found.diagnosis).name),
        f"{found.probabilities[found.diagnosis]:.2f}",
        sanitize(", ".join(found.prediction_set)) or "-",
        "-" if malignant is None else f"{_yes(found.alerts['malignant'])} ({malignant:.2f})",
        {True: "ALERT", False: "no alert", None: "-"}[found.alerts.get("melanoma")],
    )


def _yes(found: bool | None) -> str:
    return {True: "yes", False: "no", None: "?"}[found]


def malignant_probability(found: Prediction, classifier: Classifier) -> float | None:
    """Return the calibrated probability of all malignant classes together; None where no class is malignant."""
    task = classifier.thresholds.tasks.get("malignant")
    return sum(found.probabilities[name] for name in task.positive) if task else None


def notes(classifier: Classifier) -> list[str]:
    """Return sentences that say what the predictions mean, and what they do not."""
    found = []
    fitted_on = classifier.thresholds.fitted_on
    for task, word in (("melanoma", "ALERT"), ("malignant", "yes")):
        if task not in classifier.thresholds.tasks:
            found.append(f"{task}: no alert, since no class of this model is known to be {task}.")
            continue
        threshold = classifier.thresholds.value(task, "sensitivity", classifier.sensitivity)
        if threshold is not None:
            spread = _sensitivity_by_source(classifier.thresholds.find(task, "sensitivity", classifier.sensitivity))
            positive = " + ".join(sanitize(name) for name in classifier.thresholds.tasks[task].positive)
            found.append(
                f'{task}: "{word}" where the uncalibrated probability of {positive} is at least {threshold:.3g}, '
                f"which had a sensitivity of at least {classifier.sensitivity:.0%} on {fitted_on}. {spread}"
            )
        else:
            found.append(f"{task}: no threshold is known for this model, so no alert is given.")
    sets = classifier.thresholds.prediction_sets
    never = sanitize(", ".join(sets.never_excluded))
    found.append(
        "not excluded: the diagnoses whose calibrated probability is not among the lowest "
        f"{1 - sets.coverage:.0%} of their own among {fitted_on}, and the most probable one."
        + (f" Never excluded, for want of images there: {never}." if never else "")
    )
    if classifier.prior.is_active:
        found.append("Age, sex and site are used where they are given; without them the image decides alone.")
    if any(classifier.calibration.biases) or classifier.thresholds.decision_rule.costs:
        found.append(f"diagnosis: {RULE_DESCRIPTIONS[classifier.thresholds.decision_rule.optimise]}")
    return [*found, NOTICE]


def _sensitivity_by_source(threshold: Threshold | None) -> str:
    """Say what the threshold does on images of a source that did not choose it."""
    if threshold is None or not threshold.left_out_sources:
        return "What it is on images of another source is not known."
    found = [f"{one.sensitivity['value']:.0%} on {sanitize(one.source)}" for one in threshold.left_out_sources]
    return f"Chosen without a source's images, it was {', '.join(found)}; another camera may give less."


def write_csv(predictions: Iterable[Prediction], classifier: Classifier, out: TextIO) -> None:
    """Write one row per image as it comes; a name that a spreadsheet would run begins with an apostrophe."""
    classes = classifier.thresholds.classes
    writer = csv.writer(out, lineterminator="\n")
    head = ["image", "problem", "diagnosis", *(f"probability_{name}" for name in classes)]
    tasks = list(classifier.thresholds.tasks)
    more = ["prediction_set", *tasks, "ood_score", "is_ood"]
    writer.writerow(map(sanitize, [*head, *more]))
    for found in predictions:
        texts = [sanitize(found.name), sanitize(found.problem), sanitize(found.diagnosis)]
        if found.problem:
            writer.writerow([*texts, *[""] * (len(classes) + len(more))])
            continue
        members = sanitize(";".join(found.prediction_set))  # a label may hold spaces
        if found.is_ood:  # the probabilities stay, and nothing that reads as an answer
            texts[2] = members = ""
        probabilities = [f"{found.probabilities[name]:.9g}" for name in classes]
        alerts = ["" if found.is_ood else _yes(found.alerts[task]) for task in tasks]
        writer.writerow([*texts, *probabilities, members, *alerts, f"{found.ood_score:.9g}", _yes(found.is_ood)])


def write_json(predictions: Iterable[Prediction], classifier: Classifier, out: TextIO) -> None:
    """Write one object: what the predictions mean, and a list of them, each in a line as it comes."""
    about_all = {"notice": NOTICE, "notes": notes(classifier)[:-1], "warnings": classifier.warnings}
    out.write(json.dumps(about_all, ensure_ascii=False, allow_nan=False)[:-1] + ', "images": [')
    for number, found in enumerate(predictions):
        line = json.dumps(as_object(found, classifier), ensure_ascii=False, allow_nan=False)
        out.write((",\n" if number else "\n") + line)
    out.write("\n]}\n")


def as_object(found: Prediction, classifier: Classifier) -> dict[str, Any]:
    """Return a prediction as an object of JSON; out of distribution, what the network gives is no answer."""
    name = _encodable(found.name)
    if found.problem:
        return {"image": name, "problem": _encodable(found.problem)}
    answer = {
        "diagnosis": found.diagnosis,
        "diagnosis_name": about(found.diagnosis).name,
        "probabilities": found.probabilities,
        "uncalibrated": found.uncalibrated,
        "prediction_set": found.prediction_set,
        "malignant_probability": malignant_probability(found, classifier),
        "alerts": found.alerts,
    }
    return {
        "image": name,
        **({**dict.fromkeys(answer), "network_output": answer} if found.is_ood else answer),
        "metadata": {field: value for field, value in found.metadata.items() if value},
        "ood_score": found.ood_score,
        "is_ood": found.is_ood,
    }


def _encodable(text: str) -> str:
    """Return a text whose bytes that are no UTF-8, as a file's name may hold, are escapes."""
    return text.encode("utf-8", "backslashreplace").decode()
