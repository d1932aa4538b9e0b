"""Bounds of a proportion."""

from math import sqrt

from scipy.stats import beta, norm

LEVEL = 0.95


def exact_bounds(proportion: float, cases: int) -> tuple[float, float]:
    """Return the 95 % interval of Clopper and Pearson (Biometrika 26, 1934).

    Args:
        proportion: from 0 to 1.
        cases: of how many independent cases, at least 1; of images of groups, the number of groups.
    """
    positive, negative = proportion * cases, (1 - proportion) * cases
    lower = float(beta.ppf((1 - LEVEL) / 2, positive, negative + 1)) if positive else 0.0
    upper = float(beta.ppf((1 + LEVEL) / 2, positive + 1, negative)) if negative else 1.0
    return lower, upper


def wilson_bounds(proportion: float, cases: float) -> tuple[float, float]:
    """Return the 95 % interval of Wilson (J. Am. Stat. Assoc. 22, 1927).

    Args:
        proportion: from 0 to 1.
        cases: of how many independent cases; of images in groups the effective number, p (1 - p) / variance, with which
            Wilson's interval holds best (Dean and Pagano, J. Surv. Stat. Methodol. 3, 2015).
    """
    z = float(norm.ppf((1 + LEVEL) / 2))
    middle = proportion + z**2 / (2 * cases)
    reach = z * sqrt(proportion * (1 - proportion) / cases + (z / (2 * cases)) ** 2)
    return (middle - reach) / (1 + z**2 / cases), (middle + reach) / (1 + z**2 / cases)
