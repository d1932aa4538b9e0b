"""The model's predictions of a collection's images."""

from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesions.classifier import Classifier
from lesions.images.archive_images import decode_members
from lesions.images.preprocessing import to_pixels
from lesions.inference.predict import BATCH_SIZE
from lesions.models.calibration.metadata_prior import FIELDS


@dataclass(frozen=True)
class CollectionPredictions:
    """One row per image in each table, with the index of the images' table.

    Attributes:
        answers: `label`, `ood_score`, and for each task of the model `alert_TASK`, None where no threshold is known.
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
        images: with `label`, `archive`, `member`, and the patients' metadata.
    """
    classes, decode = classifier.thresholds.classes, partial(to_pixels, preprocessing=classifier.preprocessing)
    pixels = decode_members(raw, images, decode, "classifying", use_cluster=False)
    # A batch at a time: the pixels of ten thousand images may be more than the memory holds.
    outputs = [
        classifier.outputs(np.stack(list(islice(pixels, BATCH_SIZE))), images[list(FIELDS)][start : start + BATCH_SIZE])
        for start in range(0, len(images), BATCH_SIZE)
    ]
    uncalibrated, image_only, calibrated, ood_score = (np.concatenate(parts) for parts in zip(*outputs, strict=True))
    alerts = pd.DataFrame(classifier.alerts(uncalibrated), images.index).add_prefix("alert_")
    return CollectionPredictions(
        images[["label"]].assign(ood_score=ood_score).join(alerts),
        *(pd.DataFrame(of, images.index, classes) for of in (uncalibrated, image_only, calibrated)),
    )
