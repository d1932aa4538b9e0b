"""The binary tasks of a clinic: is it a melanoma, and is it malignant?

A score, the probability of the positive classes, is compared with a threshold. `calibrate` chooses thresholds on
validation; here they are read on any split.
"""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lesions.evaluation import roc
from lesions.evaluation.auc_interval import auc_estimate
from lesions.evaluation.bootstrap import Bootstrap, Json, unwrap_single
from lesions.evaluation.common.predictions import SplitPredictions
from lesions.evaluation.common.tasks import BinaryTask
from lesions.evaluation.common.thresholds import DERMATOLOGISTS, Threshold
from lesions.evaluation.metrics import Metrics
from lesions.evaluation.predictive_values import PREVALENCES, with_intervals
from lesions.evaluation.roc import safe_divide

MIN_GROUPS = 20
"""With fewer of the positives or of the negatives, percentiles of a metric that needs no threshold are no interval."""


def binary_scores(
    task: BinaryTask, split: SplitPredictions, *, calibrated: bool = False
) -> tuple[NDArray[np.bool_], NDArray[np.float64], NDArray[np.int64]]:
    """Return, of the images that take part in a task, whether they are positive, the score, and the group, (N,) each.

    Args:
        task: its classes.
        split: the predictions.
        calibrated: take the calibrated probabilities; thresholds are of the others.
    """
    ours = split.only(split.table["label"].isin(task.positive + task.negative).to_numpy())
    probability = ours.known_calibrated() if calibrated else ours.probability
    return ours.table["label"].isin(task.positive).to_numpy(), task.score(ours.classes, probability), ours.groups


def ranking_metrics(
    positive: NDArray[np.bool_],
    score: NDArray[np.float64],
    weights: NDArray[np.float64],
    sensitivity: float | None = None,
) -> Metrics:
    """Return the metrics that need no threshold.

    Args:
        positive: (N,).
        score: (N,).
        weights: (B, N).
        sensitivity: that of dermatologists, where it was measured.

    Returns:
        (B,) each: partial_auc_above_80_sensitivity, at most 0.2 (see `roc.partial_auc`); average_precision; and
        with a sensitivity, specificity_at_dermatologists_sensitivity: the ROC curve's, as Haenssle et al. compare
        theirs with people. No threshold is chosen for it: it says how well the score ranks, not what a threshold does.
    """
    found = {
        "partial_auc_above_80_sensitivity": roc.partial_auc(positive, score, weights, 0.8),
        "average_precision": roc.auc_and_average_precision(positive, score, weights)[1],
    }
    if sensitivity is not None:
        found["specificity_at_dermatologists_sensitivity"] = roc.specificity_at(positive, score, weights, sensitivity)
    return found


def threshold_metrics(
    thresholds: list[float], positive: NDArray[np.bool_], score: NDArray[np.float64], weights: NDArray[np.float64]
) -> Metrics:
    """Return the metrics at thresholds.

    Args:
        thresholds: an image is predicted positive whose score is at least this.
        positive: (N,).
        score: (N,).
        weights: (B, N).

    Returns:
        (B, thresholds) each: sensitivity, specificity, ppv, npv; number_needed_to_biopsy, how many are predicted
        positive for each that is, at the prevalence of these images; and by Bayes's rule ppv and npv at each of
        `PREVALENCES`.
    """
    predicted_positive = score[:, None] >= np.array(thresholds)
    # True and false positives, true and false negatives.
    tp, fp, tn, fn = (
        weights @ (actual[:, None] & predicted).astype(np.float64)
        for actual, predicted in (
            (positive, predicted_positive),
            (~positive, predicted_positive),
            (~positive, ~predicted_positive),
            (positive, ~predicted_positive),
        )
    )
    sensitivity, specificity = safe_divide(tp, tp + fn), safe_divide(tn, fp + tn)
    found = {
        "sensitivity": sensitivity,
        "specificity": specificity,
        "ppv": safe_divide(tp, tp + fp),
        "npv": safe_divide(tn, tn + fn),
        "number_needed_to_biopsy": safe_divide(tp + fp, tp),
    }
    for prevalence in PREVALENCES:
        tp_share, tn_share = sensitivity * prevalence, specificity * (1 - prevalence)
        found[f"ppv_at_{prevalence:.0%}"] = safe_divide(tp_share, tp_share + (1 - prevalence) - tn_share)
        found[f"npv_at_{prevalence:.0%}"] = safe_divide(tn_share, tn_share + prevalence - tp_share)
    return found


