"""The published notebooks' second network: `notebook_basic` with Dropout; the weights are as many.

The text states neither where nor how much; this is as in the second half of TensorFlow's tutorial "Image
classification": a fifth, after the last pooling.
"""

import keras
from keras import layers

WIDTHS = (16, 32, 64)
DROPOUT = 0.2


def build(shape: tuple[int, int, int], classes: int) -> keras.Model:
    """Return the network: three times a 3×3 convolution and pooling, Dropout, then two dense layers.

    Args:
        shape: of an image: height, width, 3; raw pixels from 0 to 255.
        classes: number of classes.

    Returns:
        A model from pixels to the classes' probabilities. The published one gave logits.
    """
    pixels = keras.Input(shape, name="pixels")
    x = layers.Rescaling(1 / 255)(pixels)
    for width in WIDTHS:
        x = layers.Conv2D(width, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D()(x)
    x = layers.Dropout(DROPOUT)(x)
    x = layers.Flatten()(x)
    x = layers.Dense(128, activation="relu")(x)
    return keras.Model(pixels, layers.Dense(classes, activation="softmax", name="probabilities")(x))
