"""The figures of a classifier: predictions in, figures out.

Definitions are scikit-learn's. A figure that cannot be computed is None, with a reason beside it.
"""

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn import metrics

DIGITS = 4
"""More digits than a test set of some thousand pictures supports would only look exact."""


def headline(label: NDArray[np.int64], probability: NDArray[np.float64]) -> dict[str, float | None]:
    """Return the figures for all classes together.

    Args:
        label: (N,), the numbers of the true classes.
        probability: (N, classes).

    Returns:
        accuracy; balanced_accuracy (the mean recall of the classes that occur); macro_f1 (of the classes that
        occur or are predicted); macro_auc (the mean area under the ROC curve of each class against the rest,
        None if one of them is undefined: `per_class` says which and why); log_loss (natural logarithm).
    """
    classes = range(probability.shape[1])
    predicted = probability.argmax(axis=1)
    areas = [area for area, _ in (auc(label == number, probability[:, number]) for number in classes)]
    figures = {
        "accuracy": metrics.accuracy_score(label, predicted),
        "balanced_accuracy": metrics.recall_score(
            label, predicted, labels=sorted(set(label)), average="macro", zero_division=np.nan
        ),
        "macro_f1": metrics.f1_score(label, predicted, average="macro", zero_division=0),
        "macro_auc": None if None in areas else float(np.mean([area for area in areas if area is not None])),
        "log_loss": metrics.log_loss(label, probability, labels=list(classes)),
    }
    return {name: rounded(value) for name, value in figures.items()}


def majority(label: NDArray[np.int64], answer: int) -> dict[str, float | None]:
    """Return what always giving the same answer would score: the baseline of every figure.

    Args:
        label: (N,), the numbers of the true classes.
        answer: the class that was most frequent in training.

    Returns:
        As `headline`, but for the log loss, which is infinite for an answer without doubt.
    """
    predicted = np.full_like(label, answer)
    return {
        "accuracy": rounded(metrics.accuracy_score(label, predicted)),
        "balanced_accuracy": rounded(1 / len(set(label)) if answer in label else 0.0),
        "macro_f1": rounded(metrics.f1_score(label, predicted, average="macro", zero_division=0)),
        "macro_auc": 0.5 if len(set(label)) > 1 else None,
    }


def per_class(label: NDArray[np.int64], probability: NDArray[np.float64], classes: list[str]) -> list[dict[str, Any]]:
    """Return for each class its precision, recall, F1, fraction misclassified, AUC and support.

    Undefined figures are None: precision of a class never predicted, recall of one that does not occur. The
    reasons stand in `undefined`.
    """
    counts = confusion(label, probability)
    rows = []
    for number, name in enumerate(classes):
        hits, predicted, support = counts[number, number], counts[:, number].sum(), counts[number].sum()
        area, why = auc(label == number, probability[:, number])
        undefined = [why] if why else []
        undefined += ["precision: never predicted"] if not predicted else []
        undefined += ["recall: does not occur"] if not support else []
        recall = hits / support if support else None
        rows.append(
            {
                "diagnosis": name,
                "precision": rounded(hits / predicted if predicted else None),
                "recall": rounded(recall),
                "f1": rounded(2 * hits / (predicted + support) if predicted + support else None),
                "misclassified": rounded(None if recall is None else 1 - recall),
                "auc": rounded(area),
                "support": int(support),
                "undefined": undefined,
            }
        )
    return rows


def confusion(label: NDArray[np.int64], probability: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return counts, (classes, classes): row the actual class, column the predicted one."""
    counts: NDArray[np.int64] = metrics.confusion_matrix(
        label, probability.argmax(axis=1), labels=range(probability.shape[1])
    )
    return counts


def auc(positive: NDArray[np.bool_], score: NDArray[np.float64]) -> tuple[float | None, str]:
    """Return the area under the ROC curve, or None and the reason."""
    if positive.all() or not positive.any():
        return None, "auc: needs pictures of this class and of others"
    return float(metrics.roc_auc_score(positive, score)), ""


def roc(label: NDArray[np.int64], probability: NDArray[np.float64], classes: list[str]) -> pd.DataFrame:
    """Return a ROC curve a class: `diagnosis, false_positive_rate, true_positive_rate`, corners only."""
    curves = [pd.DataFrame(columns=["diagnosis", "false_positive_rate", "true_positive_rate"])]
    for number, name in enumerate(classes):
        positive = label == number
        if positive.any() and not positive.all():
            false_positive, true_positive, _ = metrics.roc_curve(positive, probability[:, number])
            rates = {"false_positive_rate": false_positive, "true_positive_rate": true_positive}
            curves.append(pd.DataFrame({"diagnosis": name, **rates}).round(DIGITS))
    return pd.concat(curves[1:] or curves, ignore_index=True)


def rounded(value: float | None) -> float | None:
    """Round to `DIGITS`; None stays."""
    return None if value is None else round(float(value), DIGITS)
