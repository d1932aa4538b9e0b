"""Read each image once, to its last byte: can it be decoded, and its hash, size, skin tone and fingerprint."""

import hashlib
import io
from contextlib import AbstractContextManager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from lesions.archives import read_members
from lesions.audit import near_duplicates, skin_tone
from lesions.audit.near_duplicates import COLOUR_SIZE, SIZE, Fingerprint, fingerprint
from lesions.audit.skin_tone import estimate_ita
from lesions.audit.temporary_array import temporary_array
from lesions.images.content_cache import ContentCache, Value, cached_map, open_cache
from lesions.images.decode import FORMATS, decode_image

VALUE = np.dtype(
    [
        *(("height", "<i4"), ("width", "<i4"), ("ita", "S8")),
        *(("luma", "u1", (SIZE, SIZE)), ("colour", "<f4", (2, COLOUR_SIZE, COLOUR_SIZE))),
    ]
)
"""What the cache keeps of an image that can be used."""
CODE = (__file__, near_duplicates.__file__, skin_tone.__file__)
"""The modules that compute it."""
EMPTY_FINGERPRINT = Fingerprint(np.zeros((SIZE, SIZE), np.uint8), np.zeros((2, COLOUR_SIZE, COLOUR_SIZE), np.float32))


class ImageScan(NamedTuple):
    """What was found of one image.

    Attributes:
        sha256: of its bytes, or "".
        height: in pixels, as stored; 0 where there is a problem.
        width: the same.
        ita: of `estimate_ita`, in degrees, or "".
        problem: why it cannot be used, or "".
    """

    sha256: str
    height: int
    width: int
    ita: str
    problem: str


def open_scans() -> AbstractContextManager[ContentCache]:
    """Open the cache of what was found of images."""
    return open_cache("scans", VALUE, [Path(file) for file in CODE], "")


def scan_images(
    raw: Path, found: pd.DataFrame, cache: ContentCache | None = None
) -> tuple[pd.DataFrame, NDArray[np.uint8], NDArray[np.float32]]:
    """Read each image once.

    Args:
        raw: the folder of the archives.
        found: one row per image, with `archive` and `member`.
        cache: of `open_scans`, if what is found is to be kept.

    Returns:
        The rows with the columns of `ImageScan`; and what `find_near_duplicates` needs of each: uint8, (N, 64, 64), and
        float32, (N, 2, 8, 8).
    """
    members = list(zip(found["archive"], found["member"], strict=True))
    luma = temporary_array((len(members), *EMPTY_FINGERPRINT.luma.shape), np.uint8)
    colour = temporary_array((len(members), *EMPTY_FINGERPRINT.colour.shape), np.float32)
    rows = []
    scans = cached_map(_scan, read_members(raw, members), len(members), cache, _pack, _unpack, desc="reading")
    for row, (scan, fingerprint_) in enumerate(scans):
        rows.append(scan)
        luma[row], colour[row] = fingerprint_
    columns = pd.DataFrame(rows, columns=ImageScan._fields, index=found.index)
    return pd.concat([found, columns], axis=1), luma, colour


def _scan(content: bytes | ValueError) -> tuple[ImageScan, Fingerprint]:
    try:
        if isinstance(content, ValueError):
            raise content
        # libjpeg may decode at a smaller scale, but reads every byte: a truncated file is found.
        pixels = decode_image(content, SIZE, SIZE)
    except ValueError as error:
        return ImageScan("", 0, 0, "", str(error)), EMPTY_FINGERPRINT
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        width, height = image.size
    # Of a quarter of the pixels: with all of them, half of the angles move by 0.1 degrees or less.
    ita = estimate_ita(pixels[::2, ::2])
    degrees = "" if ita is None else f"{ita:.1f}"
    return ImageScan(hashlib.sha256(content).hexdigest(), height, width, degrees, ""), fingerprint(pixels)


def _pack(found: tuple[ImageScan, Fingerprint]) -> Value | None:
    scan, kept = found
    if scan.problem:
        return None
    return np.array((scan.height, scan.width, scan.ita.encode(), kept.luma, kept.colour), VALUE)


def _unpack(sha256: bytes, value: Value) -> tuple[ImageScan, Fingerprint]:
    scan = ImageScan(sha256.hex(), int(value["height"]), int(value["width"]), bytes(value["ita"]).decode(), "")
    return scan, Fingerprint(value["luma"], value["colour"])
