"""Tables of predictions: read, checked, and joined with what is known of each image."""

from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesions.core.csv_files import read_csv
from lesions.core.errors import UserError
from lesions.evaluation.common.decision_rule import UNCALIBRATED_ARGMAX, DecisionRule

IMAGE_COLUMNS = ["image_id", "split", "label", "leakage"]
"""Columns of a table of predictions that describe the image; those of the classes follow."""
TOLERANCE = 1e-4
"""By how much the sum of an image's probabilities, as float32, may differ from one."""


@dataclass(frozen=True)
class SplitPredictions:
    """The predictions of one split's images.

    Attributes:
        table: (N rows) `IMAGE_COLUMNS` and the columns of images.csv; "" where an image, such as an augmented one, is
            not in that.
        classes: their labels.
        label: (N,), the true labels, as integers.
        probability: (N, classes), each row summing to one, uncalibrated; thresholds are of these.
        calibrated: (N, classes), the same after calibration on validation; None where that is not known.
        groups: (N,), the number of each image's group; an image without one is its own.
        rule: how the diagnosis follows from `probability`.
    """

    table: pd.DataFrame
    classes: list[str]
    label: NDArray[np.int64]
    probability: NDArray[np.float64]
    calibrated: NDArray[np.float64] | None
    groups: NDArray[np.int64]
    rule: DecisionRule = UNCALIBRATED_ARGMAX

    def known_calibrated(self) -> NDArray[np.float64]:
        """Return the calibrated probabilities, of predictions that have them."""
        if self.calibrated is None:
            raise ValueError("these predictions are not calibrated")
        return self.calibrated

    def only(self, rows: NDArray[np.bool_]) -> "SplitPredictions":
        """Return some rows, (N,), as a split of their own."""
        groups = np.unique(self.groups[rows], return_inverse=True)[1]
        calibrated = None if self.calibrated is None else self.calibrated[rows]
        return SplitPredictions(
            self.table[rows], self.classes, self.label[rows], self.probability[rows], calibrated, groups, self.rule
        )

    @cached_property
    def diagnosis(self) -> NDArray[np.int64]:
        """The predicted labels, (N,), as integers."""
        return self.rule.answers(self.probability)

    @property
    def n_groups(self) -> int:
        """How many groups there are."""
        return len(set(self.groups))


def read_images(data: Path) -> pd.DataFrame:
    """Return images.csv with the column `split` of split.csv, one row per image, all text.

    Args:
        data: the pipeline's folder, with clean/ and split/.
    """
    split = read_csv(data / "split/split.csv")[["image_id", "split"]]
    return read_csv(data / "clean/images.csv").merge(split, on="image_id", validate="1:1")


def read(file: Path, images: pd.DataFrame, classes: list[str], extra_columns: tuple[str, ...] = ()) -> pd.DataFrame:
    """Read a table of predictions, with the classes' columns as numbers.

    Args:
        file: such as `data/predictions/predictions.csv`.
        images: as of `read_images`.
        classes: the labels of classes.csv.
        extra_columns: those beside `IMAGE_COLUMNS` that are no class.

    Raises:
        UserError: see `check_predictions`.
    """
    return check_predictions(read_csv(file), str(file), images, classes, extra_columns)


