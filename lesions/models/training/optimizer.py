"""The loss, the optimizer, class weights, and logit adjustment."""

from collections.abc import Callable

import keras
import numpy as np
from keras import ops
from numpy.typing import NDArray

from lesions.params.train import Train

Loss = Callable[[keras.KerasTensor, keras.KerasTensor], keras.KerasTensor]

HEAD = ("head", "probabilities")
"""How the names of the layers begin that classify; all others are the backbone."""


def optimizer(params: Train, model: keras.Model, first: int, end: int, steps: int) -> keras.optimizers.Optimizer:
    """Return the optimizer, and where the backbone has a learning rate of its own, one that holds two.

    Args:
        params: the section.
        model: the network, whose layers' names tell head and backbone apart.
        first: epoch of this phase, counted from 0.
        end: the first epoch after it. Where `schedule` is cosine, the learning rate has fallen to nothing there.
        steps: number of steps per epoch.
    """
    if params.backbone_lr_multiplier == 1:
        return _single(
            params, params.learning_rate, (end - first) * steps, params.warmup_epochs * steps, params.optimizer
        )
    head, backbone = (
        _single(params, params.learning_rate * factor, (end - first) * steps, params.warmup_epochs * steps, name)
        for name, factor in (("head", 1.0), ("backbone", params.backbone_lr_multiplier))
    )
    heads = {variable.path for layer in model.layers if is_head(layer) for variable in layer.variables}
    choose: Callable[[keras.Variable], keras.optimizers.Optimizer] = lambda variable: (  # noqa: E731
        head if variable.path in heads else backbone
    )
    both: keras.optimizers.Optimizer = keras.optimizers.MultiOptimizer(choose, name="both")
    return both


def is_head(layer: keras.Layer) -> bool:
    """Tell whether a layer belongs to the part that classifies."""
    return bool(layer.name.startswith(HEAD))


def _single(params: Train, rate: float, steps: int, warmup: int, name: str) -> keras.optimizers.Optimizer:
    learning_rate: float | keras.optimizers.schedules.LearningRateSchedule = rate
    if params.schedule == "cosine":
        warmup = min(warmup, steps - 1)
        learning_rate = keras.optimizers.schedules.CosineDecay(
            0.0 if warmup else rate, steps - warmup, warmup_target=rate if warmup else None, warmup_steps=warmup
        )
    decay = params.weight_decay or None
    if params.optimizer == "sgd":
        return keras.optimizers.SGD(learning_rate, momentum=0.9, nesterov=True, weight_decay=decay, name=name)
    kind = keras.optimizers.AdamW if params.optimizer == "adamw" else keras.optimizers.Adam
    return kind(learning_rate, weight_decay=decay, name=name)


def loss(params: Train, classes: int) -> Loss:
    """Return the loss of each image, from integer labels, (N,), and probabilities, (N, classes).

    Focal loss is that of Lin et al. (ICCV 2017) without its alpha, for which there are class weights.
    """
    if params.loss == "crossentropy":
        plain: Loss = keras.losses.sparse_categorical_crossentropy
        return plain

    def focal(labels: keras.KerasTensor, probabilities: keras.KerasTensor) -> keras.KerasTensor:
        wanted = ops.one_hot(ops.cast(ops.reshape(labels, (-1,)), "int32"), classes)
        return keras.losses.categorical_focal_crossentropy(wanted, probabilities, alpha=1.0, gamma=params.focal_gamma)

    return focal


def class_fractions(labels: NDArray[np.int64], probabilities: NDArray[np.float64] | None) -> NDArray[np.float64]:
    """Return (classes,), each class's fraction of the images that an epoch draws.

    Args:
        labels: the training images' integer labels, each of which occurs.
        probabilities: of `draw_probabilities`; None where each image comes once.
    """
    counts: NDArray[np.float64] = np.bincount(labels) / len(labels)
    return counts if probabilities is None else np.bincount(labels, probabilities).astype(np.float64)


def class_weights(fractions: NDArray[np.float64], power: float) -> dict[int, float] | None:
    """Return how much an image of each class counts, 1 on average over the images; None for all alike.

    Args:
        fractions: of `class_fractions`.
        power: `class_weight_power`: a class is weighed by one over its fraction to this.
    """
    if power == 0:
        return None
    weights = 1 / fractions**power
    weights /= (weights * fractions).sum()
    return {label: float(weight) for label, weight in enumerate(weights)}


def apply_logit_adjustment(model: keras.Model, fractions: NDArray[np.float64], tau: float) -> None:
    """Subtract tau times the logarithm of each class's fraction of train from its logit, in the last layer's bias.

    Post-hoc logit adjustment (Menon et al., Long-tail learning via logit adjustment, ICLR 2021): where the
    probabilities are right, dividing them by these fractions (tau = 1) gives the answers of the highest balanced
    accuracy.

    Args:
        model: its last layer is dense, with a softmax.
        fractions: of `class_fractions`.
        tau: 0 leaves the model as it is.
    """
    last = model.layers[-1]
    last.bias.assign(last.bias - (tau * np.log(fractions)).astype(np.float32))
