"""Feeding a network: batches of pixels in an order that the seed and the epoch alone decide."""

from collections.abc import Callable, Iterator, Sequence
from itertools import count

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]
Labels = NDArray[np.int64]


def gather(arrays: Sequence[Pixels], rows: NDArray[np.int64]) -> Pixels:
    """Return the pictures of `rows`, which count through all the arrays, one behind the other."""
    starts = np.cumsum([0, *[len(array) for array in arrays]])
    pictures = np.empty((len(rows), *arrays[0].shape[1:]), np.uint8)
    for array, start, end in zip(arrays, starts[:-1], starts[1:], strict=True):
        here = (rows >= start) & (rows < end)
        pictures[here] = array[rows[here] - start]
    return pictures


def endless(
    arrays: Sequence[Pixels], rows: NDArray[np.int64], labels: Labels, batch: int, seed: int
) -> tf.data.Dataset:
    """Return training batches without end, each epoch in an order of its own.

    One stream over all epochs, instead of one stream an epoch, so that reading ahead never races with
    shuffling.

    Args:
        arrays: uint8, (N, height, width, 3) each; they may be larger than memory.
        rows: the training pictures, counted through all the arrays.
        labels: the class of each of `rows`.
        batch: pictures a batch; an epoch's last one may be smaller.
        seed: what the orders are drawn from.
    """

    def stream() -> Iterator[tuple[Pixels, Labels]]:
        for epoch in count():
            order = np.random.default_rng([seed, epoch]).permutation(len(rows))
            yield from _batches(arrays, rows[order], labels[order], batch)

    return _dataset(stream, arrays)


def once(arrays: Sequence[Pixels], rows: NDArray[np.int64], labels: Labels, batch: int) -> tf.data.Dataset:
    """Return batches of each picture once, in the order of `rows`; see `endless`."""
    batches = _dataset(lambda: _batches(arrays, rows, labels, batch), arrays)
    return batches.apply(tf.data.experimental.assert_cardinality(steps(len(rows), batch)))


def _batches(
    arrays: Sequence[Pixels], rows: NDArray[np.int64], labels: Labels, batch: int
) -> Iterator[tuple[Pixels, Labels]]:
    for start in range(0, len(rows), batch):
        chosen = slice(start, start + batch)
        yield gather(arrays, rows[chosen]), labels[chosen]


def _dataset(stream: Callable[[], Iterator[tuple[Pixels, Labels]]], arrays: Sequence[Pixels]) -> tf.data.Dataset:
    signature = (
        tf.TensorSpec((None, *arrays[0].shape[1:]), tf.uint8),
        tf.TensorSpec((None,), tf.int64),
    )
    return tf.data.Dataset.from_generator(stream, output_signature=signature).prefetch(4)


def steps(pictures: int, batch: int) -> int:
    """Return the number of batches in an epoch."""
    return -(-pictures // batch)
