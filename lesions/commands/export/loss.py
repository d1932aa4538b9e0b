"""What int8 costs: the figures of both variants on one side's pictures, and how far their answers lie apart."""

from collections.abc import Iterator
from typing import Any

import numpy as np

from lesions.commands.export.answering import Answers
from lesions.commands.export.judged import Side
from lesions.evaluation.bootstrap import rounded
from lesions.evaluation.decision import Decision
from lesions.evaluation.metrics import headline

FIGURES = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "macro_auc": "macro AUC"}
"""With their names for a person."""
SENSITIVITY = 90
"""Per cent on validation, of the thresholds by which alerts are compared."""


def measured(side: Side, exact: Answers, int8: Answers, decision: Decision) -> dict[str, Any]:
    """Return the figures of one side.

    Returns:
        `pictures`; of each of `FIGURES` those of the float32 and the int8 answers; the largest and the mean difference
        of a calibrated probability; in how many pictures the most probable class is another; and of each question in
        how many the alert is.
    """
    found: dict[str, Any] = {"pictures": len(side.label)}
    variants = {"float32": exact, "int8": int8}
    weights = np.ones((1, len(side.label)))
    figures = {
        name: headline(side.label, answers["uncalibrated"].astype(np.float64), weights)
        for name, answers in variants.items()
    }
    for figure in FIGURES:
        found[figure] = {name: rounded(float(figures[name][figure][0])) for name in variants}
    difference = np.abs(exact["probabilities"] - int8["probabilities"])
    found["largest_difference"] = rounded(float(difference.max()))
    found["mean_difference"] = rounded(float(difference.mean()))
    found["other_answers"] = int((exact["uncalibrated"].argmax(1) != int8["uncalibrated"].argmax(1)).sum())
    found["other_alerts"] = {}
    for question in decision.thresholds:
        least = decision.threshold(question, SENSITIVITY)
        if least is not None:
            one, other = (
                decision.score(question, answers["uncalibrated"].astype(np.float64)) >= least
                for answers in variants.values()
            )
            found["other_alerts"][question] = int((one != other).sum())
    return found


def as_table(of_sides: dict[str, dict[str, Any] | None]) -> str:
    """Return the figures as a person reads them, a column a side."""
    sides = {name: figures for name, figures in of_sides.items() if figures}
    rows = [["int8 beside float32", *sides], *_rows(list(sides.values()))]
    widths = [max(len(row[column]) for row in rows) for column in range(len(sides) + 1)]
    return "\n".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows
    )


def _rows(sides: list[dict[str, Any]]) -> Iterator[list[str]]:
    def shown(value: float | None) -> str:
        return "-" if value is None else f"{value:.4f}"

    yield ["pictures", *(f"{side['pictures']:,}" for side in sides)]
    for figure, name in FIGURES.items():
        values = [side[figure] for side in sides]
        yield [name, *(f"{shown(v['int8'])}, was {shown(v['float32'])}" for v in values)]
    for name in ("largest_difference", "mean_difference"):
        yield [f"{name.replace('_', ' ')} of a probability", *(shown(side[name]) for side in sides)]
    yield ["pictures with another diagnosis", *(f"{side['other_answers']:,}" for side in sides)]
    for question in sides[0]["other_alerts"] if sides else []:
        yield [f"pictures with another alert: {question}", *(f"{side['other_alerts'][question]:,}" for side in sides)]
