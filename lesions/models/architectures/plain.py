"""A compact convolutional network: four stages of two 3×3 convolutions, 0.296 M weights for seven classes."""

import keras
from keras import layers

from lesions.models.common.batch_norm import BatchNormalization
from lesions.models.common.input_size import require_px

WIDTHS = (16, 32, 64, 128)
LEAST_PX = 16
"""From it, one pixel is left after the last stage."""
MOMENTUM = 0.95
"""Momentum of the moving statistics. Keras's 0.99 needs hundreds of steps before validation means anything, which on a
small data set is longer than early stopping waits."""


def build(shape: tuple[int, int, int], classes: int) -> keras.Model:
    """Return the network.

    Each stage halves the image with its first convolution; every convolution is followed by batch
    normalisation and ReLU. Global average pooling lets it take any height and width of 16 or more.

    Args:
        shape: of an image: height, width, 3; raw pixels from 0 to 255.
        classes: number of classes.

    Returns:
        A model from pixels to the classes' probabilities.

    Raises:
        UserError: the images are too small.
    """
    require_px(shape, LEAST_PX, "plain")
    pixels = keras.Input(shape, name="pixels")
    x = layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    for width in WIDTHS:
        for strides in (2, 1):
            x = layers.Conv2D(width, 3, strides=strides, padding="same", use_bias=False)(x)
            x = BatchNormalization(momentum=MOMENTUM)(x)
            x = layers.ReLU()(x)
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(pixels, layers.Dense(classes, activation="softmax", name="probabilities")(x))
