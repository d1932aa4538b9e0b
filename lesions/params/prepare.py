"""`prepare`: how an image becomes pixels."""

from typing import Literal

from pydantic import Field, field_validator

from lesions.core.params import Section


class Prepare(Section):
    """See params.yaml for what each key means."""

    image_size: int | list[int]
    resize_mode: Literal["squash", "crop", "pad"] = "squash"
    crop_borders: bool = False
    colour_constancy: Literal["none", "shades_of_grey"] = "none"
    seed: int = Field(default=1, ge=0, lt=2**32)

    @field_validator("image_size", mode="before")
    @classmethod
    def _height_and_width(cls, size: object) -> object:
        lengths = size if isinstance(size, list) and len(size) == 2 else [size]
        if all(type(length) is int and 16 <= length <= 1024 for length in lengths):
            return size
        raise ValueError("expected one number, or [height, width], from 16 to 1024 pixels")

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        size = self.image_size
        return (size, size) if isinstance(size, int) else (size[0], size[1])
