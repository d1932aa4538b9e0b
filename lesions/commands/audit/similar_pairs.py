"""Pairs of images that may show one lesion photographed again: near in a network's features, and in no common group."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Floats = NDArray[np.float32]

MAX_SIMILARITIES = 20_000_000
"""Computed at once, 80 MB: all pairs of many images would not fit into memory."""


def whiten(features: Floats, whitening: Floats) -> Floats:
    """Return features as unit vectors whose product is the similarity of two images, (N, features).

    Whitened, each direction counts by how rarely images of one class differ in it; without that, a few directions in
    which all lesions of a class agree decide (as in retrieval: Jégou and Chum, ECCV 2012).

    Args:
        features: (N, features).
        whitening: (features, features), as of an out-of-distribution reference of the training images.
    """
    vectors: Floats = (features - features.mean(axis=0)) @ whitening
    vectors /= np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
    return vectors


def nearest_of_other_groups(vectors: Floats, groups: NDArray[np.int64]) -> tuple[NDArray[np.int64], Floats]:
    """Return each image's nearest image of another group, and their similarity, the cosine; -1 and -inf without any.

    Args:
        vectors: (N, features), of length 1.
        groups: (N,), the number of each image's group.
    """
    nearest, similarity = np.full(len(vectors), -1), np.full(len(vectors), -np.inf, np.float32)
    step = max(1, MAX_SIMILARITIES // max(1, len(vectors)))
    for start in range(0, len(vectors), step):
        rows = slice(start, start + step)
        products = vectors[rows] @ vectors.T
        products[groups[rows, None] == groups] = -np.inf
        best = products.argmax(axis=1)
        similarity[rows] = products[np.arange(len(best)), best]
        nearest[rows] = np.where(similarity[rows] > -np.inf, best, -1)
    return nearest, similarity


def rank_pairs(vectors: Floats, groups: NDArray[np.int64]) -> pd.DataFrame:
    """Pair each image with the nearest of another group, the pair that most probably shows one lesion first.

    Args:
        vectors: see `nearest_of_other_groups`.
        groups: the same.

    Returns:
        One row per pair: `one` < `other`, rows of the arguments; `similarity`; and `mutual`, whether each is the
        other's nearest. Mutual pairs come first, and then the most similar.
    """
    nearest, similarity = nearest_of_other_groups(vectors, groups)
    rows = np.flatnonzero(nearest >= 0)
    one, other = np.sort([rows, nearest[rows]], axis=0)
    pairs = pd.DataFrame({"one": one, "other": other, "similarity": similarity[rows]})
    pairs["mutual"] = nearest[nearest[rows]] == rows
    order = ["mutual", "similarity", "one", "other"]
    pairs = pairs.drop_duplicates(["one", "other"])
    return pairs.sort_values(order, ascending=[False, False, True, True], ignore_index=True)
