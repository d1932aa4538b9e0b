"""Fit a network: first its head alone, where `freeze_backbone_epochs` says so, then all; resumable at any epoch."""

import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesions.core.csv_files import write_csv
from lesions.core.errors import UserError
from lesions.models.common.batches import n_steps, train_batches
from lesions.models.training import optimizer as optimisation
from lesions.models.training.augmentation import augmentation
from lesions.models.training.checkpoint import Checkpoint, Epoch, History, State, assign, snapshot
from lesions.models.training.epoch_log import EpochLog
from lesions.models.training.interrupt import Interruption
from lesions.models.training.validation_metrics import Validation, direction, is_better
from lesions.params.train import Train


class SplitData(NamedTuple):
    """The images of one split.

    Attributes:
        rows: counted through all arrays, (N,).
        labels: their integer labels, (N,).
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]


class TrainingData(NamedTuple):
    """The images of a training.

    Attributes:
        arrays: see `take_rows`.
        train: the training images.
        val: those of validation, which decide the learning rate, the end, and the best epoch.
        probabilities: of `draw_probabilities`.
    """

    arrays: Sequence[NDArray[np.uint8]]
    train: SplitData
    val: SplitData
    probabilities: NDArray[np.float64] | None = None


class HistoryCsv(NamedTuple):
    """The file of the metrics of each epoch, complete after each.

    Attributes:
        file: its path.
        leakage: its last column: what leaks, or `none`.
        before: its first rows, the epochs of the ensemble's members before.
    """

    file: Path
    leakage: str
    before: Sequence[Epoch] = ()

    def write(self, history: History) -> None:
        """Write the file; whoever reads it during the training finds it complete."""
        table = pd.DataFrame([*self.before, *history])
        table.insert(0, "epoch", range(1, len(table) + 1))
        table["leakage"] = self.leakage
        unfinished = self.file.with_suffix(".part")
        write_csv(table, unfinished)
        unfinished.replace(self.file)


class TrainingPhase(NamedTuple):
    """Epochs that share one optimizer.

    Attributes:
        first: counted from 0.
        end: the first epoch after them.
        head_only: whether the backbone is frozen.
    """

    first: int
    end: int
    head_only: bool


class FitResult(NamedTuple):
    """The result of a training, beside the model's weights.

    Attributes:
        history: each epoch's metrics.
        epoch: whose weights the model has, counted from 0.
    """

    history: History
    epoch: int


def training_phases(params: Train) -> list[TrainingPhase]:
    """Return the phases of the training."""
    head = [TrainingPhase(0, params.freeze_backbone_epochs, head_only=True)] if params.freeze_backbone_epochs else []
    return [*head, TrainingPhase(params.freeze_backbone_epochs, params.epochs, head_only=False)]


def fit(
    model: keras.Model, images: TrainingData, params: Train, checkpoint: Checkpoint, history_csv: HistoryCsv
) -> FitResult:
    """Train the model, and leave it with the best epoch's weights, or the last one's.

    Args:
        model: new, and not compiled.
        images: of train and validation.
        params: the section.
        checkpoint: receives a state after each epoch, and has the one to resume from.
        history_csv: is written after each epoch.

    Raises:
        UserError: a loss became NaN or infinite, or the network has no head to train alone.
    """
    arrays, train, val, probabilities = images
    recorder = CheckpointCallback(params, checkpoint, history_csv)
    if recorder.history and not recorder.finished:
        print(f"Going on after epoch {len(recorder.history)} of {params.epochs}, where this training was interrupted.")
    log = EpochLog(params, lambda: recorder.kept_epoch)
    loss = optimisation.loss(params, model.output_shape[-1])
    fractions = optimisation.class_fractions(train.labels, probabilities)
    weights = optimisation.class_weights(fractions, params.class_weight_power)
    steps = n_steps(len(train.rows), params.batch_size)
    augment = augmentation(params.augment, arrays[0].shape[1:], sum(map(len, arrays)), params.seed)
    for phase in training_phases(params):
        if recorder.finished or len(recorder.history) >= phase.end:
            continue
        freeze(model, phase)
        optimizer = optimisation.optimizer(params, model, phase.first, phase.end, steps)
        optimizer.build(model.trainable_variables)  # else its step is traced twice, first to make its variables
        model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=False)  # XLA is slower on a CPU
        recorder.keras_callbacks = keras_callbacks(params, phase)
        recorder.phase = phase
        with Interruption() as interruption:
            validation = Validation(arrays, val.rows, val.labels, loss, interruption)
            model.fit(
                train_batches(
                    arrays,
                    train.rows,
                    train.labels,
                    params.batch_size,
                    params.seed,
                    augment,
                    first_epoch=len(recorder.history),
                    probabilities=probabilities,
                ),
                steps_per_epoch=steps,
                initial_epoch=len(recorder.history),
                epochs=phase.end,
                callbacks=[validation, *recorder.keras_callbacks, recorder, log, interruption],
                class_weight=weights,
                shuffle=False,  # the stream is shuffled already
                verbose=0,  # see `log`
            )
    model.set_weights(recorder.kept)
    return FitResult(recorder.history, recorder.kept_epoch)


def freeze(model: keras.Model, phase: TrainingPhase) -> None:
    """Make the whole model trainable, or its head alone.

    Raises:
        UserError: there is nothing beside the head.
    """
    for layer in model.layers:
        layer.trainable = optimisation.is_head(layer) or not phase.head_only
    if phase.head_only and not any(layer.weights for layer in model.layers if not layer.trainable):
        raise UserError("train.freeze_backbone_epochs needs a network that has more than a head; set it to 0.")


def keras_callbacks(params: Train, phase: TrainingPhase) -> list[keras.callbacks.Callback]:
    """Return Keras's callbacks that change the learning rate and stop the training."""
    plateau, made = params.reduce_lr_on_plateau, [keras.callbacks.TerminateOnNaN()]
    if params.schedule == "plateau":
        made.append(
            keras.callbacks.ReduceLROnPlateau(
                plateau.monitor,
                plateau.factor,
                plateau.patience,
                mode=direction(plateau.monitor),
                min_delta=plateau.min_delta,
                cooldown=plateau.cooldown,
                min_lr=plateau.min_learning_rate,
            )
        )
    if params.early_stopping_patience != "none" and not phase.head_only:
        made.append(
            keras.callbacks.EarlyStopping(
                params.monitor, patience=params.early_stopping_patience, mode=direction(params.monitor)
            )
        )
    return made


