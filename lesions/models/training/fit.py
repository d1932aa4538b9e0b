"""The epochs: first the head alone where that is asked for, then all; from where the checkpoint says."""

import math
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesions.core.errors import UserError
from lesions.models.common.batches import n_steps, train_batches
from lesions.models.training import optimizer as optimisation
from lesions.models.training.augmentation import augmentation
from lesions.models.training.checkpoint import Checkpoint, Epoch, History, State, assign, copies
from lesions.models.training.interrupt import Interruption
from lesions.models.training.validation_metrics import Validation, direction, is_better
from lesions.params.train import Train


class Split(NamedTuple):
    """The images of one split.

    Attributes:
        rows: counted through all arrays, (N,).
        labels: their class numbers, (N,).
    """

    rows: NDArray[np.int64]
    labels: NDArray[np.int64]


class Images(NamedTuple):
    """What the training looks at.

    Attributes:
        arrays: see `take_rows`.
        train: the training images.
        val: those of validation, which decide the learning rate, the end, and the epoch that is kept.
    """

    arrays: Sequence[NDArray[np.uint8]]
    train: Split
    val: Split


class Table(NamedTuple):
    """The table of the epochs so far, whole after each.

    Attributes:
        file: where it is written.
        leakage: its last column: what leaks, or `none`.
        before: its first rows, the epochs of other networks.
    """

    file: Path
    leakage: str
    before: Sequence[Epoch] = ()

    def write(self, history: History) -> None:
        """Write it; whoever looks at it while training goes on finds it whole."""
        table = pd.DataFrame([*self.before, *history])
        table.insert(0, "epoch", range(1, len(table) + 1))
        table["leakage"] = self.leakage
        unfinished = self.file.with_suffix(".part")
        table.to_csv(unfinished, index=False)
        unfinished.replace(self.file)


class Phase(NamedTuple):
    """Epochs that share one optimizer.

    Attributes:
        first: counted from 0.
        end: the first epoch after them.
        head_only: whether the backbone keeps still.
    """

    first: int
    end: int
    head_only: bool


class Fitted(NamedTuple):
    """What came of the training, beside the model's weights.

    Attributes:
        history: each epoch's metrics.
        epoch: whose weights the model has, counted from 0.
    """

    history: History
    epoch: int


def phases(params: Train) -> list[Phase]:
    """Return the phases of the training."""
    head = [Phase(0, params.freeze_backbone_epochs, head_only=True)] if params.freeze_backbone_epochs else []
    return [*head, Phase(params.freeze_backbone_epochs, params.epochs, head_only=False)]


def fit(model: keras.Model, images: Images, params: Train, checkpoint: Checkpoint, table: Table) -> Fitted:
    """Train the model, which ends with the weights to keep.

    Args:
        model: new, and not compiled.
        images: what it learns from, and is steered by.
        params: the section.
        checkpoint: gets a state after each epoch, and says where to go on.
        table: is written after each epoch.

    Raises:
        UserError: a loss became no number, or the network has no head to train alone.
    """
    arrays, train, val = images
    log = Log(params, checkpoint, table)
    if log.history and not log.finished:
        print(f"Going on after epoch {len(log.history)} of {params.epochs}, where this training was interrupted.")
    loss = optimisation.loss(params, model.output_shape[-1])
    weights = optimisation.class_weights(train.labels, params)
    steps = n_steps(len(train.rows), params.batch_size)
    augment = augmentation(params.augment, arrays[0].shape[1:], sum(map(len, arrays)), params.seed)
    for phase in phases(params):
        if log.finished or len(log.history) >= phase.end:
            continue
        freeze(model, phase)
        optimizer = optimisation.optimizer(params, model, phase.first, phase.end, steps)
        model.compile(optimizer, loss, metrics=["accuracy"], jit_compile=False)  # XLA is slower on a CPU
        log.steering = steering(params, phase)
        log.phase = phase
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
                    first_epoch=len(log.history),
                ),
                steps_per_epoch=steps,
                initial_epoch=len(log.history),
                epochs=phase.end,
                callbacks=[validation, *log.steering, log, interruption],
                class_weight=weights,
                shuffle=False,  # the stream is shuffled already
                verbose=1 if sys.stdout.isatty() else 2,
            )
    model.set_weights(log.kept)
    return Fitted(log.history, log.kept_epoch)


