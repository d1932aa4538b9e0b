"""A network of Keras Applications, with the weights that the stage `weights` prepared, and a new last layer.

Which one, at which width, and from which weights, params.yaml says under `pretrained`. Nothing is fetched here.
"""

import re
import warnings
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
from keras import KerasTensor, layers

from lesions.core.errors import UserError
from lesions.core.json_files import read_json
from lesions.models.common.batch_norm import fused

WEIGHTS = Path("data/weights")
DROPOUT = 0.2
WIDE = ("mobilenet", "mobilenet_v2", "mobilenet_v3")
"""Keras's modules whose networks have a width, `alpha`."""


def build(shape: tuple[int, int, int], classes: int, folder: Path = WEIGHTS) -> keras.Model:
    """Return the network.

    It is flat: the layers of the published network under their own names, after those that bring pixels to the
    range that it was trained on. What is new, and starts at random, is named `head_…` and `probabilities`.

    Args:
        shape: of an image: height, width, 3; raw pixels from 0 to 255.
        classes: how many.
        folder: the output folder of the stage weights.

    Returns:
        A model from pixels to the classes' probabilities.

    Raises:
        UserError: no network is named, the images are too small for it, or the weights are another network's.
    """
    wanted = read_json(folder / "weights.json")
    if wanted["model"] == "none":
        raise UserError(
            "train.architecture is pretrained, but no network is named: set pretrained.model in params.yaml, "
            "for instance to MobileNet with pretrained.alpha 0.25."
        )
    pixels = keras.Input(shape, name="pixels")
    application = getattr(keras.applications, wanted["model"])
    backbone = fused(_backbone(application, wanted["alpha"], pixels))
    if wanted["file"]:
        _load(backbone, folder / wanted["file"], wanted)
    x = layers.GlobalAveragePooling2D(name="head_pooling")(backbone.output)
    x = layers.Dropout(DROPOUT, name="head_dropout")(x)
    return keras.Model(backbone.inputs[0], layers.Dense(classes, activation="softmax", name="probabilities")(x))


def backbone_layers(model: keras.Model) -> list[keras.layers.Layer]:
    """Return the layers that were trained before: all but the head.

    Batch normalisation among them is frozen, its statistics too, while its `trainable` is false, as Keras defines it.
    """
    return [layer for layer in model.layers if not layer.name.startswith("head") and layer.name != "probabilities"]


def preprocess(pixels: KerasTensor, module: str) -> KerasTensor:
    """Bring pixels to what the networks of one of Keras's modules were trained on.

    The same numbers as the module's own `preprocess_input`, but as layers that are saved with the model.

    Args:
        pixels: (N, height, width, 3), 0 to 255, RGB.
        module: the name of the network's module in keras.applications.
    """
    if module in ("efficientnet", "efficientnet_v2", "convnext", "mobilenet_v3"):
        return pixels  # it is the network's first layer already
    if module in ("resnet", "vgg16", "vgg19"):  # weights that came from Caffe: BGR, less ImageNet's mean
        turned = keras.ops.flip(pixels, axis=-1)
        return layers.Normalization(mean=[103.939, 116.779, 123.68], variance=[1.0, 1.0, 1.0])(turned)
    if module == "densenet":  # from Torch: ImageNet's mean and spread
        mean, spread = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        return layers.Normalization(
            mean=[255 * value for value in mean], variance=[(255 * value) ** 2 for value in spread]
        )(pixels)
    return layers.Rescaling(1 / 127.5, offset=-1)(pixels)


def _backbone(application: Callable[..., keras.Model], alpha: float, pixels: KerasTensor) -> keras.Model:
    """Return the network from pixels to its last feature maps, with random weights."""
    module = application.__module__.rpartition(".")[2]
    arguments = {"alpha": alpha} if module in WIDE else {}
    try:
        return application(
            include_top=False,
            weights=None,
            input_tensor=preprocess(pixels, module),
            input_shape=pixels.shape[1:],
            **arguments,
        )
    except ValueError as error:
        least = re.search(r"at least (\d+)x", str(error))
        if not least:
            raise
        height, width = pixels.shape[1:3]
        raise UserError(
            f"The network {application.__name__} needs images of at least {least[1]} pixels a side; these have "
            f"{height}×{width}. Set prepare.image_size in params.yaml to {least[1]} or more."
        ) from None


def _load(backbone: keras.Model, file: Path, wanted: dict[str, object]) -> None:
    """Give the backbone its weights; the file's description of a model, if it has one, is not read."""
    floats = [weight for weight in backbone.weights if keras.backend.is_float_dtype(weight.dtype)]
    for weight in floats:
        weight.assign(np.full(weight.shape, np.nan, weight.dtype))
    try:
        with warnings.catch_warnings(action="ignore"):  # of what it does not find; we look ourselves
            backbone.load_weights(file)
        wrong = sum(not np.isfinite(weight.numpy()).all() for weight in floats)
        reason = f"missing from it, or no finite numbers: {wrong} of {len(floats)} arrays" if wrong else ""
    except (ValueError, OSError, KeyError, TypeError, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0][:300]
    if reason:
        raise UserError(
            f"The weights from {wanted['source']} do not fit {wanted['model']} at alpha {wanted['alpha']} without "
            f"its last layer: {reason}\nExpected weights of that network (Keras's files for it end in notop.h5 or "
            "no_top.h5): mend pretrained.model, pretrained.alpha or pretrained.path in params.yaml."
        )
