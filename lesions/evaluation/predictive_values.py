"""Intervals of predictive values at a stated prevalence, and of the number needed to biopsy.

By Bayes's rule each predictive value depends on one ratio, of the false positive rate to the sensitivity or of the
false negative rate to the specificity, whose parts are of other images. Percentiles of resamples would say that a
negative predictive value is certain where no positive is missed: in the resamples none is missed either.
"""

from lesions.evaluation.bootstrap import Json, rounded
from lesions.evaluation.mover import Interval, ratio_bounds

PREVALENCES = (0.01, 0.05, 0.10, 0.20)
"""From a screening of everybody to a clinic for pigmented lesions."""


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
    if needed is not None and ppv["lower"] and ppv["upper"]:
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
    of_right, of_wrong = Interval.of(right), Interval.of(wrong)
    wrongly = Interval(1 - of_wrong.value, 1 - of_wrong.upper, 1 - of_wrong.lower)
    least, most = (1 / (1 + ratio / odds) for ratio in reversed(ratio_bounds(wrongly, of_right)))
    value = float(predictive["value"])
    return {"value": predictive["value"], "lower": rounded(min(least, value)), "upper": rounded(max(most, value))}
