"""Draw images of skin lesions as a dermatoscope shows them: stylised, and a function of numbers alone.

A lesion is drawn once, in its own coordinates, as amounts of what colours skin: melanin, blood, deep (blue)
pigment, white scar, keratin. A view lays it on skin under one angle, distance and light, and adds what gets
in the way: hairs, a ruler, gel bubbles, dark corners. The seven kinds differ in what dermoscopy looks for
(pigment network, globules, blue-white veil, milia-like cysts, arborising vessels, nests, lacunae, a central
white patch), and overlap in colour, size and outline.

The random seed of a lesion is `[seed, lesion, 0]`, that of a view of it `[seed, lesion, view]`, counted from 1: the
order of drawing does not matter.
"""

import io
from collections.abc import Hashable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw

from lesions.sources.synthetic.exact import Field, exponential, lognormal, normal, normals, uniform, wave
from lesions.sources.synthetic.kinds import KINDS
from lesions.sources.synthetic.shapes import CANVAS, REACH, noise, step

WIDTH, HEIGHT = 150, 112
"""Size of an image in pixels."""

_VIEW_X, _VIEW_Y = np.meshgrid(
    np.linspace(-WIDTH / HEIGHT, WIDTH / HEIGHT, WIDTH, dtype=np.float32),
    np.linspace(-1, 1, HEIGHT, dtype=np.float32),
)
"""A view's coordinates: half an image's height is 1."""
_FROM_CENTRE = np.sqrt(_VIEW_X * _VIEW_X + _VIEW_Y * _VIEW_Y)

Colour = tuple[float, float, float]
"""Red, green and blue, 0 to 1."""

# How much one unit of a pigment takes from red, green and blue, and what the pale layers look like.
_MELANIN: Colour = (0.72, 1.0, 1.22)
_BLOOD: Colour = (0.16, 0.76, 0.58)
_PALE_SKIN: Colour = (0.96, 0.87, 0.80)
_BLUE: Colour = (0.42, 0.46, 0.55)
_WHITE: Colour = (0.95, 0.88, 0.86)
_KERATIN: Colour = (0.90, 0.76, 0.48)
_HAIR: Colour = (0.16, 0.11, 0.09)


@dataclass(frozen=True)
class Camera:
    """How one clinic's images look, and how many there are."""

    share: float  # of the lesions; HAM10000's four sources have these shares
    tint: Colour  # what the sensor makes of red, green and blue
    corners: float  # the chance of dark corners
    ruler: float  # the chance of a ruler at the edge
    bubbles: float  # the chance of bubbles in the contact gel
    blur: float  # the deviation of the lens's blur, in pixels
    grain: float  # the deviation of the sensor's noise, where white is 1


CAMERAS = {
    "synthetic_a": Camera(0.39, (1.00, 1.00, 1.00), 0.05, 0.05, 0.08, 0.35, 0.012),
    "synthetic_b": Camera(0.34, (1.05, 0.98, 0.90), 0.35, 0.10, 0.12, 0.45, 0.015),
    "synthetic_c": Camera(0.22, (0.95, 0.98, 1.06), 0.05, 0.35, 0.08, 0.30, 0.010),
    "synthetic_d": Camera(0.05, (1.02, 0.93, 0.96), 0.20, 0.05, 0.55, 0.70, 0.022),
}


def _project(layer: Field, affine: tuple[float, ...]) -> Field:
    """Return a layer of a lesion's canvas as a view sees it, (HEIGHT, WIDTH); `affine` is Pillow's."""
    seen = Image.fromarray(layer).transform((WIDTH, HEIGHT), Image.Transform.AFFINE, affine, Image.Resampling.BILINEAR)
    return np.asarray(np.maximum(np.asarray(seen), 0))


def _blend(image: Field, amount: Field, colour: Colour) -> None:
    """Lay a colour over the image, (3, HEIGHT, WIDTH), `amount` (HEIGHT, WIDTH) from 0 to 1."""
    amount = np.minimum(amount, 1)
    for channel, value in enumerate(colour):
        image[channel] += amount * (value - image[channel])


def _skin(rng: Generator) -> tuple[Field, Field]:
    """Return the fine melanin and blood of one patch of skin, (HEIGHT, WIDTH) each, around 0."""
    size = (WIDTH, HEIGHT)
    furrows = exponential(-5 * np.abs(noise(rng, 22, size))) + exponential(-5 * np.abs(noise(rng, 22, size)))
    melanin = 0.06 * noise(rng, 4, size) + 0.02 * noise(rng, 70, size) + 0.035 * furrows
    blood = 0.05 * noise(rng, 6, size) + 0.03 * noise(rng, 30, size)
    return melanin, blood


