"""What a drawn lesion is made of: its layers, its outline, and the structures that dermoscopy looks for.

All of it is drawn in the lesion's own coordinates, on a square canvas.
"""

import math
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw

Field = NDArray[np.floating[Any]]
"""Single precision throughout: twice as fast, and fine enough for 8 bits."""

CANVAS = 168
REACH = 1.5
"""A lesion's own canvas: CANVAS × CANVAS pixels over [-REACH, REACH] lesion radii both ways."""

AXIS = np.linspace(-REACH, REACH, CANVAS, dtype=np.float32)
X, Y = np.meshgrid(AXIS, AXIS)
R, THETA = np.hypot(X, Y), np.arctan2(Y, X)
ANGLES = np.linspace(-np.pi, np.pi, 361)


def blank() -> Field:
    """Return a layer of zeros, (CANVAS, CANVAS)."""
    return np.zeros((CANVAS, CANVAS), np.float32)


@dataclass
class Lesion:
    """A lesion in its own coordinates; each layer is (CANVAS, CANVAS).

    Melanin and blood are optical densities; deep blue pigment, scar-like white and yellow keratin say how
    far they cover the colour, 0 to 1.
    """

    melanin: Field = field(default_factory=blank)
    blood: Field = field(default_factory=blank)
    blue: Field = field(default_factory=blank)
    white: Field = field(default_factory=blank)
    keratin: Field = field(default_factory=blank)


@dataclass
class Outline:
    """A lesion's border, and where each pixel stands towards it.

    Attributes:
        radius: the border's distance from the centre at each of `ANGLES`, in lesion radii.
        rho: (CANVAS, CANVAS), 0 at the centre, 1 on the border.
    """

    radius: Field
    rho: Field

    def inside(self, softness: float) -> Field:
        """Return 1 inside and 0 outside, with a transition about `softness` radii wide."""
        return step(1 - self.rho, softness)

    def scatter(self, rng: Generator, number: int, nearest: float = 0.0, farthest: float = 0.9) -> Field:
        """Return `number` points, (number, 2), evenly spread between two values of rho."""
        theta = rng.uniform(-np.pi, np.pi, number)
        rho = np.sqrt(rng.uniform(nearest**2, farthest**2, number)) * np.interp(theta, ANGLES, self.radius)
        return np.stack([rho * np.cos(theta), rho * np.sin(theta)], axis=1).astype(np.float32)


def step(values: Field, softness: float) -> Field:
    """Return 0 where values are well below 0, 1 where well above, smoothly in between."""
    t = np.clip(values / (2 * softness) + 0.5, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def noise(rng: Generator, cells: int, size: tuple[int, int] = (CANVAS, CANVAS)) -> Field:
    """Return a smooth random field of `size` (width, height), mean 0 and deviation about 1."""
    rows = max(2, round(cells * size[1] / size[0]))
    coarse = Image.fromarray(rng.normal(0, 1.25, (rows, cells)).astype(np.float32))
    return np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), np.float32)


def random_outline(rng: Generator, irregularity: float, roughness: float) -> Outline:
    """Return a border: low harmonics scaled by `irregularity`, fine noise by `roughness`, both in radii."""
    orders = np.arange(2, 8)
    sizes = rng.normal(0, 1, 6) * np.array([1.0, 0.8, 0.6, 0.45, 0.35, 0.3]) * irregularity
    sizes[0] += rng.uniform(0, 0.12)
    phases = rng.uniform(0, 2 * np.pi, 6)
    waves = sizes[:, None] * np.cos(orders[:, None] * ANGLES + phases[:, None])
    radius = np.clip(0.97 + waves.sum(axis=0), 0.45, 1.3)
    rho = R / np.interp(THETA, ANGLES, radius).astype(np.float32)
    rho += roughness * (noise(rng, 11) + 0.4 * noise(rng, 28))
    return Outline(radius, rho)


def network(rng: Generator, period: float, disorder: float) -> Field:
    """Return a honeycomb of lines, 0 to 1, its holes `period` radii apart, bent by `disorder` periods."""
    x = X + disorder * period * noise(rng, 6) + 0.3 * disorder * period * noise(rng, 18)
    y = Y + disorder * period * noise(rng, 6) + 0.3 * disorder * period * noise(rng, 18)
    turn, k = rng.uniform(0, math.pi), 2 * math.pi / period
    turns = [turn, turn + math.pi / 3, turn + 2 * math.pi / 3]
    waves = [np.cos(k * math.cos(a) * x + k * math.sin(a) * y) for a in turns]
    return np.asarray(np.clip((0.7 - sum(waves)) / 1.5, 0, 1), np.float32)


def spots(rng: Generator, points: Field, sizes: tuple[float, float], soft: float = 0.6, ragged: float = 0.0) -> Field:
    """Return round spots at `points`, 0 to 1, their radii uniform at random in the range `sizes`.

    `soft` is the width of a spot's edge in its own radii; `ragged` bends the edges, in the lesion's radii.
    """
    layer = blank()
    x, y = X, Y
    if ragged:
        x = x + ragged * np.clip(noise(rng, 12), -2, 2)
        y = y + ragged * np.clip(noise(rng, 12), -2, 2)
    for (px, py), r in zip(points, rng.uniform(*sizes, len(points)), strict=True):
        reach = r * (1 + soft) + 2 * ragged
        columns = slice(*np.searchsorted(AXIS, (px - reach, px + reach)))
        rows = slice(*np.searchsorted(AXIS, (py - reach, py + reach)))
        distance = np.hypot(x[rows, columns] - px, y[rows, columns] - py) / np.float32(r)
        np.maximum(layer[rows, columns], step(1 - distance, soft / 2), out=layer[rows, columns])
    return layer


def vessels(rng: Generator, outline: Outline, trunks: int, width: float) -> Field:
    """Return a tree of vessels for each trunk, 0 to 1: from the rim inwards, branching and thinning."""
    fine = 3
    scale = fine * CANVAS / (2 * REACH)
    image = Image.new("L", (fine * CANVAS, fine * CANVAS))
    pen = ImageDraw.Draw(image)
    shoots = []
    for x, y in outline.scatter(rng, trunks, 0.6, 1.0):
        shoots.append((float(x), float(y), float(np.arctan2(-y, -x) + rng.normal(0, 0.5)), width, 16))
    while shoots:
        x, y, heading, thick, left = shoots.pop()
        for step in range(left):
            heading += rng.normal(0, 0.28)
            x_next, y_next = x + 0.075 * np.cos(heading), y + 0.075 * np.sin(heading)
            ends = [(REACH + c) * scale for c in (x, y, x_next, y_next)]
            pen.line(ends, fill=255, width=max(1, round(thick * scale)))
            x, y, thick = x_next, y_next, thick * 0.96
            if rng.random() < 0.2 and thick > 0.3 * width and len(shoots) < 12:
                turn = rng.choice([-1, 1]) * rng.uniform(0.5, 1.0)
                shoots.append((x, y, heading + turn, thick * 0.65, left - step))
    return np.asarray(image.reduce(fine), np.float32) / 255


def pigment(rng: Generator, outline: Outline, softness: float, patchiness: float) -> Field:
    """Return a patch of pigment of density about 1 inside the border, uneven by `patchiness`."""
    slope = rng.uniform(-0.35, 0.25) * (outline.rho - 0.5)
    uneven = np.exp(patchiness * (0.8 * noise(rng, 4) + 0.4 * noise(rng, 11)) + 0.12 * noise(rng, 56))
    return np.asarray(outline.inside(softness) * (1 + slope) * uneven, np.float32)
