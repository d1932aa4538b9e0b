"""How similar two images are, kept by the bytes of both: of grown data, new pairs alone are compared."""

import hashlib
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import numpy as np
import scipy
from numpy.typing import NDArray

from lesions.images.content_cache import ContentCache, open_cache

Compare = Callable[[NDArray[np.int64]], NDArray[np.float64]]
"""Returns the similarity of each of (N, 2) pairs, NaN where they are no near-duplicates. It depends on the two images
alone, not on the pairs beside them."""


def open_similarities() -> AbstractContextManager[ContentCache]:
    """Open the cache of the pairs' similarities."""
    code = [Path(__file__).with_name(name) for name in ("near_duplicates.py", "pair_cache.py", "scan.py")]
    return open_cache("similarities", np.float64, code, scipy.__version__)


def compare_new(
    compare: Compare, pairs: NDArray[np.int64], sha256: Sequence[str], cache: ContentCache
) -> NDArray[np.float64]:
    """Return `compare(pairs)`; what the cache has is not compared again.

    Args:
        compare: see `Compare`.
        pairs: (N, 2), places in `sha256`.
        sha256: of each image's bytes.
        cache: of `open_similarities`.
    """
    keys = [hashlib.sha256(f"{sha256[one]} {sha256[other]}".encode()).digest() for one, other in pairs.tolist()]
    known = [cache.get(key) for key in keys]
    new = np.array([value is None for value in known], bool)
    similarity = np.array([np.nan if value is None else value for value in known], np.float64)
    similarity[new] = compare(pairs[new])
    for place in np.flatnonzero(new):
        cache.add(keys[place], similarity[place])
    return similarity
