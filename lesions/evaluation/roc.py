"""How well a score ranks the positive images before the others: the ROC curve and what is read off it.

All metrics take weights, one row per resample, and give one value per row, so that a thousand resamples cost one sort.
Whole-number weights count an image so many times; the metrics are then scikit-learn's on the repeated images.
"""

import numpy as np
from numpy.typing import NDArray


def auc_and_average_precision(
    positive: NDArray[np.bool_], score: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the area under the ROC curve, and the average precision.

    The former is the chance that a positive scores higher than another image, equal scores counting half; the
    latter, averaged over the positives, the precision among those that score at least as high.

    Args:
        positive: (N,).
        score: (N,).
        weights: (B, N).

    Returns:
        (B,) each; NaN where only positives, or none, have a weight (the latter: where none has).
    """
    order = np.argsort(-score, kind="stable")
    ordered = score[order]
    # Only at the positives, mostly few: between which places of the order their equals stand, and which of the
    # positives those are.
    places = np.flatnonzero(positive[order])
    begin, end = (np.searchsorted(-ordered, -ordered[places], side=side) for side in ("left", "right"))
    of_positive = weights[:, order[places]]
    above = _sums(weights[:, order])
    true = _sums(of_positive)
    true_before, true_with = (true[:, np.searchsorted(places, limit)] for limit in (begin, end))
    with_equals = above[:, end]
    positives, images = true[:, -1], above[:, -1]
    worse = (above[:, begin] - true_before + with_equals - true_with) / 2
    outranked = (of_positive * worse).sum(axis=1)
    precise = (of_positive * true_with / np.maximum(with_equals, 1)).sum(axis=1)
    return 1 - safe_divide(outranked, positives * (images - positives)), safe_divide(precise, positives)


def partial_auc(
    positive: NDArray[np.bool_], score: NDArray[np.float64], weights: NDArray[np.float64], least_sensitivity: float
) -> NDArray[np.float64]:
    """Return the area between the ROC curve and the line of a sensitivity, as the ISIC 2024 challenge does.

    Args:
        positive: (N,).
        score: (N,).
        weights: (B, N).
        least_sensitivity: the line; the area is at most `1 - least_sensitivity`.

    Returns:
        (B,); NaN where only positives, or none, have a weight.
    """
    true, false = tps_fps(positive, score, weights)
    height = true - least_sensitivity * true[:, -1:]
    left, right, step = height[:, :-1], height[:, 1:], np.diff(false)
    rise = np.where(right > left, right - left, 1)
    crossing = np.where(right > 0, step * right**2 / (2 * rise), 0)
    strips = np.where(left >= 0, step * (left + right) / 2, crossing)
    return safe_divide(strips.sum(axis=1), true[:, -1] * false[:, -1])


def specificity_at(
    positive: NDArray[np.bool_], score: NDArray[np.float64], weights: NDArray[np.float64], sensitivity: float
) -> NDArray[np.float64]:
    """Return the ROC curve's specificity at a sensitivity, on the line between the two thresholds around it.

    Args:
        positive: (N,).
        score: (N,).
        weights: (B, N).
        sensitivity: above 0, at most 1.

    Returns:
        (B,); NaN where only positives, or none, have a weight.
    """
    true, false = tps_fps(positive, score, weights)
    short = sensitivity * true[:, -1:] - true
    reached = np.argmax(short <= 1e-9, axis=1)[:, None]  # with room for the last bit of a fraction
    before, behind = np.maximum(reached - 1, 0), reached
    left, right = (np.take_along_axis(short, place, axis=1) for place in (before, behind))
    low, high = (np.take_along_axis(false, place, axis=1) for place in (before, behind))
    crossed = low + safe_divide(left, left - right) * (high - low)
    return 1 - safe_divide(crossed[:, 0], false[:, -1])


def tps_fps(
    positive: NDArray[np.bool_], score: NDArray[np.float64], weights: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return how many positives and others score at or above each threshold, the highest first.

    Args:
        positive: (N,).
        score: (N,); equal scores are one threshold.
        weights: (B, N).

    Returns:
        True and false positives, (B, thresholds + 1) each; the first column, above all scores, is 0.
    """
    order = np.argsort(-score, kind="stable")
    thresholds = np.append(0, np.flatnonzero(np.append(np.diff(score[order]) != 0, len(score) > 0)) + 1)
    ordered, is_positive = weights[:, order], positive[order]
    true = _sums(ordered * is_positive)[:, thresholds]
    return true, _sums(ordered)[:, thresholds] - true


def _sums(ordered: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (B, N + 1): the sums of the first 0, 1, ... N columns."""
    sums = np.zeros((ordered.shape[0], ordered.shape[1] + 1))
    np.cumsum(ordered, axis=1, out=sums[:, 1:])
    return sums


def safe_divide(above: NDArray[np.float64], below: NDArray[np.float64]) -> NDArray[np.float64]:
    """Divide; NaN, without a warning, where there is nothing to divide by."""
    found = np.full(np.broadcast(above, below).shape, np.nan)
    np.divide(above, below, out=found, where=below != 0)
    return found
