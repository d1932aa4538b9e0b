"""From a picture file's bytes to pixels: the one way, for training and for every later picture.

`RECIPE` names the steps, and is stored beside the pixels and the model.
"""

import io
import struct
import warnings
from contextlib import nullcontext
from threading import BoundedSemaphore
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, TiffImagePlugin, UnidentifiedImageError

from lesions.picture_bombs import PictureError, refuse_bomb

FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP")
MAX_PIXELS = 50_000_000
"""Pictures of more pixels are refused unread; dermatoscopes have some 20 million."""
MAX_SIDE = 65_535
"""Pixels, JPEG's limit: of longer sides, a decoder's bookkeeping takes more memory than the pixels."""
MAX_PIXELS_A_BYTE = 200
"""Of pictures over a million pixels that hold more a byte, 50 million could stand in 50 bytes. JPEG needs a byte
for 150 pixels of a plain surface, and skin is not plain."""

LARGE = 10_000_000
"""Pixels from which no more than two pictures are decoded at a time: one takes 20 bytes a pixel at worst, and there
may be many threads."""
_two_large = BoundedSemaphore(2)

ORIENTATION = 0x0112
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
"""EXIF's tag for how a camera was held, and what turns its picture upright."""

DECODERS_RAISE = (
    *(OSError, SyntaxError, EOFError, TypeError, ValueError, IndexError, KeyError, OverflowError, MemoryError),
    *(struct.error, ZeroDivisionError, RecursionError),
)
"""What Pillow's decoders raise on broken files."""

RECIPE = {"orientation": "as EXIF says", "transparency": "over white", "fit": "squash", "filter": "bilinear"}


def recipe(height: int, width: int) -> dict[str, Any]:
    """Describe how `to_pixels` makes a picture of this height and width."""
    return {"px": [height, width], **RECIPE}


def to_pixels(content: bytes, height: int, width: int) -> NDArray[np.uint8]:
    """Decode a picture file, turn it upright, and resize it.

    JPEG is decoded at the smallest of libjpeg's scales (1/2, 1/4, 1/8) that is no smaller than wanted.

    Args:
        content: the file's bytes.
        height: of the result, in pixels.
        width: of the result, in pixels.

    Returns:
        uint8, (height, width, 3), RGB.

    Raises:
        ValueError: the bytes are no picture of a known format, broken, too large, or a bomb; says which.
    """
    if not content:
        raise ValueError("empty file")
    try:
        refuse_bomb(content)
        with warnings.catch_warnings():
            # Of a decompression bomb, which Pillow refuses at twice the size, and ours is one limit; of odd tags.
            warnings.simplefilter("ignore")
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                _refuse_size(image, len(content))
                # The longer side for both, since EXIF may turn the picture.
                image.draft("RGB", (max(height, width),) * 2)
                with _two_large if image.width * image.height > LARGE else nullcontext():
                    resized = _to_rgb(_upright(image)).resize((width, height), Image.Resampling.BILINEAR)
                return np.asarray(resized)
    except PictureError:
        raise
    except Image.DecompressionBombError:
        raise ValueError("too large: more pixels than any camera has") from None
    except UnidentifiedImageError:
        raise ValueError(f"no picture: not one of {', '.join(FORMATS)}") from None
    except DECODERS_RAISE as error:
        raise ValueError(f"broken picture: {error}") from None


def _refuse_size(image: Image.Image, length: int) -> None:
    pixels = image.width * image.height
    if pixels > MAX_PIXELS or max(image.size) > MAX_SIDE:
        raise PictureError(f"too large: {image.width}×{image.height} pixels")
    if pixels > max(1_000_000, MAX_PIXELS_A_BYTE * length):
        raise PictureError(f"not read safely: {image.width}×{image.height} pixels in {length:,} bytes")
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        tile = [image.tag_v2.get(tag, 1) for tag in (TiffImagePlugin.TILEWIDTH, TiffImagePlugin.TILELENGTH)]
        if tile[0] * tile[1] > MAX_PIXELS:
            raise PictureError(f"too large: tiles of {tile[0]}×{tile[1]} pixels")


def _upright(image: Image.Image) -> Image.Image:
    try:
        orientation = image.getexif().get(ORIENTATION)
    except (struct.error, ValueError, OSError, SyntaxError, TypeError, KeyError):
        orientation = None  # damaged EXIF in a good picture
    return image.transpose(TURNS[orientation]) if orientation in TURNS else image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.mode in ("I", "F"):
        raise PictureError("32-bit grey values, of which nobody says what is white")
    if image.mode.startswith("I;16"):
        # Pillow's own conversion would cut everything above 255 off.
        values = np.asarray(image)
        if values.max() < 4096:
            raise PictureError(f"16-bit grey values that end at {values.max()}: save it with the full range")
        return Image.fromarray((values / 257).round().astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image.convert("RGB")
