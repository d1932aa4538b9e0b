"""From bytes to pixels, for whatever people have in their folders."""

import io
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lesions.pictures import to_pixels


def smooth(height: int = 450, width: int = 600) -> Image.Image:
    """A picture with gradients: red grows downwards, green to the right."""
    down, right = np.mgrid[0:height, 0:width]
    return Image.fromarray(
        np.stack([down * 255 / height, right * 255 / width, np.full_like(down, 90)], axis=2).astype(np.uint8)
    )


def encoded(image: Image.Image, kind: str = "PNG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def difference(a: np.ndarray[Any, Any], b: np.ndarray[Any, Any]) -> float:
    return float(np.abs(a.astype(float) - b.astype(float)).mean())


def test_height_and_width_are_not_mixed_up() -> None:
    pixels = to_pixels(encoded(smooth()), 75, 100)
    assert pixels.shape == (75, 100, 3)
    assert pixels.dtype == np.uint8
    assert pixels[-1, 0, 0] > 240 > 15 > pixels[0, 0, 0]
    assert pixels[0, -1, 1] > 240 > 15 > pixels[0, 0, 1]


def test_decoding_at_a_reduced_scale_is_not_visible() -> None:
    image = Image.effect_noise((600, 450), 60).convert("RGB").resize((120, 90)).resize((600, 450))
    content = encoded(image, "JPEG", quality=95)
    full = Image.open(io.BytesIO(content)).convert("RGB").resize((96, 96), Image.Resampling.BILINEAR)
    assert difference(to_pixels(content, 96, 96), np.asarray(full)) < 2


@pytest.mark.parametrize("turned", [1, 2, 3, 4, 5, 6, 7, 8])
def test_exif_orientation_is_obeyed(turned: int) -> None:
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = smooth() if turned == 1 else smooth().transpose(Image.Transpose(back[turned]))
    exif = Image.Exif()
    exif[0x0112] = turned
    pixels = to_pixels(encoded(stored, "JPEG", quality=95, exif=exif), 48, 64)
    assert difference(pixels, to_pixels(encoded(smooth()), 48, 64)) < 2


@pytest.mark.parametrize(
    ("image", "kind"),
    [
        (smooth().convert("L"), "PNG"),
        (smooth().convert("P"), "PNG"),
        (smooth().convert("CMYK"), "JPEG"),
        (smooth().convert("RGBA"), "PNG"),
        (smooth().convert("LA"), "PNG"),
        (Image.fromarray(np.asarray(smooth().convert("L")).astype(np.uint16) * 257), "PNG"),
    ],
    ids=["grey", "palette", "cmyk", "alpha", "grey alpha", "16 bit"],
)
def test_other_kinds_of_picture_look_alike(image: Image.Image, kind: str) -> None:
    grey = image.mode in ("L", "LA", "I;16")
    expected = to_pixels(encoded(smooth().convert("L" if grey else "RGB")), 48, 64)
    assert difference(to_pixels(encoded(image, kind), 48, 64), expected) < 6


def test_what_is_transparent_lies_over_white() -> None:
    assert to_pixels(encoded(Image.new("RGBA", (20, 20), (0, 0, 0, 0))), 16, 16).min() == 255


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty file"),
        (b"a text, called .jpg", "no picture"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'></svg>", "no picture"),
        (encoded(smooth(), "JPEG")[:3000], "broken picture"),
        (encoded(smooth())[:900], "broken picture"),
        (encoded(Image.new("1", (20_000, 20_000))), "too large"),
        (encoded(Image.new("1", (8_000, 8_000))), "too large: 8000×8000"),
        (encoded(smooth(), "GIF"), "no picture"),
        (encoded(Image.fromarray(np.full((20, 20), 0.5, np.float32)), "TIFF"), "32-bit grey"),
        (encoded(Image.fromarray(np.full((20, 20), 4000, np.uint16))), "16-bit grey values that end at 4000"),
    ],
    ids=["empty", "text", "svg", "cut jpeg", "cut png", "bomb", "large", "gif", "float", "12 bit"],
)
def test_what_is_no_picture_says_why(content: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        to_pixels(content, 16, 16)


@settings(max_examples=400)
@given(st.data())
def test_damage_gives_pixels_or_a_reason_and_nothing_else(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["JPEG", "PNG", "BMP", "TIFF", "WEBP"]))
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a description"
    content = bytearray(encoded(smooth(45, 60), kind, **({} if kind == "BMP" else {"exif": exif})))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ValueError):
        assert to_pixels(bytes(content), 16, 16).shape == (16, 16, 3)
