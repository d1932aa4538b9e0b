"""`evaluate`: what is judged."""

from typing import Literal

from pydantic import Field, field_validator

from lesions.params.section import Section


class Evaluate(Section):
    """See params.yaml for what each key means."""

    sides: list[Literal["val", "test"]] = Field(min_length=1)

    @field_validator("sides")
    @classmethod
    def _each_once(cls, sides: list[str]) -> list[str]:
        if len(set(sides)) != len(sides):
            raise ValueError("name each side once")
        return sides
