"""Draw pictures of skin lesions as a dermatoscope shows them: stylised, and a function of numbers alone.

A lesion is drawn once, in its own coordinates, as amounts of what colours skin: melanin, blood, deep (blue)
pigment, white scar, keratin. A view lays it on skin under one angle, distance and light, and adds what gets
in the way: hairs, a ruler, gel bubbles, dark corners. The seven kinds differ in what dermoscopy looks for
(pigment network, globules, blue-white veil, milia-like cysts, arborising vessels, nests, lacunae, a central
white patch), and overlap in colour, size and outline.

Every random number comes from `numpy.random.default_rng([seed, lesion, 0])` for a lesion and from
`[seed, lesion, view]`, views counted from 1, for a view of it: the order of drawing does not matter.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

Field = NDArray[np.floating[Any]]
"""Single precision throughout: twice as fast, and fine enough for 8 bits."""

WIDTH, HEIGHT = 150, 112
"""Of a picture, in pixels."""

CANVAS = 168
REACH = 1.5
"""A lesion's own canvas: CANVAS × CANVAS pixels over [-REACH, REACH] lesion radii both ways."""

_AXIS = np.linspace(-REACH, REACH, CANVAS, dtype=np.float32)
_X, _Y = np.meshgrid(_AXIS, _AXIS)
_R, _THETA = np.hypot(_X, _Y), np.arctan2(_Y, _X)
_ANGLES = np.linspace(-np.pi, np.pi, 361)

_VIEW_X, _VIEW_Y = np.meshgrid(
    np.linspace(-WIDTH / HEIGHT, WIDTH / HEIGHT, WIDTH, dtype=np.float32),
    np.linspace(-1, 1, HEIGHT, dtype=np.float32),
)
"""A view's coordinates: half a picture's height is 1."""

# How much one unit of a pigment takes from red, green and blue, and what the pale layers look like.
_MELANIN = np.array([0.72, 1.0, 1.22], np.float32)
_BLOOD = np.array([0.16, 0.76, 0.58], np.float32)
_PALE_SKIN = np.array([0.96, 0.87, 0.80], np.float32)
_BLUE = np.array([0.42, 0.46, 0.55], np.float32)
_WHITE = np.array([0.95, 0.88, 0.86], np.float32)
_KERATIN = np.array([0.90, 0.76, 0.48], np.float32)
_HAIR = np.array([0.16, 0.11, 0.09], np.float32)


def _blank() -> Field:
    return np.zeros((CANVAS, CANVAS), np.float32)


@dataclass
class Lesion:
    """A lesion in its own coordinates; each layer is (CANVAS, CANVAS).

    Melanin and blood are optical densities; deep blue pigment, scar-like white and yellow keratin say how
    far they cover the colour, 0 to 1.
    """

    melanin: Field = field(default_factory=_blank)
    blood: Field = field(default_factory=_blank)
    blue: Field = field(default_factory=_blank)
    white: Field = field(default_factory=_blank)
    keratin: Field = field(default_factory=_blank)


@dataclass
class Outline:
    """A lesion's border, and where each pixel stands towards it.

    Attributes:
        radius: the border's distance from the centre at each of `_ANGLES`, in lesion radii.
        rho: (CANVAS, CANVAS), 0 at the centre, 1 on the border.
    """

    radius: Field
    rho: Field

    def inside(self, softness: float) -> Field:
        """Return 1 inside and 0 outside, with a transition about `softness` radii wide."""
        return _step(1 - self.rho, softness)

    def scatter(self, rng: Generator, number: int, nearest: float = 0.0, farthest: float = 0.9) -> Field:
        """Return `number` points, (number, 2), evenly spread between two values of rho."""
        theta = rng.uniform(-np.pi, np.pi, number)
        rho = np.sqrt(rng.uniform(nearest**2, farthest**2, number)) * np.interp(theta, _ANGLES, self.radius)
        return np.stack([rho * np.cos(theta), rho * np.sin(theta)], axis=1).astype(np.float32)


