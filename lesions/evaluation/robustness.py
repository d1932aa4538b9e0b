"""Do the metrics hold on corrupted images? The drop of the balanced accuracy under each corruption."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesions.core.errors import UserError
from lesions.evaluation import metrics, roc
from lesions.evaluation.bootstrap import Bootstrap, rounded, unwrap_single
from lesions.evaluation.common.predictions import SplitPredictions
from lesions.evaluation.common.tasks import BinaryTask
from lesions.evaluation.metrics import Metrics, undefined_reason
from lesions.evaluation.operating_points import binary_scores
from lesions.evaluation.roc import safe_divide

METRICS = ("accuracy", "balanced_accuracy", "macro_auc")
"""Metrics reported under each corruption."""
COLUMNS = ["corruption", "severity", "metric", "value"]
"""Columns of the plot's table."""


def sample_of(test: SplitPredictions, corrupted: pd.DataFrame) -> SplitPredictions:
    """Return test's images that were corrupted too."""
    return test.only(test.table["image_id"].isin(corrupted["image_id"]).to_numpy())


def probabilities_by_corruption(
    corrupted: pd.DataFrame, uncorrupted: SplitPredictions
) -> dict[tuple[str, int], NDArray[np.float64]]:
    """Return the probabilities, (N, classes), under each corruption and severity, in the order of the sample.

    Args:
        corrupted: rows of corrupted.csv, in its order.
        uncorrupted: of `sample_of`.

    Raises:
        UserError: under one of them it has other images than under all.
    """
    found = {}
    way = corrupted["corruption"] + " " + corrupted["severity"]
    for both, rows in corrupted.groupby(way, sort=False):
        name, _, severity = str(both).rpartition(" ")
        if list(rows["image_id"]) != list(uncorrupted.table["image_id"]):
            raise UserError(
                f"data/predictions/predictions_corrupted.csv has other images under {name}, severity {severity}, than "
                "under other corruptions. Run `dvc repro calibrate --force`."
            )
        found[name, int(severity)] = rows[uncorrupted.classes].to_numpy(np.float64)
    return found


def robustness_report(
    test: SplitPredictions,
    corrupted: pd.DataFrame,
    melanoma: BinaryTask | None,
    threshold: float | None,
    bootstrap: Bootstrap,
) -> dict[str, Any]:
    """Return the metrics of the uncorrupted images and of each corruption and severity, and the drop between them.

    All are of the sample of test that was corrupted. It has another mix of classes than test; so metrics that depend
    on the mix weigh each image by how many of test it stands for.

    Args:
        test: its predictions.
        corrupted: rows of corrupted.csv.
        melanoma: the task, or None where melanoma is no class of its own.
        threshold: the score, chosen on val, from which an image is predicted as melanoma, if one was found.
        bootstrap: how the intervals are resampled: the same groups with and without corruption.

    Raises:
        UserError: see `probabilities_by_corruption`.
    """
    if corrupted.empty:
        return {"reason": "data/predictions/predictions_corrupted.csv has no images"}
    sample = sample_of(test, corrupted)
    by_corruption = probabilities_by_corruption(corrupted, sample)
    diagnoses = {key: sample.rule.answers(probability) for key, probability in by_corruption.items()}
    drops = unwrap_single(
        bootstrap.estimates(
            partial(balanced_accuracy_drops, sample.label, sample.diagnosis, len(sample.classes), diagnoses),
            sample.groups,
        )
    )
    reason = "melanoma is no class of its own" if melanoma is None else "no threshold reaches 90 % sensitivity on val"
    in_test, in_sample = (np.bincount(split.label, minlength=len(test.classes)) for split in (test, sample))
    weight = (in_test / np.maximum(in_sample, 1))[sample.label]
    return {
        "strengths_are": "1 (mild) to 3 (an image that one would take again); 0 is uncorrupted",
        "images": len(sample.label),
        "groups": sample.n_groups,
        "melanoma_threshold": threshold,
        **({} if threshold is not None else {"reason": reason}),
        "uncorrupted": _metrics_at(sample, weight, melanoma, threshold),
        "corruptions": [
            {
                "corruption": name,
                "severity": severity,
                **_metrics_at(replace(sample, probability=probability), weight, melanoma, threshold),
                "balanced_accuracy_drop": drops[f"{name} {severity}"],
            }
            for (name, severity), probability in by_corruption.items()
        ],
    }


def balanced_accuracy_drops(
    label: NDArray[np.int64],
    diagnosis: NDArray[np.int64],
    classes: int,
    corrupted: dict[tuple[str, int], NDArray[np.int64]],
    weights: NDArray[np.float64],
) -> Metrics:
    """Return, (B,) each, by how much each corruption lowers the balanced accuracy, by its name and severity.

    Args:
        label: (N,).
        diagnosis: (N,), the predicted labels of the uncorrupted images.
        classes: number of classes.
        corrupted: the same of the corrupted ones, by corruption and severity.
        weights: (B, N).
    """

    def balanced_accuracy(diagnosis: NDArray[np.int64]) -> NDArray[np.float64]:
        return metrics.label_metrics(metrics.confusion(label, diagnosis, classes, weights))["balanced_accuracy"]

    uncorrupted = balanced_accuracy(diagnosis)
    return {
        f"{name} {severity}": uncorrupted - balanced_accuracy(other) for (name, severity), other in corrupted.items()
    }


def robustness_curves(report: dict[str, Any]) -> pd.DataFrame:
    """Return the plot's table, `COLUMNS`, from a `robustness_report`; each curve begins with the uncorrupted images."""
    rows = []
    entries = report.get("corruptions", [])
    for name in dict.fromkeys(entry["corruption"] for entry in entries):
        mine = [{**report["uncorrupted"], "severity": 0}, *(e for e in entries if e["corruption"] == name)]
        for metric in (*METRICS, "melanoma_sensitivity"):
            rows += [(name, entry["severity"], metric.replace("_", " "), entry[metric]) for entry in mine]
    return pd.DataFrame(rows, columns=COLUMNS)


def _metrics_at(
    split: SplitPredictions, weight: NDArray[np.float64], melanoma: BinaryTask | None, threshold: float | None
) -> dict[str, Any]:
    """Return metrics without intervals, null where undefined, then with `reasons`; (N,) weights of the images."""
    weights = weight[None]
    found = metrics.overall_metrics(split.label, split.diagnosis, split.probability, weights)
    aucs = [
        roc.auc_and_average_precision(split.label == label, split.probability[:, label], weights)[0]
        for label in range(len(split.classes))
    ]
    found["macro_auc"] = np.mean(aucs, axis=0)
    if melanoma is not None and threshold is not None:
        positive, score, _ = binary_scores(melanoma, split)
        predicted = score >= threshold
        found["melanoma_sensitivity"] = safe_divide(weights @ (positive & predicted), weights @ positive)
        found["melanoma_specificity"] = safe_divide(weights @ ~(positive | predicted), weights @ ~positive)
    names = (*METRICS, "melanoma_sensitivity", "melanoma_specificity")
    values: dict[str, Any] = {name: rounded(float(found[name][0])) if name in found else None for name in names}
    reasons = {
        name: undefined_reason(name) if name in found else "no threshold"
        for name, value in values.items()
        if value is None
    }
    return {**values, **({"reasons": reasons} if reasons else {})}
