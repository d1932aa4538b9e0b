"""The metrics of a classifier: predictions in, metrics out.

Definitions are scikit-learn's. All take weights, one row per resample (see `bootstrap`), and give one value per row; a
metric that cannot be computed is NaN, and `UNDEFINED_REASONS` has the reason.
"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import roc_curve

from lesions.evaluation import roc
from lesions.evaluation.roc import safe_divide

Metrics = dict[str, NDArray[np.float64]]
"""By name: one value a resample, (B,), or one a resample and class, (B, classes)."""

UNDEFINED_REASONS = {
    "macro_auc": "a class does not occur, or no other does",
    "log_loss": "infinite for an answer without doubt",
    "mcc": "one class alone in the truth or in the answers",
    "kappa": "one and the same class alone in truth and answers",
    "sensitivity": "does not occur",
    "coverage": "does not occur",
    "size": "does not occur",
    "specificity": "no other class occurs",
    "ppv": "never predicted",
    "npv": "nothing else predicted",
    "f1": "neither occurs nor is predicted",
    "misclassified": "does not occur",
    "auc": "needs images of this class and of others",
    "average_precision": "does not occur",
    "partial_auc_above_80_sensitivity": "needs images of this class and of others",
    "specificity_at_dermatologists_sensitivity": "needs images of this class and of others",
    "number_needed_to_biopsy": "no positive among those that the threshold would biopsy",
}
"""Why a metric can be undefined; those not named have a value for every set of images."""


def undefined_reason(name: str) -> str:
    """Return the reason, also for a metric of melanoma alone, or one at another prevalence."""
    at_no_prevalence = name.removeprefix("melanoma_").partition("_at_")[0]
    return UNDEFINED_REASONS.get(name) or UNDEFINED_REASONS.get(at_no_prevalence, "undefined")


def overall_metrics(
    label: NDArray[np.int64],
    diagnosis: NDArray[np.int64],
    probability: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> Metrics:
    """Return the metrics for all classes together.

    Args:
        label: (N,), the true labels, as integers.
        diagnosis: (N,), the predicted ones.
        probability: (N, classes).
        weights: (B, N).

    Returns:
        (B,) each: those of `label_metrics`; log_loss (natural logarithm); brier, the sum over the classes of the
        squared difference from the truth, from 0 to 2 (Brier, Monthly Weather Review 78, 1950). The areas under the
        ROC curve are in `auc_interval`.
    """
    images = weights.sum(axis=1)
    truth = np.eye(probability.shape[1])[label]
    return {
        **label_metrics(confusion(label, diagnosis, probability.shape[1], weights)),
        "log_loss": weights @ nll(label, probability) / images,
        "brier": weights @ ((probability - truth) ** 2).sum(axis=1) / images,
    }


def nll(label: NDArray[np.int64], probability: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (N,): minus the logarithm of the true class's probability, which counts as at least 2.2e-16."""
    least = np.finfo(np.float64).eps
    return -np.log(np.clip(probability[np.arange(len(label)), label], least, 1 - least))


def confusion(
    label: NDArray[np.int64], diagnosis: NDArray[np.int64], classes: int, weights: NDArray[np.float64]
) -> NDArray[np.float64]:
    """Return counts, (B, classes, classes): row the actual class, column the predicted one.

    Args:
        label: (N,), the true labels, as integers.
        diagnosis: (N,), the predicted ones.
        classes: number of classes.
        weights: (B, N).
    """
    cell = np.eye(classes * classes)[label * classes + diagnosis]
    counts: NDArray[np.float64] = (weights @ cell).reshape(-1, classes, classes)
    return counts


