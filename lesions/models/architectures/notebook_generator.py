"""The network of a published notebook that augments in real time: 6.65 M weights at 180×180 for nine classes.

The text states the widths, the dense layer and the Dropout; pooling after each convolution and Keras's default of
no padding are this project's reading.
"""

import keras
from keras import layers

from lesions.models.common.input_size import require_px

WIDTHS = (32, 64, 128)
LEAST_PX = 22
"""From it, one pixel is left after the third pooling."""


def build(shape: tuple[int, int, int], classes: int) -> keras.Model:
    """Return the network: three times a 3×3 convolution and pooling, a dense layer, Dropout, and the last layer.

    Args:
        shape: of an image: height, width, 3; raw pixels from 0 to 255.
        classes: number of classes.

    Returns:
        A model from pixels to the classes' probabilities.

    Raises:
        UserError: the images are too small.
    """
    require_px(shape, LEAST_PX, "notebook_generator")
    pixels = keras.Input(shape, name="pixels")
    x = layers.Rescaling(1 / 255)(pixels)
    for width in WIDTHS:
        x = layers.Conv2D(width, 3, activation="relu")(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Flatten()(x)
    x = layers.Dense(128, activation="relu")(x)
    x = layers.Dropout(0.5)(x)
    return keras.Model(pixels, layers.Dense(classes, activation="softmax", name="probabilities")(x))
