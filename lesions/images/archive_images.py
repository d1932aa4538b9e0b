"""Decode images from zip archives on all cores."""

from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesions.archives import read_members
from lesions.core.errors import UserError
from lesions.images.content_cache import ContentCache, cached_map
from lesions.images.parallel_map import parallel_map

Pixels = NDArray[np.uint8]


def decode_members(
    raw: Path,
    members: pd.DataFrame,
    decode: Callable[[bytes], Pixels],
    desc: str = "decoding",
    *,
    workers: int = -1,
    use_cluster: bool = True,
    cache: ContentCache | None = None,
) -> Iterator[Pixels]:
    """Yield the pixels of images that the clean stage found good, in order.

    Threads, since Pillow decodes and resizes without Python's lock, and no image is copied between processes.

    Args:
        raw: the folder of the archives.
        members: one row per image, with `archive` and `member`.
        decode: makes a file's bytes into pixels.
        desc: says in the progress bar what is done.
        workers: the number of threads; -1 for one per core.
        use_cluster: see `parallel_map`.
        cache: of what `decode` makes, if it is to be kept.

    Raises:
        UserError: an image can no longer be read.
    """
    contents = read_members(raw, zip(members["archive"], members["member"], strict=True))
    one = partial(_decode_one, decode=decode, raw=raw)
    if cache is None:
        return parallel_map(one, contents, len(members), desc=desc, workers=workers, use_cluster=use_cluster)
    return cached_map(
        one, contents, len(members), cache, lambda pixels: pixels, lambda _, pixels: pixels, desc=desc, workers=workers
    )


def _decode_one(content: bytes | ValueError, decode: Callable[[bytes], Pixels], raw: Path) -> Pixels:
    if isinstance(content, ValueError):
        raise UserError(f"an image in {raw} was good before and no longer is: {content}") from content
    return decode(content)
