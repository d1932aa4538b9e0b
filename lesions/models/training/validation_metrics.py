"""Metrics of the whole validation set after each epoch: they decide the learning rate, the end, the best epoch."""

from collections.abc import Callable, Sequence
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from lesions.models.common.batches import eval_batches
from lesions.models.training.interrupt import Interruption

BATCH = 64
LOWER_IS_BETTER = ("loss", "val_loss")


class Validation(keras.callbacks.Callback):  # type: ignore[misc]
    """Adds `val_loss`, `val_accuracy`, `val_balanced_accuracy` and `val_macro_auc` to an epoch's metrics.

    Keras would average its own over batches; these are of all images at once. It must be the first of the callbacks,
    since the others read what it adds.

    Args:
        arrays: see `take_rows`.
        rows: of the validation images.
        labels: their integer labels, (N,).
        loss: see `optimizer.loss`.
        interruption: what may end it between two batches.
    """

    def __init__(
        self,
        arrays: Sequence[NDArray[np.uint8]],
        rows: NDArray[np.int64],
        labels: NDArray[np.int64],
        loss: Callable[[Any, Any], Any],
        interruption: Interruption,
    ) -> None:
        super().__init__()
        self._images = eval_batches(arrays, rows, labels, BATCH)
        self._labels = labels
        self._loss = loss
        self._interruption = interruption

    def on_epoch_end(self, _epoch: int, logs: dict[str, float]) -> None:
        """Evaluate all validation images."""
        probabilities = self.model.predict(self._images, verbose=0, callbacks=[self._interruption])
        losses = keras.ops.convert_to_numpy(self._loss(self._labels, probabilities))
        logs |= {"val_loss": float(losses.mean(dtype=np.float64)), **metrics(self._labels, probabilities)}


def metrics(labels: NDArray[np.int64], probabilities: NDArray[np.float32]) -> dict[str, float]:
    """Return accuracy, the mean of the classes' sensitivities, and the mean of their areas under the ROC curve.

    Args:
        labels: integers, (N,).
        probabilities: (N, classes). Where they are no numbers, neither are the metrics.

    Both means are over the classes that the labels hold; with one class alone the area is 0.5.
    """
    if not np.isfinite(probabilities).all():
        return dict.fromkeys(("val_accuracy", "val_balanced_accuracy", "val_macro_auc"), float("nan"))
    correct = probabilities.argmax(axis=1) == labels
    present = np.unique(labels)
    areas = [auc(labels == label, probabilities[:, label]) for label in present] if len(present) > 1 else [0.5]
    return {
        "val_accuracy": float(correct.mean()),
        "val_balanced_accuracy": float(np.mean([correct[labels == label].mean() for label in present])),
        "val_macro_auc": float(np.mean(areas)),
    }


def auc(positive: NDArray[np.bool_], score: NDArray[np.float32]) -> float:
    """Return the area under the ROC curve, by mid-ranks (Hanley and McNeil, Radiology 143, 1982).

    scikit-learn's takes over a second to import: half an epoch of a small training.

    Args:
        positive: which images are of the class, (N,); neither none nor all.
        score: (N,), finite.
    """
    _, place, count = np.unique(score, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[place]
    number = int(positive.sum())
    return float((rank[positive].sum() - number * (number + 1) / 2) / (number * (len(positive) - number)))


def is_better(monitor: str, one: float, other: float) -> bool:
    """Tell whether one value of a metric is better than another."""
    return one < other if monitor in LOWER_IS_BETTER else one > other


def direction(monitor: str) -> str:
    """Return what Keras's callbacks call the better direction of a metric."""
    return "min" if monitor in LOWER_IS_BETTER else "max"
