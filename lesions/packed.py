"""`pixels.npy` and its `index.csv`: all pictures of a stage in one array, row i of one being row i of the other."""

from collections.abc import Iterable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.lib.format import write_array_header_1_0
from numpy.typing import NDArray

from lesions.tables import read_csv


def write(folder: Path, index: pd.DataFrame, pictures: Iterable[NDArray[np.uint8]], shape: tuple[int, int]) -> None:
    """Write pictures one after the other, so that memory stays flat however many there are.

    Args:
        folder: gets `pixels.npy` (uint8, (N, height, width, 3)) and `index.csv`.
        index: N rows.
        pictures: N arrays, uint8, (height, width, 3), in the order of the index.
        shape: height and width.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "pixels.npy").open("wb") as file:
        write_array_header_1_0(file, {"descr": "|u1", "fortran_order": False, "shape": (len(index), *shape, 3)})
        for _, picture in zip(index.index, pictures, strict=True):
            file.write(np.ascontiguousarray(picture, dtype=np.uint8).data)
    index.to_csv(folder / "index.csv", index=False)


def read(folder: Path) -> tuple[NDArray[np.uint8], pd.DataFrame]:
    """Return the pixels, mapped into memory and not read yet, and the index, all of it text."""
    pixels: NDArray[np.uint8] = np.load(folder / "pixels.npy", mmap_mode="r", allow_pickle=False)
    return pixels, read_csv(folder / "index.csv")
