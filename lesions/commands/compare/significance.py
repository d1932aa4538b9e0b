"""Would two models that are equally good differ by as much? Tests that count groups, not images.

Images of one lesion are alike, and tests that take each for a piece of evidence of its own find differences that are
none. Both tests here are the well-known ones where every group is one image.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.stats import norm

from lesions.evaluation.auc_interval import auc_covariance, n_groups_of_kind


def mcnemar(surplus: NDArray[np.int64], groups: NDArray[np.int64]) -> float:
    """Return the two-sided p of as large a difference in accuracy, had in every group chance named the models.

    With one image a group it is McNemar's exact test (Psychometrika 12, 1947). With more, a group's images are
    exchanged together, in Fisher's randomisation of signs (The Design of Experiments, 1935, section 21); the p is of
    all the ways to do so, not of a sample of them.

    Args:
        surplus: (N,), 1 where the second model alone is right, -1 where the first alone is, 0 elsewhere.
        groups: (N,), the number of each image's group.
    """
    of_group = np.bincount(groups, weights=surplus).astype(np.int64)
    chance = np.ones(1)  # of each sum of the groups so far, from the least to the largest, in steps of one
    for size in np.abs(of_group[of_group != 0]):
        chance = (np.pad(chance, (0, 2 * size)) + np.pad(chance, (2 * size, 0))) / 2
    sums = np.arange(len(chance)) - len(chance) // 2
    return min(1.0, float(chance[np.abs(sums) >= abs(of_group.sum())].sum()))


@dataclass(frozen=True)
class Areas:
    """Two areas under the ROC curve, of the same images.

    Attributes:
        auc: (2,).
        covariance: (2, 2), of the two estimates.
        p: of the two-sided test that they are alike; None where their difference has no spread, as of equal rankings.
    """

    auc: NDArray[np.float64]
    covariance: NDArray[np.float64]
    p: float | None


def delong(positive: NDArray[np.bool_], scores: NDArray[np.float64], groups: NDArray[np.int64]) -> Areas | None:
    """Test whether two scores rank the positive images before the others equally well.

    DeLong, DeLong and Clarke-Pearson's test (Biometrics 44, 1988), with the variance of `auc_covariance` for images in
    groups. It is of large samples: with a dozen positive groups, p is a rough guide.

    Args:
        positive: (N,).
        scores: (2, N).
        groups: (N,), the number of each image's group.

    Returns:
        None with fewer than two groups that hold positives, or fewer than two that hold others.
    """
    if min(n_groups_of_kind(positive, groups)) < 2:
        return None
    auc, covariance = auc_covariance(positive[None], scores, groups)
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    if variance < np.finfo(np.float64).eps:
        return Areas(auc, covariance, None)
    return Areas(auc, covariance, float(2 * norm.sf(abs(auc[1] - auc[0]) / np.sqrt(variance))))
