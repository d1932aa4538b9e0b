"""What a training prints: a bar while an epoch runs, on a terminal, and a line of 80 characters after it."""

import time
from collections.abc import Callable

import keras
from tqdm import tqdm

from lesions.params.train import Train


class EpochLog(keras.callbacks.Callback):  # type: ignore[misc]
    """Says how far the training is. All metrics of each epoch are in plots/history.csv.

    Args:
        params: the section.
        best: returns the epoch whose weights are kept so far, counted from 0. This callback must come after
            `CheckpointCallback`, which records it.
    """

    def __init__(self, params: Train, best: Callable[[], int]) -> None:
        super().__init__()
        self._params, self._best = params, best
        self._bar = tqdm(disable=True)
        self._begun = time.monotonic()

    def on_epoch_begin(self, epoch: int, _logs: object = None) -> None:
        """Begin a bar."""
        self._begun = time.monotonic()
        name = f"Epoch {epoch + 1}/{self._params.epochs}"
        self._bar = tqdm(total=self.params["steps"], desc=name, unit=" batches", leave=False, disable=None)

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        """Move the bar."""
        del batch, logs
        self._bar.update()

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Print the line."""
        self._bar.close()
        best = self._params.restore_best_weights and self._best() == epoch
        line = f"{epoch_line(epoch, self._params, logs)}, {time.monotonic() - self._begun:.0f} s"
        print(f"{line}, best" if best else line, flush=True)


def epoch_line(epoch: int, params: Train, logs: dict[str, float]) -> str:
    """Return the line of one epoch: both losses, and the metric that decides where that is no loss.

    Args:
        epoch: counted from 0.
        params: the section.
        logs: the epoch's metrics.
    """
    third = "val_balanced_accuracy" if params.monitor == "val_loss" else params.monitor
    metrics = ", ".join(f"{name} {logs[name]:.4f}" for name in ("loss", "val_loss", third))
    return f"Epoch {epoch + 1}/{params.epochs}: {metrics}"
