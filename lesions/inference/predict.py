"""Run a network on images, deterministically.

An image gets the same bits whatever stands beside it in the batch: all batches are padded to one size, since the
processor's kernels add in an order that depends on the size (oneDNN, as TensorFlow uses it).
"""

from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeAlias

import keras
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

PADDED_SIZE = 16
"""At this size, unlike at 8 or 32, kernels for vectors of 16 floats treat every row of a batch but the last alike."""
BATCH_SIZE = PADDED_SIZE - 1
"""Images a batch: the last row is always padding, since kernels may compute the end of an array otherwise."""

Images: TypeAlias = NDArray[np.uint8]
Outputs: TypeAlias = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Features, (N, features), and probabilities, (N, classes)."""


def predict_batch(model: keras.Model, images: Images, tta: bool) -> Outputs:
    """Return the features and the probabilities of at most `BATCH_SIZE` images.

    Args:
        model: of `features.feature_model`.
        images: (N, height, width, 3).
        tta: test-time augmentation: average the probabilities over the `dihedral_views`. The features are those of the
            images as they are.
    """
    padded = np.concatenate([images, np.zeros((PADDED_SIZE - len(images), *images.shape[1:]), np.uint8)])
    views = dihedral_views(padded) if tta else [padded]
    # Through Keras's graph, which takes half the time of a direct call.
    outputs = [model.predict_on_batch(view) for view in views]
    mean: NDArray[np.float32] = np.mean([probabilities for _, probabilities in outputs], axis=0)
    return outputs[0][0][: len(images)], mean[: len(images)]


def predict_images(model: keras.Model, batches: Iterable[Images], n_images: int, tta: bool, desc: str) -> Outputs:
    """Return the features and the probabilities of many images, and show how far it is.

    Args:
        model: of `features.feature_model`.
        batches: of at most `BATCH_SIZE` images each, such as of `in_batches`.
        n_images: how many there are in all.
        tta: see `predict_batch`.
        desc: what the progress bar says.
    """
    features, probabilities = (np.empty((n_images, output.shape[-1]), np.float32) for output in model.outputs)
    done = 0
    with tqdm(total=n_images, desc=desc, unit=" images", disable=None) as progress:
        for outputs in _predict_two_at_a_time(model, batches, tta):
            rows = slice(done, done := done + len(outputs[0]))
            features[rows], probabilities[rows] = outputs
            progress.update(len(outputs[0]))
    return features, probabilities


def _predict_two_at_a_time(model: keras.Model, batches: Iterable[Images], tta: bool) -> Iterator[Outputs]:
    """Yield what `predict_batch` returns of each batch, in order: one batch alone leaves a core idle at times."""
    model.make_predict_function()  # once, not in each thread
    with ThreadPoolExecutor(2) as pool:
        started: deque[Future[Outputs]] = deque()
        for images in batches:
            started.append(pool.submit(predict_batch, model, images, tta))
            if len(started) > 2:
                yield started.popleft().result()
        while started:
            yield started.popleft().result()


def in_batches(images: Images) -> Iterator[Images]:
    """Yield images, (N, height, width, 3), `BATCH_SIZE` at a time."""
    for start in range(0, len(images), BATCH_SIZE):
        yield images[start : start + BATCH_SIZE]


def dihedral_views(images: Images) -> list[Images]:
    """Return the flips and quarter turns that keep the shape: eight of square images, else four.

    Args:
        images: (N, height, width, 3).
    """
    square = images.shape[1] == images.shape[2]
    turned = [np.rot90(images, turns, axes=(1, 2)) for turns in (range(4) if square else (0, 2))]
    return turned + [view[:, :, ::-1] for view in turned]
