"""`split`: which pictures train, which choose, which judge."""

from typing import Self

from pydantic import Field, model_validator

from lesions.params.section import Section


class Split(Section):
    """See params.yaml for what each key means."""

    val: float = Field(gt=0, lt=1)
    test: float = Field(gt=0, lt=1)
    seed: int = Field(ge=0, lt=2**32)

    @model_validator(mode="after")
    def _something_trains(self) -> Self:
        if self.val + self.test >= 1:
            raise ValueError(f"val + test must be below 1, so that something trains; they are {self.val + self.test:g}")
        return self
