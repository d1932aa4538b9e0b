"""Corruptions of images, at three severities: what haste, compression, another camera or another lamp do.

Each takes prepared pixels, uint8 (height, width, 3), a severity of 1, 2 or 3, and a random generator, and returns as
many pixels. The kinds follow Hendrycks and Dietterich (Benchmarking Neural Network Robustness to Common
Corruptions and Perturbations, ICLR 2019), and Maron et al. (A benchmark for neural network robustness in skin cancer
classification, European Journal of Cancer 155, 2021) for dermoscopy; the severities are our own: mild, clearly seen,
and an image that a person would take again. Lengths are fractions of the image's shorter side.
"""

import io
import math
import zlib
from collections.abc import Callable, Iterable

import keras
import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter
from tqdm import tqdm

from lesions.inference.predict import predict_batch

Pixels = NDArray[np.uint8]

SEVERITIES = (1, 2, 3)
BLUR = (0.006, 0.012, 0.024)
"""The Gaussian's standard deviation, as a fraction of the shorter side. Images of few pixels lost as much when
they were prepared, and the mildest changes nothing there."""
SAMPLE = 300
"""How many test images are corrupted, each in all ways. In its recipes that takes less than a tenth of the training's
time; all 2,004 of HAM10000 in eight views took 33 minutes beside 51 of training."""
QUALITY = (40, 20, 8)
"""Quality of JPEG, as libjpeg counts it."""
BRIGHTNESS = (0.15, 0.30, 0.45)
"""As a fraction of each value, up or down."""
CAST = (0.08, 0.16, 0.32)
"""As a fraction of a channel, the root of the sum of squares over the three."""
DEGREES = (15, 30, 45)
HAIRS = (4, 10, 24)
HAIR_WIDTH = (0.006, 0.014)
"""From the thinnest to the thickest, as fractions of the shorter side."""
FINER = 4
"""Hairs are drawn on a surface so many times as fine: many are thinner than a pixel."""


def blur(pixels: Pixels, severity: int, _random: Generator) -> Pixels:
    """Put it out of focus."""
    radius = BLUR[severity - 1] * min(pixels.shape[:2])
    return np.asarray(Image.fromarray(pixels).filter(ImageFilter.GaussianBlur(radius)))


def jpeg(pixels: Pixels, severity: int, _random: Generator) -> Pixels:
    """Store it as a small JPEG file."""
    file = io.BytesIO()
    Image.fromarray(pixels).save(file, "JPEG", quality=QUALITY[severity - 1])
    with Image.open(file) as opened:
        return np.asarray(opened.convert("RGB"))


def brightness(pixels: Pixels, severity: int, random: Generator) -> Pixels:
    """Make it darker or lighter, either in half of the images."""
    sign = 1 if random.random() < 0.5 else -1
    return _scaled(pixels, np.full(3, 1 + sign * BRIGHTNESS[severity - 1]))


def colour_cast(pixels: Pixels, severity: int, random: Generator) -> Pixels:
    """Light it with another lamp: any hue, and no more light than before."""
    hue = random.normal(size=3)
    hue -= hue.mean()
    return _scaled(pixels, 1 + CAST[severity - 1] * hue / max(float(np.sqrt((hue**2).sum())), 1e-9))


def rotation(pixels: Pixels, severity: int, random: Generator) -> Pixels:
    """Turn it left or right; what comes in at the corners is the image mirrored at its edges, never black."""
    sign = 1 if random.random() < 0.5 else -1
    height, width = pixels.shape[:2]
    # Half a diagonal reaches every corner at any angle.
    rim = math.ceil(math.hypot(height, width) / 2 - min(height, width) / 2) + 2
    wide = np.pad(pixels, ((rim, rim), (rim, rim), (0, 0)), mode="symmetric")
    turned = Image.fromarray(wide).rotate(sign * DEGREES[severity - 1], Image.Resampling.BICUBIC)
    return np.asarray(turned)[rim : rim + height, rim : rim + width]


