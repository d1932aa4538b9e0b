"""The metrics of one set of images, for all classes together and for each: of val, of test, of another collection."""

from functools import partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lesions.evaluation import metrics
from lesions.evaluation.auc_interval import auc_estimate, macro_auc_estimate
from lesions.evaluation.balanced_accuracy import balanced_accuracy_estimate
from lesions.evaluation.bootstrap import Bootstrap, rounded, unwrap_single
from lesions.evaluation.common import predictions
from lesions.evaluation.common.predictions import SplitPredictions
from lesions.evaluation.metrics import Metrics, undefined_reason

DVC_METRICS = ("accuracy", "balanced_accuracy", "macro_auc", "macro_f1", "log_loss")
"""Metrics that `dvc metrics show` and `dvc exp show` list; reports/evaluation.json has all."""
DVC_DIGITS = 3
"""Digits of these: one more correct image of 2,000 is 0.0005, and the intervals are a hundred times as wide."""


def split_report(split: SplitPredictions, prior: NDArray[np.float64], bootstrap: Bootstrap) -> dict[str, Any]:
    """Return the metrics of one split, and of the baselines: always the majority, and always train's shares."""
    ours = (split.label, split.diagnosis, split.probability)
    of_class = bootstrap.estimates(partial(metrics.per_class, *ours), split.groups)
    lesions = predictions.by_lesion(split)
    majority = np.eye(len(prior))[prior.argmax()]
    counts = metrics.confusion(split.label, split.diagnosis, len(split.classes), np.ones((1, len(split.label))))
    return {
        "images": len(split.label),
        "groups": split.n_groups,
        "metrics": overall_with_intervals(split, bootstrap),
        "metrics_by_lesion": {"reason": "the data name no lesions"}
        if lesions is None
        else {
            "lesions": len(lesions.label),
            **overall_with_intervals(lesions, bootstrap),
        },
        "majority_baseline": plain(metrics.constant_baseline(split.label, majority)),
        "prior_baseline": plain(metrics.constant_baseline(split.label, prior)),
        "classes": [
            {
                "diagnosis": name,
                "support": int((split.label == label).sum()),
                "groups": len(set(split.groups[split.label == label])),
                **{metric: found[label] for metric, found in of_class.items()},
                "auc": auc_estimate(split.label == label, split.probability[:, label], split.groups),
            }
            for label, name in enumerate(split.classes)
        ],
        "confusion": {
            "rows_are": "actual, columns predicted, in the order of the classes",
            "counts": counts[0].astype(int).tolist(),
        },
    }


def overall_with_intervals(split: SplitPredictions, bootstrap: Bootstrap) -> dict[str, Any]:
    """Return the metrics of all classes together."""
    ours = (split.label, split.diagnosis, split.probability)
    found = bootstrap.estimates(partial(metrics.overall_metrics, *ours), split.groups)
    return {
        **unwrap_single(found),
        "balanced_accuracy": balanced_accuracy_estimate(split.label, split.diagnosis, split.groups),
        "macro_auc": macro_auc_estimate(split.label, split.probability, split.groups),
    }


def plain(found: Metrics) -> dict[str, Any]:
    """Return metrics without intervals; the reasons for undefined ones stand in `reasons`."""
    values = {name: rounded(float(value[0])) for name, value in found.items()}
    return {**values, "reasons": {name: undefined_reason(name) for name, value in values.items() if value is None}}


def dvc_metrics(report: dict[str, Any], melanoma: dict[str, Any] | None) -> dict[str, float | None]:
    """Return the few metrics of a split that DVC shows.

    Args:
        report: as `split_report` has it.
        melanoma: what is reported of the split's ranking for melanoma, or None where no class is melanoma.
    """
    found = {name: report["metrics"][name] for name in DVC_METRICS}
    if melanoma is not None:
        found["melanoma_auc"] = melanoma["auc"]
    values = {name: entry["value"] for name, entry in found.items()}
    return {name: None if value is None else round(value, DVC_DIGITS) for name, value in values.items()}


def printed(report: dict[str, Any]) -> dict[str, str]:
    """Return the headline of a split for a person: 0.733 [0.712, 0.755]."""
    words = {"images": f"{report['images']:,}", "groups": f"{report['groups']:,}"}
    for name in (*DVC_METRICS, "mcc"):
        value, lower, upper = (report["metrics"][name][part] for part in ("value", "lower", "upper"))
        words[name] = "-" if value is None else f"{value:.3f}"
        words[name] += "" if lower is None else f" [{lower:.3f}, {upper:.3f}]"
    return {**words, "always the majority": f"{report['majority_baseline']['accuracy']:.3f} accuracy"}
