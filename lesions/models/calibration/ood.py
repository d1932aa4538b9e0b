"""The out-of-distribution (OOD) score: how far is an image from the training images?

Where an image shows no lesion, the model's prediction means nothing. The score is the Mahalanobis distance, squared,
to the nearest class's mean, in the features that the last layer sees, under one covariance for all classes (Lee et al.,
A Simple Unified Framework for Detecting Out-of-Distribution Samples and Adversarial Attacks, NeurIPS 2018, without its
noise and its ensemble of layers). Unlike there, each class counts the same in the covariance: else nevi decide, and
every other vascular lesion is strange. docs/evaluate.md has what it was chosen among.
"""

import io
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf
from threadpoolctl import threadpool_limits

from lesions.core.deterministic_zip import write_archive
from lesions.core.errors import UserError

Features = NDArray[np.floating]

FILE = "ood.npz"
MIN_RELATIVE_VARIANCE = 1e-6
"""Directions in which the training images vary less than this fraction of the greatest variance count as much."""


@dataclass(frozen=True)
class OodReference:
    """What is kept of the training images.

    Attributes:
        means: float32, (classes that occur, features).
        whitening: float32, (features, features): what differences from a mean are multiplied with, so that the
            training images vary by 1 in every direction, each class counting the same.
    """

    means: NDArray[np.float32]
    whitening: NDArray[np.float32]


def fit_reference(features: Features, labels: NDArray[np.int64]) -> OodReference:
    """Return the reference of training images.

    The covariance is shrunk as Ledoit and Wolf do (J. Multivariate Analysis 88, 2004), since there may be more
    features than images.

    Args:
        features: (N, features).
        labels: (N,), their labels, as integers.
    """
    features = features.astype(np.float64)
    classes, whose, images = np.unique(labels, return_inverse=True, return_counts=True)
    means = np.stack([features[labels == label].mean(axis=0) for label in classes])
    even = np.sqrt(len(labels) / len(classes) / images[whose])
    with threadpool_limits(1):  # else the last bits depend on the number of cores
        covariance = LedoitWolf(assume_centered=True).fit((features - means[whose]) * even[:, None]).covariance_
        variances, directions = np.linalg.eigh(covariance)
    largest = float(variances.max())
    variances = np.maximum(variances, largest * MIN_RELATIVE_VARIANCE if largest > 0 else 1)
    return OodReference(means.astype(np.float32), (directions / np.sqrt(variances)).astype(np.float32))


def score(reference: OodReference, features: Features) -> NDArray[np.float32]:
    """Return (N,), the score of each image; of the training images about the number of features, or less.

    Args:
        reference: of `fit_reference`.
        features: (N, features).
    """
    whitening = reference.whitening.astype(np.float64)
    with threadpool_limits(1):
        whitened = features.astype(np.float64) @ whitening
        means = reference.means.astype(np.float64) @ whitening
        nearest: NDArray[np.float64] = np.min([((whitened - mean) ** 2).sum(axis=1) for mean in means], axis=0)
    return nearest.astype(np.float32)  # the rest hangs on how many images are scored at once


def save(reference: OodReference, path: Path) -> None:
    """Write a reference as a NumPy archive whose bytes depend on it alone."""
    members = []
    for name in ("means", "whitening"):
        content = io.BytesIO()
        np.save(content, getattr(reference, name), allow_pickle=False)
        members.append((f"{name}.npy", content.getvalue()))
    path.parent.mkdir(parents=True, exist_ok=True)
    write_archive(path, members)


def load(path: Path) -> OodReference:
    """Read what `save` wrote; no pickle is.

    Raises:
        UserError: it is something else.
    """
    try:
        with np.load(path, allow_pickle=False) as archive:
            means, whitening = archive["means"], archive["whitening"]
    except (ValueError, KeyError, TypeError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise UserError(f"{path} is no out-of-distribution reference ({error}). Run `dvc repro calibrate`.") from None
    wide = means.shape[-1] if means.ndim == 2 and len(means) else 0
    if not wide or whitening.shape != (wide, wide) or {means.dtype, whitening.dtype} != {np.dtype(np.float32)}:
        raise UserError(
            f"{path} holds means of {means.dtype}, {means.shape}, and a whitening of {whitening.dtype}, "
            f"{whitening.shape}; expected float32, (classes, n) and (n, n). Run `dvc repro calibrate`."
        )
    if not (np.isfinite(means).all() and np.isfinite(whitening).all()):
        raise UserError(f"{path} holds NaN or infinity; expected finite numbers. Run `dvc repro calibrate`.")
    return OodReference(means, whitening)
