"""`prepare`: how a picture becomes pixels."""

from typing import Annotated

from pydantic import Field, field_validator

from lesions.params.section import Section

Side = Annotated[int, Field(ge=16, le=1024)]


class Prepare(Section):
    """See params.yaml for what each key means."""

    px: Side | list[Side]

    @field_validator("px", mode="after")
    @classmethod
    def _height_and_width(cls, px: int | list[int]) -> int | list[int]:
        if isinstance(px, list) and len(px) != 2:
            raise ValueError("expected one number, or [height, width]")
        return px

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width in pixels."""
        return (self.px, self.px) if isinstance(self.px, int) else (self.px[0], self.px[1])
