"""A published notebook's network of 5×5 convolutions: 0.461 M weights at 180×180 for nine classes."""

import keras
from keras import layers


def build(shape: tuple[int, int, int], classes: int) -> keras.Model:
    """Return the network, as its text states it: `same` padding, ReLU, one dense layer.

    Args:
        shape: of an image: height, width, 3; raw pixels from 0 to 255.
        classes: number of classes.

    Returns:
        A model from pixels to the classes' probabilities.
    """
    pixels = keras.Input(shape, name="pixels")
    x = layers.Rescaling(1 / 255)(pixels)
    x = layers.Conv2D(32, 5, padding="same", activation="relu")(x)
    x = layers.Conv2D(32, 5, padding="same", activation="relu")(x)
    x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(64, 5, padding="same", activation="relu")(x)
    x = layers.MaxPooling2D()(x)
    x = layers.Conv2D(64, 5, padding="same", activation="relu")(x)
    x = layers.MaxPooling2D()(x)
    x = layers.Dropout(0.25)(x)
    x = layers.Flatten()(x)
    return keras.Model(pixels, layers.Dense(classes, activation="softmax", name="probabilities")(x))
