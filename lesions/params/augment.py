"""`train.augment`: how training pictures are changed at random while the network trains."""

from typing import Literal

from pydantic import BaseModel, ConfigDict, Field


class Augment(BaseModel):
    """See params.yaml for what each key means. As they stand here, nothing is changed."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    flip: Literal["none", "horizontal", "all"] = "none"
    transpose: bool = False
    rotate: float = Field(default=0, ge=0, le=180)
    shift: float = Field(default=0, ge=0, le=0.5)
    zoom: float = Field(default=0, ge=0, le=0.5)
    brightness: float = Field(default=0, ge=0, lt=1)
    contrast: float = Field(default=0, ge=0, lt=1)
    colour: float = Field(default=0, ge=0, lt=1)