def freeze(model: keras.Model, phase: Phase) -> None:
    """Let the whole model learn, or its head alone.

    Raises:
        UserError: there is nothing beside the head.
    """
    for layer in model.layers:
        layer.trainable = optimisation.is_head(layer) or not phase.head_only
    if phase.head_only and not any(layer.weights for layer in model.layers if not layer.trainable):
        raise UserError("train.freeze_backbone_epochs needs a network that has more than a head; set it to 0.")


def steering(params: Train, phase: Phase) -> list[keras.callbacks.Callback]:
    """Return Keras's callbacks that change the learning rate and end the training."""
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


class Log(keras.callbacks.Callback):  # type: ignore[misc]
    """Notes each epoch, keeps the weights to keep, and writes the checkpoint; behind the callbacks that steer.

    Keras's callbacks count epochs, and cannot be saved. Where training goes on, they are shown the metrics of the
    epochs before instead, and so count the same.

    Args:
        params: the section.
        checkpoint: where to go on, if it knows.
        table: the table of the epochs.

    Attributes:
        history: each epoch's metrics.
        finished: no epoch is to follow.
        kept: the weights to keep so far.
        kept_epoch: whose they are, counted from 0.
        phase: the present one.
        steering: its other callbacks.
    """

    phase: Phase
    steering: list[keras.callbacks.Callback]

    def __init__(self, params: Train, checkpoint: Checkpoint, table: Table) -> None:
        super().__init__()
        self._params, self._checkpoint, self._table = params, checkpoint, table
        self._state = checkpoint.read()
        state = self._state or State([], finished=False, model=[], optimizer=[], kept=[], kept_epoch=0)
        self.history, self.finished = state.history, state.finished
        self.kept, self.kept_epoch = state.kept, state.kept_epoch
        if self.history:
            table.write(self.history)

    def on_train_begin(self, _logs: object = None) -> None:
        """Bring all to where the interrupted training was."""
        state, self._state = self._state, None
        if state is None:
            return
        for epoch in range(self.phase.first, len(state.history)):
            for callback in self.steering:
                callback.on_epoch_end(epoch, dict(state.history[epoch]))
        assign(self.model.variables, state.model)
        if len(state.history) > self.phase.first:
            self.model.optimizer.build(self.model.trainable_variables)
            assign(self.model.optimizer.variables, state.optimizer)

    def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
        """Note the epoch."""
        refuse_nan(epoch, logs)
        monitor = self._params.monitor
        metrics = {name: float(value) for name, value in logs.items()}
        if not any(name.startswith("learning_rate") for name in metrics):
            metrics |= learning_rates(self.model.optimizer)
        self.history.append(metrics)
        last = not self._params.restore_best_weights
        if epoch == 0 or last or is_better(monitor, metrics[monitor], self.history[self.kept_epoch][monitor]):
            self.kept, self.kept_epoch = self.model.get_weights(), epoch
        self.finished = self.model.stop_training or epoch + 1 == self._params.epochs
        self._table.write(self.history)
        state = State(
            self.history,
            self.finished,
            copies(self.model.variables),
            copies(self.model.optimizer.variables),
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


def refuse_nan(epoch: int, logs: dict[str, float]) -> None:
    """Stop where the training broke down.

    Raises:
        UserError: says in which epoch a loss was no number.
    """
    if not all(math.isfinite(logs[name]) for name in ("loss", "val_loss")):
        raise UserError(
            f"in epoch {epoch + 1} the loss became {logs['loss']} in training, {logs['val_loss']} in validation; "
            "lower train.learning_rate in params.yaml."
        )
