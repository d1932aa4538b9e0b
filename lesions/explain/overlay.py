"""An image, and beside it the same under its heat map."""

from collections.abc import Sequence

import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageOps

GAP = 6
"""Pixels between the two."""
COLOURS = mpl.colormaps["viridis"]
"""Reads the same to the colour-blind, and its bright end, yellow and green, is no colour of skin."""


def overlay(image: NDArray[np.uint8], heat: NDArray[np.float32], box: tuple[int, int]) -> tuple[Image.Image, ...]:
    """Return the image, and the image under its heat, both scaled into the box.

    Args:
        image: uint8, (height, width, 3).
        heat: (height, width), 0 to 1; the cold is as it was, the hot is covered by three fifths.
        box: the most width and height.
    """
    plain = ImageOps.contain(Image.fromarray(np.asarray(image)), box, Image.Resampling.BICUBIC)
    grey = Image.fromarray(np.round(255 * heat).astype(np.uint8)).resize(plain.size, Image.Resampling.BICUBIC)
    warmth = np.asarray(grey, np.float32)[..., None] / 255
    colour = 255 * COLOURS(warmth[..., 0])[..., :3]
    cover = 0.6 * warmth
    mixed = (1 - cover) * np.asarray(plain, np.float32) + cover * colour
    return plain, Image.fromarray(np.round(mixed).astype(np.uint8))


def hottest_place(heat: NDArray[np.float32]) -> str:
    """Return where a heat map, (height, width), is hottest, by ninths: "upper left", "middle right", "middle"."""
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    down = ("upper", "middle", "lower")[3 * int(row) // heat.shape[0]]
    across = ("left", "middle", "right")[3 * int(column) // heat.shape[1]]
    return "middle" if down == across else f"{down} {across}"


def beside(images: Sequence[Image.Image]) -> Image.Image:
    """Return two images of one size side by side, on white."""
    width, height = images[0].size
    both = Image.new("RGB", (2 * width + GAP, height), "white")
    for place, image in enumerate(images):
        both.paste(image, (place * (width + GAP), 0))
    return both
