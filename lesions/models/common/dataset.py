"""The parts of the data as a network sees them: rows of pixel arrays and numbers of classes."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesions.core import image_array as packed
from lesions.core.csv_files import read_csv
from lesions.taxonomy import ordered


class Parts(NamedTuple):
    """All pictures: the prepared ones, then the augmented copies.

    Attributes:
        arrays: uint8, (N, height, width, 3): the prepared pixels and the copies'.
        table: a row a picture of both arrays together, with `image_id`, `label` and `split`.
        classes: the diagnoses, in the taxonomy's order.
        protocol: `honest`, or what leaks from the training pictures to those that judge.
    """

    arrays: list[NDArray[np.uint8]]
    table: pd.DataFrame
    classes: list[str]
    protocol: str

    def rows(self, side: str) -> NDArray[np.int64]:
        """Return the rows of one side: train, val or test."""
        return np.flatnonzero(self.table["split"] == side)

    def labels(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Return the numbers of the classes of `rows`."""
        number = {label: place for place, label in enumerate(self.classes)}
        return np.array([number[label] for label in self.table["label"].iloc[rows]], np.int64)


def load(data: Path) -> Parts:
    """Bring together what prepare, split and rebalance wrote below `data`."""
    prepared, index = packed.read(data / "prepared")
    copies, copied = packed.read(data / "rebalanced")
    split = read_csv(data / "split/split.csv")
    originals = index.merge(split[["image_id", "split"]], on="image_id", validate="1:1")
    table = pd.concat([originals, copied[["image_id", "label", "split"]]], ignore_index=True)
    protocols = [*split["protocol"].unique(), *copied["protocol"].unique()]
    protocol = ", ".join(name for name in protocols if name != "honest") or "honest"
    return Parts([prepared, copies], table, ordered(set(index["label"])), protocol)
