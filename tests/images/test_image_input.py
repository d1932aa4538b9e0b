"""What a program hands over gives the pixels of its own file, or says why not."""

import io
from typing import Any

import numpy as np
import pytest
from PIL import Image

from lesions.images.decode import decode_image
from lesions.images.image_input import as_file
from tests.images.test_decode import encoded

RANDOM = np.random.default_rng(1)
NOISE = Image.fromarray(RANDOM.integers(256, size=(90, 120, 3), dtype=np.uint8))


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA", "CMYK"])
@pytest.mark.parametrize("turned", [1, 6, 7])
def test_pillow_image_gives_the_pixels_of_its_file(mode: str, turned: int) -> None:
    exif = Image.Exif()
    exif[0x0112] = turned
    content = encoded(NOISE.convert(mode), "TIFF" if mode == "CMYK" else "PNG", exif=exif)
    image = Image.open(io.BytesIO(content))
    assert (decode_image(as_file(image), 40, 50) == decode_image(content, 40, 50)).all()
    again = image.convert("RGB") if mode in ("RGB", "CMYK") else image  # keeps the EXIF
    assert (decode_image(as_file(again), 40, 50) == decode_image(content, 40, 50)).all()


def test_array_gives_the_pixels_of_its_file() -> None:
    assert (decode_image(as_file(np.asarray(NOISE)), 40, 50) == decode_image(encoded(NOISE), 40, 50)).all()


@pytest.mark.parametrize(
    ("image", "words"),
    [
        (np.zeros((9, 9, 3)), r"an array of float64, \(9, 9, 3\); expected uint8, \(height, width, 3\)"),
        (np.zeros((9, 9), np.uint8), r"an array of uint8, \(9, 9\); expected"),
        (np.zeros((9, 9, 4), np.uint8), "an array of uint8"),
        (np.zeros((0, 9, 3), np.uint8), "empty image"),
        (Image.new("F", (9, 9)), "32-bit grey values"),
    ],
)
def test_other_input_is_refused(image: Any, words: str) -> None:
    with pytest.raises(ValueError, match=words):
        as_file(image)