def hairs(pixels: Pixels, severity: int, random: Generator) -> Pixels:
    """Lay dark, thin, bent hairs over it; a greater severity adds to those of a smaller one."""
    height, width = pixels.shape[:2]
    cover = Image.new("L", (width * FINER, height * FINER))
    draw = ImageDraw.Draw(cover)
    colour = np.array([40, 28, 22]) * random.uniform(0.5, 1.5)
    along = np.linspace(0, 1, 24)[:, None]
    for _ in range(HAIRS[severity - 1]):
        # A quadratic Bézier curve across the image, bent by as much as a third of its length.
        angle, length = random.uniform(0, 2 * math.pi), random.uniform(0.5, 1.3)
        direction = np.array([math.cos(angle), math.sin(angle)])
        middle = random.uniform(0, 1, 2)
        bend = middle + random.uniform(-1 / 3, 1 / 3) * length * direction[::-1] * (1, -1)
        start, end = middle - length / 2 * direction, middle + length / 2 * direction
        curve = (1 - along) ** 2 * start + 2 * along * (1 - along) * bend + along**2 * end
        thick = random.uniform(*HAIR_WIDTH) * min(height, width) * FINER
        points = [tuple(point) for point in (curve * cover.size).tolist()]
        draw.line(points, fill=230, width=max(1, round(thick)), joint="curve")
    share = np.asarray(cover.resize((width, height), Image.Resampling.BOX), np.float32)[..., None] / 255
    return np.rint(pixels * (1 - share) + colour * share).astype(np.uint8)


CORRUPTIONS: dict[str, Callable[[Pixels, int, Generator], Pixels]] = {
    "blur": blur,
    "jpeg": jpeg,
    "brightness": brightness,
    "colour cast": colour_cast,
    "rotation": rotation,
    "hairs": hairs,
}
"""By name, in the order of tables and plots."""


def choose_sample(table: pd.DataFrame, seed: int, size: int = SAMPLE) -> NDArray[np.int64]:
    """Return the rows to corrupt, in ascending order: at most `size`, and of each class as many as of another.

    Args:
        table: of test, with `image_id` and `label`.
        seed: random seed of the corruptions; the choice depends on it and on the images, not on their order.
        size: how many images.
    """
    draws = [np.random.default_rng([seed, zlib.crc32(image_id.encode())]).random() for image_id in table["image_id"]]
    known = table.assign(draw=draws, row=np.arange(len(table))).sort_values(["draw", "image_id"])
    # The first of every class, then the second of every class, until there are enough.
    place = known.groupby("label").cumcount()
    chosen = known.assign(place=place).sort_values(["place", "label"])["row"].head(size)
    return np.sort(chosen.to_numpy(np.int64))


def corrupt(pixels: Pixels, name: str, severity: int, seed: int, image_id: str) -> Pixels:
    """Return an image corrupted.

    The randomness depends on the seed, the corruption and the image, whatever the order of images, and is the same at
    each severity: the same direction further, the same hairs and more.

    Args:
        pixels: uint8, (height, width, 3).
        name: one of `CORRUPTIONS`.
        severity: one of `SEVERITIES`.
        seed: random seed.
        image_id: whose pixels they are.
    """
    random = np.random.default_rng([seed, zlib.crc32(name.encode()), zlib.crc32(image_id.encode())])
    return CORRUPTIONS[name](pixels, severity, random)


def _scaled(pixels: Pixels, factors: NDArray[np.float64]) -> Pixels:
    """Return the channels times (3,) factors."""
    return np.clip(np.rint(pixels * factors), 0, 255).astype(np.uint8)


def predict_corrupted(
    model: keras.Model, batches: Iterable[Pixels], table: pd.DataFrame, classes: list[str], *, tta: bool, seed: int
) -> pd.DataFrame:
    """Return the probabilities of images under each corruption and severity, in this order, one row per image.

    Args:
        model: of `features.feature_model`.
        batches: of N images in all, at most `predict.BATCH_SIZE` each.
        table: N rows with `image_id`, whose columns come first.
        classes: labels of the network's outputs.
        tta: see `predict_batch`.
        seed: random seed of the corruptions.
    """
    kinds = [(name, severity) for name in CORRUPTIONS for severity in SEVERITIES]
    probability = np.empty((len(kinds), len(table), len(classes)), np.float32)
    with tqdm(total=len(table) * len(kinds), desc="predicting corrupted images", unit=" images", disable=None) as bar:
        done = 0
        for batch in batches:
            rows = slice(done, done := done + len(batch))
            ids = table["image_id"].iloc[rows]
            for number, (name, severity) in enumerate(kinds):
                worse = [corrupt(image, name, severity, seed, one) for image, one in zip(batch, ids, strict=True)]
                probability[number, rows] = predict_batch(model, np.stack(worse), tta)[1]
                bar.update(len(batch))
    tables = [table.assign(corruption=name, severity=severity) for name, severity in kinds]
    outputs = pd.DataFrame(probability.reshape(-1, len(classes)), columns=classes)
    return pd.concat([pd.concat(tables, ignore_index=True), outputs], axis=1)
