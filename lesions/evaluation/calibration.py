"""Calibration: do the probabilities match the observed accuracy?"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesions.evaluation.bootstrap import rounded
from lesions.evaluation.common.predictions import SplitPredictions
from lesions.evaluation.metrics import nll

BINS = 15
"""As many as Guo et al., On Calibration of Modern Neural Networks, ICML 2017."""


def reliability(label: NDArray[np.int64], probability: NDArray[np.float64]) -> list[dict[str, float | int | None]]:
    """Return the accuracy by confidence.

    Args:
        label: (N,).
        probability: (N, classes).

    Returns:
        At most `BINS` bins of equal mass, the least confident first: `images`, and the means `confidence` (of the most
        probable class) and `accuracy`. Equally confident images stand in their order.
    """
    confidence = probability.max(axis=1)
    correct = probability.argmax(axis=1) == label
    order = np.argsort(confidence, kind="stable")
    return [
        {
            "images": len(bin_),
            "confidence": rounded(float(confidence[bin_].mean())),
            "accuracy": rounded(float(correct[bin_].mean())),
        }
        for bin_ in np.array_split(order, min(BINS, len(order)))
    ]


def reliability_curves(split: SplitPredictions) -> pd.DataFrame:
    """Return the table of the reliability diagram: `probabilities` (before or after calibration) and the bins."""
    tables = [pd.DataFrame(columns=["probabilities", "images", "confidence", "accuracy"])]
    for name, probability in (("before", split.probability), ("after", split.calibrated)):
        if probability is not None and len(split.label):
            table = pd.DataFrame(reliability(split.label, probability))
            table.insert(0, "probabilities", f"{name} the temperature")
            tables.append(table)
    return pd.concat(tables[1:] or tables, ignore_index=True)


def ece(label: NDArray[np.int64], probability: NDArray[np.float64]) -> float:
    """Return the expected calibration error: the mean difference of confidence and accuracy over equal-mass bins.

    Equal mass, since bins of equal width leave most images in one (Nixon et al., Measuring Calibration in Deep
    Learning, CVPR Workshops 2019). It is never 0, even of perfect probabilities, and larger the fewer images a
    bin holds.
    """
    confidence = probability.max(axis=1)
    surplus = confidence - (probability.argmax(axis=1) == label)
    order = np.argsort(confidence, kind="stable")
    bins = np.array_split(surplus[order], min(BINS, len(order)))
    return float(sum(abs(bin_.sum()) for bin_ in bins) / len(label))


def summary(label: NDArray[np.int64], probability: NDArray[np.float64]) -> dict[str, object]:
    """Return log loss, Brier score, expected calibration error and the reliability table."""
    truth = np.eye(probability.shape[1])[label]
    return {
        "log_loss": rounded(float(nll(label, probability).mean())),
        "brier": rounded(float(((probability - truth) ** 2).sum(axis=1).mean())),
        "expected_calibration_error": rounded(ece(label, probability)),
        "reliability": reliability(label, probability),
    }


def calibration_report(split: SplitPredictions) -> dict[str, Any]:
    """Return the calibration before a temperature, and, where there is one, after it."""
    found = {"before": summary(split.label, split.probability)}
    return found if split.calibrated is None else found | {"after": summary(split.label, split.calibrated)}
