"""Calibration: are the probabilities as large as the observed fractions?

The top label's confidence is one thing, the probability of melanoma another: a network that leans to rare classes can
be right as often as it is confident, and still name twice as many melanomas as there are. So both are measured.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.special import expit, logit
from scipy.stats import t

from lesions.evaluation.bootstrap import Bootstrap, Json, rounded, unwrap_single
from lesions.evaluation.common.predictions import SplitPredictions
from lesions.evaluation.common.proportion import LEVEL
from lesions.evaluation.common.tasks import BinaryTask
from lesions.evaluation.metrics import Metrics, nll
from lesions.evaluation.operating_points import binary_scores
from lesions.evaluation.roc import safe_divide

BINS = 15
"""As many as Guo et al., On Calibration of Modern Neural Networks, ICML 2017."""
BINARY_BINS = 8
"""Bins of the reliability of a binary task: few, since in each a fraction of few positives is estimated."""
MIN_GROUPS = 10
"""With fewer groups that hold positives, or negatives, no intercept and no slope is estimated."""
ITERATIONS, LONGEST_STEP, ALL_CERTAIN = 100, 2.0, 1e-6
"""Of the logistic regression: at most how many steps, by how much of a logit each, and the sum of the weights below
which positives and negatives are separated."""
CHANCE_DRAWS = 1000
"""How often labels are drawn for the calibration error of chance."""
CHANCE_PERCENTILE = 95
"""Of the calibration errors of chance: an error above it is not explained by chance."""


def top_label(label: NDArray[np.int64], probability: NDArray[np.float64]) -> tuple[NDArray[np.float64], Any]:
    """Return the confidence, the largest probability, and whether that class is the true one, (N,) each.

    Args:
        label: (N,).
        probability: (N, classes).
    """
    return probability.max(axis=1), probability.argmax(axis=1) == label


def reliability(label: NDArray[np.int64], probability: NDArray[np.float64]) -> list[dict[str, float | int | None]]:
    """Return how often the most probable class is the true one, by its confidence.

    Args:
        label: (N,).
        probability: (N, classes).

    Returns:
        At most `BINS` bins of equal mass, the least confident first: `images`, and the means `confidence` and
        `accuracy`. Equally confident images stand in their order.
    """
    confidence, correct = top_label(label, probability)
    return [
        {
            "images": len(bin_),
            "confidence": rounded(float(confidence[bin_].mean())),
            "accuracy": rounded(float(correct[bin_].mean())),
        }
        for bin_ in np.array_split(np.argsort(confidence, kind="stable"), min(BINS, len(label)))
    ]


def reliability_curves(split: SplitPredictions) -> pd.DataFrame:
    """Return the table of the reliability diagram: `probabilities` (before or after calibration) and the bins."""
    tables = [pd.DataFrame(columns=["probabilities", "images", "confidence", "accuracy"])]
    for name, probability in (("before", split.probability), ("after", split.calibrated)):
        if probability is not None and len(split.label):
            table = pd.DataFrame(reliability(split.label, probability))
            table.insert(0, "probabilities", f"{name} calibration")
            tables.append(table)
    return pd.concat(tables[1:] or tables, ignore_index=True)


def ece(confidence: NDArray[np.float64], correct: NDArray[np.bool_]) -> float:
    """Return the expected calibration error: the mean difference of confidence and accuracy over equal-mass bins.

    Equal mass, since bins of equal width leave most images in one (Nixon et al., Measuring Calibration in Deep
    Learning, CVPR Workshops 2019). It is never 0, even of perfect probabilities: see `ece_by_chance`.

    Args:
        confidence: (N,).
        correct: (N,).
    """
    order = np.argsort(confidence, kind="stable")
    bins = np.array_split((confidence - correct)[order], min(BINS, len(order)))
    return float(sum(abs(bin_.sum()) for bin_ in bins) / len(order))


def ece_by_chance(confidence: NDArray[np.float64], groups: NDArray[np.int64], seed: int) -> Json:
    """Return the calibration errors that chance gives where each confidence is the exact probability of being correct.

    Args:
        confidence: (N,).
        groups: (N,), the number of each image's group. Its images are right or wrong together, as far as their
            probabilities allow: the images of one lesion nearly are.
        seed: random seed of the draws.

    Returns:
        `mean`, and `upper`, which 95 of 100 draws stay below.
    """
    random = np.random.default_rng(seed)
    number = int(groups.max()) + 1
    drawn = [ece(confidence, random.random(number)[groups] < confidence) for _ in range(CHANCE_DRAWS)]
    return {"mean": rounded(float(np.mean(drawn))), "upper": rounded(float(np.percentile(drawn, CHANCE_PERCENTILE)))}


def summary(
    label: NDArray[np.int64], probability: NDArray[np.float64], groups: NDArray[np.int64], seed: int
) -> dict[str, Any]:
    """Return log loss, Brier score, the top label's calibration error and its reliability table.

    Args:
        label: (N,).
        probability: (N, classes).
        groups: (N,), the number of each image's group.
        seed: random seed of the error that chance alone gives.
    """
    truth = np.eye(probability.shape[1])[label]
    confidence, correct = top_label(label, probability)
    return {
        "log_loss": rounded(float(nll(label, probability).mean())),
        "brier": rounded(float(((probability - truth) ** 2).sum(axis=1).mean())),
        "expected_calibration_error": rounded(ece(confidence, correct)),
        "expected_calibration_error_by_chance": ece_by_chance(confidence, groups, seed),
        "reliability": reliability(label, probability),
    }


def calibration_report(
    split: SplitPredictions, tasks: dict[str, BinaryTask | str], bootstrap: Bootstrap
) -> dict[str, Any]:
    """Return the calibration before and, where one was fitted, after it.

    Args:
        split: the predictions.
        tasks: the binary tasks, or why there is none.
        bootstrap: how the intervals are resampled.

    Returns:
        `before` and `after`: `summary`, and the `binary_calibration` of each task, by name, in `tasks`, and of each
        class against the rest, in `classes`.
    """
    found: dict[str, Any] = {}
    for when, probability in (("before", split.probability), ("after", split.calibrated)):
        if probability is not None:
            found[when] = summary(split.label, probability, split.groups, bootstrap.seed) | {
                "tasks": {
                    name: binary_calibration(*binary_scores(task, split, calibrated=when == "after"), bootstrap)
                    for name, task in tasks.items()
                    if isinstance(task, BinaryTask)
                },
                "classes": [
                    {"diagnosis": name}
                    | binary_calibration(split.label == number, probability[:, number], split.groups, bootstrap)
                    for number, name in enumerate(split.classes)
                ],
            }
    return found


def binary_calibration(
    positive: NDArray[np.bool_], probability: NDArray[np.float64], groups: NDArray[np.int64], bootstrap: Bootstrap
) -> dict[str, Any]:
    """Return how far the probabilities of being positive agree with what is observed.

    Args:
        positive: (N,).
        probability: (N,), of being positive.
        groups: (N,), the number of each image's group.
        bootstrap: how the intervals are resampled.

    Returns:
        mean_predicted and observed, the mean probability and the fraction of positives, and their difference;
        intercept and slope, see `calibration_intercept_and_slope`; log_loss; and reliability, a list of at most
        `BINARY_BINS` bins of equal mass with `images`, `predicted` and `observed`.
    """
    if not len(positive):
        return {"reason": "no image takes part"}
    bins = np.array_split(np.argsort(probability, kind="stable"), min(BINARY_BINS, len(positive)))
    of_bin = np.zeros((len(positive), len(bins)))
    for number, rows in enumerate(bins):
        of_bin[rows, number] = 1

    def means(weights: NDArray[np.float64]) -> Metrics:
        n_images = weights.sum(axis=1)
        predicted, observed = weights @ probability / n_images, weights @ positive / n_images
        return {"mean_predicted": predicted, "observed": observed, "surplus": predicted - observed}

    def observed_of_bins(weights: NDArray[np.float64]) -> Metrics:
        return {"observed": safe_divide(weights @ (of_bin * positive[:, None]), weights @ of_bin)}

    loss = nll(positive.astype(np.int64), np.stack([1 - probability, probability], axis=1))
    observed = bootstrap.estimates(observed_of_bins, groups)["observed"]
    return {
        **unwrap_single(bootstrap.estimates(means, groups)),
        **calibration_intercept_and_slope(positive, probability, groups),
        "log_loss": rounded(float(loss.mean())),
        "reliability": [
            {"images": len(rows), "predicted": rounded(float(probability[rows].mean())), "observed": observed[number]}
            for number, rows in enumerate(bins)
        ],
    }


def calibration_intercept_and_slope(
    positive: NDArray[np.bool_], probability: NDArray[np.float64], groups: NDArray[np.int64]
) -> dict[str, Json]:
    """Return the intercept and the slope of calibration (Cox, Biometrika 45, 1958).

    The slope is that of a logistic regression of the truth on the probability's logit: below 1, the probabilities
    are too extreme. The intercept is that of the same with a slope of 1: below 0, they are too large. Where both
    are estimated well, 1 and 0 are ideal. The intervals are by the variance of Liang and Zeger for images in groups
    (Biometrika 73, 1986), and Student's t with as many degrees of freedom as there are groups of the rarer kind, less
    one: with the normal distribution the slope's interval is too narrow where these are few.

    Args:
        positive: (N,).
        probability: (N,), of being positive.
        groups: (N,), the number of each image's group.
    """
    held = [len(np.unique(groups[rows])) for rows in (positive, ~positive)]
    if min(held) < MIN_GROUPS:
        reason = f"needs positives and negatives in {MIN_GROUPS} groups each, and has {held[0]} and {held[1]}"
        none: Json = {"value": None, "lower": None, "upper": None, "reason": reason}
        return {"intercept": none, "slope": none}
    x = logit(np.clip(probability.astype(np.float64), 1e-6, 1 - 1e-6))
    ones = np.ones(len(x))
    intercept = logistic_regression(ones[:, None], x, positive, groups)
    slope = logistic_regression(np.stack([ones, x], axis=1), np.zeros(len(x)), positive, groups)
    return {
        "intercept": _t_estimate(intercept[0][0], intercept[1][0], min(held) - 1),
        "slope": _t_estimate(slope[0][1], slope[1][1], min(held) - 1),
    }


def logistic_regression(
    columns: NDArray[np.float64], offset: NDArray[np.float64], positive: NDArray[np.bool_], groups: NDArray[np.int64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return the coefficients of a logistic regression and their standard errors by group.

    Args:
        columns: (N, K).
        offset: (N,), added to the logit.
        positive: (N,).
        groups: (N,), the number of each image's group.

    Returns:
        (K,) each; not finite where the columns separate the positives from the negatives.
    """
    coefficients, separated = np.zeros(columns.shape[1]), np.full(columns.shape[1], np.nan)
    for _ in range(ITERATIONS):
        fitted = expit(columns @ coefficients + offset)
        weight = fitted * (1 - fitted)
        if weight.sum() < ALL_CERTAIN:
            return separated, separated
        bread = np.linalg.pinv((columns * weight[:, None]).T @ columns)
        step = bread @ (columns.T @ (positive - fitted))
        # A whole step from far away can lead to where all are certain and nothing leads back.
        coefficients = coefficients + step / max(1.0, np.abs(columns @ step).max() / LONGEST_STEP)
        if np.abs(step).max() < 1e-10:
            break
    else:
        return separated, separated
    scores = columns * (positive - expit(columns @ coefficients + offset))[:, None]
    of_group = np.stack([np.bincount(groups, column) for column in scores.T])
    n_groups = len(np.unique(groups))
    covariance = bread @ (of_group @ of_group.T * n_groups / (n_groups - 1)) @ bread
    return coefficients, np.sqrt(np.diag(covariance))


def _t_estimate(value: float, error: float, degrees: int) -> Json:
    if not np.isfinite(value):
        reason = "the probabilities separate positives from negatives"
        return {"value": None, "lower": None, "upper": None, "reason": reason}
    reach = t.ppf((1 + LEVEL) / 2, degrees) * error
    return {"value": rounded(value), "lower": rounded(value - reach), "upper": rounded(value + reach)}
