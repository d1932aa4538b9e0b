"""Colour constancy: images as if under white light, whatever the lamp and camera."""

import math
from typing import Final

import numpy as np
from numpy.typing import NDArray

MINKOWSKI_P: Final = 6
"""Finlayson and Trezzi's best; p = 1 is grey world, p = infinity the brightest pixel."""


def shades_of_grey(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Take the colour of the light out of an image.

    The light's colour is taken to be each channel's Minkowski mean, `(mean of values**p)**(1 / p)`, scaled to length
    1; each channel is divided by sqrt(3) times its part of that, so white light changes nothing (Finlayson and
    Trezzi, "Shades of Gray and Colour Constancy", Color Imaging Conference 2004; on dermoscopy: Barata, Celebi and
    Marques, "Improving Dermoscopy Image Classification Using Color Constancy", IEEE J-BHI 2015).

    Args:
        pixels: uint8, (height, width, 3), as stored, that is, with their gamma.

    Returns:
        The same shape; what becomes brighter than white is white. A channel that is zero everywhere stays so.
    """
    powers = (np.arange(256) / 255) ** MINKOWSKI_P
    counts = [np.bincount(pixels[..., channel].ravel(), minlength=256) for channel in range(3)]
    # fsum rounds once: the same sum whatever the order.
    light = [(math.fsum(count * powers) / max(1, count.sum())) ** (1 / MINKOWSKI_P) for count in counts]
    length = math.sqrt(math.fsum(part * part for part in light))
    gains = [length / (math.sqrt(3) * part) if part else 1.0 for part in light]
    tables = [np.clip(np.rint(np.arange(256) * gain), 0, 255).astype(np.uint8) for gain in gains]
    return np.stack([table[pixels[..., channel]] for channel, table in enumerate(tables)], axis=2)
