"""A metric of one subgroup, with its variance by group, on the scale on which subgroups are compared."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.special import expit
from scipy.stats import norm

from lesions.evaluation.auc_interval import auc_covariance, auc_parts, n_groups_of_kind, shrunk_variance
from lesions.evaluation.common.predictions import SplitPredictions
from lesions.evaluation.common.proportion import LEVEL
from lesions.evaluation.heterogeneity import empirical_logit

METRICS = ("melanoma_auc", "melanoma_sensitivity", "melanoma_specificity", "balanced_accuracy")


@dataclass(frozen=True)
class Estimate:
    """A metric of one subgroup.

    Attributes:
        value: between 0 and 1.
        variance: of the value, by group.
        groups: how many groups it is computed from: for the AUC those of the rarer kind.
        cases: how many groups are of the rarest class that counts.
        influence: (G,), by how much each group of the split moves it; the covariance of two metrics is the sum of the
            products of theirs.
    """

    value: float
    variance: float
    groups: int
    cases: int
    influence: NDArray[np.float64]

    def logit(self) -> tuple[float, float]:
        """Return its logit and the standard error of that."""
        return empirical_logit(self.value, self.variance, self.cases)

    def bounds(self) -> tuple[float, float]:
        """Return its 95 % interval, by the logit."""
        logit, error = self.logit()
        reach = norm.ppf((1 + LEVEL) / 2) * error
        return min(self.value, float(expit(logit - reach))), max(self.value, float(expit(logit + reach)))


def proportion(found: NDArray[np.bool_], rows: NDArray[np.bool_], groups: NDArray[np.int64]) -> Estimate:
    """Return the fraction of some images that are found.

    Its variance is that of a ratio of the sums over groups (Rao and Scott, Biometrics 48, 1992), and at least that of
    as many images in groups of their own.

    Args:
        found: (N,).
        rows: (N,), which images count.
        groups: (N,), the number of each image's group.
    """
    images, cases = int(rows.sum()), len(np.unique(groups[rows]))
    value = float(found[rows].mean())
    influence = np.bincount(groups[rows], found[rows] - value, int(groups.max()) + 1) / images
    variance = float(influence @ influence) * cases / max(1, cases - 1)
    return Estimate(value, max(variance, value * (1 - value) / images), cases, cases, influence)


def balanced_accuracy(
    correct: NDArray[np.bool_], label: NDArray[np.int64], rows: NDArray[np.bool_], groups: NDArray[np.int64]
) -> Estimate:
    """Return the balanced accuracy of some images, over the classes that they hold.

    Args:
        correct: (N,), which images are classified correctly.
        label: (N,), their classes.
        rows: (N,), which images count.
        groups: (N,), the number of each image's group.
    """
    found = [proportion(correct, rows & (label == one), groups) for one in np.unique(label[rows])]
    influences = np.array([one.influence for one in found]) / len(found)
    covariance = influences @ influences.T
    # Of few groups the variance observed is uncertain, and 0 where all are right: half a case is added, as for a logit.
    errors = [one.logit()[1] * smoothed * (1 - smoothed) for one in found for smoothed in [expit(one.logit()[0])]]
    np.fill_diagonal(covariance, np.maximum(np.diag(covariance), (np.array(errors) / len(found)) ** 2))
    return Estimate(
        float(np.mean([one.value for one in found])),
        float(covariance.sum()),
        sum(one.groups for one in found),
        min(one.cases for one in found),
        influences.sum(axis=0),
    )


def auc(
    positive: NDArray[np.bool_], score: NDArray[np.float64], rows: NDArray[np.bool_], groups: NDArray[np.int64]
) -> Estimate:
    """Return the area under the ROC curve of some images.

    Args:
        positive: (N,).
        score: (N,).
        rows: (N,), which images count.
        groups: (N,), the number of each image's group.
    """
    ours = positive[rows], score[rows], groups[rows]
    held = n_groups_of_kind(ours[0], ours[2])
    value, of_positive, of_negative = auc_parts(*ours, int(groups.max()) + 1)
    observed = auc_covariance(ours[0][None], ours[1][None], ours[2])[1][0, 0]
    variance = shrunk_variance(value, float(observed), *held)
    return Estimate(value, variance, min(held), min(held), of_positive + of_negative)


def metric_estimate(metric: str, split: SplitPredictions, rows: NDArray[np.bool_], label: int | None) -> Estimate:
    """Return one of `METRICS` of some images.

    Args:
        metric: its name.
        split: all images.
        rows: (N,), which images count.
        label: melanoma's, or None.
    """
    answer = split.diagnosis
    if metric == "balanced_accuracy" or label is None:
        return balanced_accuracy(answer == split.label, split.label, rows, split.groups)
    melanoma = split.label == label
    if metric == "melanoma_auc":
        return auc(melanoma, split.probability[:, label], rows, split.groups)
    if metric == "melanoma_sensitivity":
        return proportion(answer == label, rows & melanoma, split.groups)
    return proportion(answer != label, rows & ~melanoma, split.groups)


def logits(estimates: list[Estimate]) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Return the logits of S estimates, (S,), their covariance, (S, S), and the correlation, (S, S)."""
    values, errors = np.array([one.logit() for one in estimates]).T
    influences = np.array([one.influence for one in estimates])
    products = influences @ influences.T
    spread = np.sqrt(np.outer(np.diag(products), np.diag(products)))
    # Not 1, but 0, where groups that are all right have nothing to say of how they vary together.
    correlation = np.divide(products, spread, out=np.eye(len(values)), where=spread > 0)
    return values, correlation * np.outer(errors, errors), correlation
