"""How an image's diagnosis follows from its probabilities."""

from typing import Annotated, Literal, Self, TypeAlias

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, model_validator

from lesions.evaluation.common.temperature_scaling import Calibration

Optimise: TypeAlias = Literal["uncalibrated_probability", "accuracy", "balanced_accuracy", "expected_cost"]
"""What an image's diagnosis can be chosen for, as thresholds.json names it; `calibrate.optimise` has the same."""

RULE_DESCRIPTIONS: dict[Optimise, str] = {
    "uncalibrated_probability": "the class with the largest uncalibrated probability, which leans to rare classes where"
    " the training does; calibrated, another class may be more probable.",
    "accuracy": "the class with the largest calibrated probability.",
    "balanced_accuracy": "the class whose calibrated probability, divided by its share of the images that the rule was"
    " fitted on, is largest; another class may be more probable.",
    "expected_cost": "the class with the least expected cost by the calibrated probabilities; another class may be"
    " more probable.",
}
"""What the diagnosis is, by what it is chosen for."""


class DecisionRule(BaseModel):
    """The diagnosis with the least expected cost under the calibrated probabilities.

    Berger, Statistical Decision Theory and Bayesian Analysis, 1985, section 1.5.

    Attributes:
        optimise: what the costs are made for. Of uncalibrated_probability there are none: the diagnosis is the class
            with the largest probability before calibration.
        calibration: that of calibration.json, so that the rule is a function of uncalibrated probabilities, as the
            thresholds are.
        costs: (classes, classes), of a diagnosis, the column, where the truth is the row.
    """

    model_config = ConfigDict(frozen=True, allow_inf_nan=False)

    optimise: Optimise
    calibration: Calibration | None
    costs: list[list[Annotated[float, Field(ge=0)]]] | None

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if self.optimise == "uncalibrated_probability":
            if self.calibration is not None or self.costs is not None:
                raise ValueError(f"optimise is {self.optimise}, which has neither a calibration nor costs")
            return self
        if self.calibration is None or self.costs is None:
            raise ValueError(f"optimise is {self.optimise}, which needs a calibration and costs")
        if {len(self.costs), *map(len, self.costs)} != {len(self.calibration.classes)}:
            raise ValueError("expected a cost for each class and diagnosis")
        return self

    def answers(self, uncalibrated: NDArray[np.floating]) -> NDArray[np.int64]:
        """Return (N,), the integer label of each image's diagnosis, of its probabilities, (N, classes)."""
        if self.calibration is None or self.costs is None:
            return np.asarray(uncalibrated.argmax(axis=1), np.int64)
        expected = np.zeros(uncalibrated.shape)
        # One class after the other, so that the bits do not depend on N.
        for probability, row in zip(self.calibration.apply(uncalibrated).T, self.costs, strict=True):
            expected = expected + probability[:, None].astype(np.float64) * np.array(row)
        return np.asarray(expected.argmin(axis=1), np.int64)


UNCALIBRATED_ARGMAX = DecisionRule(optimise="uncalibrated_probability", calibration=None, costs=None)
"""The class with the largest uncalibrated probability."""
