"""The data as a network sees them: rows of pixel arrays, and integer labels."""

from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesions.core import image_array
from lesions.core.csv_files import read_csv
from lesions.core.merged_ids import is_merged
from lesions.models.common.batches import take_rows


class Dataset(NamedTuple):
    """All images: the prepared ones, then the augmented ones.

    Attributes:
        arrays: uint8, (N, height, width, 3): the prepared pixels and those of augmented images.
        table: one row per image of both arrays together, with `image_id`, `label`, `split` and `collection`.
        classes: labels of the classes, in the order of classes.csv.
        leakage: `none`, or what leaks from the training images to those of validation and test.
    """

    arrays: list[NDArray[np.uint8]]
    table: pd.DataFrame
    classes: list[str]
    leakage: str

    def rows(self, split: str, *, augmented: bool = True) -> NDArray[np.int64]:
        """Return the rows of a split, (N,).

        Args:
            split: train, val or test.
            augmented: with the augmented images in it.
        """
        rows = np.flatnonzero(self.table["split"] == split)
        return rows if augmented else rows[rows < len(self.arrays[0])]

    def labels(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return (N,), the labels of `rows`, as integers."""
        encoded = {label: integer for integer, label in enumerate(self.classes)}
        return np.array([encoded[label] for label in self.table["label"].iloc[rows]], np.int64)

    def collections(self, rows: NDArray[np.int64]) -> NDArray[np.str_]:
        """Return (N,), the merged collection of each of `rows`; "" where the data is not merged."""
        return self.table["collection"].iloc[rows].to_numpy(np.str_)

    def batches(self, rows: NDArray[np.int64], batch_size: int) -> Iterator[NDArray[np.uint8]]:
        """Yield the pixels of `rows`, `batch_size` images at a time."""
        for start in range(0, len(rows), batch_size):
            yield take_rows(self.arrays, rows[start : start + batch_size])


def load(data: Path) -> Dataset:
    """Join what clean, split, prepare and rebalance wrote below `data`."""
    prepared, index = image_array.read(data / "prepared")
    augmented, augmented_index = image_array.read(data / "rebalanced")
    split = read_csv(data / "split/split.csv")
    split["collection"] = split["collection"] if is_merged(split) else ""
    originals = index.merge(split[["image_id", "split", "collection"]], on="image_id", validate="1:1")
    collection = augmented_index["original"].map(originals.set_index("image_id")["collection"])
    made = augmented_index[["image_id", "label", "split"]].assign(collection=collection)
    table = pd.concat([originals, made], ignore_index=True)
    found = [*split["leakage"].unique(), *augmented_index["leakage"].unique()]
    leakage = ", ".join(name for name in found if name != "none") or "none"
    classes = read_csv(data / "clean/labels.csv")["label"]
    return Dataset([prepared, augmented], table, list(classes), leakage)
