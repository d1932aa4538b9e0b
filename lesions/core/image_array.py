"""`pixels.npy` and its `index.csv`: all images of a stage in one array, row i of one being row i of the other."""

import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.lib.format import write_array_header_1_0
from numpy.typing import NDArray

from lesions.core.csv_files import read_csv, write_csv
from lesions.core.errors import NO_ROOM, UserError, reading

WRITTEN_AT_ONCE = 1_048_576
"""Bytes handed to the system in one go: image by image takes it nearly twice the time."""


def write(folder: Path, index: pd.DataFrame, images: Iterable[NDArray[np.uint8]], shape: tuple[int, int]) -> None:
    """Write images one after the other, so that memory stays flat however many there are.

    Args:
        folder: gets `pixels.npy` (uint8, (N, height, width, 3)) and `index.csv`.
        index: N rows.
        images: N arrays, uint8, (height, width, 3), in the order of the index.
        shape: height and width.

    Raises:
        UserError: there is no room on the disk.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Under its own name only once it is whole.
    unfinished = folder / "pixels.npy.part"
    try:
        write_csv(index, folder / "index.csv")
        with unfinished.open("wb", buffering=WRITTEN_AT_ONCE) as file:
            write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (len(index), *shape, 3)})
            for _, image in zip(index.index, images, strict=True):
                file.write(np.ascontiguousarray(image, dtype=np.uint8).data)
        unfinished.replace(folder / "pixels.npy")
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        needed = len(index) * shape[0] * shape[1] * 3
        raise UserError(
            f"{folder / 'pixels.npy'} could not be written: {os.strerror(error.errno)}. It needs {needed / 1e6:,.0f} "
            f"MB ({len(index):,} images of {shape[0]}×{shape[1]} pixels). Make room, or lower prepare.image_size."
        ) from None


def read(folder: Path) -> tuple[NDArray[np.uint8], pd.DataFrame]:
    """Return the pixels, mapped into memory and not read yet, and the index, all of it text.

    Raises:
        UserError: one of them is missing or damaged, or they do not belong together.
    """
    file = folder / "pixels.npy"
    index = read_csv(folder / "index.csv")
    pixels = read_array(file)
    with reading(file):
        if pixels.dtype != np.uint8 or pixels.ndim != 4 or pixels.shape[3] != 3 or len(pixels) != len(index):
            raise ValueError(
                f"{pixels.dtype} {pixels.shape}; expected uint8 ({len(index)}, height, width, 3), as index.csv has"
            )
    return pixels, index


def read_array(file: Path) -> NDArray[Any]:
    """Return an array of a `.npy` file, mapped into memory and not read yet; no pickle is read.

    Raises:
        UserError: it is missing or damaged.
    """
    with reading(file):
        array: NDArray[Any] = np.load(file, mmap_mode="r", allow_pickle=False)
    return array
