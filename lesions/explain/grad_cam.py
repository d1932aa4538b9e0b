"""Grad-CAM: which places of an image raised the score of a class.

Selvaraju, Cogswell, Das, Vedantam, Parikh, Batra: Grad-CAM: Visual explanations from deep networks via gradient-based
localization, ICCV 2017.
"""

from collections.abc import Callable
from functools import lru_cache

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tqdm import tqdm

from lesions.explain.feature_maps import split_at_features

BATCH = 64


def heat_maps(
    model: keras.Model, pixels: NDArray[np.uint8], classes: NDArray[np.int64], what: str | None = None
) -> NDArray[np.float32]:
    """Return one map per image of how much each place raised the score of a class: 1 where most, 0 where it did not.

    A map is as coarse as the network's last feature maps, and scaled for itself: the heat of two images cannot be
    compared. Where nothing raises the score, the map is 0 all over.

    Args:
        model: from pixels to the probabilities of classes; any of `lesions/models/architectures`.
        pixels: uint8, (N, height, width, 3).
        classes: (N,), the label to explain of each image, as an integer.
        what: what a progress bar calls the work; without it there is none.

    Returns:
        float32, (N, height, width), from 0 to 1.
    """
    compiled = _compiled(model)
    found = np.zeros(pixels.shape[:3], np.float32)
    starts = range(0, len(pixels), BATCH)
    for start in tqdm(starts, desc=what, unit=" batches", disable=None if what else True):
        chosen = slice(start, start + BATCH)
        fine = compiled(tf.constant(pixels[chosen], tf.float32), tf.constant(classes[chosen])).numpy()
        highest = fine.max(axis=(1, 2), keepdims=True)
        np.divide(fine, highest, out=found[chosen], where=highest > 0)
    return found


@lru_cache(maxsize=1)  # a page asks one model for one image at a time, and compiling takes longer than a map
def _compiled(model: keras.Model) -> Callable[..., tf.Tensor]:
    """Return what makes the unscaled maps of a batch; the letters are the paper's."""
    parts = split_at_features(model)
    height, width, channels = model.input_shape[1:]

    def unscaled(x: tf.Tensor, classes: tf.Tensor) -> tf.Tensor:
        with tf.GradientTape() as tape:
            tape.watch(x)
            a, features = parts.feature_extractor(x, training=False)
            # The logit, as in the paper: the gradient of the probability, or of its logarithm, fades to nothing as
            # the network becomes sure, and sure errors are what one wants to see.
            y = tf.gather(parts.logits(features), classes, batch_dims=1)
        alpha = tf.reduce_mean(tape.gradient(y, a), axis=(1, 2), keepdims=True)
        coarse = tf.nn.relu(tf.reduce_sum(alpha * a, axis=3, keepdims=True))
        return tf.image.resize(coarse, (height, width))[..., 0]

    signature = [tf.TensorSpec((None, height, width, channels)), tf.TensorSpec((None,), tf.int64)]
    compiled: Callable[..., tf.Tensor] = tf.function(unscaled, input_signature=signature).get_concrete_function()
    return compiled
