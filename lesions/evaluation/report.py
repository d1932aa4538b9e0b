"""The report on a model: all metrics of its splits, from the predictions to `reports/evaluation.json`."""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesions.evaluation import (
    calibration,
    decision_curve,
    metrics,
    ood,
    operating_points,
    prediction_sets,
    robustness,
    selective,
    split_metrics,
    subgroup_comparison,
    subgroups,
)
from lesions.evaluation.bootstrap import Bootstrap, rounded
from lesions.evaluation.common.predictions import SplitPredictions
from lesions.evaluation.common.tasks import BinaryTask
from lesions.evaluation.common.thresholds import DERMATOLOGISTS, Thresholds
from lesions.evaluation.operating_points import binary_scores

SENSITIVITY = 0.9
"""The target whose threshold is tried on corrupted images."""


def evaluation_report(
    splits: dict[str, SplitPredictions],
    tasks: dict[str, BinaryTask | str],
    thresholds: Thresholds,
    prior: NDArray[np.float64],
    ood_scores: pd.DataFrame,
    bootstrap: Bootstrap,
) -> dict[str, Any]:
    """Return the report on splits: the metrics, tasks, calibration, selective prediction and OOD scores.

    Args:
        splits: predictions by name, such as val and test.
        tasks: the binary tasks, or why there is none.
        thresholds: chosen on validation.
        prior: (classes,), each class's fraction of the training images, for the baselines.
        ood_scores: of `ood.read_scores`.
        bootstrap: how the intervals are resampled.
    """
    return {
        "intervals": f"95 %, by group; docs/evaluate.md says which kind ({bootstrap.resamples} resamples)",
        **{name: split_metrics.split_report(ours, prior, bootstrap) for name, ours in splits.items()},
        "tasks": {
            name: operating_points.task_report(name, task, thresholds.of_task(name), splits, bootstrap)
            for name, task in tasks.items()
        },
        "calibration": {name: calibration.calibration_report(ours, tasks, bootstrap) for name, ours in splits.items()},
        "prediction_sets": {
            name: prediction_sets.prediction_set_report(ours, thresholds.prediction_sets, bootstrap)
            for name, ours in splits.items()
        },
        "abstention": {name: selective.selective_report(ours, bootstrap) for name, ours in splits.items()},
        "ood": ood.ood_report(ood_scores, list(splits), thresholds.ood_threshold),
    }


def report_on_test(
    test: SplitPredictions,
    corrupted: pd.DataFrame,
    tasks: dict[str, BinaryTask | str],
    thresholds: Thresholds,
    bootstrap: Bootstrap,
) -> dict[str, Any]:
    """Return what is reported of test alone: subgroups, decision curves and robustness.

    Args:
        test: its predictions.
        corrupted: predictions of its corrupted images.
        tasks: see `evaluation_report`.
        thresholds: see `evaluation_report`.
        bootstrap: how the intervals are resampled.
    """
    melanoma = tasks["melanoma"]
    task = melanoma if isinstance(melanoma, BinaryTask) else None
    label = task.positive[0] if task else None
    return {
        "subgroups_of_test": subgroups.subgroup_report(test, label, bootstrap),
        "subgroup_comparisons_of_test": subgroup_comparison.subgroup_comparison_report(test, label),
        "decision_curves_of_test": decision_curve.decision_curve_report(tasks, test, bootstrap),
        "robustness_of_test": robustness.robustness_report(
            test,
            corrupted,
            task,
            thresholds.value("melanoma", "sensitivity", SENSITIVITY),
            bootstrap,
        ),
    }


def class_fractions(labels: "pd.Series[str]", classes: list[str]) -> NDArray[np.float64]:
    """Return (classes,), each class's fraction of some images.

    Args:
        labels: (N,), of the images.
        classes: labels in their order.
    """
    return np.array([(labels == name).sum() for name in classes]) / max(1, len(labels))


def split_plots(
    split: SplitPredictions, tasks: dict[str, BinaryTask | str], *, of_skin: bool
) -> dict[str, pd.DataFrame]:
    """Return the tables behind one split's plots; see the `plots` section of dvc.yaml.

    Args:
        split: its predictions; of none, the tables have columns and no rows.
        tasks: see `evaluation_report`.
        of_skin: whether the images are no drawings, so that dermatologists stand beside the model.
    """
    predicted = [split.classes[label] for label in split.diagnosis]
    pairs = pd.DataFrame({"actual": split.table["label"], "predicted": predicted})
    per_class = metrics.per_class(split.label, split.diagnosis, split.probability, np.ones((1, len(split.label))))
    names = {"precision": "ppv", "recall": "sensitivity", "f1": "f1", "misclassified": "misclassified"}
    rows = [
        (name, shown, rounded(float(per_class[metric][0, label])))
        for label, name in enumerate(split.classes)
        for shown, metric in names.items()
        if len(split.label)
    ]
    return {
        # In the order of the classes, which the confusion matrix takes over.
        "confusion": pairs.iloc[np.argsort(split.label, kind="stable")],
        "per_class": pd.DataFrame(rows, columns=["diagnosis", "metric", "value"]),
        "roc": roc_curves(split, tasks, of_skin=of_skin),
        "reliability": calibration.reliability_curves(split),
        "abstention": selective.coverage_curve(split),
    }


def roc_curves(split: SplitPredictions, tasks: dict[str, BinaryTask | str], *, of_skin: bool) -> pd.DataFrame:
    """Return the ROC curves of each class against the rest and of malignancy, and the dermatologists' point.

    Args:
        split: its predictions.
        tasks: see `evaluation_report`.
        of_skin: see `split_plots`.

    Returns:
        A row a point of a curve; `reader` is the model, or the dermatologists of whom the point for melanoma is.
    """
    scores = {label: (split.label == n, split.probability[:, n]) for n, label in enumerate(split.classes)}
    malignant, melanoma = tasks["malignant"], tasks["melanoma"]
    if isinstance(malignant, BinaryTask):
        scores["malignant, against benign"] = binary_scores(malignant, split)[:2]
    curves = metrics.roc_curves(scores).assign(reader="model")
    if of_skin and isinstance(melanoma, BinaryTask) and melanoma.positive[0] in set(curves["diagnosis"]):
        rates = (1 - DERMATOLOGISTS["specificity"], DERMATOLOGISTS["sensitivity"])
        row = (melanoma.positive[0], *rates, "58 dermatologists, other images")
        curves = pd.concat([curves, pd.DataFrame([row], columns=curves.columns).round(4)], ignore_index=True)
    return curves
