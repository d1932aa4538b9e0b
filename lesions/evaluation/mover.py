"""Bounds of a ratio or a difference of two estimates, recovered from the bounds of each: MOVER.

Donner and Zou (Closed-form confidence intervals for functions of the normal mean and standard deviation, Stat. Methods
Med. Res. 21, 2012, equation 9) for ratios, and Zou and Donner (Construction of confidence limits about effect measures,
Stat. Med. 27, 2008) for differences. Where an estimate is at its edge, as a sensitivity of 1, its own interval still
says what it may be; resamples would all say the same.
"""

from math import hypot, inf, sqrt
from typing import NamedTuple

from lesions.evaluation.bootstrap import Json


class Interval(NamedTuple):
    """An estimate of 0 or more, and its bounds."""

    value: float
    lower: float
    upper: float

    @classmethod
    def of(cls, estimate: Json) -> "Interval":
        """Return the numbers of an estimate that has bounds."""
        return cls(*(float(estimate[name] or 0) for name in ("value", "lower", "upper")))

    def times(self, factor: float) -> "Interval":
        """Return it multiplied with a factor of 0 or more."""
        return Interval(*(factor * number for number in self))


def ratio_bounds(above: Interval, below: Interval) -> tuple[float, float]:
    """Return the bounds of the ratio of two independent estimates; the upper is infinite where `below` may be 0."""
    product = above.value * below.value

    def coefficients(numerator: float, denominator: float) -> tuple[float, float, float]:
        constant = numerator * (2 * above.value - numerator)
        factor = denominator * (2 * below.value - denominator)
        return constant, factor, sqrt(max(0.0, product**2 - constant * factor))

    constant, _, root = coefficients(above.lower, below.upper)
    lower = constant / (product + root) if product + root else 0.0  # the smaller root, also where `factor` is 0
    _, factor, root = coefficients(above.upper, below.lower)
    return lower, (product + root) / factor if factor > 0 else inf


def difference_bounds(first: Interval, second: Interval) -> tuple[float, float]:
    """Return the bounds of the difference of two estimates, the first less the second."""
    value = first.value - second.value
    lower = value - hypot(first.value - first.lower, second.upper - second.value)
    return lower, value + hypot(first.upper - first.value, second.value - second.lower)