def label_metrics(counts: NDArray[np.float64]) -> Metrics:
    """Return the metrics that need the answers alone, not the confidence.

    Args:
        counts: (B, classes, classes), as from `confusion`.

    Returns:
        (B,) each: accuracy, and misclassified, its complement; balanced_accuracy (the mean sensitivity of the
        classes that occur); macro_f1 (the mean of the classes that occur or are predicted); weighted_f1 (weighted
        by the images of each); mcc (Matthews's correlation for several classes: Gorodkin, Comput. Biol. Chem.
        28, 2004); kappa (Cohen, Educ. Psychol. Meas. 20, 1960).
    """
    true_positives = np.diagonal(counts, axis1=1, axis2=2)
    actual, predicted, all_ = counts.sum(axis=2), counts.sum(axis=1), counts.sum(axis=(1, 2))
    accuracy = true_positives.sum(axis=1) / all_
    f1 = safe_divide(2 * true_positives, actual + predicted)
    by_chance = (actual * predicted).sum(axis=1)
    spread_of_truth = all_**2 - (actual**2).sum(axis=1)
    spread_of_answers = all_**2 - (predicted**2).sum(axis=1)
    return {
        "accuracy": accuracy,
        "misclassified": 1 - accuracy,
        "balanced_accuracy": _mean(safe_divide(true_positives, actual)),
        "macro_f1": _mean(f1),
        "weighted_f1": (np.nan_to_num(f1) * actual).sum(axis=1) / all_,
        "mcc": safe_divide(true_positives.sum(axis=1) * all_ - by_chance, np.sqrt(spread_of_truth * spread_of_answers)),
        "kappa": safe_divide(accuracy - by_chance / all_**2, 1 - by_chance / all_**2),
    }


def _mean(of_class: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the mean over the classes that have a value."""
    known = ~np.isnan(of_class)
    mean: NDArray[np.float64] = np.nan_to_num(of_class).sum(axis=1) / known.sum(axis=1)
    return mean


def per_class(
    label: NDArray[np.int64],
    diagnosis: NDArray[np.int64],
    probability: NDArray[np.float64],
    weights: NDArray[np.float64],
) -> Metrics:
    """Return the metrics of each class against the rest, (B, classes) each.

    sensitivity (recall), specificity, ppv (precision), npv and f1 of the diagnosis; misclassified, the fraction of the
    class's images; average_precision of the class's probability.

    Args:
        label: (N,), the true labels, as integers.
        diagnosis: (N,), the predicted ones.
        probability: (N, classes).
        weights: (B, N).
    """
    counts = confusion(label, diagnosis, probability.shape[1], weights)
    true_positives = np.diagonal(counts, axis1=1, axis2=2)
    actual, predicted = counts.sum(axis=2), counts.sum(axis=1)
    all_ = counts.sum(axis=(1, 2))[:, None]
    true_negatives = all_ - actual - predicted + true_positives
    sensitivity = safe_divide(true_positives, actual)
    average_precision = [
        roc.auc_and_average_precision(label == n, probability[:, n], weights)[1] for n in range(probability.shape[1])
    ]
    return {
        "sensitivity": sensitivity,
        "specificity": safe_divide(true_negatives, all_ - actual),
        "ppv": safe_divide(true_positives, predicted),
        "npv": safe_divide(true_negatives, all_ - predicted),
        "f1": safe_divide(2 * true_positives, actual + predicted),
        "misclassified": 1 - sensitivity,
        "average_precision": np.stack(average_precision, axis=1),
    }


def constant_baseline(label: NDArray[np.int64], probability: NDArray[np.float64]) -> Metrics:
    """Return the headline of giving every image the same probabilities: the baseline of every metric.

    Args:
        label: (N,).
        probability: (classes,): 1 for one class and 0 for the others, or each class's share of the training images.
            Of the former the log loss would be infinite, and is undefined.
    """
    diagnosis = np.full(len(label), probability.argmax())
    found = overall_metrics(label, diagnosis, np.tile(probability, (len(label), 1)), np.ones((1, len(label))))
    # What is the same for all images ranks none before another.
    auc = 0.5 if len(np.unique(label)) == len(probability) > 1 else np.nan
    found["macro_auc"] = np.full(1, auc)
    return found | {"log_loss": np.full(1, np.nan)} if probability.max() == 1 else found


def roc_curves(scores: dict[str, tuple[NDArray[np.bool_], NDArray[np.float64]]]) -> pd.DataFrame:
    """Return one ROC curve per task: `diagnosis, false_positive_rate, true_positive_rate`, corners only.

    Args:
        scores: by name which images are positive, (N,), and their scores, (N,). A task without positives, or
            without others, has no curve.
    """
    curves = [pd.DataFrame(columns=["diagnosis", "false_positive_rate", "true_positive_rate"])]
    for name, (positive, score) in scores.items():
        if positive.any() and not positive.all():
            false_positive, true_positive, _ = roc_curve(positive, score)
            rates = {"false_positive_rate": false_positive, "true_positive_rate": true_positive}
            curves.append(pd.DataFrame({"diagnosis": name, **rates}).round(4))
    return pd.concat(curves[1:] or curves, ignore_index=True)
