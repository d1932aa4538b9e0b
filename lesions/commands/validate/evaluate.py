"""The predictions of a collection, and all metrics that `evaluate` has, by the model's own thresholds."""

from dataclasses import dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesions.classifier import Classifier
from lesions.evaluation import decision_curve, ood, subgroups
from lesions.evaluation.bootstrap import Bootstrap, rounded
from lesions.evaluation.common.predictions import SplitPredictions
from lesions.evaluation.common.tasks import BinaryTask
from lesions.evaluation.common.thresholds import Thresholds
from lesions.evaluation.report import class_fractions, evaluation_report
from lesions.evaluation.subgroup_comparison import subgroup_comparison_report
from lesions.images.archive_images import decode_members
from lesions.images.preprocessing import to_pixels
from lesions.inference.predict import BATCH_SIZE
from lesions.models.calibration.metadata_prior import FIELDS

NAME = "collection"
"""What the report calls the images evaluated, where evaluate's has test."""


@dataclass(frozen=True)
class CollectionPredictions:
    """One row per image in each table, with the index of the images' table.

    Attributes:
        answers: `label`, `ood_score`, and for each task of the model `alert_TASK`, None where no threshold is known.
        uncalibrated: float32, a column a class: of the network and the metadata.
        image_only: the same, of the network alone.
        calibrated: the same, calibrated.
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


def collection_report(
    split: SplitPredictions,
    ood_scores: pd.DataFrame,
    classifier: Classifier,
    train: "pd.Series[str] | None",
    bootstrap: Bootstrap,
) -> dict[str, Any]:
    """Return the metrics.

    Args:
        split: the images of classes that the model knows.
        ood_scores: one row per image, in the same order, with `label` and `ood_score`.
        classifier: the model.
        train: labels of the training images, whose fractions are the baselines; None takes the collection's.
        bootstrap: how the intervals are resampled.
    """
    thresholds = classifier.thresholds
    prior = class_fractions(pd.Series(split.table["label"]) if train is None else train, split.classes)
    tasks: dict[str, BinaryTask | str] = {
        name: thresholds.tasks.get(name, f"the model's classes do not allow the task {name}")
        for name in ("melanoma", "malignant")
    }
    scores = ood_scores.assign(split=NAME)
    report = evaluation_report({NAME: split}, tasks, thresholds, prior, scores, bootstrap)
    task = tasks["melanoma"]
    melanoma = task.positive[0] if isinstance(task, BinaryTask) else None
    return report | {
        "majority_class": split.classes[int(prior.argmax())],
        "baselines_are_of": "this collection: the training images are not here" if train is None else "train",
        "calibration": {
            "temperature": classifier.calibration.temperature,
            "chosen_on": thresholds.fitted_on,
            "recalibrated": thresholds.recalibrated is not None,
            **report["calibration"][NAME],
        },
        "prediction_sets": report["prediction_sets"][NAME],
        "abstention": report["abstention"][NAME],
        "ood": {"ood_threshold": thresholds.ood_threshold, **report["ood"][NAME]},
        "subgroups": subgroups.subgroup_report(split, melanoma, bootstrap),
        "subgroup_comparisons": subgroup_comparison_report(split, melanoma),
        "decision_curves": decision_curve.decision_curve_report(tasks, split, bootstrap),
    }


def unknown_classes(predicted: CollectionPredictions, thresholds: Thresholds) -> list[dict[str, Any]]:
    """Return for each diagnosis that the model does not know how its images are predicted; none is right or wrong.

    Args:
        predicted: of images of such diagnoses.
        thresholds: the model's.
    """
    report = []
    for label, rows in predicted.answers.groupby("label"):
        entry: dict[str, Any] = {"diagnosis": label, "images": len(rows)}
        for task in thresholds.tasks:
            alerts = rows[f"alert_{task}"]
            entry[f"alert_{task}"] = None if alerts.isna().any() else rounded(float(alerts.astype(bool).mean()))
        entry["flagged"] = ood.fraction_flagged(rows["ood_score"].to_numpy(), thresholds.ood_threshold)
        number = thresholds.decision_rule.answers(predicted.uncalibrated.loc[rows.index].to_numpy())
        entry["predicted"] = {name: int((number == place).sum()) for place, name in enumerate(thresholds.classes)}
        report.append(entry)
    return report
