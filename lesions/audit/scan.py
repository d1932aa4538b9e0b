"""Reading each picture once, to its last byte: can it be used, what are its bytes, and what does it look like?"""

import hashlib
import io
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from lesions.archives import read_members
from lesions.audit.near_duplicates import COLOUR_SIDE, SIDE, Fingerprint, fingerprint
from lesions.images import decode as pictures
from lesions.images.parallel_map import parallel_map

NOTHING = Fingerprint(np.zeros((SIDE, SIDE), np.uint8), np.zeros((2, COLOUR_SIDE, COLOUR_SIDE), np.float32))


class Seen(NamedTuple):
    """What looking at one picture told.

    Attributes:
        sha256: of its bytes, or "".
        height: in pixels, as stored; 0 where there is a problem.
        width: the same.
        problem: why it cannot be used, or "".
    """

    sha256: str
    height: int
    width: int
    problem: str


def look_at(
    raw: Path, found: pd.DataFrame, workers: int = -1
) -> tuple[pd.DataFrame, NDArray[np.uint8], NDArray[np.float32]]:
    """Read each picture once.

    Args:
        raw: the folder of the archives.
        found: a row a picture, with `archive` and `member`.
        workers: how many threads; -1 for one a core.

    Returns:
        The rows with the columns of `Seen`; and what `find_near_copies` needs of each: uint8, (N, 64, 64), and
        float32, (N, 2, 8, 8).
    """
    members = list(zip(found["archive"], found["member"], strict=True))
    looks = parallel_map(_look, read_members(raw, members), len(members), desc="looking at", workers=workers)
    luma = np.zeros((len(members), *NOTHING.luma.shape), np.uint8)
    colour = np.zeros((len(members), *NOTHING.colour.shape), np.float32)
    rows = []
    for row, (seen, print_) in enumerate(looks):
        rows.append(seen)
        luma[row], colour[row] = print_
    columns = pd.DataFrame(rows, columns=Seen._fields, index=found.index)
    return pd.concat([found, columns], axis=1), luma, colour


def _look(content: bytes | ValueError) -> tuple[Seen, Fingerprint]:
    if isinstance(content, ValueError):
        return Seen("", 0, 0, str(content)), NOTHING
    try:
        # libjpeg may decode at a smaller scale, but reads every byte: a truncated file is found.
        pixels = pictures.to_pixels(content, SIDE, SIDE)
    except ValueError as error:
        return Seen("", 0, 0, str(error)), NOTHING
    with Image.open(io.BytesIO(content), formats=pictures.FORMATS) as image:
        width, height = image.size
    return Seen(hashlib.sha256(content).hexdigest(), height, width, ""), fingerprint(pixels)
