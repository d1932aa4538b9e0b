"""The classifier as one Keras model: from uint8 pixels to probabilities before and after calibration."""

import keras
import numpy as np
from keras import KerasTensor, layers, ops
from numpy.typing import NDArray

from lesions.classifier import Classifier
from lesions.evaluation.common.temperature_scaling import Calibration
from lesions.inference.predict import in_batches, predict_batch

INPUT = "pixels"
OUTPUTS = ("probabilities", "uncalibrated")

Outputs = dict[str, NDArray[np.float32]]
"""By the names in `OUTPUTS`: (N, classes)."""


def export_model(classifier: Classifier) -> keras.Model:
    """Return a model from uint8 pixels, (N, height, width, 3), to a dictionary of `OUTPUTS`.

    It contains the network with its own normalisation, test-time augmentation where the model was evaluated with it,
    and the calibration; without one the two outputs are equal.
    """
    keras.utils.clear_session(free_memory=False)  # the files contain the layers' names, which count from one again
    network = classifier.model
    for layer in network.layers:
        if isinstance(layer, layers.Normalization):
            # As a tensor outside of the weights, `Model.export` would make it an input of the ONNX file.
            layer.mean, layer.variance = np.asarray(layer.mean), np.asarray(layer.variance)
    pixels = keras.Input(network.input.shape[1:], dtype="uint8", name=INPUT)
    x = ops.cast(pixels, "float32")
    if classifier.thresholds.model.tta:
        views = dihedral_views(x)
        each = ops.split(network(ops.concatenate(views, axis=0)), len(views), axis=0)
        total = ops.sum(ops.stack(each), axis=0)
        uncalibrated = total / ops.sum(total, axis=1, keepdims=True)
    else:
        uncalibrated = network(x)
    calibrated = calibrate(uncalibrated, classifier.calibration)
    return keras.Model(pixels, {"probabilities": calibrated, "uncalibrated": uncalibrated})


def dihedral_views(x: KerasTensor) -> list[KerasTensor]:
    """Return the flips and quarter turns of (N, height, width, 3) that `inference.predict` has, in another order."""
    height, width = x.shape[1:3]
    # By numbered rows and columns: the converters turn a reversal into many operations.
    upside_down = ops.take(x, np.arange(height)[::-1], axis=1)
    flipped = [x, upside_down] + [ops.take(view, np.arange(width)[::-1], axis=2) for view in (x, upside_down)]
    turned = [ops.transpose(view, (0, 2, 1, 3)) for view in flipped]
    return flipped + turned if height == width else flipped


def calibrate(probability: KerasTensor, calibration: Calibration) -> KerasTensor:
    """Return calibrated probabilities as `models.calibration` has them, but without a logarithm, so that 0 is fine.

    Args:
        probability: (N, classes).
        calibration: of the model.

    Returns:
        (N, classes).
    """
    powers = (probability / ops.max(probability, axis=1, keepdims=True)) ** (1 / calibration.temperature)
    weighted = powers * np.exp(calibration.biases).astype(np.float32)
    return weighted / ops.sum(weighted, axis=1, keepdims=True)


def keras_outputs(classifier: Classifier, images: NDArray[np.uint8]) -> Outputs:
    """Return the outputs of `lesions classify`, which the exported files must equal.

    Args:
        classifier: the model.
        images: (N, height, width, 3).
    """
    tta = classifier.thresholds.model.tta
    uncalibrated = np.concatenate(
        [predict_batch(classifier.feature_model, batch, tta)[1] for batch in in_batches(images)]
    )
    return {"probabilities": classifier.calibration.apply(uncalibrated), "uncalibrated": uncalibrated}
