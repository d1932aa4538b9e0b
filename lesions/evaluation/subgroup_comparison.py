"""Do the metrics of subgroups differ by more than chance? Differences with intervals, and one test a column and metric.

That two intervals overlap does not say that there is no difference (Schenker and Gentleman, The American Statistician
55, 2001). Each subgroup is compared with the largest, not with all others: an area over several sources also ranks one
source's images before another's, and is of no subgroup.
"""

from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit

from lesions.core.merged_ids import is_merged
from lesions.evaluation.bootstrap import Json, rounded
from lesions.evaluation.common.predictions import SplitPredictions
from lesions.evaluation.common.proportion import LEVEL
from lesions.evaluation.heterogeneity import omnibus_test, pool
from lesions.evaluation.holm import holm
from lesions.evaluation.subgroup_estimates import METRICS, Estimate, logits, metric_estimate
from lesions.evaluation.subgroups import MIN_GROUPS, NOT_STATED, columns, members

MIN_CLASS_GROUPS = 2
"""With a single group in a class, the test of balanced accuracy reports differences that do not exist too often."""
POOLED = ("melanoma_auc", "melanoma_sensitivity", "balanced_accuracy")
"""Metrics that are pooled over the sources or, where several are merged, the collections."""


def left_out_reason(metric: str, split: SplitPredictions, label: int | None) -> str | None:
    """Return the reason for which a subgroup has too few groups to be compared by a metric, or None.

    Args:
        metric: one of `METRICS`.
        split: the subgroup's images.
        label: melanoma's, or None.
    """
    if split.n_groups < MIN_GROUPS:
        return f"fewer than {MIN_GROUPS} groups"
    if metric == "balanced_accuracy":
        if len(np.unique(split.label)) < 2:
            return "holds one diagnosis alone"
        few = [
            split.classes[n] for n in np.unique(split.label) if _n_groups(split, split.label == n) < MIN_CLASS_GROUPS
        ]
        return f"fewer than {MIN_CLASS_GROUPS} groups of {', '.join(few)}" if few else None
    melanoma = split.label == label
    if metric != "melanoma_specificity" and _n_groups(split, melanoma) < MIN_GROUPS:
        return f"fewer than {MIN_GROUPS} groups are melanomas"
    if metric != "melanoma_sensitivity" and _n_groups(split, ~melanoma) < MIN_GROUPS:
        return f"fewer than {MIN_GROUPS} groups are no melanomas"
    return None


def _n_groups(split: SplitPredictions, rows: NDArray[np.bool_]) -> int:
    return len(np.unique(split.groups[rows]))


def subgroups_to_compare(
    metric: str, split: SplitPredictions, masks: dict[str, NDArray[np.bool_]], label: int | None
) -> tuple[dict[str, Estimate], dict[str, str]]:
    """Return the estimates of the subgroups of one column that may be compared, and the reason for each other.

    Args:
        metric: one of `METRICS`.
        split: all images.
        masks: by subgroup, which images it has, (N,).
        label: melanoma's, or None.

    Returns:
        By subgroup. Balanced accuracies are compared among subgroups of the same classes, those that most hold.
    """
    reasons = {name: left_out_reason(metric, split.only(rows), label) for name, rows in masks.items()}
    left_out = {name: reason for name, reason in reasons.items() if reason}
    if metric == "balanced_accuracy":
        held = {name: frozenset(split.label[rows]) for name, rows in masks.items() if name not in left_out}
        times = Counter(held.values())
        # Of as many, the classes that come first: those of the column's first subgroup.
        most = max(times, key=times.__getitem__, default=frozenset())
        left_out |= {name: "holds other classes" for name in held if held[name] != most or times[most] == 1}
    compared = {name: rows for name, rows in masks.items() if name not in left_out}
    return {name: metric_estimate(metric, split, rows, label) for name, rows in compared.items()}, left_out


