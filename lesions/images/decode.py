"""Decode an image file, turn it upright, and resize it."""

import io
import math
import struct
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from threading import BoundedSemaphore
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageFile, TiffImagePlugin, UnidentifiedImageError

from lesions.core.errors import UserError
from lesions.images.decode_limits import ImageError, count_scans, refuse_bomb

FORMATS = ("JPEG", "PNG", "BMP", "TIFF", "WEBP")
MAX_PIXELS = 50_000_000
"""Images of more pixels are refused unread; dermatoscopes have some 20 million."""
MAX_LENGTH = 65_535
"""Pixels, JPEG's limit: of longer images, a decoder's bookkeeping takes more memory than the pixels."""
MAX_PIXELS_A_BYTE = 200
"""Most pixels a byte of an image over a million pixels: with more, 50 million could stand in 50 bytes. JPEG needs a
byte for 150 pixels of a plain surface, and skin is not plain."""
MAX_SCANNED_PIXELS = 12 * MAX_PIXELS
"""Pixels times the scans of a progressive JPEG, each of which goes over all of them; the usual programs write ten."""

LARGE = 10_000_000
"""Pixels from which no more than two images are decoded at a time: one takes 20 bytes a pixel at worst, and there
may be many threads."""
_two_large = BoundedSemaphore(2)

SMALL = 100
"""Width or height in pixels, whichever is longer, of the small image in which `find_field` finds the field."""

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
"""EXIF's tag for how a camera was held, and what turns its image upright."""

DECODERS_RAISE = (
    *(OSError, SyntaxError, EOFError, TypeError, ValueError, IndexError, KeyError, OverflowError, MemoryError),
    *(struct.error, ZeroDivisionError, RecursionError),
)
"""What Pillow's decoders raise on broken files."""

SWAPS_AXES = (5, 6, 7, 8)
"""EXIF orientations whose stored height is the upright image's width."""

Fit = Literal["squash", "crop", "pad"]


class CropBox(NamedTuple):
    """A part of an image as stored, in fractions of its width and height, from the upper left corner."""

    left: float
    top: float
    right: float
    bottom: float


WHOLE = CropBox(0, 0, 1, 1)


def decode_image(
    content: bytes,
    height: int,
    width: int,
    fit: Fit = "squash",
    find_field: Callable[[Image.Image], CropBox] | None = None,
) -> NDArray[np.uint8]:
    """Decode an image file, turn it upright, and resize it.

    JPEG is decoded at the smallest of libjpeg's scales (1/2, 1/4, 1/8) at which neither height nor width
    becomes smaller than wanted.

    Args:
        content: the file's bytes.
        height: of the result, in pixels.
        width: of the result, in pixels.
        fit: squash, all of the image, whatever its shape; crop, its largest middle part of the wanted shape;
            pad, all of it in its own shape, in as much of the result as it fills.
        find_field: finds in a small image, as stored, in RGB, the part to use; None for all.

    Returns:
        uint8, (height, width, 3), RGB; with pad height or width may be smaller.

    Raises:
        ValueError: the bytes are no image of a known format, broken, too large, or a bomb; says which.
        UserError: the memory is too small.
    """
    if not content:
        raise ValueError("empty file")
    try:
        refuse_bomb(content)
        with warnings.catch_warnings():
            # Of a decompression bomb, which Pillow refuses at twice the size, and ours is one limit; of odd tags.
            warnings.simplefilter("ignore")
            field = WHOLE
            if find_field is not None:
                field = find_field(_resized(content, (SMALL, SMALL), "pad", WHOLE)[0])
            image, orientation = _resized(content, (height, width), fit, field)
            # Last, since it is less to turn.
            return np.asarray(image.transpose(TURNS[orientation]) if orientation in TURNS else image)
    except ImageError:
        raise
    except Image.DecompressionBombError:
        raise ValueError("too large: more pixels than any camera has") from None
    except UnidentifiedImageError:
        raise ValueError(f"no image: not one of {', '.join(FORMATS)}") from None
    except DECODERS_RAISE as error:
        raise ValueError(f"broken image: {error}") from None


def is_large(content: bytes) -> bool:
    """Whether an image file has more than `LARGE` pixels times scans; not one that is refused."""
    try:
        refuse_bomb(content)
        with warnings.catch_warnings(action="ignore"), Image.open(io.BytesIO(content), formats=FORMATS) as image:
            return image.width * image.height * count_scans(content) > LARGE
    except (*DECODERS_RAISE, Image.DecompressionBombError):
        return False


