"""Find the pairs of near vectors among hundreds of thousands, the same on every machine.

In many dimensions a tree has next to nothing to prune: it compares nearly all with all, one by one. A matrix product
compares them many times faster. Its sums are of whole numbers, which are exact in whatever order a processor adds
them, so that the number of cores changes nothing.
"""

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits

from lesions.images.parallel_map import parallel_map

Floats = NDArray[np.float32]
Pairs = NDArray[np.int64]

STEPS = 512
"""Steps to which 1 is rounded."""
MAX_LENGTH = 4.0
"""Longer vectors are shortened, which brings none farther apart. With it no sum reaches 2²⁴, up to which float32 holds
whole numbers and their halves."""
ROWS, COLUMNS = 1024, 8192
"""Vectors compared with so many others at once."""
SOME = 10_000
"""Vectors by which the axis of the greatest difference is found: any axis gives the same pairs."""
ROW_BITS, VECTOR_BITS = 10, 30
"""Bits in which a row of `ROWS` and a number of a vector have room; the others of 63 are for the distance."""


def near_pairs(vectors: Floats, radius: float, neighbours: int) -> Pairs:
    """Return the pairs of vectors of which one is among the nearest of the other.

    Args:
        vectors: (N, D).
        radius: how far apart they may be.
        neighbours: how many of each one's nearest count; of equally near ones the first.

    Returns:
        int64, (M, 2), the smaller row first, sorted.
    """
    if len(vectors) < 2:
        return np.zeros((0, 2), np.int64)
    places = _whole(vectors)
    # Sorted along the axis on which they differ most, what lies beyond the radius there is passed over.
    some = places[:: 1 + len(places) // SOME]
    along = places @ np.linalg.eigh(np.atleast_2d(np.cov(some, rowvar=False)))[1][:, -1].astype(np.float32)
    order = np.argsort(along)
    along, places = along[order], places[order]
    half_squares = (places**2).sum(axis=1) / 2
    reach = radius * STEPS + 1  # one more for what the axis is rounded by
    limit = np.float32((radius * STEPS) ** 2 / 2)

    def nearest(start: int) -> NDArray[np.int64]:
        rows = slice(start, start + ROWS)
        first, end = np.searchsorted(along, [along[rows][0] - reach, along[rows][-1] + reach])
        keys = []
        for column in range(first, end, COLUMNS):
            columns = slice(column, min(column + COLUMNS, end))
            products = places[rows] @ places[columns].T
            products -= half_squares[columns]
            row, other = np.nonzero(products >= half_squares[rows, None] - limit)
            half_distance = half_squares[rows][row] - products[row, other]
            other = order[columns][other]
            itself = order[rows][row] == other
            distance = (2 * half_distance[~itself]).astype(np.int64)
            keys.append((row[~itself] << (63 - ROW_BITS)) | (distance << VECTOR_BITS) | other[~itself])
        key = np.sort(np.concatenate(keys))
        row, other = key >> (63 - ROW_BITS), key & (2**VECTOR_BITS - 1)
        rank = np.arange(len(row)) - np.searchsorted(row, row)
        one, other = order[rows][row][rank < neighbours], other[rank < neighbours]
        pair: NDArray[np.int64] = np.minimum(one, other) * len(vectors) + np.maximum(one, other)
        return pair

    starts = range(0, len(vectors), ROWS)
    with threadpool_limits(1):  # each of the threads below multiplies by itself
        blocks = parallel_map(nearest, starts, len(starts), desc="looking for near", unit=" blocks", use_cluster=False)
        found = np.unique(np.concatenate(list(blocks)))
    pairs: Pairs = np.stack(np.divmod(found, len(vectors)), axis=1)
    return pairs


def _whole(vectors: Floats) -> Floats:
    """Return the vectors in whole `STEPS`, none longer than `MAX_LENGTH`."""
    length = np.sqrt((vectors**2).sum(axis=1, keepdims=True))
    whole: Floats = np.rint(vectors * (STEPS * np.minimum(1, MAX_LENGTH / np.maximum(length, np.float32(1e-6)))))
    return whole