def _step(values: Field, softness: float) -> Field:
    """Return 0 where values are well below 0, 1 where well above, smoothly in between."""
    t = np.clip(values / (2 * softness) + 0.5, 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def _noise(rng: Generator, cells: int, size: tuple[int, int] = (CANVAS, CANVAS)) -> Field:
    """Return a smooth random field of `size` (width, height), mean 0 and deviation about 1."""
    rows = max(2, round(cells * size[1] / size[0]))
    coarse = Image.fromarray(rng.normal(0, 1.25, (rows, cells)).astype(np.float32))
    return np.asarray(coarse.resize(size, Image.Resampling.BICUBIC), np.float32)


def _outline(rng: Generator, irregularity: float, roughness: float) -> Outline:
    """Return a border: low harmonics scaled by `irregularity`, fine noise by `roughness`, both in radii."""
    orders = np.arange(2, 8)
    sizes = rng.normal(0, 1, 6) * np.array([1.0, 0.8, 0.6, 0.45, 0.35, 0.3]) * irregularity
    sizes[0] += rng.uniform(0, 0.12)
    phases = rng.uniform(0, 2 * np.pi, 6)
    waves = sizes[:, None] * np.cos(orders[:, None] * _ANGLES + phases[:, None])
    radius = np.clip(0.97 + waves.sum(axis=0), 0.45, 1.3)
    rho = _R / np.interp(_THETA, _ANGLES, radius).astype(np.float32)
    rho += roughness * (_noise(rng, 11) + 0.4 * _noise(rng, 28))
    return Outline(radius, rho)


def _network(rng: Generator, period: float, disorder: float) -> Field:
    """Return a honeycomb of lines, 0 to 1, its holes `period` radii apart, bent by `disorder` periods."""
    x = _X + disorder * period * _noise(rng, 6) + 0.3 * disorder * period * _noise(rng, 18)
    y = _Y + disorder * period * _noise(rng, 6) + 0.3 * disorder * period * _noise(rng, 18)
    turn, k = rng.uniform(0, math.pi), 2 * math.pi / period
    turns = [turn, turn + math.pi / 3, turn + 2 * math.pi / 3]
    waves = [np.cos(k * math.cos(a) * x + k * math.sin(a) * y) for a in turns]
    return np.asarray(np.clip((0.7 - sum(waves)) / 1.5, 0, 1), np.float32)


def _spots(rng: Generator, points: Field, sizes: tuple[float, float], soft: float = 0.6, ragged: float = 0.0) -> Field:
    """Return round spots at `points`, 0 to 1, their radii drawn from `sizes`.

    `soft` is the width of a spot's edge in its own radii; `ragged` bends the edges, in the lesion's radii.
    """
    layer = _blank()
    x, y = _X, _Y
    if ragged:
        x = x + ragged * np.clip(_noise(rng, 12), -2, 2)
        y = y + ragged * np.clip(_noise(rng, 12), -2, 2)
    for (px, py), r in zip(points, rng.uniform(*sizes, len(points)), strict=True):
        reach = r * (1 + soft) + 2 * ragged
        columns = slice(*np.searchsorted(_AXIS, (px - reach, px + reach)))
        rows = slice(*np.searchsorted(_AXIS, (py - reach, py + reach)))
        distance = np.hypot(x[rows, columns] - px, y[rows, columns] - py) / np.float32(r)
        np.maximum(layer[rows, columns], _step(1 - distance, soft / 2), out=layer[rows, columns])
    return layer


def _vessels(rng: Generator, outline: Outline, trunks: int, width: float) -> Field:
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
                side = rng.choice([-1, 1]) * rng.uniform(0.5, 1.0)
                shoots.append((x, y, heading + side, thick * 0.65, left - step))
    return np.asarray(image.reduce(fine), np.float32) / 255


def _pigment(rng: Generator, outline: Outline, softness: float, patchiness: float) -> Field:
    """Return a patch of pigment of density about 1 inside the border, uneven by `patchiness`."""
    slope = rng.uniform(-0.35, 0.25) * (outline.rho - 0.5)
    uneven = np.exp(patchiness * (0.8 * _noise(rng, 4) + 0.4 * _noise(rng, 11)) + 0.12 * _noise(rng, 56))
    return np.asarray(outline.inside(softness) * (1 + slope) * uneven, np.float32)


def _nevus(rng: Generator, mesh: float) -> Lesion:
    """One or two browns, symmetric; a regular network fading at the rim, or globules, or neither."""
    lesion = Lesion()
    dysplastic = rng.random() < 0.25
    outline = _outline(rng, 0.10 if dysplastic else 0.05, 0.04)
    depth = rng.lognormal(-0.5, 0.45)
    base = _pigment(rng, outline, rng.uniform(0.1, 0.3), 0.35 if dysplastic else 0.15)
    lesion.melanin = depth * base
    lesion.blood = rng.uniform(0.0, 0.4) * outline.inside(0.2)
    pattern = rng.choice(["network", "globules", "plain"], p=[0.55, 0.2, 0.25])
    if pattern == "network":
        lines = _network(rng, rng.uniform(0.8, 1.1) * mesh, 0.35 if dysplastic else 0.2)
        fading = outline.inside(0.35) * np.clip(0.8 + 0.3 * _noise(rng, 5), 0.2, 1.2)
        lesion.melanin *= 1 - 0.4 * fading
        lesion.melanin += rng.uniform(0.4, 0.9) * depth * lines * fading
    elif pattern == "globules":
        points = outline.scatter(rng, int(rng.integers(30, 80)), 0.0, 1.0)
        lesion.melanin += rng.uniform(0.3, 0.7) * _spots(rng, points, (0.2 * mesh, 0.42 * mesh), 0.7)
    if rng.random() < 0.25:  # darker, or paler, in the middle
        middle = _spots(rng, outline.scatter(rng, 1, 0, 0.3), (0.3, 0.5), 1.0, 0.1)
        lesion.melanin *= 1 + rng.choice([-0.5, 0.6]) * middle
    return lesion


def _melanoma(rng: Generator, mesh: float) -> Lesion:
    """Asymmetric in outline and colour: atypical network, blotches, dots, blue-white veil, scar, streaks."""
    lesion = Lesion()
    outline = _outline(rng, rng.uniform(0.06, 0.18), rng.uniform(0.05, 0.1))
    if rng.random() < 0.35:  # streaks: fingers of pigment on one part of the rim
        sector = np.clip(np.cos(_THETA - rng.uniform(0, 2 * np.pi)) + 0.3, 0, 1)
        teeth = np.cos(rng.integers(16, 26) * _THETA + 3 * _noise(rng, 5))
        outline.rho -= 0.15 * sector * np.clip(teeth, 0, 1)
    depth = rng.lognormal(-0.3, 0.4)
    inside = outline.inside(rng.uniform(0.05, 0.15))
    base = _pigment(rng, outline, rng.uniform(0.06, 0.2), rng.uniform(0.3, 0.65))
    tilt = rng.uniform(0, 2 * np.pi)
    lopsided = 1 + rng.uniform(0.2, 0.6) * (_X * math.cos(tilt) + _Y * math.sin(tilt))
    lesion.melanin = depth * base * np.clip(lopsided, 0.2, 2)
    lesion.blood = inside * np.clip(rng.uniform(0.0, 0.4) + 0.2 * _noise(rng, 4), 0, 1)
    if rng.random() < 0.7:
        lines = _network(rng, rng.uniform(1.0, 1.5) * mesh, rng.uniform(0.5, 0.8))
        lesion.melanin += rng.uniform(0.3, 0.8) * depth * lines * _step(_noise(rng, 4) + 0.2, 0.5) * inside
    if rng.random() < 0.65:
        points = outline.scatter(rng, int(rng.integers(1, 4)), 0.2, 0.8)
        lesion.melanin += rng.uniform(0.5, 1.2) * _spots(rng, points, (0.2, 0.4), 0.7, 0.12) * inside
    if rng.random() < 0.6:
        middle = outline.scatter(rng, 1, 0.3, 0.8)[0]
        dots = middle + rng.normal(0, 0.28, (int(rng.integers(8, 26)), 2)).astype(np.float32)
        lesion.melanin += rng.uniform(0.6, 1.2) * _spots(rng, dots, (0.12 * mesh, 0.4 * mesh), 0.6, 0.01) * inside
    if rng.random() < 0.6:
        veil = _spots(rng, outline.scatter(rng, 2, 0.1, 0.6), (0.25, 0.5), 1.3, 0.15)
        haze = np.clip(0.8 + 0.25 * _noise(rng, 24), 0, 1.2)
        lesion.blue = rng.uniform(0.4, 0.8) * veil * haze * inside
    if rng.random() < 0.4:
        scar = _spots(rng, outline.scatter(rng, 2, 0.2, 0.8), (0.15, 0.35), 1.0, 0.12)
        lesion.white = rng.uniform(0.25, 0.55) * scar * inside
    return lesion


def _keratosis(rng: Generator, mesh: float) -> Lesion:
    """Stuck on: a sharp border; milia-like cysts, comedo-like openings, ridges and furrows."""
    lesion = Lesion()
    outline = _outline(rng, rng.uniform(0.04, 0.12), rng.uniform(0.03, 0.07))
    if rng.random() < 0.3:  # moth-eaten: small bites out of the rim
        outline.rho += 0.8 * _spots(rng, outline.scatter(rng, 9, 0.92, 1.1), (0.06, 0.16))
    inside = outline.inside(rng.uniform(0.025, 0.08))
    depth = rng.lognormal(-0.65, 0.5)
    lesion.melanin = depth * inside * np.exp(0.25 * _noise(rng, 8) + 0.15 * _noise(rng, 44))
    lesion.blood = rng.uniform(0.0, 0.4) * inside
    lesion.keratin = rng.uniform(0.0, 0.25) * inside * np.clip(1 + 0.5 * _noise(rng, 8), 0, 2)
    if rng.random() < 0.4:
        turn = rng.uniform(0, np.pi)
        bend = _X * math.cos(turn) + _Y * math.sin(turn) + 0.16 * _noise(rng, 7) + 0.04 * _noise(rng, 16)
        ridges = 0.5 + 0.5 * np.cos(2 * np.pi / (rng.uniform(0.9, 1.4) * mesh) * bend)
        lesion.melanin += rng.uniform(0.2, 0.5) * ridges * np.clip(0.7 + 0.5 * _noise(rng, 6), 0, 1.3) * inside
    if rng.random() < 0.75:
        cysts = outline.scatter(rng, int(rng.integers(3, 16)), 0, 0.9)
        lesion.white = rng.uniform(0.4, 0.8) * _spots(rng, cysts, (0.2 * mesh, 0.45 * mesh), 0.9)
    if rng.random() < 0.6:
        openings = outline.scatter(rng, int(rng.integers(3, 12)), 0, 0.85)
        plugs = _spots(rng, openings, (0.3 * mesh, 0.6 * mesh), 0.7, 0.015)
        lesion.melanin += rng.uniform(0.5, 1.2) * plugs
        lesion.white *= 1 - plugs
    return lesion


def _basal_cell_carcinoma(rng: Generator, mesh: float) -> Lesion:
    """Pearly pink with branching vessels; blue-grey ovoid nests, sometimes an ulcer."""
    lesion = Lesion()
    outline = _outline(rng, rng.uniform(0.05, 0.12), 0.06)
    inside = outline.inside(rng.uniform(0.12, 0.3))
    lesion.melanin = rng.uniform(0.0, 0.5) * _pigment(rng, outline, 0.25, 0.5)
    lesion.blood = rng.uniform(0.1, 0.5) * inside * np.clip(1 + 0.3 * _noise(rng, 5), 0, 2)
    lesion.white = rng.uniform(0.05, 0.25) * inside * np.clip(0.8 + 0.6 * _noise(rng, 7), 0, 2)
    if rng.random() < 0.65:
        points = outline.scatter(rng, int(rng.integers(2, 10)), 0.1, 0.9)
        nests = _spots(rng, points, (0.08, 0.2), 1.0, 0.06) * np.clip(0.85 + 0.2 * _noise(rng, 24), 0, 1.2)
        lesion.blue = rng.uniform(0.45, 0.75) * nests
        lesion.melanin += rng.uniform(0.2, 1.0) * nests
    if rng.random() < 0.85:
        tree = _vessels(rng, outline, int(rng.integers(2, 6)), rng.uniform(0.14, 0.26) * mesh)
        lesion.blood += rng.uniform(0.5, 1.2) * tree
        lesion.white *= 1 - tree
    if rng.random() < 0.25:
        ulcer = _spots(rng, outline.scatter(rng, 1, 0, 0.5), (0.15, 0.3), 0.7, 0.08)
        lesion.blood += 0.9 * ulcer
        lesion.keratin = 0.35 * ulcer * np.clip(0.8 + 0.6 * _noise(rng, 20), 0, 2)
    return lesion


def _actinic_keratosis(rng: Generator, mesh: float) -> Lesion:
    """Strawberry: a red network around pale follicles; scale on top; dotted vessels; a vague border."""
    lesion = Lesion()
    outline = _outline(rng, rng.uniform(0.06, 0.14), 0.08)
    inside = outline.inside(rng.uniform(0.15, 0.35)) * np.clip(0.85 + 0.3 * _noise(rng, 5), 0, 1.3)
    lines = _network(rng, rng.uniform(0.9, 1.2) * mesh, 0.45)
    lesion.blood = inside * (rng.uniform(0.15, 0.45) + rng.uniform(0.3, 0.7) * lines)
    brown = np.clip(0.6 + 0.4 * lines + 0.5 * _noise(rng, 6), 0, 2)
    lesion.melanin = rng.uniform(0.0, 0.5) * inside * brown
    lesion.keratin = rng.uniform(0.15, 0.4) * inside * np.clip(1 - 2 * lines, 0, 1)
    if rng.random() < 0.7:
        flakes = _step(_noise(rng, 5) + 0.7 * _noise(rng, 30) - rng.uniform(0.4, 1.0), 0.5)
        lesion.white = rng.uniform(0.35, 0.7) * flakes * inside
    if rng.random() < 0.5:
        dots = _spots(rng, outline.scatter(rng, int(rng.integers(20, 60))), (0.12 * mesh, 0.22 * mesh))
        lesion.blood += rng.uniform(0.5, 0.9) * dots
    return lesion


def _vascular_lesion(rng: Generator, _: float) -> Lesion:
    """Red, purple or black lacunae, well apart or crowded, with pale septa between them."""
    lesion = Lesion()
    outline = _outline(rng, rng.uniform(0.04, 0.1), 0.04)
    inside = outline.inside(rng.uniform(0.05, 0.2))
    lesion.blood = rng.uniform(0.3, 0.9) * inside
    points = outline.scatter(rng, int(rng.integers(8, 34)), 0.0, 0.85)
    lacunae = _spots(rng, points, (0.1, 0.24), 0.7, 0.03)
    lesion.blood += rng.uniform(0.6, 1.4) * lacunae * np.exp(0.12 * _noise(rng, 30))
    lesion.melanin = rng.uniform(0.0, 0.3) * inside
    if rng.random() < 0.6:  # purple to black where the blood stands still
        still = lacunae * _step(_noise(rng, 4) + rng.uniform(-0.5, 0.8), 0.4)
        lesion.melanin += rng.uniform(0.3, 1.0) * still
        lesion.blue = rng.uniform(0.1, 0.5) * still
    lesion.white = rng.uniform(0.05, 0.35) * inside * (1 - lacunae)
    return lesion


def _dermatofibroma(rng: Generator, mesh: float) -> Lesion:
    """A central white patch, crossed by white lines, in a faint peripheral network."""
    lesion = Lesion()
    outline = _outline(rng, rng.uniform(0.03, 0.08), 0.04)
    depth = rng.lognormal(-0.75, 0.4)
    base = _pigment(rng, outline, rng.uniform(0.2, 0.4), 0.25)
    rim = base * _step(outline.rho - rng.uniform(0.3, 0.5), 0.3)
    lesion.melanin = depth * (0.6 * base + 0.6 * _network(rng, rng.uniform(0.7, 0.95) * mesh, 0.25) * rim)
    lesion.blood = rng.uniform(0.05, 0.45) * outline.inside(0.3)
    patch = _spots(rng, outline.scatter(rng, 2, 0.0, 0.2), (0.25, 0.5), 1.0, 0.08)
    streaks = 0.65 + 0.45 * _network(rng, 1.2 * mesh, 0.7)
    lesion.white = rng.uniform(0.35, 0.75) * patch * streaks
    return lesion


KINDS: dict[str, Callable[[Generator, float], Lesion]] = {
    "mel": _melanoma,
    "bcc": _basal_cell_carcinoma,
    "akiec": _actinic_keratosis,
    "bkl": _keratosis,
    "nv": _nevus,
    "df": _dermatofibroma,
    "vasc": _vascular_lesion,
}
"""HAM10000's diagnoses, in the taxonomy's order; each draws a lesion from a generator and the usual width of
a network's meshes in lesion radii, so that a larger lesion shows more structures, not larger ones."""


@dataclass(frozen=True)
class Camera:
    """How one clinic's pictures look."""

    tint: tuple[float, float, float]  # what the sensor makes of red, green and blue
    corners: float  # the chance of dark corners
    ruler: float  # the chance of a ruler at the edge
    bubbles: float  # the chance of bubbles in the contact gel
    blur: float  # the radius of the lens's blur, in pixels
    grain: float  # the deviation of the sensor's noise, where white is 1


CAMERAS = {
    "synthetic_a": Camera((1.00, 1.00, 1.00), 0.05, 0.05, 0.08, 0.35, 0.012),
    "synthetic_b": Camera((1.05, 0.98, 0.90), 0.35, 0.10, 0.12, 0.45, 0.015),
    "synthetic_c": Camera((0.95, 0.98, 1.06), 0.05, 0.35, 0.08, 0.30, 0.010),
    "synthetic_d": Camera((1.02, 0.93, 0.96), 0.20, 0.05, 0.55, 0.70, 0.022),
}


def _lay(layer: Field, across: tuple[float, ...]) -> Field:
    """Return a layer of a lesion's canvas as a view sees it, (HEIGHT, WIDTH); `across` is Pillow's affine."""
    seen = Image.fromarray(layer).transform((WIDTH, HEIGHT), Image.Transform.AFFINE, across, Image.Resampling.BILINEAR)
    return np.clip(np.asarray(seen, np.float32), 0, None)


def _cover(picture: Field, amount: Field, colour: Field) -> Field:
    """Return the picture with a colour laid over it, `amount` (HEIGHT, WIDTH) from 0 to 1."""
    return picture + np.minimum(amount, 1)[..., None] * (colour - picture)


def _skin(rng: Generator) -> tuple[Field, Field]:
    """Return the fine melanin and blood of one patch of skin, (HEIGHT, WIDTH) each, around 0."""
    size = (WIDTH, HEIGHT)
    furrows = np.exp(-5 * np.abs(_noise(rng, 22, size))) + np.exp(-5 * np.abs(_noise(rng, 22, size)))
    melanin = 0.04 * _noise(rng, 5, size) + 0.02 * _noise(rng, 70, size) + 0.035 * furrows
    blood = 0.05 * _noise(rng, 6, size) + 0.03 * _noise(rng, 30, size)
    return melanin, blood


def _hairs_and_ruler(rng: Generator, hairs: int, ruler: bool) -> Field:
    """Return how far dark lines cover each pixel, (HEIGHT, WIDTH), 0 to 1: hairs, and a ruler's ticks."""
    fine = 3
    image = Image.new("L", (WIDTH * fine, HEIGHT * fine))
    pen = ImageDraw.Draw(image)
    along = np.linspace(0, 1, 14)
    lean = rng.uniform(0, np.pi)
    for _ in range(hairs):
        start = rng.uniform((-20, -20), (WIDTH + 20, HEIGHT + 20))
        course = lean + rng.normal(0, 0.6) + rng.normal(0, 0.5) * along
        steps = rng.uniform(30, 130) / len(along) * np.stack([np.cos(course), np.sin(course)], axis=1)
        ends = (fine * (start + np.cumsum(steps, axis=0))).ravel().tolist()
        pen.line(ends, fill=int(rng.integers(150, 256)), width=int(rng.integers(2, 5)), joint="curve")
    if ruler:
        gap, edge = rng.uniform(5.5, 9.0), rng.uniform(2, 10)
        for tick in range(int(WIDTH / gap) + 1):
            x, y = tick * gap * fine, (HEIGHT - edge) * fine
            pen.line([x, y, x, y - fine * (9 if tick % 5 == 0 else 5)], fill=210, width=2)
    return np.asarray(image.reduce(fine), np.float32) / 255


def _bubbles(rng: Generator, number: int) -> Field:
    """Return how far gel bubbles whiten each pixel, (HEIGHT, WIDTH), 0 to 1: a rim and a glint each."""
    layer = np.zeros((HEIGHT, WIDTH), np.float32)
    for _ in range(number):
        x, y, r = rng.uniform(-1.3, 1.3), rng.uniform(-1, 1), rng.uniform(0.03, 0.14)
        away = np.hypot(_VIEW_X - x, _VIEW_Y - y)
        glint = np.hypot(_VIEW_X - x + 0.4 * r, _VIEW_Y - y + 0.4 * r)
        layer += 0.35 * np.exp(-(((away - r) / 0.015) ** 2)) + 0.12 * (away < r)
        layer += 0.8 * np.exp(-((glint / 0.02) ** 2))
    return layer


def _light(rng: Generator, camera: Camera) -> Field:
    """Return the light on each pixel and channel, (HEIGHT, WIDTH, 3), about 1: uneven, tinted."""
    towards = rng.uniform(0, 2 * math.pi)
    slope = rng.uniform(0, 0.12) * (_VIEW_X * math.cos(towards) + _VIEW_Y * math.sin(towards))
    out = np.hypot(_VIEW_X, _VIEW_Y)
    light = rng.lognormal(-0.03, 0.06) * (1 + slope - rng.uniform(0, 0.1) * out**2)
    if rng.random() < camera.corners:
        light = light * _step(rng.uniform(1.2, 1.7) - out, rng.uniform(0.04, 0.25))
    balance = np.array(camera.tint) * rng.normal(1, 0.02, 3)
    return light[..., None] * balance.astype(np.float32)


def draw(kind: str, camera: str, seed: int, lesion: int, view: int) -> Image.Image:
    """Draw one view of one lesion.

    Args:
        kind: a key of `KINDS`.
        camera: a key of `CAMERAS`.
        seed: the data set's, 0 or more.
        lesion: the lesion's number, 1 or more.
        view: the view's number, 1 or more.

    Returns:
        An RGB picture of WIDTH × HEIGHT pixels: the same bits for the same arguments.
    """
    # What stays the same from view to view: the lesion, and whose skin it is on.
    rng = np.random.default_rng([seed, lesion, 0])
    radius = float(np.clip(rng.lognormal(3.6, 0.28), 18, 64))  # pixels
    layers = KINDS[kind](rng, 8 / radius)
    lightest, darkest = rng.choice([(0.0, 0.25), (0.15, 0.5), (0.5, 1.1)], p=[0.65, 0.25, 0.1])
    tone, flush = rng.uniform(lightest, darkest), rng.uniform(0.0, 0.22)
    lie = rng.uniform(0, 2 * math.pi)
    hairiness = rng.choice([0.0, 2.0, 9.0], p=[0.5, 0.3, 0.2])

    rng = np.random.default_rng([seed, lesion, view])
    angle, distance = lie + rng.normal(0, 0.6), rng.lognormal(0, 0.12)
    squeeze = rng.uniform(0.93, 1.0)  # the lens is not held quite flat on the skin
    x, y = WIDTH / 2 + rng.normal(0, 7), HEIGHT / 2 + rng.normal(0, 5)
    zoom = CANVAS / (2 * REACH) / (radius * distance)
    a, b = zoom * math.cos(angle), zoom * math.sin(angle) / squeeze
    d, e = -zoom * math.sin(angle), zoom * math.cos(angle) / squeeze
    across = (a, b, CANVAS / 2 - a * x - b * y, d, e, CANVAS / 2 - d * x - e * y)

    skin_melanin, skin_blood = _skin(rng)
    melanin = tone + skin_melanin + _lay(layers.melanin, across)
    blood = flush + skin_blood + _lay(layers.blood, across)
    picture = _PALE_SKIN * np.exp(-melanin[..., None] * _MELANIN - blood[..., None] * _BLOOD)
    # Deep pigment, scar and keratin are seen through the same skin, so they darken with it.
    shade = np.exp(-0.5 * tone * _MELANIN)
    picture = _cover(picture, _lay(layers.blue, across), _BLUE * shade)
    picture = _cover(picture, _lay(layers.keratin, across), _KERATIN * shade)
    picture = _cover(picture, _lay(layers.white, across), _WHITE * shade)

    optics = CAMERAS[camera]
    lines = _hairs_and_ruler(rng, int(rng.poisson(hairiness)), bool(rng.random() < optics.ruler))
    picture = _cover(picture, 0.9 * lines, _HAIR * rng.uniform(0.4, 2.2))
    if rng.random() < optics.bubbles:
        picture = _cover(picture, _bubbles(rng, int(rng.integers(1, 7))), np.ones(3, np.float32))
    picture *= _light(rng, optics)
    picture += optics.grain * rng.standard_normal(picture.shape, np.float32)
    pixels = np.clip(255 * picture, 0, 255).astype(np.uint8)
    return Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(optics.blur))
