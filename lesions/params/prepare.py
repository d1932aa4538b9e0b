"""`prepare`: how a picture becomes pixels."""

from typing import Literal

from pydantic import Field, field_validator

from lesions.core.params import Section


class Prepare(Section):
    """See params.yaml for what each key means."""

    px: int | list[int]
    fit: Literal["squash", "crop", "pad"] = "squash"
    borders: Literal["keep", "crop"] = "keep"
    colour_constancy: Literal["none", "shades_of_grey"] = "none"
    seed: int = Field(default=1, ge=0, lt=2**32)

    @field_validator("px", mode="before")
    @classmethod
    def _height_and_width(cls, px: object) -> object:
        sides = px if isinstance(px, list) and len(px) == 2 else [px]
        if all(type(side) is int and 16 <= side <= 1024 for side in sides):
            return px
        raise ValueError("expected one number, or [height, width], from 16 to 1024 pixels")

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return (self.px, self.px) if isinstance(self.px, int) else (self.px[0], self.px[1])
