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

from lesions.evaluation.bootstrap import Bootstrap
from lesions.evaluation.common.predictions import SplitPredictions
from lesions.evaluation.common.tasks import BinaryTask
from lesions.evaluation.metrics import Metrics
from lesions.evaluation.operating_points import binary_scores

REPORTED = (0.01, 0.02, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5)
PLOTTED = tuple((np.arange(1, 51) / 100).tolist())
COLUMNS = ["task", "strategy", "threshold", "net_benefit"]
"""Columns of the plot's table."""


def net_benefit(
    thresholds: tuple[float, ...],
    positive: NDArray[np.bool_],
    probability: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> Metrics:
    """Return, (B, thresholds) each, the net benefit per image.

    model, of treating who has at least that probability; treat_all; and gain, of the model over the better of
    treating all and none, whose net benefit is 0.

    Args:
        thresholds: probabilities below 1.
        positive: (N,).
        probability: (N,), of being positive.
        weights: (B, N).
    """
    threshold = np.array(thresholds)
    odds = threshold / (1 - threshold)
    predicted_positive = probability[:, None] >= threshold
    images = weights.sum(axis=1, keepdims=True)
    true_positives, false_positives = (
        weights @ (predicted_positive & kind[:, None]).astype(np.float64) for kind in (positive, ~positive)
    )
    positives = (weights @ positive)[:, None]
    model = (true_positives - odds * false_positives) / images
    treat_all = (positives - odds * (images - positives)) / images
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
        found = bootstrap.estimates(partial(net_benefit, REPORTED, positive, probability), groups)
        report[name] = {
            "images": len(positive),
            "positive_images": int(positive.sum()),
            "thresholds": [
                {
                    "threshold": threshold,
                    "model": found["model"][place],
                    "treat_all": found["treat_all"][place]["value"],
                    "treat_none": 0.0,
                    "gain": found["gain"][place],
                }
                for place, threshold in enumerate(REPORTED)
            ],
        }
    return report


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
        found = net_benefit(PLOTTED, positive, probability, np.ones((1, len(positive))))
        treat_all = found["treat_all"][0]
        treat_all = np.where(treat_all >= -positive.mean() / 2, treat_all, np.nan)
        lines = {"by the model": found["model"][0], "treat all": treat_all, "treat none": np.zeros(len(PLOTTED))}
        for strategy, values in lines.items():
            rows = {"task": name, "strategy": strategy, "threshold": PLOTTED, "net_benefit": values.round(5)}
            tables.append(pd.DataFrame(rows))
    return pd.concat(tables[1:] or tables, ignore_index=True)
