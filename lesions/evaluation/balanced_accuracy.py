"""The interval of a balanced accuracy, from those of its sensitivities.

Percentiles of a bootstrap are too narrow where a class has few groups: with 10 of them they hold the truth 79 times in
100 (`benchmarks/interval_coverage.py`). Instead each class's sensitivity gets its own interval, and that of their mean
is recovered from these (Zou and Donner, Construction of confidence limits about effect measures, Statistics in Medicine
27, 2008). Sensitivities of different classes are of different images, and so taken as independent. Their intervals are
Wilson's: the exact ones of a single proportion hold the truth more often than they say, and together far more often.
"""

from math import sqrt

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from lesions.evaluation.bootstrap import Json, rounded
from lesions.evaluation.common.proportion import LEVEL, effective_cases, exact_bounds


def balanced_accuracy_estimate(
    label: NDArray[np.int64], diagnosis: NDArray[np.int64], groups: NDArray[np.int64]
) -> Json:
    """Return the mean sensitivity of the classes that occur, with its interval, as `bootstrap.estimate` has it.

    Args:
        label: (N,).
        diagnosis: (N,), the predicted labels.
        groups: (N,), the number of each image's group.
    """
    correct = diagnosis == label
    found = np.array([_with_bounds(correct[rows], groups[rows]) for rows in (label == one for one in np.unique(label))])
    value, below, above = found[:, 0].mean(), found[:, 0] - found[:, 1], found[:, 2] - found[:, 0]
    down, up = (float(np.sqrt((reach**2).sum())) / len(found) for reach in (below, above))
    return {"value": rounded(value), "lower": rounded(value - down), "upper": rounded(value + up)}


def wilson_bounds(proportion: float, cases: float) -> tuple[float, float]:
    """Return the 95 % interval of Wilson (J. Am. Stat. Assoc. 22, 1927).

    Args:
        proportion: from 0 to 1.
        cases: of how many independent cases; of images in groups the effective number, p (1 - p) / variance (Dean and
            Pagano, J. Surv. Stat. Methodol. 3, 2015).
    """
    z = float(norm.ppf((1 + LEVEL) / 2))
    middle = proportion + z**2 / (2 * cases)
    reach = z * sqrt(proportion * (1 - proportion) / cases + (z / (2 * cases)) ** 2)
    return (middle - reach) / (1 + z**2 / cases), (middle + reach) / (1 + z**2 / cases)


def _with_bounds(correct: NDArray[np.bool_], groups: NDArray[np.int64]) -> tuple[float, float, float]:
    """Return a class's sensitivity and its bounds: of N images whether each is correct, and its group."""
    value, cases = float(correct.mean()), effective_cases(correct, groups)
    if value in (0, 1) or len(np.unique(groups)) == 1:
        return value, *exact_bounds(value, cases)
    return value, *wilson_bounds(value, cases)
