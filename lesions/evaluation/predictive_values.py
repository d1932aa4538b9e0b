"""Intervals of predictive values at a stated prevalence, and of the number needed to biopsy.

By Bayes's rule each predictive value depends on one ratio, of the false positive rate to the sensitivity or of the
false negative rate to the specificity. The interval of a ratio is recovered from those of its two parts, which are of
other images, by MOVER-R (Donner and Zou, Closed-form confidence intervals for functions of the normal mean and standard
deviation, Stat. Methods Med. Res. 21, 2012, equation 9). Percentiles of resamples would say that a negative predictive
value is certain where no positive is missed: in the resamples none is missed either.
"""

from math import inf, sqrt
from typing import NamedTuple

from lesions.evaluation.bootstrap import Json, rounded

PREVALENCES = (0.01, 0.05, 0.10, 0.20)
"""From a screening of everybody to a clinic for pigmented lesions."""


class Interval(NamedTuple):
    """An estimate of 0 or more, and its bounds."""

    value: float
    lower: float
    upper: float


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


def with_intervals(metrics: dict[str, Json]) -> dict[str, Json]:
    """Return the metrics at a threshold, the predictive values at each prevalence with intervals that hold.

    Args:
        metrics: of `operating_points.threshold_metrics`, as `Bootstrap.estimates` has them.
    """
    sensitivity, specificity, ppv = (metrics[name] for name in ("sensitivity", "specificity", "ppv"))
    found = dict(metrics)
    for name, right, wrong in (("ppv", sensitivity, specificity), ("npv", specificity, sensitivity)):
        for prevalence in PREVALENCES:
            odds = prevalence / (1 - prevalence) if name == "ppv" else (1 - prevalence) / prevalence
            key = f"{name}_at_{prevalence:.0%}"
            found[key] = _bounded(metrics[key], right, wrong, odds)
    needed = metrics["number_needed_to_biopsy"]["value"]
    if needed is not None and ppv["lower"] is not None and ppv["upper"] is not None:
        bounds = {"lower": rounded(1 / float(ppv["upper"])), "upper": rounded(1 / float(ppv["lower"]))}
        found["number_needed_to_biopsy"] = {"value": needed, **bounds}
    return found


def _bounded(predictive: Json, right: Json, wrong: Json, odds: float) -> Json:
    """Return a predictive value with its bounds, or without where one of its parts has none.

    Args:
        predictive: it.
        right: the fraction of those of its kind that is predicted so, such as the sensitivity.
        wrong: the fraction of the others that is not, such as the specificity.
        odds: of its kind against the others.
    """
    if predictive["value"] is None:
        return predictive
    for part in (right, wrong):
        if part["lower"] is None:
            return {"value": predictive["value"], "lower": None, "upper": None, "reason": part["reason"]}
    of_right, of_wrong = (
        Interval(*(float(part[name] or 0) for name in ("value", "lower", "upper"))) for part in (right, wrong)
    )
    wrongly = Interval(1 - of_wrong.value, 1 - of_wrong.upper, 1 - of_wrong.lower)
    least, most = (1 / (1 + ratio / odds) for ratio in reversed(ratio_bounds(wrongly, of_right)))
    value = float(predictive["value"])
    return {"value": predictive["value"], "lower": rounded(min(least, value)), "upper": rounded(max(most, value))}
