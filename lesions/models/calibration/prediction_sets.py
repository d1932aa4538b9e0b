"""Prediction sets: the diagnoses that cannot be excluded, by split conformal prediction for each class.

A class is in an image's set where its calibrated probability is at least as large as nearly all of validation's images
of that class have it. Where new lesions are like those of validation, the set then holds the true class of nine in ten
lesions of each class, whatever the network (Vovk, Conditional validity of inductive conformal predictors, ACML 2012).
A group counts once, however many images it has (Dunn, Wasserman and Ramdas, Distribution-free prediction sets for
two-layer hierarchical models, JASA 118, 2023: pooling of the distribution functions).
"""

import numpy as np
from numpy.typing import NDArray

from lesions.evaluation.common.thresholds import PredictionSets

COVERAGE = 0.9
"""The fraction of each class's lesions whose set is to hold it."""


def fit_prediction_sets(
    label: NDArray[np.int64], calibrated: NDArray[np.floating], groups: NDArray[np.object_], classes: list[str]
) -> PredictionSets:
    """Return of each class the least probability with which it is in a set.

    Args:
        label: (N,), the true labels, as integers, of validation.
        calibrated: (N, classes).
        groups: (N,), each image's group.
        classes: labels of the columns.
    """
    least = {
        name: least_probability(calibrated[label == number, number], groups[label == number])
        for number, name in enumerate(classes)
    }
    return PredictionSets(coverage=COVERAGE, least_probability=least)


def least_probability(probability: NDArray[np.floating], groups: NDArray[np.object_]) -> float:
    """Return the lowest probability at which a class is in the set: of n groups, the k-th smallest, k = ⌊0.1 (n + 1)⌋.

    The images of a group share one vote.

    Args:
        probability: (N,), of the class, of images of the class.
        groups: (N,), each image's group.

    Returns:
        0, which excludes the class nowhere, with fewer than nine groups: they cannot tell what one in ten has.
    """
    _, whose, n_images = np.unique(groups, return_inverse=True, return_counts=True)
    allowed = np.floor((1 - COVERAGE) * (len(n_images) + 1) + 1e-9)
    if not allowed:
        return 0.0
    order = np.argsort(probability, kind="stable")
    below = np.cumsum(1 / n_images[whose[order]])
    return float(probability[order][np.searchsorted(below, allowed - 1e-9)])
