"""What a drawn lesion is made of: its layers, its outline, and the structures that dermoscopy looks for.

All of it is drawn in the lesion's own coordinates, on a square canvas.
"""

from dataclasses import dataclass, field
from functools import cache

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw

from lesions.sources.synthetic.exact import Field, exponential, normal, normals, turns_of, uniform, uniforms, wave

CANVAS = 144
REACH = 1.5
"""A lesion's own canvas: CANVAS × CANVAS pixels over [-REACH, REACH] lesion radii both ways."""

AXIS = np.linspace(-REACH, REACH, CANVAS, dtype=np.float32)
X, Y = np.meshgrid(AXIS, AXIS)
R, TURNS = np.sqrt(X * X + Y * Y), turns_of(X, Y).astype(np.float32)
DIRECTIONS = np.linspace(-0.5, 0.5, 721)
_DIRECTION = np.rint(720 * (TURNS + 0.5)).astype(np.intp)
"""The direction of each pixel: the nearest of `DIRECTIONS`."""

TILE = 4
"""Width and height of a tile of noise, in fields cut from it."""


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
        waves: of the border's distance from the centre: number around it, height in lesion radii, and phase in turns.
        rho: (CANVAS, CANVAS), 0 at the centre, 1 on the border.
    """

    waves: list[tuple[int, float, float]]
    rho: Field

    def inside(self, softness: float) -> Field:
        """Return 1 inside and 0 outside, with a transition about `softness` radii wide."""
        return step(1 - self.rho, softness)

    def scatter(self, rng: Generator, number: int, nearest: float = 0.0, farthest: float = 0.9) -> Field:
        """Return `number` points, (number, 2), evenly spread between two values of rho."""
        turns = uniforms(rng, -0.5, 0.5, number)
        rho = np.sqrt(uniforms(rng, nearest * nearest, farthest * farthest, number)) * border(self.waves, turns)
        return np.stack([rho * wave(turns), rho * wave(turns - 0.25)], axis=1).astype(np.float32)


def border(waves: list[tuple[int, float, float]], turns: Field) -> Field:
    """Return the border's distance from the centre in these directions, in lesion radii; see `Outline`."""
    radius = np.full_like(turns, 0.97)
    for order, height, phase in waves:
        radius += height * wave(order * turns + phase)
    return np.clip(radius, 0.45, 1.3)


