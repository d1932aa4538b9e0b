"""The network of the published life cycle on HAM10000: 3.75 M weights at 75×100 for seven classes.

Published, pixels were centred by the mean and spread of the whole data set; here by fixed numbers, so that the model
carries its own normalisation and the test images have no part in it.
"""

import keras
from keras import layers

BLOCKS = ((32, 0.25), (64, 0.4))
"""The width of two convolutions, and the Dropout after their pooling."""


def build(shape: tuple[int, int, int], classes: int) -> keras.Model:
    """Return the network: two blocks of two 3×3 convolutions, then two dense layers.

    Args:
        shape: of an image: height, width, 3; raw pixels from 0 to 255.
        classes: number of classes.

    Returns:
        A model from pixels to the classes' probabilities.
    """
    pixels = keras.Input(shape, name="pixels")
    x = layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    for width, dropout in BLOCKS:
        x = layers.Conv2D(width, 3, padding="same", activation="relu")(x)
        x = layers.Conv2D(width, 3, padding="same", activation="relu")(x)
        x = layers.MaxPooling2D()(x)
        x = layers.Dropout(dropout)(x)
    x = layers.Flatten()(x)
    x = layers.Dense(128, activation="relu")(x)
    x = layers.Dropout(0.5)(x)
    return keras.Model(pixels, layers.Dense(classes, activation="softmax", name="probabilities")(x))
