"""`evaluate`: what is judged, and how its intervals are drawn."""

from typing import Literal

from pydantic import Field, field_validator

from lesions.core.params import Section


class Evaluate(Section):
    """See params.yaml for what each key means."""

    sides: list[Literal["val", "test"]] = Field(min_length=1)
    resamples: int = Field(default=1000, ge=100, le=100_000)
    seed: int = Field(ge=0, lt=2**32)

    @field_validator("sides")
    @classmethod
    def _each_once(cls, sides: list[str]) -> list[str]:
        if len(set(sides)) != len(sides):
            raise ValueError("name each side once")
        return sides
