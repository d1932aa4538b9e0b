"""The model's predictions of a collection's images."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesions.archives import read_members
from lesions.classifier import Classifier
from lesions.models.calibration.metadata_prior import FIELDS


@dataclass(frozen=True)
class CollectionPredictions:
    """One row per image in each table, with the index of the images' table.

    Attributes:
        answers: `label`, `problem`, `ood_score`, and for each task of the model `alert_TASK`, None where no threshold
            is known.
        uncalibrated: float32, a column a class: of the network and the metadata.
        image_only: the same, of the network alone.
        calibrated: the same, after the temperature.
    """

    answers: pd.DataFrame
    uncalibrated: pd.DataFrame
    image_only: pd.DataFrame
    calibrated: pd.DataFrame

    def only(self, rows: NDArray[np.bool_]) -> "CollectionPredictions":
        """Return some rows, (N,)."""
        return CollectionPredictions(
            self.answers[rows], self.uncalibrated[rows], self.image_only[rows], self.calibrated[rows]
        )


def predict(classifier: Classifier, raw: Path, images: pd.DataFrame) -> CollectionPredictions:
    """Run the model on a collection.

    Args:
        classifier: the model.
        raw: the folder of the archives.
        images: with `image_id`, `label`, `archive`, `member`, and the patients' metadata.
    """
    contents = read_members(raw, zip(images["archive"], images["member"], strict=True))
    inputs: Iterator[tuple[str, Callable[[], bytes]]] = (
        (image_id, partial(_content, content)) for image_id, content in zip(images["image_id"], contents, strict=True)
    )
    metadata = [dict(zip(FIELDS, row, strict=True)) for row in images[list(FIELDS)].to_numpy()]
    # The pixels are let go: those of ten thousand images may be more than the memory holds.
    rows = [
        (
            {
                "problem": found.problem,
                **{f"alert_{task}": reached for task, reached in found.alerts.items()},
                "ood_score": found.ood_score,
            },
            found.uncalibrated,
            found.image_only,
            found.probabilities,
        )
        for found in classifier.classify_all(inputs, len(images), metadata)
    ]
    answers, *probabilities = zip(*rows, strict=True)
    return CollectionPredictions(
        pd.DataFrame(answers, images.index).assign(label=images["label"]),
        *(pd.DataFrame(list(rows), images.index, classifier.thresholds.classes, np.float32) for rows in probabilities),
    )


def _content(content: bytes | ValueError) -> bytes:
    if isinstance(content, ValueError):
        raise content
    return content
