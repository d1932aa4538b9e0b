"""`calibrate`: what turns the network's outputs into answers."""

from typing import Annotated, Literal, Self

from pydantic import Field, model_validator

from lesions.core.params import Section


class Calibrate(Section):
    """See params.yaml for what each key means."""

    use_metadata: bool = False
    optimise: Literal["uncalibrated_probability", "accuracy", "balanced_accuracy", "expected_cost"] = (
        "uncalibrated_probability"
    )
    costs: dict[str, dict[str, Annotated[float, Field(ge=0, allow_inf_nan=False)]]] = Field(default={})

    @model_validator(mode="after")
    def _costs_are_wanted(self) -> Self:
        if (self.optimise == "expected_cost") != any(self.costs.values()):
            raise ValueError(
                "costs and optimise: expected_cost belong together; for instance optimise: expected_cost with "
                "costs: {mel: {nv: 20}}, where calling a melanoma a nevus costs as much as twenty other errors"
            )
        if right := [truth for truth, row in self.costs.items() if truth in row]:
            raise ValueError(f"costs: {right[0]}, {right[0]}: a correct diagnosis costs nothing; leave it out")
        return self