def check_predictions(
    table: pd.DataFrame, file: str, images: pd.DataFrame, classes: list[str], extra_columns: tuple[str, ...] = ()
) -> pd.DataFrame:
    """Return a table of predictions with the classes' columns as numbers, in the order of `classes`.

    Args:
        table: all of it as text.
        file: its name for the messages.
        images: as for `read`.
        classes: as for `read`.
        extra_columns: as for `read`; an image may stand there once for each of their values. With them a part of a
            split is enough.

    Raises:
        UserError: the predictions are of other classes or of another split, name an image twice or leave some of a
            split out, or are no probabilities.
    """
    columns = [*IMAGE_COLUMNS, *extra_columns]
    missing = [column for column in columns if column not in table]
    if missing:
        raise UserError(f"{file} has no column {', '.join(missing)}. Run `dvc repro predict --force`.")
    held = [str(column) for column in table if column not in columns]
    if set(held) != set(classes) or not set(table["label"]) <= set(classes):
        raise UserError(
            f"{file} is of the classes {', '.join(held)}, and data/clean/classes.csv names {', '.join(classes)}; the "
            f"labels are {', '.join(sorted(set(table['label'])))}. Run `dvc repro`."
        )
    found = table[["image_id", "split"]].merge(images[["image_id", "split"]], on="image_id")
    moved = found[found["split_x"] != found["split_y"]]
    if len(moved):
        first = moved.iloc[0]
        raise UserError(
            f"{file} is of another split: it has {first['image_id']} on {first['split_x']}, and data/split/split.csv "
            f"on {first['split_y']} ({len(moved):,} such images). Run `dvc repro`."
        )
    twice = table["image_id"][table.duplicated(["image_id", *extra_columns])]
    if len(twice):
        raise UserError(
            f"{file} has {twice.iloc[0]} twice ({len(twice):,} such rows). Run `dvc repro predict --force`."
        )
    # A split without any row passes; the caller checks that none is missing.
    due = images.loc[images["split"].isin(set(table["split"])), "image_id"]
    left_out = due[~due.isin(table["image_id"])]
    if len(left_out) and not extra_columns:
        raise UserError(
            f"{file} leaves out {left_out.iloc[0]}, which data/split/split.csv names ({len(left_out):,} of them). "
            "A part of a split is not that split. Run `dvc repro predict --force`."
        )
    numbers = table[held].apply(pd.to_numeric, errors="coerce")
    wrong = ~((numbers >= 0).all(axis=1) & ((numbers.sum(axis=1) - 1).abs() < TOLERANCE))
    if wrong.any():
        row = int(np.flatnonzero(wrong)[0])
        raise UserError(
            f"{file}, row {row + 1} ({table['image_id'].iloc[row]}): expected probabilities that sum to one, found "
            f"{', '.join(table[held].iloc[row])} ({int(wrong.sum()):,} such rows). Did training diverge? Its losses "
            "are in plots/history.csv."
        )
    return table[columns].join(numbers[classes].astype(np.float32))


def split_predictions(
    predictions: pd.DataFrame,
    images: pd.DataFrame,
    rule: DecisionRule,
    calibrated: pd.DataFrame | None = None,
) -> SplitPredictions:
    """Return the predictions of some images with what is known of these.

    Args:
        predictions: rows of `read`.
        images: as of `read_images`.
        rule: of the diagnosis.
        calibrated: the same rows after calibration.
    """
    classes = [str(column) for column in predictions if column not in IMAGE_COLUMNS]
    known = images.drop(columns=["label", "split", "leakage"], errors="ignore")
    table = predictions[IMAGE_COLUMNS].merge(known, on="image_id", how="left").fillna("")
    group = table["group_id"].where(table["group_id"] != "", table["image_id"])
    return SplitPredictions(
        table,
        classes,
        table["label"].map(classes.index).to_numpy(np.int64),
        predictions[classes].to_numpy(np.float64),
        None if calibrated is None else calibrated[classes].to_numpy(np.float64),
        np.unique(group, return_inverse=True)[1],
        rule,
    )


def by_lesion(split: SplitPredictions) -> SplitPredictions | None:
    """Return one row per lesion, with the mean of its images' probabilities; None where no lesion is known.

    An image whose lesion is not known stands for itself, and so do images of one lesion with another diagnosis.
    """
    lesion = split.table["lesion_id"]
    if (lesion == "").all():
        return None
    lesion = lesion.where(lesion != "", "image " + split.table["image_id"])
    _, first, number = np.unique(lesion + " " + split.table["label"], return_index=True, return_inverse=True)
    sums = np.stack([np.bincount(number, weights=column) for column in split.probability.T], axis=1)
    probability = sums / np.bincount(number)[:, None]
    groups = np.unique(split.groups[first], return_inverse=True)[1]
    return SplitPredictions(
        split.table.iloc[first], split.classes, split.label[first], probability, None, groups, split.rule
    )
