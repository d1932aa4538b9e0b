"""`evaluate`: which splits, and how their intervals are resampled."""

from typing import Literal

from pydantic import Field, field_validator

from lesions.core.params import Section


class Evaluate(Section):
    """See params.yaml for what each key means."""

    splits: list[Literal["val", "test"]] = Field(min_length=1)
    n_bootstrap: int = Field(default=1000, ge=100, le=100_000)
    seed: int = Field(ge=0, lt=2**32)

    @field_validator("splits")
    @classmethod
    def _each_once(cls, splits: list[str]) -> list[str]:
        if len(set(splits)) != len(splits):
            raise ValueError("name each split once")
        return splits
