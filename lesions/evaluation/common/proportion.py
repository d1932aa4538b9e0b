"""Bounds of a proportion."""

import numpy as np
from numpy.typing import NDArray
from scipy.stats import beta

LEVEL = 0.95


def effective_cases(found: NDArray[np.bool_], groups: NDArray[np.int64]) -> float:
    """Return how many independent cases images in groups are worth: p (1 - p) / variance, or the groups if p is 0 or 1.

    The variance is by group, after linearisation (Cochran, Sampling Techniques, 1977, chapter 11), and at least that of
    as many images in groups of their own: few groups may happen to be alike.

    Args:
        found: (N,), whether each image counts for the proportion p.
        groups: (N,), the number of each image's group.
    """
    share, number = float(found.mean()), np.unique(groups, return_inverse=True)[1]
    cases = int(number.max()) + 1
    if share in (0, 1) or cases == 1:
        return cases
    of_group = np.bincount(number, found - share)
    variance = float((of_group**2).sum()) / len(found) ** 2 * cases / (cases - 1)
    return share * (1 - share) / max(variance, share * (1 - share) / len(found))


def exact_bounds(proportion: float, cases: float) -> tuple[float, float]:
    """Return the 95 % interval of Clopper and Pearson (Biometrika 26, 1934).

    Args:
        proportion: from 0 to 1.
        cases: of how many independent cases, above 0. Of images in groups the effective number, p (1 - p) / variance
            (Korn and Graubard, Survey Methodology 24, 1998); where the proportion is 0 or 1, the number of groups.
    """
    positive, negative = proportion * cases, (1 - proportion) * cases
    lower = float(beta.ppf((1 - LEVEL) / 2, positive, negative + 1)) if positive else 0.0
    upper = float(beta.ppf((1 + LEVEL) / 2, positive + 1, negative)) if negative else 1.0
    return lower, upper
