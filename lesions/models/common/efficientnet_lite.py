"""EfficientNet-Lite without its last layer: EfficientNet for phones, without squeeze-and-excitation, with ReLU6.

Tan, Le: EfficientNet: rethinking model scaling for convolutional neural networks, ICML 2019, and the Lite variants of
its authors (github.com/tensorflow/tpu, models/official/efficientnet/lite): stem and top have the width of network 0 in
all of them, and the first and last stage its depth. Left out is the stochastic depth of their training.
"""

import math

import keras
from keras import KerasTensor, layers

from lesions.models.common.input_size import require_px

SCALES = {
    "EfficientNetLite0": (1.0, 1.0),
    "EfficientNetLite1": (1.0, 1.1),
    "EfficientNetLite2": (1.1, 1.2),
    "EfficientNetLite3": (1.2, 1.4),
    "EfficientNetLite4": (1.4, 1.8),
}
"""The factors of width and depth. They were trained at 224, 240, 260, 280 and 300 pixels."""
STAGES = (
    *((1, 3, 1, 1, 16), (2, 3, 2, 6, 24), (2, 5, 2, 6, 40), (3, 3, 2, 6, 80)),
    *((3, 5, 1, 6, 112), (4, 5, 2, 6, 192), (1, 3, 1, 6, 320)),
)
"""Stages of network 0: blocks, kernel size, stride of the first block, expansion, and channels."""
STEM, TOP = 32, 1280
EPSILON = 1e-3
LEAST_PX = 32


def efficientnet_lite(name: str, pixels: KerasTensor) -> keras.Model:
    """Return the network from pixels to its last feature maps, with random weights.

    Args:
        name: one of `SCALES`.
        pixels: (N, height, width, 3), 0 to 255, RGB.

    Raises:
        UserError: the images are too small.
    """
    require_px(pixels.shape[1:], LEAST_PX, name)
    width, depth = SCALES[name]
    x = layers.Rescaling(1 / 128, offset=-127 / 128, name="scaling")(pixels)
    x = layers.Conv2D(STEM, 3, strides=2, padding="same", use_bias=False, name="stem_conv")(x)
    x = _normalised(x, "stem")
    block = 0
    for stage, (blocks, kernel, stride, expansion, channels) in enumerate(STAGES):
        scaled = 0 < stage < len(STAGES) - 1
        for first in range(math.ceil(depth * blocks) if scaled else blocks):
            x = _block(x, f"block{block}", kernel, 1 if first else stride, expansion, _rounded(width * channels))
            block += 1
    x = layers.Conv2D(TOP, 1, use_bias=False, name="top_conv")(x)
    return keras.Model(pixels, _normalised(x, "top"))


def _block(x: KerasTensor, name: str, kernel: int, stride: int, expansion: int, channels: int) -> KerasTensor:
    """Return an inverted residual: expand by a 1×1 convolution, filter each channel, project by another."""
    entry = x
    if expansion > 1:
        x = layers.Conv2D(expansion * x.shape[-1], 1, use_bias=False, name=f"{name}_expand_conv")(x)
        x = _normalised(x, f"{name}_expand")
    depthwise = layers.DepthwiseConv2D(
        kernel, strides=stride, padding="same", use_bias=False, name=f"{name}_depthwise_conv"
    )
    x = _normalised(depthwise(x), f"{name}_depthwise")
    x = layers.Conv2D(channels, 1, use_bias=False, name=f"{name}_project_conv")(x)
    x = layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_project_bn")(x)
    return layers.Add(name=f"{name}_add")([x, entry]) if stride == 1 and entry.shape[-1] == channels else x


def _normalised(x: KerasTensor, name: str) -> KerasTensor:
    x = layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_bn")(x)
    return layers.ReLU(6.0, name=f"{name}_relu")(x)


def _rounded(channels: float) -> int:
    """Return the nearest multiple of eight that is not more than a tenth below."""
    nearest = max(8, int(channels + 4) // 8 * 8)
    return nearest + 8 if nearest < 0.9 * channels else nearest
