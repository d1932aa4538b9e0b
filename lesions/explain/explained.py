"""The images that `explain` shows: one split's originals, with their pixels, predictions and features."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesions.core import image_array
from lesions.core.csv_files import read_csv
from lesions.core.errors import UserError
from lesions.evaluation.common import predictions


class ExplainedSplit(NamedTuple):
    """The images of one split, augmented ones left out.

    Attributes:
        split: test, or val.
        leakage: `none`, or what leaks.
        classes: labels of the classes.
        ids: (N,), image_id.
        pixels: uint8, (all images, height, width, 3), not read yet.
        rows: (N,), rows of `pixels`.
        labels: (N,), the true labels, as integers.
        probability: (N, classes).
        features: float32, (N, features).
    """

    split: str
    leakage: str
    classes: list[str]
    ids: list[str]
    pixels: NDArray[np.uint8]
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    probability: NDArray[np.float64]
    features: NDArray[np.float32]


def read(data: Path, splits: Sequence[str]) -> ExplainedSplit:
    """Read test, or val where test is not evaluated or holds no image.

    Args:
        data: the pipeline's folder.
        splits: those that are evaluated.

    Raises:
        UserError: the predictions are wrong, or of no image.
    """
    file = data / "network_outputs/predictions.csv"  # what the heat maps explain: the network alone
    classes = list(read_csv(data / "clean/labels.csv")["label"])
    table = predictions.read(file, predictions.read_images(data), classes)
    pixels, index = image_array.read(data / "prepared")
    table = table.merge(pd.DataFrame({"image_id": index["image_id"], "row": range(len(index))}), on="image_id")
    split = "test" if "test" in splits and (table["split"] == "test").any() else "val"
    ours = table[table["split"] == split]
    if ours.empty:
        raise UserError(f"{file} holds no image of {split}. Run `dvc repro`.")
    known = read_csv(data / "network_outputs/features.csv")
    place = {image_id: row for row, image_id in enumerate(known["image_id"]) if known["split"].iloc[row] == split}
    features = image_array.read_array(data / "network_outputs/features.npy")
    return ExplainedSplit(
        split,
        ", ".join(sorted(set(ours["leakage"]))),
        classes,
        list(ours["image_id"]),
        pixels,
        ours["row"].to_numpy(np.int64),
        ours["label"].map(classes.index).to_numpy(np.int64),
        ours[classes].to_numpy(np.float64),
        np.asarray(features[[place[image_id] for image_id in ours["image_id"]]]),
    )


def sample(n_images: int, most: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Return the numbers of at most `most` of `n_images`, chosen by `random`, in order."""
    return np.sort(random.choice(n_images, min(n_images, most), replace=False))


def leakage_note(leakage: str) -> str:
    """Return the leakage as a title says it."""
    return "no leakage" if leakage == "none" else f"LEAKAGE: {leakage}"
