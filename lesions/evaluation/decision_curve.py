"""Does acting on the model do more good than harm? Net benefit, beside treating all and none.

Whoever would biopsy ten to find one melanoma acts from a probability of 10 %: a biopsy in vain then costs a ninth of
what a melanoma found is worth. Net benefit counts the found less the price of those in vain, per image (Vickers and
Elkin, Decision Curve Analysis: A Novel Method for Evaluating Prediction Models, Medical Decision Making 26, 2006). It
assumes calibrated probabilities, so they are the calibrated ones.
"""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesions.evaluation.bootstrap import Bootstrap, Json, rounded
from lesions.evaluation.common.predictions import SplitPredictions
from lesions.evaluation.common.tasks import BinaryTask
from lesions.evaluation.metrics import Metrics
from lesions.evaluation.mover import Interval, difference_bounds
from lesions.evaluation.operating_points import binary_scores

REPORTED = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
PLOTTED = tuple((np.arange(1, 51) / 100).tolist())
OUTCOMES = ("true_positives", "false_positives", "false_negatives", "true_negatives")
COLUMNS = ["task", "strategy", "threshold", "net_benefit"]
"""Columns of the plot's table."""


def outcome_shares(
    thresholds: tuple[float, ...],
    positive: NDArray[np.bool_],
    probability: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> Metrics:
    """Return, (B, thresholds) each, the fractions of all images that are `OUTCOMES`.

    Args:
        thresholds: probabilities below 1, from which an image is predicted positive.
        positive: (N,).
        probability: (N,), of being positive.
        weights: (B, N).
    """
    predicted = probability[:, None] >= np.array(thresholds)
    images = weights.sum(axis=1, keepdims=True)
    cells = [kind[:, None] & answer for answer in (predicted, ~predicted) for kind in (positive, ~positive)]
    return {name: weights @ cell.astype(np.float64) / images for name, cell in zip(OUTCOMES, cells, strict=True)}


def net_benefit(thresholds: tuple[float, ...], shares: Metrics) -> Metrics:
    """Return, (B, thresholds) each, the net benefit per image.

    model, of treating who has at least that probability; treat_all; and gain, of the model over the better of
    treating all and none, whose net benefit is 0.

    Args:
        thresholds: probabilities below 1.
        shares: of `outcome_shares`.
    """
    odds = np.array(thresholds) / (1 - np.array(thresholds))
    tp, fp, fn, tn = (shares[name] for name in OUTCOMES)
    model, treat_all = tp - odds * fp, tp + fn - odds * (fp + tn)
    return {"model": model, "treat_all": treat_all, "gain": model - np.maximum(treat_all, 0)}


def decision_curve_report(
    tasks: dict[str, BinaryTask | str], split: SplitPredictions, bootstrap: Bootstrap
) -> dict[str, Any]:
    """Return for each task the net benefit of the model, and what it gains, with intervals, at `REPORTED`.

    Args:
        tasks: by name, or why there is none.
        split: the predictions, of which the calibrated are taken.
        bootstrap: how the intervals are resampled.
    """
    report: dict[str, Any] = {}
    for name, task in tasks.items():
        if isinstance(task, str):
            report[name] = {"reason": task}
            continue
        positive, probability, groups = binary_scores(task, split, calibrated=True)
        if not positive.any() or positive.all():
            report[name] = {"reason": "needs positive images and others"}
            continue
        shares = partial(outcome_shares, REPORTED, positive, probability)
        found = bootstrap.estimates(shares, groups, proportions=OUTCOMES)
        exact = net_benefit(REPORTED, shares(np.ones((1, len(positive)))))
        report[name] = {
            "images": len(positive),
            "positive_images": int(positive.sum()),
            "thresholds": [
                _at_threshold(
                    threshold,
                    {name: float(values[0, place]) for name, values in exact.items()},
                    {outcome: found[outcome][place] for outcome in OUTCOMES},
                )
                for place, threshold in enumerate(REPORTED)
            ],
        }
    return report


def _at_threshold(threshold: float, values: dict[str, float], shares: dict[str, Json]) -> dict[str, Any]:
    """Return the net benefit at one threshold, with intervals from those of the outcomes' shares.

    Percentiles of resamples leave out that a melanoma may be missed where hardly one is: in few resamples one is.
    """
    odds = threshold / (1 - threshold)
    over_none = _difference(values["model"], shares["true_positives"], 1, shares["false_positives"], odds)
    over_all = _difference(values["gain"], shares["true_negatives"], odds, shares["false_negatives"], 1)
    return {
        "threshold": threshold,
        "model": over_none,
        "treat_all": rounded(values["treat_all"]),
        "treat_none": 0.0,
        "gain": over_all if values["treat_all"] > 0 else over_none,
    }


def _difference(value: float, first: Json, factor: float, second: Json, other_factor: float) -> Json:
    """Return a difference of two shares, each times its factor, with its bounds where both have some."""
    for one in (first, second):
        if one["lower"] is None:
            return {"value": rounded(value), "lower": None, "upper": None, "reason": one["reason"]}
    bounds = difference_bounds(Interval.of(first).times(factor), Interval.of(second).times(other_factor))
    return {"value": rounded(value), "lower": rounded(bounds[0]), "upper": rounded(bounds[1])}


def net_benefit_curves(tasks: dict[str, BinaryTask | str], split: SplitPredictions) -> pd.DataFrame:
    """Return the plot's table, `COLUMNS`, at `PLOTTED`.

    Treating all is drawn no lower than half the best net benefit below zero: at high thresholds it falls far below
    all that matters.
    """
    tables = [pd.DataFrame(columns=COLUMNS)]
    for name, task in tasks.items():
        if isinstance(task, str):
            continue
        positive, probability, _ = binary_scores(task, split, calibrated=True)
        if not positive.any() or positive.all():
            continue
        found = net_benefit(PLOTTED, outcome_shares(PLOTTED, positive, probability, np.ones((1, len(positive)))))
        treat_all = found["treat_all"][0]
        treat_all = np.where(treat_all >= -positive.mean() / 2, treat_all, np.nan)
        lines = {"by the model": found["model"][0], "treat all": treat_all, "treat none": np.zeros(len(PLOTTED))}
        for strategy, values in lines.items():
            rows = {"task": name, "strategy": strategy, "threshold": PLOTTED, "net_benefit": values.round(5)}
            tables.append(pd.DataFrame(rows))
    return pd.concat(tables[1:] or tables, ignore_index=True)
