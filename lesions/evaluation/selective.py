"""What if the images that the model is least confident of are left to a person? Metrics of the rest.

Confidence is the probability of the most probable class (Hendrycks and Gimpel, A Baseline for Detecting Misclassified
and Out-of-Distribution Examples, ICLR 2017). Coverage is the fraction of images that the model answers itself. Of
equally confident images at the edge, each counts in part: the metric expected if the edge were drawn among them.
"""

from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesions.evaluation.balanced_accuracy import balanced_accuracy_estimate
from lesions.evaluation.bootstrap import Bootstrap, rounded
from lesions.evaluation.common.predictions import SplitPredictions
from lesions.evaluation.metrics import Metrics
from lesions.evaluation.roc import safe_divide

COVERAGES = (1.0, 0.95, 0.9, 0.8, 0.7, 0.5)
PLOTTED = np.arange(1, 101) / 100
COLUMNS = ["coverage", "metric", "value"]
"""Columns of the plot's table."""


def answered_weight(confidence: NDArray[np.float64], coverage: float) -> NDArray[np.float64]:
    """Return (N,): which part of each image the model answers, 1 or 0, and of the equals at the edge a fraction.

    Args:
        confidence: (N,).
        coverage: above 0, to 1; of N images, rounded to a whole number, at least one.
    """
    number = max(1, round(coverage * len(confidence)))
    edge = np.sort(confidence)[::-1][number - 1]
    above, equal = confidence > edge, confidence == edge
    return np.asarray(above + equal * ((number - above.sum()) / equal.sum()))


def metrics_at(
    coverages: tuple[float, ...],
    label: NDArray[np.int64],
    diagnosis: NDArray[np.int64],
    probability: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> Metrics:
    """Return accuracy and balanced_accuracy, (B, coverages) each, of the images kept.

    Which are kept is decided once, of all images; the latter is the mean sensitivity of the classes left.

    Args:
        coverages: see `answered_weight`.
        label: (N,).
        diagnosis: (N,), the predicted labels.
        probability: (N, classes).
        weights: (B, N).
    """
    confidence = probability.max(axis=1)
    truth = np.eye(probability.shape[1])[label]
    correct = (diagnosis == label)[:, None]
    found: dict[str, list[NDArray[np.float64]]] = {"accuracy": [], "balanced_accuracy": []}
    for coverage in coverages:
        parts = truth * answered_weight(confidence, coverage)[:, None]
        actual, true_positives = weights @ parts, weights @ (parts * correct)
        found["accuracy"].append(safe_divide(true_positives.sum(axis=1), actual.sum(axis=1)))
        left = (actual > 0).sum(axis=1)
        found["balanced_accuracy"].append(safe_divide(np.nansum(safe_divide(true_positives, actual), axis=1), left))
    return {name: np.stack(values, axis=1) for name, values in found.items()}


def aurc(label: NDArray[np.int64], diagnosis: NDArray[np.int64], probability: NDArray[np.float64]) -> float:
    """Return the area under the risk-coverage curve: the mean share of errors at the coverages 1/N, 2/N, ... 1.

    Of equally confident images the expected one, so that their order does not matter. AURC of Geifman, Uziel and
    El-Yaniv (ICLR 2019), over the curve of Geifman and El-Yaniv (Selective Classification for Deep Neural Networks,
    NeurIPS 2017); the less, the better. Confidence that says nothing gives the share of errors of all images.

    Args:
        label: (N,).
        diagnosis: (N,), the predicted labels.
        probability: (N, classes).
    """
    confidence = probability.max(axis=1)
    wrong = diagnosis != label
    order = np.argsort(-confidence, kind="stable")
    last = np.append(np.flatnonzero(np.diff(confidence[order])), len(order) - 1)
    answered = np.arange(1, len(order) + 1)
    errors = np.interp(answered, np.append(0, last + 1), np.append(0, np.cumsum(wrong[order])[last]))
    return float((errors / answered).mean())


def selective_report(split: SplitPredictions, bootstrap: Bootstrap) -> dict[str, Any]:
    """Return one split's metrics at each of `COVERAGES`, with intervals, and the areas under the curve.

    `risk_coverage_area_at_best` is that of a model whose errors are all less confident than its correct predictions.
    """
    ours = (split.label, split.diagnosis, split.probability)
    found = bootstrap.estimates(partial(metrics_at, COVERAGES, *ours), split.groups)
    confidence, correct = split.probability.max(axis=1), split.diagnosis == split.label
    best = np.cumsum(np.sort(~correct)) / np.arange(1, len(correct) + 1)
    rows = []
    for place, coverage in enumerate(COVERAGES):
        share = answered_weight(confidence, coverage)
        rows.append(
            {
                "coverage": coverage,
                "least_confidence": rounded(float(confidence[share > 0].min())),
                "images": round(float(share.sum())),
                "classes_left": len(set(split.label[share > 0])),
                "accuracy": found["accuracy"][place],
                "balanced_accuracy": found["balanced_accuracy"][place]
                if coverage < 1
                else balanced_accuracy_estimate(split.label, split.diagnosis, split.groups),
            }
        )
    return {
        "risk_coverage_area": rounded(aurc(*ours)),
        "risk_coverage_area_at_best": rounded(float(best.mean())),
        "risk_of_all": rounded(float((~correct).mean())),
        "coverages": rows,
    }


def coverage_curve(split: SplitPredictions) -> pd.DataFrame:
    """Return the plot's table, `COLUMNS`, at `PLOTTED`; none where there is no image.

    Balanced accuracy only while no class has vanished from the rest: of fewer classes it is another metric.
    """
    if not len(split.label):
        return pd.DataFrame(columns=COLUMNS)
    ours = (split.label, split.diagnosis, split.probability)
    found = metrics_at(tuple(PLOTTED.tolist()), *ours, np.ones((1, len(split.label))))
    confidence = split.probability.max(axis=1)
    for place, coverage in enumerate(PLOTTED.tolist()):
        if set(split.label[answered_weight(confidence, coverage) > 0]) != set(split.label):
            found["balanced_accuracy"][0, place] = np.nan
    tables = [
        pd.DataFrame({"coverage": PLOTTED, "metric": name.replace("_", " "), "value": values[0].round(4)})
        for name, values in found.items()
    ]
    return pd.concat(tables, ignore_index=True)
