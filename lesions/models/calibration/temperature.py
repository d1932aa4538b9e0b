"""Temperature scaling (Guo et al., On Calibration of Modern Neural Networks, ICML 2017).

One number, fitted on validation, makes the probabilities match the observed accuracy. Their order within an
image stays, and so do the answers.
"""

from typing import ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field
from scipy.optimize import minimize_scalar

from lesions.models.calibration.fitted_json import FittedJson

TEMPERATURES = (0.05, 20.0)
"""The range searched; beyond, all answers are certain, or all alike."""


class Calibration(FittedJson):
    """All of calibration.json.

    Attributes:
        temperature: what the logits are divided by; None where there was no validation image to fit it on.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    FILE: ClassVar[str] = "calibration.json"
    CONTENT: ClassVar[str] = "temperature"

    temperature: float | None = Field(default=None, gt=0)

    def apply(self, probability: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return calibrated probabilities, (N, classes), of uncalibrated ones; without a temperature, the same."""
        calibrated = probability if self.temperature is None else apply_temperature(probability, self.temperature)
        return calibrated.astype(np.float32)


def apply_temperature(probability: NDArray[np.floating], temperature: float) -> NDArray[np.float64]:
    """Return the probabilities that the logits divided by a temperature give.

    Args:
        probability: (N, classes), of the undivided logits.
        temperature: above 0.

    Returns:
        (N, classes), each row summing to one.
    """
    tiny = np.finfo(np.float64).tiny
    logits = np.log(np.maximum(probability.astype(np.float64), tiny)) / temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    result: NDArray[np.float64] = powers / powers.sum(axis=1, keepdims=True)
    return result


def fit_temperature(label: NDArray[np.int64], probability: NDArray[np.floating]) -> Calibration:
    """Return the temperature with the least log loss, to three digits.

    Args:
        label: (N,), the true labels, as integers, of validation.
        probability: (N, classes).
    """
    if not len(label):
        return Calibration()
    eps = np.finfo(np.float64).eps

    def log_loss(log_temperature: float) -> float:
        likelihood = apply_temperature(probability, float(np.exp(log_temperature)))[np.arange(len(label)), label]
        return float(-np.log(np.clip(likelihood, eps, 1 - eps)).mean())

    bounds = tuple(np.log(TEMPERATURES))
    found = minimize_scalar(log_loss, bounds=bounds, method="bounded", options={"xatol": 1e-6})
    return Calibration(temperature=float(f"{np.exp(found.x):.3g}"))
