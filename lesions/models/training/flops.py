"""What a network costs, wherever it runs."""

import math

import keras


def multiply_adds(model: keras.Model) -> int:
    """Return the multiplications of one image's way through the convolutions and dense layers.

    Every kernel is applied once at each place of the layer's output; all else has vectors for weights, and is left
    out, as usual.
    """
    return sum(
        math.prod(weight.shape) * math.prod(layer.output.shape[1:-1])
        for layer in model.layers
        for weight in layer.weights
        if len(weight.shape) > 1
    )