def _hairs_and_ruler(rng: Generator, hairs: int, ruler: bool) -> Field:
    """Return how far dark lines cover each pixel, (HEIGHT, WIDTH), 0 to 1: hairs, and a ruler's ticks."""
    fine, n_steps = 3, 14
    image = Image.new("L", (WIDTH * fine, HEIGHT * fine))
    pen = ImageDraw.Draw(image)
    along = np.linspace(0, 1, n_steps)
    lean = uniform(rng, 0, 0.5)
    for _ in range(hairs):
        start = [uniform(rng, -20, WIDTH + 20), uniform(rng, -20, HEIGHT + 20)]
        course = lean + normal(rng, 0, 0.1) + normal(rng, 0, 0.08) * along
        steps = uniform(rng, 30, 130) / n_steps * np.stack([wave(course), wave(course - 0.25)], axis=1)
        ends = (fine * (start + np.cumsum(steps, axis=0))).ravel().tolist()
        pen.line(ends, fill=int(rng.integers(150, 256)), width=int(rng.integers(2, 5)))
    if ruler:
        gap, edge = uniform(rng, 5.5, 9.0), uniform(rng, 2, 10)
        for tick in range(int(WIDTH / gap) + 1):
            x, y = tick * gap * fine, (HEIGHT - edge) * fine
            pen.line([x, y, x, y - fine * (9 if tick % 5 == 0 else 5)], fill=210, width=2)
    return np.asarray(image.reduce(fine), np.float32) / 255


def _bubbles(rng: Generator, number: int) -> Field:
    """Return how far gel bubbles whiten each pixel, (HEIGHT, WIDTH), 0 to 1: a rim and a glint each."""
    layer = np.zeros((HEIGHT, WIDTH), np.float32)
    for _ in range(number):
        x, y, r = uniform(rng, -1.3, 1.3), uniform(rng, -1, 1), uniform(rng, 0.03, 0.14)
        away, glint = _distance(x, y), _distance(x - 0.4 * r, y - 0.4 * r)
        layer += 0.35 * step(0.02 - np.abs(away - r), 0.02) + 0.12 * (away < r)
        layer += 0.8 * step(0.025 - glint, 0.025)
    return layer


def _distance(x: float, y: float) -> Field:
    """Return each pixel's distance from a point, (HEIGHT, WIDTH)."""
    dx, dy = _VIEW_X - x, _VIEW_Y - y
    return np.asarray(np.sqrt(dx * dx + dy * dy))


def _shine(image: Field, rng: Generator, camera: Camera, exposure: Colour) -> None:
    """Put light on the image, (3, HEIGHT, WIDTH): uneven, tinted, about `exposure`."""
    towards = rng.random()
    slope = uniform(rng, 0, 0.12) * (_VIEW_X * wave(towards) + _VIEW_Y * wave(towards - 0.25))
    brightness, fall = lognormal(rng, 0, 0.03), uniform(rng, 0, 0.1)
    light = brightness * (1 + slope - fall * _FROM_CENTRE * _FROM_CENTRE)
    if rng.random() < camera.corners:
        light *= 1 - uniform(rng, 0.3, 0.6) * step(_FROM_CENTRE - uniform(rng, 1.2, 1.6), uniform(rng, 0.12, 0.3))
    for channel, (tint, gain) in enumerate(zip(camera.tint, exposure, strict=True)):
        image[channel] *= light * (tint * gain)


def _blur(image: Field, deviation: float) -> None:
    """Blur the image, (3, HEIGHT, WIDTH), across and along; its outermost pixels stay as they are."""
    weight = deviation * deviation / 2
    image[:, :, 1:-1] += weight * (image[:, :, :-2] + image[:, :, 2:] - 2 * image[:, :, 1:-1])
    image[:, 1:-1] += weight * (image[:, :-2] + image[:, 2:] - 2 * image[:, 1:-1])


