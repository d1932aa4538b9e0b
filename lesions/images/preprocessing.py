"""Preprocess an image: the settings, which are stored beside the pixels and the model, and what they do."""

import io
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from lesions.core.errors import UserError
from lesions.images.colour_constancy import MINKOWSKI_P, shades_of_grey
from lesions.images.decode import Fit, decode_image
from lesions.images.field_of_view import bright_field

Length = Annotated[int, Field(ge=16, le=1024)]


class Preprocessing(BaseModel):
    """All that decides how an image becomes pixels: the chosen values, then what this code always does.

    Whoever changes what the code does gives it another `version`, so that an older model's preprocessing is refused
    instead of followed wrongly.
    """

    model_config = ConfigDict(frozen=True)

    image_size: tuple[Length, Length]
    resize_mode: Fit
    crop_borders: bool
    colour_constancy: Literal["none", "shades_of_grey"]
    version: Literal[3] = 3
    orientation: Literal["as EXIF says"] = "as EXIF says"
    transparency: Literal["over white"] = "over white"
    filter: Literal["bilinear"] = "bilinear"
    fill: Literal["the median colour of the image's rim"] = "the median colour of the image's rim"
    minkowski_p: Literal[6] = MINKOWSKI_P

    def to_json(self) -> dict[str, Any]:
        """Return it as `preprocessing.json` has it."""
        return self.model_dump(mode="json")

    @classmethod
    def from_json(cls, content: dict[str, Any], file: Path) -> Self:
        """Read what `to_json` returned; other keys, such as a model's classes, are passed over.

        Args:
            content: of the file.
            file: which to name in a message.

        Raises:
            UserError: it is a preprocessing that this version of the project cannot follow.
        """
        missing = [key for key in cls.model_fields if key not in content]
        problems = [f"{key}: missing" for key in missing]
        if not missing:
            try:
                return cls.model_validate(content)
            except ValidationError as error:
                details = error.errors()
                problems = [f"{'.'.join(map(str, d['loc']))}: {d['msg']}; found {d['input']!r}" for d in details]
        raise UserError(
            f"{file} says how images become pixels in a way that this version of the project cannot follow "
            f"({'; '.join(problems)}). Use the version that made it, or make it anew with `dvc repro`."
        )


def as_png(image: Image.Image, compress_level: int = 6) -> bytes:
    """Return an image as a PNG file's bytes, which preprocessing starts from.

    Args:
        image: the image.
        compress_level: 0, not at all, to 9; the pixels are the same.
    """
    file = io.BytesIO()
    image.save(file, "PNG", compress_level=compress_level)
    return file.getvalue()


def to_pixels(content: bytes, preprocessing: Preprocessing) -> NDArray[np.uint8]:
    """Preprocess an image file, exactly as those that a network was trained on.

    The steps, in order: turn upright; crop borders; crop or fit to `image_size` and resize; correct colours; pad.

    Args:
        content: the file's bytes.
        preprocessing: the settings.

    Returns:
        uint8, (height, width, 3), RGB.

    Raises:
        ValueError: see `decode_image`.
    """
    find_field = bright_field if preprocessing.crop_borders else None
    pixels = decode_image(content, *preprocessing.image_size, preprocessing.resize_mode, find_field)
    if preprocessing.colour_constancy == "shades_of_grey":
        pixels = shades_of_grey(pixels)
    return _padded(pixels, preprocessing.image_size) if pixels.shape[:2] != preprocessing.image_size else pixels


def _padded(pixels: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """Put an image in the middle of a plain surface."""
    # Of the rim's median colour: skin for most. Black for all would put edges where no image has any.
    rim = np.concatenate([pixels[0], pixels[-1], pixels[:, 0], pixels[:, -1]])
    padded = np.empty((*shape, 3), np.uint8)
    padded[:] = np.median(rim, axis=0).astype(np.uint8)
    top, left = ((wanted - length) // 2 for wanted, length in zip(shape, pixels.shape[:2], strict=True))
    padded[top : top + pixels.shape[0], left : left + pixels.shape[1]] = pixels
    return padded
