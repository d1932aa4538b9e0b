"""Do the figures hold on worse pictures? What is lost under each disturbance, beside the same pictures undisturbed."""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesions.core.errors import UserError
from lesions.evaluation import metrics as figures
from lesions.evaluation.bootstrap import Bootstrap, alone, rounded
from lesions.evaluation.metrics import Figures, why_undefined
from lesions.evaluation.operating_points import Question
from lesions.evaluation.predictions import Side
from lesions.evaluation.roc import divided

SHOWN = ("accuracy", "balanced_accuracy", "macro_auc")
"""Of the headline."""
COLUMNS = ["disturbance", "strength", "figure", "value"]
"""Of the plot's table."""


def ways(disturbed: pd.DataFrame, undisturbed: Side) -> dict[tuple[str, int], NDArray[np.float64]]:
    """Return the probabilities, (N, classes), under each disturbance and strength, in the order of a side's pictures.

    Args:
        disturbed: rows of disturbed.csv, in its order.
        undisturbed: those of test; it must have the same pictures.

    Raises:
        UserError: it has others.
    """
    found = {}
    way = disturbed["disturbance"] + " " + disturbed["strength"]
    for both, rows in disturbed.groupby(way, sort=False):
        name, _, strength = str(both).rpartition(" ")
        if list(rows["image_id"]) != list(undisturbed.table["image_id"]):
            raise UserError(
                f"data/predictions/disturbed.csv has other pictures under {name}, strength {strength}, than "
                "predictions.csv has of test. Run `dvc repro predict --force`."
            )
        found[name, int(strength)] = rows[undisturbed.classes].to_numpy(np.float64)
    return found


def judge(
    side: Side,
    worse: dict[tuple[str, int], NDArray[np.float64]],
    melanoma: Question | None,
    threshold: float | None,
    bootstrap: Bootstrap,
) -> dict[str, Any]:
    """Return the figures of the undisturbed pictures, of each disturbance and strength, and what is lost.

    Args:
        side: test.
        worse: of `ways`.
        melanoma: the question, or None where melanoma is no class of its own.
        threshold: the score, chosen on val, from which a picture is called melanoma, if one was found.
        bootstrap: how the intervals of the losses are drawn: of the same lesions with and without disturbance.
    """
    if not worse:
        return {"why": "data/predictions/disturbed.csv has no pictures"}
    losses = alone(bootstrap.estimates(partial(lost, side.label, side.probability, worse), side.groups))
    why = "melanoma is no class of its own" if melanoma is None else "no threshold reaches 90 % sensitivity on val"
    return {
        "strengths_are": "1 (mild) to 3 (a picture that one would take again); 0 is undisturbed",
        "melanoma_threshold": threshold,
        **({} if threshold is not None else {"why": why}),
        "undisturbed": _figures(side, side.probability, melanoma, threshold),
        "disturbances": [
            {
                "disturbance": name,
                "strength": strength,
                **_figures(side, probability, melanoma, threshold),
                "balanced_accuracy_lost": losses[f"{name} {strength}"],
            }
            for (name, strength), probability in worse.items()
        ],
    }


def lost(
    label: NDArray[np.int64],
    probability: NDArray[np.float64],
    worse: dict[tuple[str, int], NDArray[np.float64]],
    weights: NDArray[np.float64],
) -> Figures:
    """Return, (B,) each, by how much each disturbance lowers the balanced accuracy, by its name and strength.

    Args:
        label: (N,).
        probability: (N, classes), of the undisturbed pictures.
        worse: of `ways`.
        weights: (B, N).
    """
    truth = np.eye(probability.shape[1])[label]
    actual = weights @ truth

    def balanced(answer: NDArray[np.float64]) -> NDArray[np.float64]:
        hits = truth * (answer.argmax(axis=1) == label)[:, None]
        return np.asarray(np.nansum(divided(weights @ hits, actual), axis=1) / (actual > 0).sum(axis=1))

    before = balanced(probability)
    return {f"{name} {strength}": before - balanced(answer) for (name, strength), answer in worse.items()}


def curves(report: dict[str, Any]) -> pd.DataFrame:
    """Return the plot's table, `COLUMNS`, from what `judge` found: every curve begins with the undisturbed pictures."""
    rows = []
    entries = report.get("disturbances", [])
    for name in dict.fromkeys(entry["disturbance"] for entry in entries):
        mine = [{**report["undisturbed"], "strength": 0}, *(e for e in entries if e["disturbance"] == name)]
        for figure in (*SHOWN, "melanoma_sensitivity"):
            rows += [(name, entry["strength"], figure.replace("_", " "), entry[figure]) for entry in mine]
    return pd.DataFrame(rows, columns=COLUMNS)


def _figures(
    side: Side, probability: NDArray[np.float64], melanoma: Question | None, threshold: float | None
) -> dict[str, Any]:
    """Return figures without intervals, null where undefined, then with the reason in `undefined`."""
    found = figures.headline(side.label, probability, np.ones((1, len(side.label))))
    values = {name: rounded(float(found[name][0])) for name in SHOWN}
    undefined = {name: why_undefined(name) for name, value in values.items() if value is None}
    for name in ("melanoma_sensitivity", "melanoma_specificity"):
        values[name] = None
    if melanoma is None or threshold is None:
        undefined["melanoma_sensitivity"] = undefined["melanoma_specificity"] = "no threshold"
    else:
        ill, score, _ = melanoma.asked(Side(side.table, side.classes, side.label, probability, side.groups))
        for name, ours, called in (
            ("melanoma_sensitivity", ill, score >= threshold),
            ("melanoma_specificity", ~ill, score < threshold),
        ):
            values[name] = rounded(float(called[ours].mean())) if ours.any() else None
            if values[name] is None:
                undefined[name] = why_undefined(name)
    return {**values, **({"undefined": undefined} if undefined else {})}
