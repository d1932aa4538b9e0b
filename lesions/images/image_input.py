"""An image as a program has it, brought to the bytes of a file, which preprocessing starts from."""

import io
from pathlib import Path
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lesions.images.decode import ORIENTATION, orientation_of, to_rgb

ImageInput: TypeAlias = bytes | str | Path | Image.Image | NDArray[np.uint8]
"""An image file's bytes, its path, or pixels: a Pillow image, or uint8, (height, width, 3), RGB."""


def as_file(image: ImageInput) -> bytes:
    """Return an image as a file's bytes.

    Args:
        image: see `ImageInput`. A Pillow image gives the pixels of its own file: turned upright by its EXIF, in RGB.

    Raises:
        OSError: the file cannot be read.
        ValueError: an array has another type or shape, or an image's grey values do not say what is white.
    """
    if isinstance(image, bytes):
        return image
    if isinstance(image, str | Path):
        return Path(image).read_bytes()
    if not isinstance(image, Image.Image):
        pixels = np.asarray(image)
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
            raise ValueError(f"an array of {pixels.dtype}, {pixels.shape}; expected uint8, (height, width, 3), in RGB")
        image = Image.fromarray(pixels)
    # Turned after it is resized, as a file is: turned before, it would get other pixels in the last bit.
    exif = Image.Exif()
    exif[ORIENTATION] = orientation_of(image)
    file = io.BytesIO()
    to_rgb(image).save(file, "PNG", exif=exif)
    return file.getvalue()
