"""Real-time augmentation, and the stream of batches it hangs in."""

import time

import lesions.models.common.determinism  # before all that imports Keras

# isort: split
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from pydantic import ValidationError
from scipy import ndimage

from lesions.core.errors import UserError
from lesions.models.common.batches import Pixels, Rows, eval_batches, train_batches
from lesions.models.training.augmentation import BITS, HALF, Augmentation, augmentation
from lesions.params.train import Augment

ALL = Augment(flip="all", transpose=True, rotate=180, shift=0.2, zoom=0.3, brightness=0.2, contrast=0.3, colour=0.1)

amounts = st.builds(
    Augment,
    flip=st.sampled_from(["none", "horizontal", "all"]),
    rotate=st.floats(0, 180),
    shift=st.floats(0, 0.5),
    zoom=st.floats(0, 0.5),
    brightness=st.floats(0, 0.99),
    contrast=st.floats(0, 0.99),
    colour=st.floats(0, 0.99),
)


def noise(images: int, height: int = 24, width: int = 24) -> NDArray[np.uint8]:
    return np.random.default_rng(0).integers(0, 256, (images, height, width, 3), np.uint8)


@settings(max_examples=30)
@given(wanted=amounts, shape=st.tuples(st.integers(16, 33), st.integers(16, 33)), order=st.permutations(range(7)))
def test_image_is_the_same_in_any_batch(wanted: Augment, shape: tuple[int, int], order: list[int]) -> None:
    images, rows = noise(7, *shape), np.array(order) * 3
    batch = Augmentation(wanted, (*shape, 3), 20, seed=5)(images[order], rows, 4)
    assert batch.shape == images.shape
    more_rows = Augmentation(wanted, (*shape, 3), 50, seed=5)
    more_rows(images, np.arange(7), 9)
    for place, number in enumerate(order):
        single = more_rows(images[[number]], rows[[place]], 4)
        assert np.array_equal(single[0], batch[place])


def test_seed_epoch_and_row_matter() -> None:
    images = noise(1)

    def changed(seed: int, epoch: int, row: int) -> bytes:
        return Augmentation(ALL, (24, 24, 3), 9, seed)(images, np.array([row]), epoch).tobytes()

    assert len({changed(*which) for which in [(1, 0, 0), (2, 0, 0), (1, 1, 0), (1, 0, 1)]}) == 4


@pytest.mark.parametrize(
    ("flip", "transpose", "views"), [("horizontal", False, 2), ("all", False, 4), ("all", True, 8)]
)
def test_flips_keep_every_pixel(flip: str, transpose: bool, views: int) -> None:
    image = noise(1)[0]
    wanted = Augment.model_validate({"flip": flip, "transpose": transpose})
    seen = Augmentation(wanted, image.shape, 60, seed=1)(np.stack([image] * 60), np.arange(60), 0)
    turns = [image, image.swapaxes(0, 1)] if transpose else [image]
    rows = [image[::-1] for image in turns] if flip == "all" else []
    possible = {view.tobytes() for turn in [*turns, *rows] for view in (turn, turn[:, ::-1])}
    assert len(possible) == views
    assert {view.tobytes() for view in seen} == possible


@pytest.mark.parametrize("shape", [(40, 40), (30, 52)])
def test_interpolation_equals_scipy(shape: tuple[int, int]) -> None:
    smooth = ndimage.gaussian_filter(noise(1, *shape)[0].astype(float), (4, 4, 0))
    smooth = np.interp(smooth, (smooth.min(), smooth.max()), (0, 255)).astype(np.uint8)
    wanted = Augment(flip="all", rotate=180, shift=0.3, zoom=0.4)
    augment = Augmentation(wanted, (*shape, 3), 30, seed=2)
    seen = augment(np.stack([smooth] * 30), np.arange(30), 0)
    places = augment.changes(0).places
    assert places is not None
    for view, (a, b, c) in zip(seen, places, strict=True):
        place = a * np.arange(shape[1]) + b * np.arange(shape[0])[:, None] + c
        halves = [(place & (2**HALF - 1)) / 2**BITS, (place >> HALF) / 2**BITS]
        exact = [(half - 0.5 + first) / 2 for half, first in zip(halves, augment._first[::-1], strict=True)]
        for channel in range(3):
            other = ndimage.map_coordinates(smooth[..., channel].astype(float), exact, order=1, mode="mirror")
            # A quarter of a pixel to either side, on slopes of up to 20 a pixel.
            assert np.abs(view[..., channel] - other).mean() < 3
            assert np.corrcoef(view[..., channel].ravel(), other.ravel())[0, 1] > 0.99


