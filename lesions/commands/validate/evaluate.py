"""All metrics of a collection, as `evaluate` has them, by the model's own thresholds and temperature."""

from typing import Any

import pandas as pd

from lesions.classifier import Classifier
from lesions.commands.validate.predict import CollectionPredictions
from lesions.evaluation import decision_curve, ood, subgroups
from lesions.evaluation.bootstrap import Bootstrap, rounded
from lesions.evaluation.common.predictions import SplitPredictions
from lesions.evaluation.common.tasks import BinaryTask, Thresholds
from lesions.evaluation.report import class_fractions, evaluation_report

NAME = "collection"
"""What the report calls the images evaluated, where evaluate's has test."""


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
    melanoma = tasks["melanoma"]
    return report | {
        "majority_class": split.classes[int(prior.argmax())],
        "baselines_are_of": "this collection: the training images are not here" if train is None else "train",
        "calibration": {
            "temperature": classifier.calibration.temperature,
            "chosen_on": "the model's own validation images",
            **report["calibration"][NAME],
        },
        "abstention": report["abstention"][NAME],
        "ood": {"ood_threshold": thresholds.ood_threshold, **report["ood"][NAME]},
        "subgroups": subgroups.subgroup_report(
            split, melanoma.positive[0] if isinstance(melanoma, BinaryTask) else None, bootstrap
        ),
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
        number = predicted.uncalibrated.loc[rows.index].to_numpy().argmax(axis=1)
        entry["predicted"] = {name: int((number == place).sum()) for place, name in enumerate(thresholds.classes)}
        report.append(entry)
    return report