def step(values: Field, softness: float) -> Field:
    """Return 0 where values are well below 0, 1 where well above, smoothly in between."""
    t = np.clip(values / (2 * softness) + 0.5, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def noise(rng: Generator, cells: int, size: tuple[int, int] = (CANVAS, CANVAS)) -> Field:
    """Return a smooth random field of `size` (width, height), mean 0 and deviation about 1.

    It is cut at random from a tile, which is many times faster than making a new one.
    """
    width, height = size
    left, top = rng.integers(0, [(TILE - 1) * width, (TILE - 1) * height], endpoint=True).tolist()
    return _tile(cells, size)[top : top + height, left : left + width]


@cache
def _tile(cells: int, size: tuple[int, int]) -> Field:
    """Return the noise from which fields of this kind are cut."""
    width, height = size
    rows = max(2, round(cells * height / width))
    values = normals(np.random.default_rng([cells, *size]), 0, 1.25, TILE * TILE * rows * cells)
    coarse = Image.fromarray(values.astype(np.float32).reshape(TILE * rows, TILE * cells))
    return np.asarray(coarse.resize((TILE * width, TILE * height), Image.Resampling.BICUBIC), np.float32)


def random_outline(rng: Generator, irregularity: float, roughness: float) -> Outline:
    """Return a border: low harmonics scaled by `irregularity`, fine noise by `roughness`, both in radii."""
    heights = normals(rng, 0, irregularity, 6) * np.array([1.0, 0.8, 0.6, 0.45, 0.35, 0.3])
    heights[0] += uniform(rng, 0, 0.12)
    waves = list(zip(range(2, 8), heights.tolist(), rng.random(6).tolist(), strict=True))
    rho = R / border(waves, DIRECTIONS).astype(np.float32)[_DIRECTION]
    rho += roughness * (noise(rng, 11) + 0.4 * noise(rng, 28))
    return Outline(waves, rho)


def network(rng: Generator, period: float, disorder: float) -> Field:
    """Return a honeycomb of lines, 0 to 1, its holes `period` radii apart, bent by `disorder` periods."""
    x = X / period + disorder * (noise(rng, 6) + 0.3 * noise(rng, 18))
    y = Y / period + disorder * (noise(rng, 6) + 0.3 * noise(rng, 18))
    turn = uniform(rng, 0, 0.5)
    waves = [wave(wave(t) * x + wave(t - 0.25) * y) for t in (turn, turn + 1 / 6, turn + 1 / 3)]
    return np.clip((0.7 - (waves[0] + waves[1] + waves[2])) / 1.5, 0, 1)


def spots(rng: Generator, points: Field, sizes: tuple[float, float], soft: float = 0.6, ragged: float = 0.0) -> Field:
    """Return round spots at `points`, 0 to 1, their radii uniform at random in the range `sizes`.

    `soft` is the width of a spot's edge in its own radii; `ragged` bends the edges, in the lesion's radii.
    """
    layer = blank()
    x, y = X, Y
    if ragged:
        x = x + ragged * np.clip(noise(rng, 12), -2, 2)
        y = y + ragged * np.clip(noise(rng, 12), -2, 2)
    radii = uniforms(rng, *sizes, len(points))
    reach = (radii * (1 + soft) + 2 * ragged)[:, None]
    starts, ends = (np.searchsorted(AXIS, edge).tolist() for edge in (points - reach, points + reach))
    for (px, py), r, (left, top), (right, bottom) in zip(points.tolist(), radii.tolist(), starts, ends, strict=True):
        place = slice(top, bottom), slice(left, right)
        dx, dy = x[place] - px, y[place] - py
        spot = step(1 - np.sqrt(dx * dx + dy * dy) / r, soft / 2)
        np.maximum(layer[place], spot, out=layer[place])
    return layer


def vessels(rng: Generator, outline: Outline, trunks: int, width: float) -> Field:
    """Return a tree of vessels for each trunk, 0 to 1: from the rim inwards, branching and thinning."""
    fine = 3
    scale = fine * CANVAS / (2 * REACH)
    image = Image.new("L", (fine * CANVAS, fine * CANVAS))
    pen = ImageDraw.Draw(image)
    shoots = []
    for x, y in outline.scatter(rng, trunks, 0.6, 1.0).tolist():
        shoots.append((x, y, float(turns_of(-x, -y)) + normal(rng, 0, 0.08), width, 16))
    while shoots:
        x, y, heading, thick, left = shoots.pop()
        for number, bend in enumerate(normals(rng, 0, 0.045, left).tolist()):
            heading += bend
            x_next, y_next = x + 0.075 * wave(heading), y + 0.075 * wave(heading - 0.25)
            ends = [(REACH + c) * scale for c in (x, y, x_next, y_next)]
            pen.line(ends, fill=255, width=max(1, round(thick * scale)))
            x, y, thick = x_next, y_next, thick * 0.96
            if rng.random() < 0.2 and thick > 0.3 * width and len(shoots) < 12:
                turn = (2 * int(rng.integers(0, 2)) - 1) * uniform(rng, 0.08, 0.16)
                shoots.append((x, y, heading + turn, thick * 0.65, left - number))
    return np.asarray(image.reduce(fine), np.float32) / 255


def pigment(rng: Generator, outline: Outline, softness: float, patchiness: float) -> Field:
    """Return a patch of pigment of density about 1 inside the border, uneven by `patchiness`."""
    slope = uniform(rng, -0.35, 0.25) * (outline.rho - 0.5)
    uneven = exponential(patchiness * (0.8 * noise(rng, 4) + 0.4 * noise(rng, 11)) + 0.12 * noise(rng, 56))
    return outline.inside(softness) * (1 + slope) * uneven
