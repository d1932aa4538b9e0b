"""A small residual network for training from scratch on real images: 1.05 M weights for seven classes.

After He, Zhang, Ren, Sun: Deep residual learning for image recognition, CVPR 2016, section 4.2, with the shortcuts
"B" (a 1×1 convolution where the width changes).
"""

import keras
from keras import KerasTensor, layers

from lesions.models.common.batch_norm import BatchNormalization
from lesions.models.common.input_size import require_px

WIDTHS = (32, 64, 96, 128)
BLOCKS = 2
"""Residual blocks a stage."""
LEAST_PX = 32
MOMENTUM = 0.95
"""Momentum of the moving statistics; see `plain`."""
DROPOUT = 0.2


def build(shape: tuple[int, int, int], classes: int) -> keras.Model:
    """Return the network.

    A first convolution halves the image; then come four stages of two blocks of two 3×3 convolutions, of which
    all but the first halve it again. Global average pooling lets it take any height and width of 32 or more.

    Args:
        shape: of an image: height, width, 3; raw pixels from 0 to 255.
        classes: number of classes.

    Returns:
        A model from pixels to the classes' probabilities.

    Raises:
        UserError: the images are too small.
    """
    require_px(shape, LEAST_PX, "residual")
    pixels = keras.Input(shape, name="pixels")
    x = layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    x = layers.ReLU()(_convolution(x, WIDTHS[0], 3, strides=2))
    for stage, width in enumerate(WIDTHS):
        for block in range(BLOCKS):
            x = _block(x, width, strides=2 if stage and not block else 1)
    x = layers.GlobalAveragePooling2D()(x)
    x = layers.Dropout(DROPOUT)(x)
    return keras.Model(pixels, layers.Dense(classes, activation="softmax", name="probabilities")(x))


def _block(x: KerasTensor, width: int, strides: int) -> KerasTensor:
    """Return a residual block's output: ReLU of its two convolutions plus the shortcut."""
    shortcut = x if x.shape[-1] == width and strides == 1 else _convolution(x, width, 1, strides)
    x = layers.ReLU()(_convolution(x, width, 3, strides))
    x = _convolution(x, width, 3, strides=1)
    return layers.ReLU()(layers.Add()([x, shortcut]))


def _convolution(x: KerasTensor, width: int, kernel: int, strides: int) -> KerasTensor:
    x = layers.Conv2D(width, kernel, strides=strides, padding="same", use_bias=False)(x)
    return BatchNormalization(momentum=MOMENTUM)(x)
