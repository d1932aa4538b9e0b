"""Split a network at its last feature maps and the features that its last layer reads."""

from typing import Any, NamedTuple

import keras
import tensorflow as tf
from keras import KerasTensor, layers

from lesions.core.errors import UserError


class SplitModel(NamedTuple):
    """The two parts of a network, whatever its architecture.

    Attributes:
        feature_extractor: from pixels to the last feature maps, (N, rows, columns, channels), and to the input of
            the last dense layer, (N, features).
        last: that layer.
    """

    feature_extractor: keras.Model
    last: layers.Dense

    def logits(self, features: tf.Tensor) -> tf.Tensor:
        """Return (N, classes): the last layer's outputs for features, before its softmax."""
        scores = tf.matmul(features, self.last.kernel)
        return scores + self.last.bias if self.last.use_bias else scores


def split_at_features(model: keras.Model) -> SplitModel:
    """Split a network, also where it is made of networks.

    The last feature maps are the last output of a layer with rows and columns, at least two of them: pooling that
    keeps its dimensions leaves 1×1, which has no places. A network without any has its pixels.

    Args:
        model: from pixels, (N, height, width, 3), to the probabilities of classes; its layers are shared.

    Raises:
        UserError: no dense layer gives the classes.
    """
    calls: list[tuple[Any, KerasTensor, KerasTensor]] = []

    def call(layer: Any, *inputs: Any, **options: Any) -> Any:
        if isinstance(layer, keras.Sequential):
            (x,) = inputs
            for part in layer.layers:
                x = call(part, x)
            return x
        if isinstance(layer, keras.Model):
            return keras.models.clone_model(layer, inputs[0], clone_function=_same, call_function=call).output
        output = layer(*inputs, **options)
        calls.append((layer, inputs[0], output))
        return output

    whole = keras.models.clone_model(model, clone_function=_same, call_function=call)
    maps = [output for _, _, output in calls if isinstance(output, KerasTensor) and _has_places(output)]
    dense = [(layer, taken) for layer, taken, _ in calls if isinstance(layer, layers.Dense)]
    if not dense or dense[-1][0].units != whole.output.shape[-1]:
        raise UserError(
            "The network has no dense layer that gives the classes, so it cannot be explained here. Let it end with "
            "Dense(classes), as the files in lesions/models/architectures do."
        )
    last, features = dense[-1]
    return SplitModel(keras.Model(whole.input, [maps[-1] if maps else whole.input, features]), last)


def _same(layer: Any) -> Any:
    return layer


def _has_places(tensor: KerasTensor) -> bool:
    return len(tensor.shape) == 4 and tensor.shape[1] * tensor.shape[2] > 1
