"""Out-of-distribution images: generated patterns, and photographs that installed packages ship.

They show what the out-of-distribution score says of images of no lesion. Nothing is fetched.
"""

import math
from collections.abc import Callable, Iterator
from importlib.metadata import distribution

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from lesions.images.preprocessing import Preprocessing, as_png, to_pixels

Pixels = NDArray[np.uint8]

LETTERS = "abcdefghijklmnopqrstuvwxyz"
PER_KIND = 20
"""Generated images of a kind."""
CROPS = 3
"""Crops of a photograph in each direction, at each scale."""
PHOTOGRAPHS = {
    "china": ("scikit-learn", "sklearn/datasets/images/china.jpg"),
    "flower": ("scikit-learn", "sklearn/datasets/images/flower.jpg"),
    "grace_hopper": ("matplotlib", "matplotlib/mpl-data/sample_data/grace_hopper.jpg"),
}
"""Package and file of each. The packages have functions to load them, but importing these takes two seconds."""


def _noise(random: Generator, height: int, width: int) -> Pixels:
    return random.integers(256, size=(height, width, 3), dtype=np.uint8)


def _clouds(random: Generator, height: int, width: int) -> Pixels:
    cells = int(random.integers(3, 9))
    coarse = random.integers(256, size=(cells, cells, 3), dtype=np.uint8)
    return np.asarray(Image.fromarray(coarse).resize((width, height), Image.Resampling.BICUBIC))


def _flat(random: Generator, height: int, width: int) -> Pixels:
    return np.tile(random.integers(256, size=3, dtype=np.uint8), (height, width, 1))


def _gradient(random: Generator, height: int, width: int) -> Pixels:
    return _between(random, (_along(random, height, width) + 1) / 2)


def _stripes(random: Generator, height: int, width: int) -> Pixels:
    return _between(random, np.floor(_along(random, height, width) * random.uniform(3, 12)) % 2)


def _checkerboard(random: Generator, height: int, width: int) -> Pixels:
    cells = int(random.integers(3, 13))
    rows, columns = (np.arange(length) * cells // length for length in (height, width))
    return _between(random, (rows[:, None] + columns) % 2)


def _rings(random: Generator, height: int, width: int) -> Pixels:
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    distance = np.sqrt((x - random.uniform(-0.5, 0.5)) ** 2 + (y - random.uniform(-0.5, 0.5)) ** 2)
    return _between(random, np.floor(distance * random.uniform(3, 12)) % 2)


def _shapes(random: Generator, height: int, width: int) -> Pixels:
    image = Image.fromarray(_flat(random, height, width))
    draw = ImageDraw.Draw(image)
    for _ in range(int(random.integers(3, 10))):
        corners = [tuple((random.random(2) * (width, height)).tolist()) for _ in range(3)]
        draw.polygon(corners, fill=_colour(random))
    return np.asarray(image)


def _text(random: Generator, height: int, width: int) -> Pixels:
    image = Image.new("RGB", (width, height), _colour(random))
    draw = ImageDraw.Draw(image)
    colour = _colour(random)
    for top in range(1, height, 11):  # a line of Pillow's own letters
        words = "".join(LETTERS[number] if number < len(LETTERS) else " " for number in random.integers(31, size=width))
        draw.text((1, top), words, fill=colour)
    return np.asarray(image)


KINDS: dict[str, Callable[[Generator, int, int], Pixels]] = {
    "noise": _noise,
    "clouds": _clouds,
    "flat": _flat,
    "gradient": _gradient,
    "stripes": _stripes,
    "checkerboard": _checkerboard,
    "rings": _rings,
    "shapes": _shapes,
    "text": _text,
}


def ood_images(preprocessing: Preprocessing, seed: int) -> tuple[pd.DataFrame, NDArray[np.uint8]]:
    """Return out-of-distribution images, preprocessed as those of lesions are.

    Args:
        preprocessing: the preprocessing.
        seed: random seed of the generated images.

    Returns:
        A table with `image_id`, `label` (the kind) and `split` (`generated` or `shipped`), and the pixels, uint8,
        (N, height, width, 3), in its order.
    """
    images = [("generated", *one) for one in generated(*preprocessing.image_size, seed)]
    for name, kind, image in shipped():
        images.append(("shipped", name, kind, to_pixels(as_png(image, compress_level=0), preprocessing)))
    rows = [(name, kind, split) for split, name, kind, _ in images]
    table = pd.DataFrame(rows, columns=["image_id", "label", "split"])
    return table, np.stack([pixels for *_, pixels in images])


def generated(height: int, width: int, seed: int) -> Iterator[tuple[str, str, Pixels]]:
    """Yield name, kind and pixels, uint8 (height, width, 3), of `PER_KIND` generated images of each of `KINDS`."""
    for number, (kind, draw) in enumerate(KINDS.items()):
        for example in range(PER_KIND):
            yield f"{kind} {example + 1}", kind, draw(np.random.default_rng([seed, number, example]), height, width)


def shipped() -> Iterator[tuple[str, str, Image.Image]]:
    """Yield name, kind and image of square crops of scikit-learn's and matplotlib's sample photographs.

    The kind is the photograph's name. Of each, the middle square is one, and a grid of smaller ones the others.
    """
    for kind, (package, file) in PHOTOGRAPHS.items():
        with Image.open(str(distribution(package).locate_file(file))) as opened:
            photograph = opened.convert("RGB")
        width, height = photograph.size
        places = [(min(width, height), (0.5, 0.5))]
        grid = np.linspace(0, 1, CROPS).tolist()
        for share in (1 / 2, 1 / 4):
            places += [(int(share * min(width, height)), (across, down)) for down in grid for across in grid]
        for number, (length, (across, down)) in enumerate(places):
            left, top = int(across * (width - length)), int(down * (height - length))
            yield f"{kind} {number + 1}", kind, photograph.crop((left, top, left + length, top + length))


def _along(random: Generator, height: int, width: int) -> NDArray[np.float64]:
    """Return a coordinate, -1 to 1, that grows in a drawn direction."""
    angle = random.uniform(0, 2 * math.pi)
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    along: NDArray[np.float64] = x * math.cos(angle) + y * math.sin(angle)
    return np.asarray(along / np.abs(along).max())


def _colour(random: Generator) -> tuple[int, int, int]:
    red, green, blue = random.integers(256, size=3).tolist()
    return red, green, blue


def _between(random: Generator, share: NDArray[np.floating] | NDArray[np.integer]) -> Pixels:
    """Return two drawn colours, mixed: (height, width), 0 to 1, says how much of the second."""
    first, second = np.array(_colour(random)), np.array(_colour(random))
    mixed: Pixels = np.rint(first + share[..., None] * (second - first)).astype(np.uint8)
    return mixed