def _refuse_size(image: Image.Image, content: bytes) -> None:
    pixels, length = image.width * image.height, len(content)
    if pixels > MAX_PIXELS or max(image.size) > MAX_LENGTH:
        raise ImageError(f"too large: {image.width}×{image.height} pixels")
    if pixels > max(1_000_000, MAX_PIXELS_A_BYTE * length):
        raise ImageError(f"not read safely: {image.width}×{image.height} pixels in {length:,} bytes")
    if (scans := count_scans(content)) * pixels > MAX_SCANNED_PIXELS:
        raise ImageError(f"not read safely: {scans} scans of {image.width}×{image.height} pixels")
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        tile = [image.tag_v2.get(tag, 1) for tag in (TiffImagePlugin.TILEWIDTH, TiffImagePlugin.TILELENGTH)]
        if tile[0] * tile[1] > MAX_PIXELS:
            raise ImageError(f"too large: tiles of {tile[0]}×{tile[1]} pixels")


def _resized(content: bytes, shape: tuple[int, int], fit: Fit, field: CropBox) -> tuple[Image.Image, int]:
    """Return the field at the wanted size, as stored, and how to turn it."""
    with Image.open(io.BytesIO(content), formats=FORMATS) as image:
        _refuse_size(image, content)
        orientation = orientation_of(image)
        wanted = shape if orientation in SWAPS_AXES else shape[::-1]
        try:
            return _resized_field(image, len(content), wanted, fit, field), orientation
        except MemoryError:
            # No bomb: its size is within the limits. Set aside, a good image would be missing, depending on the memory.
            raise UserError(
                f"The memory is too small to decode an image of {image.width}×{image.height} pixels, which takes up to "
                f"{image.width * image.height * 20 / 1e6:,.0f} MB. End other programs, or use a larger machine."
            ) from None


def _resized_field(
    image: ImageFile.ImageFile, n_bytes: int, wanted: tuple[int, int], fit: Fit, field: CropBox
) -> Image.Image:
    full = image.size
    part, target = _fitted(full, wanted, fit, field)
    needed = [
        math.ceil(length * pixels / (end - begin))
        for length, pixels, begin, end in zip(full, target, part[:2], part[2:], strict=True)
    ]
    # What libjpeg decodes at a reduced scale covers a whole number of pixels, while the image may end within
    # the last one: without this, all would be shifted by up to half of that.
    drafted = image.draft("RGB", (needed[0], needed[1]))
    # In one piece: at each end of a piece, libjpeg begins what it was about again.
    image.decodermaxblock = max(image.decodermaxblock, n_bytes)
    covered = drafted[1][2:] if drafted else full
    scales = [small / length for small, length in zip(covered, full, strict=True)] * 2
    box = [min(max(0, place * scale), end) for place, scale, end in zip(part, scales, covered * 2, strict=True)]
    with _two_large if image.width * image.height > LARGE else nullcontext():
        # As notebooks resize. Of what the reduced scale changes, a sharper filter shows more.
        return to_rgb(image).resize(target, Image.Resampling.BILINEAR, (box[0], box[1], box[2], box[3]))


def _fitted(
    full: tuple[int, int], wanted: tuple[int, int], fit: Fit, field: CropBox
) -> tuple[tuple[float, float, float, float], tuple[int, int]]:
    """Return which part of an image is used, and the size it gets; sizes are width and height in pixels."""
    left, right = field.left * full[0], field.right * full[0]
    top, bottom = field.top * full[1], field.bottom * full[1]
    width, height = right - left, bottom - top
    if fit == "pad":
        shrink = max(width / wanted[0], height / wanted[1])
        size = (max(1, round(width / shrink)), max(1, round(height / shrink)))
        return (left, top, right, bottom), size
    if fit == "crop":
        shrink = min(width / wanted[0], height / wanted[1])
        across, down = (width - wanted[0] * shrink) / 2, (height - wanted[1] * shrink) / 2
        left, right, top, bottom = left + across, right - across, top + down, bottom - down
    return (left, top, right, bottom), wanted


def orientation_of(image: Image.Image) -> int:
    """Return which of `TURNS` turns an image upright, or 1."""
    if isinstance(image, TiffImagePlugin.TiffImageFile):
        return 1  # Pillow turns these itself, and gives the size of the upright image
    try:
        orientation = image.getexif().get(ORIENTATION)
    except (struct.error, ValueError, OSError, SyntaxError, TypeError, KeyError):
        return 1  # damaged EXIF in a good image
    return orientation if orientation in TURNS else 1


def to_rgb(image: Image.Image) -> Image.Image:
    """Return an image of any mode as RGB, over white.

    Raises:
        ImageError: its grey values do not say what is white.
    """
    if image.mode in ("I", "F"):
        raise ImageError("32-bit grey values, of which nobody says what is white")
    if image.mode.startswith("I;16"):
        # Pillow's own conversion would cut everything above 255 off.
        values = np.asarray(image)
        if values.max() < 4096:
            raise ImageError(f"16-bit grey values that end at {values.max()}: save it with the full range")
        return Image.fromarray((values / 257).round().astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        white = Image.new("RGBA", image.size, "white")
        return Image.alpha_composite(white, image).convert("RGB")
    return image if image.mode == "RGB" else image.convert("RGB")
