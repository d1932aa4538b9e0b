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


def class_weights(labels: NDArray[np.int64], params: Train) -> dict[int, float] | None:
    """Return how much an image of each class counts, 1 on average over the images; None for all alike.

    Args:
        labels: the training images' integer labels, each of which occurs.
        params: a class of n images is weighed by one over n to the `class_weight_power`.
    """
    if params.class_weight_power == 0:
        return None
    counts = np.bincount(labels)
    weights = 1 / counts**params.class_weight_power
    weights *= len(labels) / (weights * counts).sum()
    return {label: float(weight) for label, weight in enumerate(weights)}


def apply_logit_adjustment(model: keras.Model, labels: NDArray[np.int64], tau: float) -> None:
    """Subtract tau times the logarithm of each class's fraction of train from its logit, in the last layer's bias.

    Post-hoc logit adjustment (Menon et al., Long-tail learning via logit adjustment, ICLR 2021): where the
    probabilities are right, dividing them by these fractions (tau = 1) gives the answers of the highest balanced
    accuracy.

    Args:
        model: its last layer is dense, with a softmax.
        labels: the training images' integer labels, each of which occurs.
        tau: 0 leaves the model as it is.
    """
    shares = np.bincount(labels) / len(labels)
    last = model.layers[-1]
    last.bias.assign(last.bias - (tau * np.log(shares)).astype(np.float32))
