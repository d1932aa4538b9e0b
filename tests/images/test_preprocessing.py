"""Preprocessing: resizing, borders, colour constancy, padding, and the settings as they are stored."""

import io
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageDraw

from lesions.core.errors import UserError
from lesions.images.colour_constancy import shades_of_grey
from lesions.images.decode import WHOLE
from lesions.images.field_of_view import bright_field
from lesions.images.preprocessing import Preprocessing, to_pixels

SKIN = (200, 150, 140)


def preprocessing(px: tuple[int, int] = (32, 32), **other: Any) -> Preprocessing:
    return Preprocessing(**{"image_size": px, "resize_mode": "squash", "crop_borders": False, "colour_constancy": "none", **other})


def encoded(image: Image.Image, kind: str = "PNG") -> bytes:
    file = io.BytesIO()
    image.save(file, kind)
    return file.getvalue()


def lesion(size: tuple[int, int] = (600, 450), seed: int = 0) -> Image.Image:
    """Skin with grain and a dark spot in the middle."""
    image = Image.new("RGB", size, SKIN)
    width, height = size
    ImageDraw.Draw(image).ellipse((width * 0.4, height * 0.35, width * 0.6, height * 0.65), fill=(40, 20, 20))
    grain = np.random.default_rng(seed).integers(-10, 11, (height, width, 1))
    return Image.fromarray((np.asarray(image) + grain).astype(np.uint8))


def under_a_circle(radius: float, *, seed: int = 0) -> Image.Image:
    """The field of a dermatoscope, `radius` in parts of the image's height, black around it."""
    image = lesion(seed=seed)
    mask = Image.new("L", image.size, 0)
    reach = radius * image.height
    ImageDraw.Draw(mask).ellipse((300 - reach, 225 - reach, 300 + reach, 225 + reach), fill=255)
    return Image.composite(image, Image.new("RGB", image.size, (8, 5, 9)), mask)


def thirds() -> bytes:
    """450×150: a third red, a third green, a third blue, side by side."""
    image = Image.new("RGB", (450, 150), "red")
    image.paste("lime", (150, 0, 300, 150))
    image.paste("blue", (300, 0, 450, 150))
    return encoded(image)


def test_squash_and_crop() -> None:
    squashed = to_pixels(thirds(), preprocessing((30, 30)))
    assert (squashed[15, [0, 15, 29]] == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]).all()
    cropped = to_pixels(thirds(), preprocessing((30, 30), resize_mode="crop"))
    assert (cropped[:, 1:-1] == [0, 255, 0]).all()  # the outermost mix with their neighbours
    assert (cropped[..., 1] > 200).all()
    wide = to_pixels(thirds(), preprocessing((20, 40), resize_mode="crop"))
    assert (wide[10, [0, 20, 39]] == [[255, 0, 0], [0, 255, 0], [0, 0, 255]]).all()


def test_pad_fills_with_the_rim_colour() -> None:
    image = Image.new("RGB", (300, 100), SKIN)
    image.paste("blue", (100, 30, 200, 70))
    padded = to_pixels(encoded(image), preprocessing((90, 90), resize_mode="pad"))
    blue = (padded[..., 2] > 200).nonzero()
    assert (padded[[0, 29, 60, 89]] == SKIN).all()
    assert np.ptp(blue[1]) + 1 == pytest.approx(30, abs=2)
    assert np.ptp(blue[0]) + 1 == pytest.approx(12, abs=2)


@settings(max_examples=60)
@example("crop", (111, 81), (16, 22), False, "PNG")  # a box that begins just before the edge
@given(
    st.sampled_from(["squash", "crop", "pad"]),
    st.tuples(st.integers(1, 300), st.integers(1, 300)),
    st.tuples(st.integers(16, 90), st.integers(16, 90)),
    st.booleans(),
    st.sampled_from(["PNG", "JPEG"]),
)
def test_any_image_gets_the_shape(
    fit: str, size: tuple[int, int], px: tuple[int, int], crop: bool, kind: str
) -> None:
    pixels = to_pixels(encoded(Image.new("RGB", size, SKIN), kind), preprocessing(px, resize_mode=fit, crop_borders=crop))
    assert pixels.shape == (*px, 3)
    assert np.abs(pixels.astype(int) - SKIN).max() < 4


@pytest.mark.parametrize("radius", [0.55, 0.6, 0.7])
def test_vignette_is_cropped(radius: float) -> None:
    content = encoded(under_a_circle(radius), "JPEG")
    kept, cropped = (to_pixels(content, preprocessing((96, 128), crop_borders=crop)) for crop in (False, True))
    assert (kept.max(axis=2) < 40).mean() > 1.3 * (cropped.max(axis=2) < 40).mean()
    assert (np.concatenate([cropped[0], cropped[-1], cropped[:, 0], cropped[:, -1]]).max(axis=1) < 60).mean() < 0.06
    assert (cropped[48, 64] < 60).all()


