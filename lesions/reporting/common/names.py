"""What a reader calls the splits and the metrics."""

SPLITS = {"train": "train", "val": "validation", "test": "test"}

METRICS = {
    "macro_f1": "macro F1",
    "macro_auc": "macro AUC",
    "mcc": "Matthews correlation",
    "kappa": "Cohen's kappa",
    "brier": "Brier score",
    "melanoma_auc": "melanoma AUC",
}
"""Those whose names are more than their keys without underscores."""


def split_name(split: str) -> str:
    """Return what a reader calls a split."""
    return SPLITS[split]


def metric_name(metric: str) -> str:
    """Return what a reader calls a metric."""
    return METRICS.get(metric, metric.replace("_", " "))
