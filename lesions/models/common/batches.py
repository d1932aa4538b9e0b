"""Feeding a network: batches of pixels in an order that the seed and the epoch alone decide.

Batch `i` depends on `i` alone. `stateful=False` tells TensorFlow so, since with op determinism it reads
nothing ahead from a source that might remember something, such as a generator: each step would wait for its batch.
"""

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Rows = NDArray[np.int64]
Labels = NDArray[np.int64]
Augment = Callable[[Pixels, Rows, int], Pixels]
"""Changes a batch: its pixels, its rows' numbers and the epoch's; see
`lesions.models.training.augmentation.Augmentation`."""


def take_rows(arrays: Sequence[Pixels], rows: Rows) -> Pixels:
    """Return the images of `rows`, which count through all the arrays, one behind the other."""
    starts = np.cumsum([0, *[len(array) for array in arrays[:-1]]])
    images = np.empty((len(rows), *arrays[0].shape[1:]), np.uint8)
    whose = np.searchsorted(starts, rows, side="right") - 1
    # One by one: with rows by the batch, NumPy copies each image twice.
    plain = [np.asarray(array) for array in arrays]
    for image, array, row in zip(images, whose.tolist(), (rows - starts[whose]).tolist(), strict=True):
        image[:] = plain[array][row]
    return images


def train_batches(
    arrays: Sequence[Pixels],
    rows: Rows,
    labels: Labels,
    batch: int,
    seed: int,
    augment: Augment | None = None,
    first_epoch: int = 0,
    probabilities: NDArray[np.float64] | None = None,
) -> tf.data.Dataset:
    """Return training batches without end, each epoch in an order of its own.

    One stream over all epochs, instead of one stream an epoch, so that reading ahead never races with
    shuffling.

    Args:
        arrays: uint8, (N, height, width, 3) each; they may be larger than memory.
        rows: the training images, counted through all the arrays.
        labels: the class of each of `rows`.
        batch: images a batch; an epoch's last one may be smaller.
        seed: random seed of the order.
        augment: what changes the images of a batch, if anything does.
        first_epoch: where the stream begins, as if the epochs before it had been seen.
        probabilities: of each of `rows` in each draw, with replacement; None: each comes once an epoch.
    """

    @lru_cache(maxsize=2)
    def shuffled(epoch: int) -> Rows:
        rng = np.random.default_rng([seed, epoch])
        if probabilities is None:
            return rng.permutation(len(rows))
        return rng.choice(len(rows), len(rows), p=probabilities)

    def numbered(number: int) -> tuple[Pixels, Labels]:
        epoch, place = divmod(number, n_steps(len(rows), batch))
        chosen = shuffled(epoch)[place * batch : (place + 1) * batch]
        pixels = take_rows(arrays, rows[chosen])
        return (augment(pixels, rows[chosen], epoch) if augment else pixels), labels[chosen]

    first = first_epoch * n_steps(len(rows), batch)
    return _read_ahead(tf.data.Dataset.counter(first), numbered, arrays)


def eval_batches(arrays: Sequence[Pixels], rows: Rows, labels: Labels, batch: int) -> tf.data.Dataset:
    """Return batches of each image once, in the order of `rows`; see `train_batches`."""

    def numbered(number: int) -> tuple[Pixels, Labels]:
        chosen = slice(number * batch, (number + 1) * batch)
        return take_rows(arrays, rows[chosen]), labels[chosen]

    return _read_ahead(tf.data.Dataset.range(n_steps(len(rows), batch)), numbered, arrays)


def _read_ahead(
    numbers: tf.data.Dataset, numbered: Callable[[int], tuple[Pixels, Labels]], arrays: Sequence[Pixels]
) -> tf.data.Dataset:
    """Return the batches of these numbers; while a step runs, the next ones are made."""

    def made(number: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        pixels, labels = tf.numpy_function(
            lambda number: numbered(int(number)), [number], (tf.uint8, tf.int64), stateful=False
        )
        return tf.ensure_shape(pixels, (None, *arrays[0].shape[1:])), tf.ensure_shape(labels, (None,))

    return numbers.map(made).prefetch(4)


def n_steps(n_images: int, batch_size: int) -> int:
    """Return the number of batches in an epoch."""
    return -(-n_images // batch_size)
