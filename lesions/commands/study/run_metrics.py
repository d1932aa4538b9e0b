"""The metrics of several runs on the same images, and how other groups would change them together."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lesions.commands.study.study import METRICS
from lesions.evaluation.auc_interval import MIN_POSITIVE_GROUPS, auc_covariance, n_groups_of_kind
from lesions.evaluation.bootstrap import Bootstrap
from lesions.evaluation.common.predictions import SplitPredictions
from lesions.evaluation.metrics import Metrics, confusion, label_metrics
from lesions.evaluation.roc import auc_and_average_precision
from lesions.params.evaluate import Evaluate


class Measured(NamedTuple):
    """A metric of R runs.

    Attributes:
        values: (R,); NaN where it is not defined.
        covariance: (R, R), as other groups would change the values; of a macro AUC with fewer than
            `MIN_POSITIVE_GROUPS` groups of a class, nothing but NaN.
        n_groups: that it rests on: all, or for a mean over the classes those of the rarest class.
    """

    values: NDArray[np.float64]
    covariance: NDArray[np.float64]
    n_groups: int


def measure_runs(runs: Sequence[SplitPredictions]) -> dict[str, Measured]:
    """Return each metric of runs on the same images in the same order."""
    label, groups = runs[0].label, runs[0].groups
    positive = label == np.arange(len(runs[0].classes))[:, None]
    rarest = min(min(n_groups_of_kind(rows, groups)) for rows in positive)
    values = [metric_values(run) for run in runs]
    covariance = _bootstrap_covariance(runs, groups)
    covariance["macro_auc"] = np.full((len(runs), len(runs)), np.nan)
    if rarest >= MIN_POSITIVE_GROUPS:
        scores = np.concatenate([run.probability.T for run in runs])
        of_classes = auc_covariance(np.tile(positive, (len(runs), 1)), scores, groups)[1]
        covariance["macro_auc"] = of_classes.reshape(len(runs), len(positive), len(runs), -1).mean(axis=(1, 3))
    n_groups = {metric: int(groups.max()) + 1 if metric == "accuracy" else rarest for metric in METRICS}
    return {
        metric: Measured(np.array([value[metric] for value in values]), covariance[metric], n_groups[metric])
        for metric in METRICS
    }


def metric_values(split: SplitPredictions) -> dict[str, float]:
    """Return the metrics of one run."""
    once = np.ones((1, len(split.label)))
    areas = [
        auc_and_average_precision(split.label == number, score, once)[0][0]
        for number, score in enumerate(split.probability.T)
    ]
    return {name: float(found[0]) for name, found in _label_metrics(split, once).items()} | {
        "macro_auc": float(np.mean(areas))
    }


def _bootstrap_covariance(
    runs: Sequence[SplitPredictions], groups: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """Return the covariance, (R, R), of the runs' accuracies, and balanced accuracies, over resamples of the groups."""
    params = Evaluate.read()
    blocks = [
        [_label_metrics(run, weights) for run in runs]
        for weights in Bootstrap(params.n_bootstrap, params.seed).weights(groups)
    ]
    return {
        name: np.atleast_2d(np.cov(np.concatenate([[found[name] for found in block] for block in blocks], axis=1)))
        for name in ("accuracy", "balanced_accuracy")
    }


def _label_metrics(split: SplitPredictions, weights: NDArray[np.float64]) -> Metrics:
    found = label_metrics(confusion(split.label, split.diagnosis, len(split.classes), weights))
    return {name: found[name] for name in ("accuracy", "balanced_accuracy")}
