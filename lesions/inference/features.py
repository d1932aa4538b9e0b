"""The features of an image: what the last layer of a network reads."""

import keras
from keras import layers

MAX_FEATURES = 2048
"""Published networks that flatten their last maps have tens of thousands."""


def feature_model(model: keras.Model) -> keras.Model:
    """Return a model from pixels to the features, (N, features), and the probabilities, (N, classes).

    The features are the input of the last layer with weights; where that is wider than `MAX_FEATURES`, the mean of each
    of the last feature maps.
    """
    features = next(layer for layer in reversed(model.layers) if layer.weights).input
    if len(features.shape) != 2 or features.shape[1] > MAX_FEATURES:
        maps = next(layer for layer in reversed(model.layers) if len(layer.output.shape) == 4).output
        features = layers.GlobalAveragePooling2D()(maps)
    return keras.Model(model.input, [features, model.output])
