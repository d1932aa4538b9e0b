"""`rebalance`: how many augmented images of which originals, made by which of Augmentor's operations."""

import inspect
from typing import Any, Literal, Self

import Augmentor
from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from lesions.core.params import Section, did_you_mean

MOST = 100_000
"""Images, or augmented images, a class."""


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
        given = {"probability": self.probability, **(self.__pydantic_extra__ or {})}
        # A colour is a list in YAML, and a tuple to Pillow.
        return {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}

    @model_validator(mode="after")
    def _augmentor_takes_it(self) -> Self:
        known = operations()
        if self.operation not in known:
            raise ValueError(f"Augmentor has no operation {self.operation!r}; {did_you_mean(self.operation, known)}")
        for argument in self.arguments:
            if argument not in known[self.operation]:
                raise ValueError(
                    f"{self.operation} takes no {argument!r}; {did_you_mean(argument, known[self.operation])}"
                )
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
    copies_per_class: int | Literal["none"] = "none"
    when: Literal["after_split", "before_split"] = "after_split"
    operations: list[Operation] = Field(min_length=1)
    seed: int = Field(ge=0, lt=2**32)

    # What a number means must not hang on its type: to DVC, 1 and 1.0 are the same value.

    @field_validator("target", mode="before")
    @classmethod
    def _one_of_four(cls, target: object) -> object:
        if target in ("max", "none") or (_is_number(target) and (0 < target < 1 or target in range(2, MOST + 1))):  # type: ignore[operator]
            return target
        raise ValueError(
            "expected max (as many as the largest class), none, a fraction of the largest class between 0 and 1, "
            f"or a whole number of images from 2 to {MOST}"
        )

    @field_validator("copies_per_class", mode="before")
    @classmethod
    def _none_or_a_number(cls, extra: object) -> object:
        if extra == "none":
            return extra
        if _is_number(extra) and extra in range(1, MOST + 1):
            return int(extra)  # type: ignore[call-overload]
        raise ValueError(f"expected none, or a whole number of copies a class from 1 to {MOST}")

    @model_validator(mode="after")
    def _one_decides(self) -> Self:
        if self.target != "none" and self.copies_per_class != "none":
            raise ValueError(
                f"target is {self.target} and copies_per_class is {self.copies_per_class}, and only one can say how "
                "many augmented images there are: set target to none, or copies_per_class to none"
            )
        return self

    def operations_of_augmentor(self) -> list[Augmentor.Operations.Operation]:
        """Return the operations as Augmentor's own objects."""
        pipeline = Augmentor.Pipeline()
        for operation in self.operations:
            operation.add_to(pipeline)
        return list(pipeline.operations)


def _is_number(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
