"""What turns uncalibrated probabilities into calibrated ones: bias-corrected temperature scaling.

The logits are divided by a temperature, as Guo et al. do (On Calibration of Modern Neural Networks, ICML 2017), and one
bias per class is added (Alexandari, Kundaje and Shrikumar, ICML 2020, arXiv 1901.06852).
"""

from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, model_validator
from scipy.special import softmax

from lesions.evaluation.common.fitted_json import FittedJson


class Calibration(FittedJson):
    """All of calibration.json.

    Attributes:
        temperature: what the logits are divided by.
        classes: labels.
        biases: what is added to each class's divided logit; they sum to 0.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    FILE: ClassVar[str] = "calibration.json"
    CONTENT: ClassVar[str] = "calibration"

    temperature: float = Field(gt=0)
    classes: list[str]
    biases: list[float]

    @model_validator(mode="after")
    def _one_bias_per_class(self) -> Self:
        if len(self.biases) != len(self.classes):
            raise ValueError("expected one bias per class")
        return self

    def apply(self, probability: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return calibrated probabilities, (N, classes), of uncalibrated ones."""
        logits = scaled_logits(probability, 1 / self.temperature, np.array(self.biases))
        return np.asarray(softmax(logits, axis=1), np.float32)


def scaled_logits(probability: NDArray[np.floating], scale: float, biases: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return (N, classes), logits up to one number per row.

    Args:
        probability: (N, classes).
        scale: one over the temperature.
        biases: (classes,).
    """
    tiny = np.finfo(np.float64).tiny
    result: NDArray[np.float64] = scale * np.log(np.maximum(probability.astype(np.float64), tiny)) + biases
    return result
