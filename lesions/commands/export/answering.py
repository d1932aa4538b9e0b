"""The whole answer as one network: from uint8 pixels to probabilities before and after the temperature."""

import keras
import numpy as np
from keras import KerasTensor, ops
from numpy.typing import NDArray
from tqdm import tqdm

from lesions.classifier import Classifier
from lesions.inference.predict import BATCH, asked

INPUT = "pixels"
OUTPUTS = ("probabilities", "uncalibrated")

Answers = dict[str, NDArray[np.float32]]
"""By the names in `OUTPUTS`: (N, classes)."""


def answering(classifier: Classifier) -> keras.Model:
    """Return a model from uint8 pixels, (N, height, width, 3), to a dictionary of `OUTPUTS`.

    In it are the network with its own normalisation, all orientations where the model was judged by their mean, and
    the temperature; without one the two outputs are the same numbers.
    """
    keras.utils.clear_session(free_memory=False)  # layers' names are in the files, and count from one again
    network, decision = classifier.model, classifier.decision
    pixels = keras.Input(network.input.shape[1:], dtype="uint8", name=INPUT)
    x = ops.cast(pixels, "float32")
    if decision.model.dihedral:
        views = orientations(x)
        each = ops.split(network(ops.concatenate(views, axis=0)), len(views), axis=0)
        total = ops.sum(ops.stack(each), axis=0)
        uncalibrated = total / ops.sum(total, axis=1, keepdims=True)
    else:
        uncalibrated = network(x)
    return keras.Model(
        pixels,
        {
            "probabilities": tempered(uncalibrated, decision.temperature or 1.0),
            "uncalibrated": uncalibrated,
        },
    )


def orientations(x: KerasTensor) -> list[KerasTensor]:
    """Return the flips and turns that keep the shape, those of `asking.orientations` in another order.

    Args:
        x: (N, height, width, 3).
    """
    height, width = x.shape[1:3]
    # By numbered rows and columns: to reverse, the converters know long ways alone.
    upside_down = ops.take(x, np.arange(height)[::-1], axis=1)
    flipped = [x, upside_down] + [ops.take(view, np.arange(width)[::-1], axis=2) for view in (x, upside_down)]
    turned = [ops.transpose(view, (0, 2, 1, 3)) for view in flipped]
    return flipped + turned if height == width else flipped


def tempered(probability: KerasTensor, temperature: float) -> KerasTensor:
    """Return what `calibration.tempered` does, (N, classes), without a logarithm: that of 0 needs a special case."""
    powers = (probability / ops.max(probability, axis=1, keepdims=True)) ** (1 / temperature)
    return powers / ops.sum(powers, axis=1, keepdims=True)


def keras_answers(classifier: Classifier, pictures: NDArray[np.uint8]) -> Answers:
    """Return the answers as `lesions classify` has them: what exported files are held against."""
    starts = tqdm(range(0, len(pictures), BATCH), desc="asking Keras", unit=" batches", disable=None, leave=False)
    dihedral = classifier.decision.model.dihedral
    raw = np.concatenate([asked(classifier.looking, pictures[start : start + BATCH], dihedral)[1] for start in starts])
    calibrated = classifier.decision.calibrated(raw.astype(np.float64)).astype(np.float32)
    return {"probabilities": calibrated, "uncalibrated": raw}