def test_edges_are_reflected() -> None:
    seen = Augmentation(Augment(rotate=180, shift=0.5, zoom=0.5), (24, 24, 3), 50, 1)(
        np.full((50, 24, 24, 3), 200, np.uint8), np.arange(50), 0
    )
    assert (seen == 200).all()


def test_brightness_contrast_and_colour() -> None:
    image = np.clip(noise(1, 64, 64), 60, 180)
    rows = np.arange(200)
    batch = np.repeat(image, 200, axis=0)
    for wanted in (Augment(brightness=0.2), Augment(contrast=0.3), Augment(colour=0.1)):
        seen = Augmentation(wanted, (64, 64, 3), 200, 1)(batch, rows, 0).astype(float)
        gains = seen.mean((1, 2)) / image.mean((1, 2))
        spreads = seen.std((1, 2)) / image.std((1, 2))
        by_channel = np.ptp(gains, axis=1)
        if wanted.brightness:
            assert 0.79 < gains.min() < 0.82
            assert 1.18 < gains.max() < 1.21
            assert by_channel.max() < 0.01
        elif wanted.contrast:
            assert abs(gains - 1).max() < 0.01
            assert 0.69 < spreads.min() < 0.72
            assert 1.28 < spreads.max() < 1.31
        else:
            assert gains.min() > 0.89
            assert gains.max() < 1.11
            assert by_channel.max() > 0.1


def test_wrong_amounts_are_refused() -> None:
    assert augmentation(Augment(), (24, 24, 3), 5, 1) is None
    assert augmentation(Augment(rotate=1), (24, 24, 3), 5, 1) is not None
    for wrong in ({"rotate": 181}, {"zoom": 1}, {"flip": "vertical"}, {"colour": -0.1}, {"turn": 1}):
        with pytest.raises(ValidationError):
            Augment.model_validate(wrong)
    with pytest.raises(UserError, match="24 pixels wide and 20 high"):
        augmentation(Augment(transpose=True), (20, 24, 3), 5, 1)


def batches(count: int, first_epoch: int = 0, batch: int = 4) -> list[tuple[bytes, list[int]]]:
    images = noise(11)
    rows = np.array([1, 2, 3, 5, 6, 7, 8, 9, 10])
    augment = augmentation(ALL, images.shape[1:], 11, 1)
    stream = iter(train_batches([images[:4], images[4:]], rows, rows, batch, 1, augment, first_epoch))
    return [
        (pixels.numpy().tobytes(), labels.numpy().tolist()) for pixels, labels in (next(stream) for _ in range(count))
    ]


def test_stream_resumes_at_an_epoch() -> None:
    whole = batches(9)
    assert whole[6:] == batches(3, first_epoch=2)
    assert whole[3:6] == batches(3, first_epoch=1)
    assert b"".join(pixels for pixels, _ in whole) == b"".join(pixels for pixels, _ in batches(3, batch=9))


def test_batches_are_made_ahead() -> None:
    """TensorFlow's op determinism turns reading ahead off, silently, where a source might keep a state."""
    assert lesions.models.common.determinism.THREADS
    made: list[int] = []

    def augment(pixels: Pixels, rows: Rows, epoch: int) -> Pixels:
        del rows
        made.append(epoch)
        return pixels

    images = noise(8)
    stream = iter(train_batches([images], np.arange(8), np.arange(8), 2, 1, augment))
    next(stream)
    for _ in range(500):  # as long as a slow machine needs
        if len(made) >= 4:
            break
        time.sleep(0.01)
    assert len(made) >= 4


def test_validation_has_each_image_once() -> None:
    images = noise(5)
    rows = np.array([4, 0, 2])
    seen = list(eval_batches([images], rows, rows, batch=2))
    assert np.array_equal(tf.concat([pixels for pixels, _ in seen], 0), images[rows])
    assert len(eval_batches([images], rows, rows, batch=2)) == 2
