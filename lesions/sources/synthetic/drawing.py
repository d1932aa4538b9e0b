"""Draw images of skin lesions as a dermatoscope shows them: stylised, and a function of numbers alone.

A lesion is drawn once, in its own coordinates, as amounts of what colours skin: melanin, blood, deep (blue)
pigment, white scar, keratin. A view lays it on skin under one angle, distance and light, and adds what gets
in the way: hairs, a ruler, gel bubbles, dark corners. The seven kinds differ in what dermoscopy looks for
(pigment network, globules, blue-white veil, milia-like cysts, arborising vessels, nests, lacunae, a central
white patch), and overlap in colour, size and outline.

The random seed of a lesion is `[seed, lesion, 0]`, that of a view of it `[seed, lesion, view]`, counted from 1: the
order of drawing does not matter.
"""

import math
from dataclasses import dataclass

import numpy as np
from numpy.random import Generator
from PIL import Image, ImageDraw, ImageFilter

from lesions.sources.synthetic.kinds import KINDS
from lesions.sources.synthetic.shapes import CANVAS, REACH, Field, noise, step

WIDTH, HEIGHT = 150, 112
"""Of an image, in pixels."""

_VIEW_X, _VIEW_Y = np.meshgrid(
    np.linspace(-WIDTH / HEIGHT, WIDTH / HEIGHT, WIDTH, dtype=np.float32),
    np.linspace(-1, 1, HEIGHT, dtype=np.float32),
)
"""A view's coordinates: half an image's height is 1."""

# How much one unit of a pigment takes from red, green and blue, and what the pale layers look like.
_MELANIN = np.array([0.72, 1.0, 1.22], np.float32)
_BLOOD = np.array([0.16, 0.76, 0.58], np.float32)
_PALE_SKIN = np.array([0.96, 0.87, 0.80], np.float32)
_BLUE = np.array([0.42, 0.46, 0.55], np.float32)
_WHITE = np.array([0.95, 0.88, 0.86], np.float32)
_KERATIN = np.array([0.90, 0.76, 0.48], np.float32)
_HAIR = np.array([0.16, 0.11, 0.09], np.float32)


@dataclass(frozen=True)
class Camera:
    """How one clinic's images look, and how many there are."""

    share: float  # of the lesions; HAM10000's four sources have these shares
    tint: tuple[float, float, float]  # what the sensor makes of red, green and blue
    corners: float  # the chance of dark corners
    ruler: float  # the chance of a ruler at the edge
    bubbles: float  # the chance of bubbles in the contact gel
    blur: float  # the radius of the lens's blur, in pixels
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
    return np.clip(np.asarray(seen, np.float32), 0, None)


def _blend(image: Field, amount: Field, colour: Field) -> Field:
    """Return the image with a colour laid over it, `amount` (HEIGHT, WIDTH) from 0 to 1."""
    return image + np.minimum(amount, 1)[..., None] * (colour - image)


def _skin(rng: Generator) -> tuple[Field, Field]:
    """Return the fine melanin and blood of one patch of skin, (HEIGHT, WIDTH) each, around 0."""
    size = (WIDTH, HEIGHT)
    furrows = np.exp(-5 * np.abs(noise(rng, 22, size))) + np.exp(-5 * np.abs(noise(rng, 22, size)))
    melanin = 0.04 * noise(rng, 5, size) + 0.02 * noise(rng, 70, size) + 0.035 * furrows
    blood = 0.05 * noise(rng, 6, size) + 0.03 * noise(rng, 30, size)
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
        light = light * step(rng.uniform(1.2, 1.7) - out, rng.uniform(0.04, 0.25))
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
        An RGB image of WIDTH × HEIGHT pixels: the same bits for the same arguments.
    """
    # The same in each view: the lesion, and whose skin it is on.
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
    affine = (a, b, CANVAS / 2 - a * x - b * y, d, e, CANVAS / 2 - d * x - e * y)

    skin_melanin, skin_blood = _skin(rng)
    melanin = tone + skin_melanin + _project(layers.melanin, affine)
    blood = flush + skin_blood + _project(layers.blood, affine)
    image = _PALE_SKIN * np.exp(-melanin[..., None] * _MELANIN - blood[..., None] * _BLOOD)
    # Deep pigment, scar and keratin are seen through the same skin, so they darken with it.
    shade = np.exp(-0.5 * tone * _MELANIN)
    image = _blend(image, _project(layers.blue, affine), _BLUE * shade)
    image = _blend(image, _project(layers.keratin, affine), _KERATIN * shade)
    image = _blend(image, _project(layers.white, affine), _WHITE * shade)

    optics = CAMERAS[camera]
    lines = _hairs_and_ruler(rng, int(rng.poisson(hairiness)), bool(rng.random() < optics.ruler))
    image = _blend(image, 0.9 * lines, _HAIR * rng.uniform(0.4, 2.2))
    if rng.random() < optics.bubbles:
        image = _blend(image, _bubbles(rng, int(rng.integers(1, 7))), np.ones(3, np.float32))
    image *= _light(rng, optics)
    image += optics.grain * rng.standard_normal(image.shape, np.float32)
    pixels = np.clip(255 * image, 0, 255).astype(np.uint8)
    return Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(optics.blur))