@pytest.mark.parametrize("frame", [(40, 0, 40, 0), (0, 50, 0, 50), (60, 0, 0, 0), (0, 0, 0, 30), (20, 20, 20, 20)])
def test_black_frame_is_cropped(frame: tuple[int, int, int, int]) -> None:
    left, top, right, bottom = frame
    image = Image.new("RGB", (600, 450))
    inner = lesion((600 - left - right, 450 - top - bottom))
    image.paste(inner, (left, top))
    cropped = to_pixels(encoded(image), preprocessing(crop_borders=True))
    expected = to_pixels(encoded(inner), preprocessing())
    assert np.abs(cropped.astype(int) - expected).mean() < 6
    assert cropped.max(axis=2)[[0, -1]].min() > 100
    assert cropped.max(axis=2)[:, [0, -1]].min() > 100


def hairy() -> Image.Image:
    image = lesion()
    draw = ImageDraw.Draw(image)
    for start in range(0, 600, 9):
        draw.line((start, 0, start + 80, 450), fill=(15, 10, 10), width=4)
    return image


def spot_in_two_corners() -> Image.Image:
    image = lesion()
    ImageDraw.Draw(image).ellipse((-200, -150, 250, 200), fill=(25, 15, 15))
    ImageDraw.Draw(image).ellipse((380, -150, 800, 200), fill=(25, 15, 15))
    return image


@pytest.mark.parametrize(
    "image",
    [
        lesion(),
        hairy(),
        spot_in_two_corners(),
        Image.new("RGB", (600, 450)),
        Image.new("RGB", (600, 450), "white"),
        Image.eval(lesion(), lambda value: value // 8),
        under_a_circle(0.15),
    ],
    ids=["skin", "hair", "lesions in corners", "black", "white", "underexposed", "no field to speak of"],
)
def test_image_without_border_is_not_cropped(image: Image.Image) -> None:
    assert bright_field(image.resize((100, 75))) == WHOLE
    content = encoded(image)
    assert (to_pixels(content, preprocessing(crop_borders=True)) == to_pixels(content, preprocessing())).all()


@settings(max_examples=100)
@given(st.binary(min_size=1, max_size=60), st.integers(1, 12))
def test_any_pattern_has_a_field(bits: bytes, width: int) -> None:
    height = max(1, len(bits) // width)
    tones = np.resize(np.frombuffer(bits, np.uint8) % 2 * 255, (height, width)).astype(np.uint8)
    image = Image.fromarray(tones).convert("RGB").resize((width * 3, height * 3), Image.Resampling.NEAREST)
    field = bright_field(image)
    assert 0 <= field.left < field.right <= 1
    assert 0 <= field.top < field.bottom <= 1


def test_light_colour_is_removed() -> None:
    random = np.random.default_rng(1)
    white = random.integers(0, 120, (40, 40, 3), np.uint8)
    light = np.array([1.6, 1.0, 0.7])
    lit = np.rint(white * light).astype(np.uint8)
    corrected, plain = shades_of_grey(lit).astype(float), shades_of_grey(white).astype(float)
    ratio = (corrected**6).mean(axis=(0, 1)) ** (1 / 6)
    assert np.ptp(ratio) < 1
    assert np.ptp((lit.astype(float) ** 6).mean(axis=(0, 1)) ** (1 / 6)) > 50
    # But for brightness, the same image whatever the light.
    assert np.abs(corrected / corrected.mean() - plain / plain.mean()).mean() < 0.02


def test_grey_stays_grey_and_black_black() -> None:
    grey = np.repeat(np.random.default_rng(2).integers(0, 256, (20, 20, 1), np.uint8), 3, axis=2)
    assert (shades_of_grey(grey) == grey).all()
    black = np.zeros((4, 4, 3), np.uint8)
    assert (shades_of_grey(black) == black).all()


def test_colours_are_corrected_before_padding() -> None:
    content = encoded(Image.new("RGB", (200, 100), SKIN))
    padded = to_pixels(content, preprocessing((50, 50), resize_mode="pad", colour_constancy="shades_of_grey"))
    assert np.ptp(padded, axis=2).max() <= 1


def test_preprocessing_round_trip() -> None:
    mine = preprocessing((75, 100), resize_mode="pad", crop_borders=True, colour_constancy="shades_of_grey")
    stored = {"classes": ["mel", "nv"], **mine.to_json()}
    assert Preprocessing.from_json(stored, Path("preprocessing.json")) == mine


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"version": 2}, "version: .* found 2"),
        ({"resize_mode": "stretch"}, "resize_mode: .*'squash', 'crop' or 'pad'; found 'stretch'"),
        ({"image_size": [64, 5000]}, r"image_size.1: .*found 5000"),
        ({"crop_borders": None}, "crop_borders: missing"),
    ],
)
def test_preprocessing_of_another_version_is_refused(change: dict[str, Any], words: str) -> None:
    stored = {key: value for key, value in {**preprocessing().to_json(), **change}.items() if value is not None}
    with pytest.raises(UserError, match=f"models/preprocessing.json says .*{words}.*dvc repro"):
        Preprocessing.from_json(stored, Path("models/preprocessing.json"))