def draw(kind: str, camera: str, seed: int, lesion: int, view: int) -> Image.Image:
    """Draw one view of one lesion.

    Args:
        kind: a key of `KINDS`.
        camera: a key of `CAMERAS`.
        seed: the data set's, 0 or more.
        lesion: the lesion's number, 1 or more.
        view: the view's number, 1 or more.

    Returns:
        An RGB image of WIDTH × HEIGHT pixels: the same bits for the same arguments.
    """
    # The same in each view: the lesion, whose skin it is on, and how the camera is set.
    rng = np.random.default_rng([seed, lesion, 0])
    radius = min(max(36.6 * lognormal(rng, 0, 0.28), 18), 64)  # pixels
    layers = KINDS[kind](rng, 8 / radius)
    lightest, darkest = rng.choice([(0.0, 0.25), (0.15, 0.5), (0.5, 1.1)], p=[0.65, 0.25, 0.1]).tolist()
    tone, flush = uniform(rng, lightest, darkest), uniform(rng, 0.0, 0.22)
    lie = rng.random()
    hairiness = int(rng.choice([0, 2, 9], p=[0.5, 0.3, 0.2]))
    exposure = (lognormal(rng, -0.03, 0.06) * normals(rng, 1, 0.02, 3)).tolist()

    rng = np.random.default_rng([seed, lesion, view])
    angle, distance = lie + normal(rng, 0, 0.1), lognormal(rng, 0, 0.12)
    squeeze = uniform(rng, 0.93, 1.0)  # the lens is not held quite flat on the skin
    x, y = WIDTH / 2 + normal(rng, 0, 7), HEIGHT / 2 + normal(rng, 0, 5)
    zoom = CANVAS / (2 * REACH) / (radius * distance)
    along, across = zoom * wave(angle), zoom * wave(angle - 0.25)
    a, b, d, e = along, across / squeeze, -across, along / squeeze
    affine = (a, b, CANVAS / 2 - a * x - b * y, d, e, CANVAS / 2 - d * x - e * y)

    skin_melanin, skin_blood = _skin(rng)
    melanin = tone + skin_melanin + _project(layers.melanin, affine)
    blood = flush + skin_blood + _project(layers.blood, affine)
    image = np.empty((3, HEIGHT, WIDTH), np.float32)
    for channel, pale, brown, red in zip(image, _PALE_SKIN, _MELANIN, _BLOOD, strict=True):
        channel[:] = pale * exponential(-brown * melanin - red * blood)
    # Deep pigment, scar and keratin are seen through the same skin, so they darken with it.
    shade = [exponential(-0.5 * tone * brown) for brown in _MELANIN]
    for layer, colour in ((layers.blue, _BLUE), (layers.keratin, _KERATIN), (layers.white, _WHITE)):
        if layer.any():
            red, green, blue = (dark * value for dark, value in zip(shade, colour, strict=True))
            _blend(image, _project(layer, affine), (red, green, blue))

    optics = CAMERAS[camera]
    hairs, ruler = int(rng.integers(0, 2 * hairiness, endpoint=True)), bool(rng.random() < optics.ruler)
    if hairs or ruler:
        dark = uniform(rng, 0.4, 2.2)
        _blend(image, 0.9 * _hairs_and_ruler(rng, hairs, ruler), (dark * _HAIR[0], dark * _HAIR[1], dark * _HAIR[2]))
    if rng.random() < optics.bubbles:
        _blend(image, _bubbles(rng, int(rng.integers(1, 7))), (1.0, 1.0, 1.0))
    _shine(image, rng, optics, exposure)
    one, other = rng.integers(256, size=(2, *image.shape), dtype=np.uint8)
    image += optics.grain / 104.5 * (one.astype(np.float32) + other - 255)  # 104.5: the deviation of the sum
    _blur(image, optics.blur)
    pixels = np.clip(255 * image, 0, 255).astype(np.uint8)
    return Image.merge("RGB", [Image.fromarray(channel) for channel in pixels])


def draw_member(row: dict[Hashable, Any], seed: int) -> tuple[str, bytes]:
    """Return one row's member of an archive: name and bytes. It is here as workers import this module, without pandas.

    Args:
        row: `draw`'s arguments (`kind`, `dataset`, `drawn_lesion`, `view`), `image_id`, and its defects: whether it
            is `mirrored`, or `broken`.
        seed: the data set's.
    """
    buffer = io.BytesIO()
    drawn = draw(row["kind"], row["dataset"], seed, row["drawn_lesion"], row["view"])
    drawn = drawn.transpose(Image.Transpose.FLIP_LEFT_RIGHT) if row["mirrored"] else drawn
    drawn.save(buffer, "JPEG", quality=60 if row["mirrored"] else 90)
    content = buffer.getvalue()
    return f"{row['image_id']}.jpg", content[: len(content) // 3] if row["broken"] else content