def task_report(
    name: str,
    task: BinaryTask | str,
    thresholds: list[Threshold],
    splits: dict[str, SplitPredictions],
    bootstrap: Bootstrap,
) -> dict[str, Any]:
    """Return all metrics of a task, with intervals.

    Args:
        name: the task's.
        task: its classes, or why there is no such task.
        thresholds: the task's, chosen before on validation.
        splits: predictions by the split's name, such as val and test.
        bootstrap: how the intervals are resampled.
    """
    if isinstance(task, str):
        return {"reason": task}
    scores = {split: binary_scores(task, ours) for split, ours in splits.items()}
    scores = {split: found for split, found in scores.items() if len(found[0])}
    report: dict[str, Any] = {"positive": task.positive, "negative": task.negative}
    sensitivity = DERMATOLOGISTS["sensitivity"] if name == "melanoma" else None
    for split, (positive, score, groups) in scores.items():
        report[split] = {
            "images": len(positive),
            "positive_images": int(positive.sum()),
            "positive_groups": len(np.unique(groups[positive])),
            "auc": auc_estimate(positive, score, groups),
            **_ranking_report(positive, score, groups, sensitivity, bootstrap),
        }
    report["operating_points"] = [
        {
            "metric": one.metric,
            "target": one.target,
            "chosen_for": one.chosen_for,
            "threshold": one.value,
            "left_out_sources": [of.model_dump() for of in one.left_out_sources],
        }
        | ({"dermatologists": DERMATOLOGISTS} if one.of_dermatologists else {})
        | ({} if one.value is not None else {"reason": "no threshold reaches it"})
        for one in thresholds
    ]
    reached = [number for number, one in enumerate(thresholds) if one.value is not None]
    values = [one.value for one in thresholds if one.value is not None]
    for split, (positive, score, groups) in scores.items() if reached else ():
        found = bootstrap.estimates(partial(threshold_metrics, values, positive, score), groups)
        for place, number in enumerate(reached):
            at_threshold = {metric: read[place] for metric, read in found.items()}
            report["operating_points"][number][split] = _counts(positive, score >= values[place]) | with_intervals(
                at_threshold
            )
    return report


def _ranking_report(
    positive: NDArray[np.bool_],
    score: NDArray[np.float64],
    groups: NDArray[np.int64],
    sensitivity: float | None,
    bootstrap: Bootstrap,
) -> dict[str, Json]:
    """Return the metrics that need no threshold, without intervals where groups of either kind are few."""
    found = unwrap_single(
        bootstrap.estimates(partial(ranking_metrics, positive, score, sensitivity=sensitivity), groups)
    )
    fewest = min(len(np.unique(groups[rows])) for rows in (positive, ~positive))
    if fewest >= MIN_GROUPS:
        return found
    reason = f"fewer than {MIN_GROUPS} groups are positive, or negative: percentiles would be too narrow"
    return {
        name: one if one["value"] is None else {"value": one["value"], "lower": None, "upper": None, "reason": reason}
        for name, one in found.items()
    }


def _counts(positive: NDArray[np.bool_], predicted: NDArray[np.bool_]) -> dict[str, int]:
    """Return how many images are what, as in a table of two by two."""
    return {
        "true_positives": int((positive & predicted).sum()),
        "false_negatives": int((positive & ~predicted).sum()),
        "false_positives": int((~positive & predicted).sum()),
        "true_negatives": int((~positive & ~predicted).sum()),
    }
