"""Answers as a table, CSV or JSON."""

import csv
import json
from collections.abc import Iterable
from typing import Any, TextIO

from lesions.classifier import Classifier, Prediction
from lesions.core.sanitize import shown
from lesions.taxonomy import about

NOTICE = "No medical device: made for research, never to decide what is done with a person's skin."
UNLIKE = "unlike the training images: the rest means nothing"
HEAD = ("image", "diagnosis", "probability", "malignant", "melanoma", "")


def write_table(answers: Iterable[Prediction], classifier: Classifier, out: TextIO) -> None:
    """Write one line per image, and below what the words stand for."""
    rows = [HEAD, *(_row(answer, classifier) for answer in answers)]
    whole = [row for row in rows if len(row) == len(HEAD)]
    widths = [max(len(row[column]) for row in whole) for column in range(len(HEAD))]
    widths[0] = max(len(row[0]) for row in rows)
    for row in rows:
        out.write("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=False)).rstrip() + "\n")
    out.write("\n" + "\n".join(notes(classifier)) + "\n")


def _row(answer: Prediction, classifier: Classifier) -> tuple[str, ...]:
    if answer.problem:
        return shown(answer.name), shown(answer.problem)
    malignant = malignancy(answer, classifier)
    return (
        shown(answer.name),
        shown(about(answer.diagnosis).name),
        f"{answer.probabilities[answer.diagnosis]:.2f}",
        "-" if malignant is None else f"{_yes(answer.alerts['malignant'])} ({malignant:.2f})",
        {True: "ALERT", False: "no alert", None: "-"}[answer.alerts.get("melanoma")],
        UNLIKE if answer.is_ood else "",
    )


def _yes(found: bool | None) -> str:
    return {True: "yes", False: "no", None: "?"}[found]


def malignancy(answer: Prediction, classifier: Classifier) -> float | None:
    """Return the calibrated probability of all malignant classes; None where the classes state none."""
    task = classifier.thresholds.tasks.get("malignant")
    return sum(answer.probabilities[name] for name in task.positive) if task else None


def notes(classifier: Classifier) -> list[str]:
    """Return sentences that say what the answers mean, and what they do not."""
    found = []
    for question, word in (("melanoma", "ALERT"), ("malignant", "malignant: yes")):
        least = classifier.thresholds.value(question, "sensitivity", classifier.sensitivity)
        if least is not None:
            of = " + ".join(shown(name) for name in classifier.thresholds.tasks[question].positive)
            found.append(
                f"{word}: the network gives {of} at least {least:.3g}, which found {classifier.sensitivity:.0%} on "
                "validation."
            )
        else:
            found.append(f"{word.partition(':')[0]}: no threshold is known for this model, so none is given.")
    if classifier.prior.is_active:
        found.append("Age, sex and site are weighed in where they are given; without them the image stands alone.")
    if classifier.calibration.temperature is None:
        found.append("The probabilities are not calibrated: there was no validation image.")
    return [*found, NOTICE]


def write_csv(answers: Iterable[Prediction], classifier: Classifier, out: TextIO) -> None:
    """Write one row per image as it comes; a name that a spreadsheet would run begins with an apostrophe."""
    classes = classifier.thresholds.classes
    writer = csv.writer(out, lineterminator="\n")
    head = ["image", "problem", "diagnosis", *(f"probability_{name}" for name in classes)]
    questions = list(classifier.thresholds.tasks)
    writer.writerow([*head, *questions, "ood_score", "unlike"])
    for answer in answers:
        words = [shown(answer.name), shown(answer.problem), answer.diagnosis]
        if answer.problem:
            writer.writerow([*words, *[""] * (len(classes) + len(questions) + 2)])
            continue
        probabilities = [f"{answer.probabilities[name]:.9g}" for name in classes]
        alerts = [_yes(answer.alerts[question]) for question in questions]
        writer.writerow([*words, *probabilities, *alerts, f"{answer.ood_score:.9g}", _yes(answer.is_ood)])


def write_json(answers: Iterable[Prediction], classifier: Classifier, out: TextIO) -> None:
    """Write one object: what the answers mean, and a list of them, each in a line as it comes."""
    about_all = {"notice": NOTICE, "notes": notes(classifier)[:-1], "warnings": classifier.warnings}
    out.write(json.dumps(about_all, ensure_ascii=False)[:-1] + ', "images": [')
    for number, answer in enumerate(answers):
        out.write((",\n" if number else "\n") + json.dumps(as_object(answer, classifier), ensure_ascii=False))
    out.write("\n]}\n")


def as_object(answer: Prediction, classifier: Classifier) -> dict[str, Any]:
    """Return an answer as JSON has it."""
    if answer.problem:
        return {"image": answer.name, "problem": answer.problem}
    return {
        "image": answer.name,
        "diagnosis": answer.diagnosis,
        "diagnosis_name": about(answer.diagnosis).name,
        "probabilities": answer.probabilities,
        "uncalibrated": answer.uncalibrated,
        "patient": {field: value for field, value in answer.metadata.items() if value},
        "malignant_probability": malignancy(answer, classifier),
        "alerts": answer.alerts,
        "ood_score": answer.ood_score,
        "unlike": answer.is_ood,
    }
