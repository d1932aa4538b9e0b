"""From bytes to pixels, for whatever people have in their folders."""

import io
import os
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.ndimage import gaussian_filter

from lesions.archives import list_members, read_members
from lesions.core.errors import UserError
from lesions.images import decode
from lesions.images.decode import Fit, decode_image

FITS: tuple[Fit, ...] = ("squash", "crop", "pad")


def smooth(height: int = 450, width: int = 600) -> Image.Image:
    """An image with gradients: red grows downwards, green to the right."""
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
    pixels = decode_image(encoded(smooth()), 75, 100)
    assert pixels.shape == (75, 100, 3)
    assert pixels.dtype == np.uint8
    assert pixels[-1, 0, 0] > 240 > 15 > pixels[0, 0, 0]
    assert pixels[0, -1, 1] > 240 > 15 > pixels[0, 0, 1]


def similarity(one: np.ndarray[Any, Any], other: np.ndarray[Any, Any]) -> float:
    """Return the structural similarity of two images' luma (Wang et al. 2004: Gaussian of 1.5 pixels)."""
    x, y = (image @ [0.299, 0.587, 0.114] for image in (one, other))

    def mean(values: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
        averaged: np.ndarray[Any, Any] = gaussian_filter(values, 1.5, truncate=3.5)
        return averaged

    mx, my = mean(x), mean(y)
    vx, vy, both = mean(x * x) - mx * mx, mean(y * y) - my * my, mean(x * y) - mx * my
    c1, c2 = 2.55**2, 7.65**2
    return float((((2 * mx * my + c1) * (2 * both + c2)) / ((mx**2 + my**2 + c1) * (vx + vy + c2))).mean())


def whole_decode(content: bytes, height: int, width: int) -> np.ndarray[Any, Any]:
    return np.asarray(Image.open(io.BytesIO(content)).convert("RGB").resize((width, height), Image.Resampling.BILINEAR))


@pytest.mark.parametrize(("height", "width"), [(64, 64), (75, 100), (96, 96), (128, 128), (224, 224)])
def test_reduced_scale_decoding_is_accurate(height: int, width: int) -> None:
    noise = Image.effect_noise((120, 90), 60).resize((600, 450), Image.Resampling.BICUBIC)
    content = encoded(Image.merge("RGB", [noise, smooth().getchannel(1), noise]), "JPEG", quality=95)
    reduced, full = decode_image(content, height, width), whole_decode(content, height, width)
    assert similarity(reduced, full) > 0.99
    assert difference(reduced, full) < 2


REAL = [os.environ[name] for name in ("HAM10000_FULL_SIZE_DIR", "HAM10000_DIR") if name in os.environ]


@pytest.mark.skipif(not REAL, reason="neither HAM10000_FULL_SIZE_DIR nor HAM10000_DIR is set")
@pytest.mark.parametrize("folder", REAL)
def test_reduced_scale_decoding_of_real_images(folder: str) -> None:
    members = [(m.archive, m.name) for path in sorted(Path(folder).glob("*.zip")) for m in list_members(path)]
    contents = [content for content in read_members(Path(folder), members[::10][:100]) if isinstance(content, bytes)]
    assert len(contents) > 40
    for size in (64, 96, 128):
        alike = [similarity(decode_image(c, size, size), whole_decode(c, size, size)) for c in contents]
        assert np.mean(alike) > 0.995
        assert min(alike) > 0.985


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("turned", [1, 2, 3, 4, 5, 6, 7, 8])
def test_exif_orientation_is_obeyed(turned: int, kind: str) -> None:
    back = {2: 0, 3: 3, 4: 1, 5: 5, 6: 2, 7: 6, 8: 4}
    stored = smooth() if turned == 1 else smooth().transpose(Image.Transpose(back[turned]))
    exif = Image.Exif()
    exif[0x0112] = turned
    options = {"quality": 95} if kind == "JPEG" else {}
    content, upright = encoded(stored, kind, exif=exif, **options), encoded(smooth())
    for shape in ((48, 64), (64, 48), (300, 40)):
        for fit in FITS:
            pixels, expected = decode_image(content, *shape, fit), decode_image(upright, *shape, fit)
            assert pixels.shape == expected.shape
            assert difference(pixels, expected) < 2


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
def test_modes_look_alike(image: Image.Image, kind: str) -> None:
    grey = image.mode in ("L", "LA", "I;16")
    expected = decode_image(encoded(smooth().convert("L" if grey else "RGB")), 48, 64)
    assert difference(decode_image(encoded(image, kind), 48, 64), expected) < 6


def test_transparency_lies_over_white() -> None:
    assert decode_image(encoded(Image.new("RGBA", (20, 20), (0, 0, 0, 0))), 16, 16).min() == 255
    half = decode_image(encoded(Image.new("RGBA", (20, 20), (200, 0, 0, 128))), 16, 16)
    assert np.abs(half.astype(int) - [227, 127, 127]).max() <= 1
    palette = Image.new("P", (20, 20), 1)
    palette.putpalette([0, 0, 0, 10, 200, 30])
    assert (decode_image(encoded(palette), 16, 16) == [10, 200, 30]).all()
    assert decode_image(encoded(palette, transparency=1), 16, 16).min() == 255


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF"])
@pytest.mark.parametrize("mode", ["1", "L", "CMYK", "RGB"])
def test_formats_keep_colours(kind: str, mode: str) -> None:
    if (kind, mode) in {("JPEG", "1"), ("PNG", "CMYK")}:
        pytest.skip("there is no such file")
    red = Image.new("RGB", (64, 48), (255, 0, 0) if mode in ("CMYK", "RGB") else (255, 255, 255)).convert(mode)
    expected = [255, 0, 0] if mode in ("CMYK", "RGB") else [255, 255, 255]
    assert np.abs(decode_image(encoded(red, kind), 16, 16).astype(int) - expected).max() <= 2


def test_16_bit_grey_keeps_its_range() -> None:
    grey = Image.fromarray(np.full((20, 20), 128 * 257, np.uint16))
    for kind in ("PNG", "TIFF"):
        assert (decode_image(encoded(grey, kind), 16, 16) == 128).all()


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "empty file"),
        (b"a text, called .jpg", "no image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'></svg>", "no image"),
        (encoded(smooth(), "JPEG")[:3000], "broken image"),
        (encoded(smooth())[:900], "broken image"),
        (encoded(Image.new("1", (20_000, 20_000))), "too large"),
        (encoded(Image.new("1", (8_000, 8_000))), "too large: 8000×8000"),
        (encoded(smooth(), "GIF"), "no image"),
        (encoded(Image.fromarray(np.full((20, 20), 0.5, np.float32)), "TIFF"), "32-bit grey"),
        (encoded(Image.fromarray(np.full((20, 20), 4000, np.uint16))), "16-bit grey values that end at 4000"),
    ],
    ids=["empty", "text", "svg", "cut jpeg", "cut png", "bomb", "large", "gif", "float", "12 bit"],
)
def test_invalid_image_is_refused(content: bytes, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        decode_image(content, 16, 16)


def test_short_memory_is_no_broken_image(monkeypatch: pytest.MonkeyPatch) -> None:
    def short(_: Image.Image) -> Image.Image:
        raise MemoryError

    monkeypatch.setattr(decode, "to_rgb", short)
    with pytest.raises(UserError, match=r"memory is too small to decode an image of 600×450 pixels.* up to 5 MB"):
        decode_image(encoded(smooth()), 16, 16)


@settings(max_examples=400)
@given(st.data())
def test_damaged_files_are_refused(data: st.DataObject) -> None:
    kind = data.draw(st.sampled_from(["JPEG", "PNG", "BMP", "TIFF", "WEBP"]))
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010E] = "a description"
    content = bytearray(encoded(smooth(45, 60), kind, **({} if kind == "BMP" else {"exif": exif})))
    for _ in range(data.draw(st.integers(1, 6))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    with suppress(ValueError):
        assert decode_image(bytes(content), 16, 16).shape == (16, 16, 3)