def difference(estimate: Estimate, reference: Estimate, correlation: float) -> Json:
    """Return a metric less that of the reference, with its interval.

    Recovered from the two intervals (Zou and Donner, Statistics in Medicine 27, 2008).

    Args:
        estimate: of a subgroup.
        reference: of another.
        correlation: of the two.
    """
    value = estimate.value - reference.value
    lower, upper = (np.abs(np.array(one.bounds()) - one.value) for one in (estimate, reference))
    reaches = [
        np.sqrt(max(0.0, below**2 + above**2 - 2 * correlation * below * above))
        for below, above in ((lower[0], upper[1]), (lower[1], upper[0]))
    ]
    return {"value": rounded(value), "lower": rounded(value - reaches[0]), "upper": rounded(value + reaches[1])}


def comparison(estimates: dict[str, Estimate], left_out: dict[str, str]) -> dict[str, Any]:
    """Return the test of one column and metric, and the differences from the subgroup of most groups.

    Args:
        estimates: by subgroup.
        left_out: the reason for each subgroup that is not compared.
    """
    if len(estimates) < 2:
        return {"reason": "fewer than two subgroups can be compared", "left_out": left_out}
    names, every = list(estimates), list(estimates.values())
    reference = max(range(len(every)), key=lambda n: every[n].groups)
    values, covariance, correlation = logits(every)
    return {
        "reference": names[reference],
        "differences": [
            {"subgroup": name, **difference(one, every[reference], correlation[n, reference])}
            for n, (name, one) in enumerate(estimates.items())
            if n != reference
        ],
        **omnibus_test(values, covariance),
        "left_out": left_out,
    }


def pooled_sources(estimates: dict[str, Estimate]) -> dict[str, Any]:
    """Return what is expected of a metric over sources: the mean, and how much they deviate from it.

    Args:
        estimates: by source.
    """
    if len(estimates) < 2:
        return {"reason": "fewer than two sources have enough groups"}
    found = pool(*logits(list(estimates.values()))[:2])

    def shares(logit: float, ends: tuple[float, float]) -> Json:
        value, lower, upper = (rounded(float(expit(one))) for one in (logit, *ends))
        return {"value": value, "lower": lower, "upper": upper}

    return {
        "sources": list(estimates),
        "pooled": shares(found.mean, found.interval),
        "another_source": shares(found.mean, found.prediction) if found.prediction else None,
        "tau_of_logit": {
            "value": rounded(found.tau),
            **dict(zip(("lower", "upper"), map(rounded, found.tau_interval), strict=True)),
        },
        "i_squared": rounded(found.i_squared),
    }


def subgroup_comparison_report(split: SplitPredictions, melanoma: str | None) -> dict[str, Any]:
    """Return the comparisons of the subgroups of each column, and the metrics pooled over the sources.

    Args:
        split: of test.
        melanoma: its label, or None where it is no class of its own.

    Returns:
        `columns`: by column and metric, see `comparison`, with `p_holm` adjusted for the number of `tests`, and whether
        it `differs` by that; images of which the column is not stated take no part. `sources`: by metric, see
        `pooled_sources`, of merged collections for the sources; `pooled_over` says which.
    """
    label = None if melanoma is None else split.classes.index(melanoma)
    metrics = [metric for metric in METRICS if label is not None or metric == "balanced_accuracy"]
    found: dict[str, dict[str, Any]] = {}
    sources = {}
    pooled_over = "collection" if is_merged(split.table) else "source"
    for column, values in columns(split.table).items():
        masks = {name: rows for name, rows in members(values) if name != NOT_STATED}
        found[column] = {}
        for metric in metrics:
            estimates, left_out = subgroups_to_compare(metric, split, masks, label)
            found[column][metric] = comparison(estimates, left_out)
            if column == pooled_over and metric in POOLED:
                sources[metric] = pooled_sources(estimates)
    tests = [one for by_metric in found.values() for one in by_metric.values() if "p" in one]
    for one, adjusted in zip(tests, holm([one["p"] for one in tests]), strict=True):
        # Digits that count, of small ones too.
        one |= {"q": rounded(one["q"]), "p": float(f"{one['p']:.3g}"), "p_holm": float(f"{adjusted:.3g}")}
        one["differs"] = bool(adjusted < 1 - LEVEL)
    return {"tests": len(tests), "columns": found, "pooled_over": pooled_over, "sources": sources}
