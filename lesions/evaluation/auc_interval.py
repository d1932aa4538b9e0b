"""Intervals of areas under the ROC curve, which hold with few positive lesions too.

Percentiles of a bootstrap are too narrow there and lean upwards: with 20 positive lesions they hold the truth 84 times
in 100 (`benchmarks/interval_coverage.py`). Instead, the variance is DeLong's for images in groups, steadied by the one
that Hanley and McNeil expect of such an area, and the interval is of all areas that are not too far away, as Wilson's
is of a proportion (Newcombe, Confidence intervals for an effect size measure based on the Mann-Whitney statistic, part
2, Statistics in Medicine 25, 2006, method 5).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import rankdata
from scipy.stats import t as student

from lesions.evaluation.bootstrap import Json, rounded
from lesions.evaluation.common.proportion import LEVEL
from lesions.evaluation.metrics import undefined_reason

MIN_POSITIVE_GROUPS = 5
"""With fewer groups that hold positives, or that hold negatives, no interval is given."""
SHRINKAGE_GROUPS = 10
"""Groups of the rarer kind that Hanley and McNeil's variance counts as; with many more, the observed one decides."""
AUC_GRID = expit(np.linspace(-8, 12, 4001))
"""The areas of which an interval is made."""


def auc_covariance(
    positive: NDArray[np.bool_], scores: NDArray[np.float64], groups: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the areas of several scores on the same images, and the covariance of these estimates.

    DeLong, DeLong and Clarke-Pearson's (Biometrics 44, 1988), by the midranks of Sun and Xu (IEEE Signal Processing
    Letters 21, 2014), with Obuchowski's variance for images in groups (Biometrics 53, 1997), which is DeLong's where
    each group is one image.

    Args:
        positive: (S, N), of each score, or (1, N), of all.
        scores: (S, N).
        groups: (N,), the number of each image's group.

    Returns:
        (S,) and (S, S). Of each score at least two groups must hold positives, and two negatives.
    """
    n_groups = int(groups.max()) + 1
    aucs, parts, corrections = [], [], []
    for is_positive, score in zip(np.broadcast_to(positive, scores.shape), scores, strict=True):
        auc, *of_kinds = auc_parts(is_positive, score, groups, n_groups)
        aucs.append(auc)
        parts.append(of_kinds)
        held = np.array(n_groups_of_kind(is_positive, groups))
        corrections.append(np.sqrt(held / (held - 1)))
    of_positive, of_negative = (np.array(part) for part in zip(*parts, strict=True))
    correction = np.array(corrections)
    across = of_positive @ of_negative.T * len(np.unique(groups)) / (len(np.unique(groups)) - 1)
    within = [
        part @ part.T * np.outer(correction[:, kind], correction[:, kind])
        for kind, part in enumerate((of_positive, of_negative))
    ]
    return np.array(aucs), within[0] + within[1] + across + across.T


def auc_parts(
    positive: NDArray[np.bool_], score: NDArray[np.float64], groups: NDArray[np.int64], n_groups: int
) -> tuple[float, NDArray[np.float64], NDArray[np.float64]]:
    """Return an area, and by how much the positives and the negatives of each group move it.

    Args:
        positive: (N,).
        score: (N,).
        groups: (N,), the number of each image's group.
        n_groups: how many groups there are, with those of no image here.

    Returns:
        The area, (G,) and (G,).
    """
    ranks = rankdata(score)
    kinds = (positive, ~positive)
    n_positive, n_negative = (int(rows.sum()) for rows in kinds)
    # For each positive the share of the negatives below it; for each negative the share of the positives above it.
    placements = (
        (ranks[positive] - rankdata(score[positive])) / n_negative,
        1 - (ranks[~positive] - rankdata(score[~positive])) / n_positive,
    )
    auc = float(placements[0].mean())
    of_positive, of_negative = (
        np.bincount(groups[rows], placement - auc, n_groups) / rows.sum()
        for rows, placement in zip(kinds, placements, strict=True)
    )
    return auc, of_positive, of_negative


def expected_variance(auc: NDArray[np.float64], positives: int, negatives: int) -> NDArray[np.float64]:
    """Return the variance that an area has where scores are exponential (Hanley and McNeil, Radiology 143, 1982).

    As Newcombe writes it (see above), with half of all cases in the place of each kind's.

    Args:
        auc: (K,), between 0 and 1.
        positives: how many cases are.
        negatives: how many are not.
    """
    half = (positives + negatives) / 2
    spread = 1 + (half - 1) * ((1 - auc) / (2 - auc) + auc / (1 + auc))
    return np.asarray(auc * (1 - auc) * spread / (positives * negatives))


def auc_interval(auc: float, variance: float, positives: int, negatives: int) -> tuple[float, float]:
    """Return the bounds of an area.

    Args:
        auc: the area.
        variance: of the area, as observed.
        positives: how many groups hold positives.
        negatives: how many groups hold negatives.
    """
    # The observed variance is itself uncertain, and 0 for a perfect ranking. The rarer kind decides, positives or not:
    # of two classes, the areas of the one and of the other are one area.
    ratio = _ratio(auc, variance, positives, negatives)
    reach = student.ppf((1 + LEVEL) / 2, min(positives, negatives) - 1) * np.sqrt(
        ratio * expected_variance(AUC_GRID, positives, negatives)
    )
    within = AUC_GRID[np.abs(auc - AUC_GRID) <= reach]
    return (float(within.min()), 1.0 if auc == 1 else float(within.max())) if len(within) else (auc, auc)


def shrunk_variance(auc: float, variance: float, positives: int, negatives: int) -> float:
    """Return the variance of an area that the interval is made of, at the area itself; the arguments are the same."""
    ratio = _ratio(auc, variance, positives, negatives)
    return ratio * float(expected_variance(np.array(auc), positives, negatives))


def _ratio(auc: float, variance: float, positives: int, negatives: int) -> float:
    """Return by how much an area varies more than is expected, shrunk to 1 where groups of the rarer kind are few."""
    rarer = min(positives, negatives)
    expected = float(expected_variance(np.clip(np.array(auc), AUC_GRID[0], AUC_GRID[-1]), positives, negatives))
    return ((rarer - 1) * variance / expected + SHRINKAGE_GROUPS) / (rarer - 1 + SHRINKAGE_GROUPS)


def auc_estimate(positive: NDArray[np.bool_], score: NDArray[np.float64], groups: NDArray[np.int64]) -> Json:
    """Return an area under the ROC curve with its interval, as `bootstrap.estimate` has it.

    Args:
        positive: (N,).
        score: (N,).
        groups: (N,), the number of each image's group.
    """
    held = n_groups_of_kind(positive, groups)
    if not min(held):
        return {"value": None, "lower": None, "upper": None, "reason": undefined_reason("auc")}
    if min(held) < MIN_POSITIVE_GROUPS:
        ranks = rankdata(score)[positive]
        auc = (ranks.mean() - (positive.sum() + 1) / 2) / (~positive).sum()
        return {"value": rounded(float(auc)), "lower": None, "upper": None, "reason": too_few_groups(min(held))}
    (auc,), ((variance,),) = auc_covariance(positive[None], score[None], groups)
    lower, upper = auc_interval(float(auc), float(variance), *held)
    return {"value": rounded(float(auc)), "lower": rounded(lower), "upper": rounded(upper)}


def macro_auc_estimate(label: NDArray[np.int64], probability: NDArray[np.float64], groups: NDArray[np.int64]) -> Json:
    """Return the mean over the classes of the area of each against the rest, with its interval.

    Args:
        label: (N,).
        probability: (N, classes).
        groups: (N,), the number of each image's group.
    """
    positive = label == np.arange(probability.shape[1])[:, None]
    held = [n_groups_of_kind(rows, groups) for rows in positive]
    if not np.min(held):
        return {"value": None, "lower": None, "upper": None, "reason": undefined_reason("macro_auc")}
    if np.min(held) < MIN_POSITIVE_GROUPS:
        each = [auc_estimate(rows, score, groups)["value"] for rows, score in zip(positive, probability.T, strict=True)]
        value = rounded(float(np.mean(np.array(each, float))))
        return {"value": value, "lower": None, "upper": None, "reason": too_few_groups(int(np.min(held)))}
    aucs, covariance = auc_covariance(positive, probability.T, groups)
    return combined(aucs, covariance, held, np.full(len(aucs), 1 / len(aucs)))


def auc_difference(
    positive: NDArray[np.bool_],
    before: Sequence[NDArray[np.float64]],
    after: Sequence[NDArray[np.float64]],
    groups: NDArray[np.int64],
) -> Json:
    """Return by how much the mean area is larger after than before, with its interval.

    Args:
        positive: (S, N), of each of S tasks.
        before: of each run, scores, (S, N).
        after: of each run of the other model.
        groups: (N,), the number of each image's group.
    """
    held = [n_groups_of_kind(rows, groups) for rows in positive]
    if np.min(held) < MIN_POSITIVE_GROUPS:
        return {"value": None, "lower": None, "upper": None, "reason": too_few_groups(int(np.min(held)))}
    runs = [*before, *after]
    aucs, covariance = auc_covariance(np.tile(positive, (len(runs), 1)), np.concatenate(runs), groups)
    n_tasks = len(positive)
    weights = np.repeat([-1 / len(before), 1 / len(after)], [n_tasks * len(before), n_tasks * len(after)]) / n_tasks
    return combined(aucs, covariance, held * len(runs), weights)


def combined(
    aucs: NDArray[np.float64],
    covariance: NDArray[np.float64],
    held: list[tuple[int, int]],
    weights: NDArray[np.float64],
) -> Json:
    """Return a sum of areas, such as their mean or difference, with its interval.

    It is recovered from the areas' own intervals and their correlation (Zou and Donner, Construction of confidence
    limits about effect measures, Statistics in Medicine 27, 2008).

    Args:
        aucs: (S,).
        covariance: (S, S), of `auc_covariance`.
        held: of each score, how many groups hold positives and negatives.
        weights: (S,), what each area is multiplied with.
    """
    value = float(aucs @ weights)
    if weights.min() < 0 and weights @ covariance @ weights < np.finfo(np.float64).eps:
        reason = "the scores rank every pair alike: that is no interval"
        return {"value": rounded(value), "lower": None, "upper": None, "reason": reason}
    bounds = [auc_interval(auc, covariance[n, n], *held[n]) for n, auc in enumerate(aucs)]
    below, above = np.abs(np.array(bounds).T - aucs)
    spread = np.sqrt(np.diag(covariance))
    correlation = np.divide(
        covariance, np.outer(spread, spread), out=np.eye(len(aucs)), where=np.outer(spread, spread) > 0
    )
    reaches = [weights * np.where((weights > 0) == lower, below, above) for lower in (True, False)]
    down, up = (np.sqrt(max(0.0, float(reach @ correlation @ reach))) for reach in reaches)
    return {"value": rounded(value), "lower": rounded(value - down), "upper": rounded(value + up)}


def n_groups_of_kind(positive: NDArray[np.bool_], groups: NDArray[np.int64]) -> tuple[int, int]:
    """Return how many groups hold positives, and how many hold negatives; (N,) each."""
    return len(np.unique(groups[positive])), len(np.unique(groups[~positive]))


def too_few_groups(held: int) -> str:
    """Return why there is no interval, where the rarer kind of images is in `held` groups."""
    return f"needs {MIN_POSITIVE_GROUPS} groups of positives and of negatives, and has {held}"
