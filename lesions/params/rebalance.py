"""`rebalance`: how many augmented copies, made by which of Augmentor's operations."""

import inspect
from typing import Any, Literal

import Augmentor
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from lesions.params.section import Section, nearest


def operations() -> dict[str, list[str]]:
    """Return the operations that Augmentor's pipeline offers, each with the names of its arguments."""
    methods = inspect.getmembers(Augmentor.Pipeline, inspect.isfunction)
    arguments = {name: list(inspect.signature(method).parameters)[1:] for name, method in methods}
    return {name: names for name, names in arguments.items() if "probability" in names}


class Operation(BaseModel):
    """One of Augmentor's operations, with its own arguments beside its name."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True)

    operation: str
    probability: float = Field(gt=0, le=1)

    @property
    def arguments(self) -> dict[str, Any]:
        """The keyword arguments for Augmentor's method of that name."""
        return {"probability": self.probability, **(self.__pydantic_extra__ or {})}

    @model_validator(mode="after")
    def _augmentor_takes_it(self) -> "Operation":
        known = operations()
        if self.operation not in known:
            raise ValueError(f"Augmentor has no operation {self.operation!r}; {nearest(self.operation, known)}")
        for argument in self.arguments:
            if argument not in known[self.operation]:
                raise ValueError(f"{self.operation} takes no {argument!r}; {nearest(argument, known[self.operation])}")
        try:
            self.add_to(Augmentor.Pipeline())
        except (TypeError, ValueError) as error:
            raise ValueError(f"Augmentor refuses {self.operation}: {error}") from None
        return self

    def add_to(self, pipeline: Augmentor.Pipeline) -> None:
        """Add this operation to one of Augmentor's pipelines; raises what Augmentor raises."""
        getattr(pipeline, self.operation)(**self.arguments)


class Rebalance(Section):
    """See params.yaml for what each key means."""

    target: float | Literal["max", "none"]
    operations: list[Operation] = Field(min_length=1)
    seed: int = Field(ge=0, lt=2**32)

    @field_validator("target", mode="before")
    @classmethod
    def _one_of_four(cls, target: object) -> object:
        # What a number means must not hang on its type: to DVC, 1 and 1.0 are the same value.
        number = isinstance(target, int | float) and not isinstance(target, bool)
        if target in ("max", "none") or (number and (0 < target < 1 or target in range(2, 100_001))):  # type: ignore[operator]
            return target
        raise ValueError(
            "expected max (as many as the largest class), none, a fraction of the largest class between 0 and 1, "
            "or a whole number of pictures from 2 to 100000"
        )
