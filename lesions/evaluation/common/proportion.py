"""Bounds of a proportion."""

from scipy.stats import beta

LEVEL = 0.95


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