class CheckpointCallback(keras.callbacks.Callback):  # type: ignore[misc]
    """Saves the best weights and writes the checkpoint; runs after the learning-rate callbacks.

    Keras's callbacks count epochs, and cannot be saved. On resuming they receive the metrics of the epochs before
    again, and so count the same.

    Args:
        params: the section.
        checkpoint: with the state to resume from, if there is one.
        history_csv: the file of the epochs' metrics.

    Attributes:
        history: each epoch's metrics.
        finished: no epoch is to follow.
        kept: the best weights so far.
        kept_epoch: their epoch, counted from 0.
        phase: the current phase.
        keras_callbacks: its learning-rate callbacks.
    """

    phase: TrainingPhase
    keras_callbacks: list[keras.callbacks.Callback]

    def __init__(self, params: Train, checkpoint: Checkpoint, history_csv: HistoryCsv) -> None:
        super().__init__()
        self._params, self._checkpoint, self._history_csv = params, checkpoint, history_csv
        self._state = checkpoint.read()
        state = self._state or State([], finished=False, model=[], optimizer=[], kept=[], kept_epoch=0)
        self.history, self.finished = state.history, state.finished
        self.kept, self.kept_epoch = state.kept, state.kept_epoch
        if self.history:
            history_csv.write(self.history)

    def on_train_begin(self, _logs: object = None) -> None:
        """Restore the state of the interrupted training."""
        state, self._state = self._state, None
        if state is None:
            return
        for epoch in range(self.phase.first, len(state.history)):
            for callback in self.keras_callbacks:
                callback.on_epoch_end(epoch, dict(state.history[epoch]))
        assign(self.model.variables, state.model)
        if len(state.history) > self.phase.first:
            assign(self.model.optimizer.variables, state.optimizer)

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Record the epoch."""
        raise_on_nan(epoch, logs)
        monitor = self._params.monitor
        metrics = {name: float(value) for name, value in logs.items()}
        if not any(name.startswith("learning_rate") for name in metrics):
            metrics |= learning_rates(self.model.optimizer)
        if "learning_rate_head" in metrics:  # the one of the plot
            metrics = {"learning_rate": metrics["learning_rate_head"], **metrics}
        self.history.append(metrics)
        last = not self._params.restore_best_weights
        if epoch == 0 or last or is_better(monitor, metrics[monitor], self.history[self.kept_epoch][monitor]):
            self.kept, self.kept_epoch = self.model.get_weights(), epoch
        self.finished = self.model.stop_training or epoch + 1 == self._params.epochs
        self._history_csv.write(self.history)
        state = State(
            self.history,
            self.finished,
            snapshot(self.model.variables),
            snapshot(self.model.optimizer.variables),
            self.kept,
            self.kept_epoch,
        )
        self._checkpoint.write(state)


def learning_rates(optimizer: keras.optimizers.Optimizer) -> dict[str, float]:
    """Return the learning rate, or those of head and backbone, under the names that ReduceLROnPlateau gives them."""
    many = getattr(optimizer, "optimizers", None)
    rate = keras.ops.convert_to_numpy
    if many is None:
        return {"learning_rate": float(rate(optimizer.learning_rate))}
    return {f"learning_rate_{one.name}": float(rate(one.learning_rate)) for one in many}


def raise_on_nan(epoch: int, logs: dict[str, float]) -> None:
    """Stop where a loss is NaN or infinite.

    Raises:
        UserError: names the epoch.
    """
    if not all(math.isfinite(logs[name]) for name in ("loss", "val_loss")):
        raise UserError(
            f"in epoch {epoch + 1} the loss became {logs['loss']} in training, {logs['val_loss']} in validation; "
            "lower train.learning_rate in params.yaml."
        )
