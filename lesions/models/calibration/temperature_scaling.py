"""Bias-corrected temperature scaling (Alexandari, Kundaje and Shrikumar, ICML 2020, arXiv 1901.06852).

The logits are divided by a temperature, as Guo et al. do (On Calibration of Modern Neural Networks, ICML 2017), and one
bias per class is added, both fitted on validation. Class weights and logit adjustment make a network name rare classes
too often; a temperature cannot undo that, and biases can.
"""

from typing import ClassVar, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import ConfigDict, Field, model_validator
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from lesions.models.calibration.fitted_json import FittedJson

TEMPERATURES = (0.05, 20.0)
"""The range searched; beyond, all answers are certain, or all alike."""
BIAS_DEVIATION = 1.0
"""Standard deviation of the normal prior of a bias, without which a class that validation lacks would be ruled out."""


class Calibration(FittedJson):
    """All of calibration.json.

    Attributes:
        temperature: what the logits are divided by; None where there was no validation image to fit it on.
        classes: labels.
        biases: what is added to each class's divided logit; they sum to 0.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    FILE: ClassVar[str] = "calibration.json"
    CONTENT: ClassVar[str] = "calibration"

    temperature: float | None = Field(default=None, gt=0)
    classes: list[str]
    biases: list[float]

    @model_validator(mode="after")
    def _one_bias_per_class(self) -> Self:
        if len(self.biases) != len(self.classes):
            raise ValueError("expected one bias per class")
        return self

    def apply(self, probability: NDArray[np.floating]) -> NDArray[np.float32]:
        """Return calibrated probabilities, (N, classes), of uncalibrated ones; without a temperature, the same."""
        if self.temperature is None:
            return probability.astype(np.float32)
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


def fit_calibration(label: NDArray[np.int64], probability: NDArray[np.floating], classes: list[str]) -> Calibration:
    """Return the temperature and biases with the least log loss, to four digits.

    Args:
        label: (N,), the true labels, as integers, of validation.
        probability: (N, classes).
        classes: labels of the columns.
    """
    if not len(label):
        return Calibration(classes=classes, biases=[0.0] * len(classes))
    truth = np.eye(len(classes))[label]
    logits = scaled_logits(probability, 1, np.zeros(len(classes)))

    def loss(parameters: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        scale, biases = parameters[0], parameters[1:]
        scaled = scale * logits + biases
        surplus = softmax(scaled, axis=1) - truth
        prior = biases / BIAS_DEVIATION**2
        value = -(truth * log_softmax(scaled, axis=1)).sum() + (biases * prior).sum() / 2
        return value, np.append((surplus * logits).sum(), surplus.sum(axis=0) + prior)

    start = np.append(1.0, np.zeros(len(classes)))
    bounds = [(1 / TEMPERATURES[1], 1 / TEMPERATURES[0]), *[(None, None)] * len(classes)]
    found = minimize(loss, start, jac=True, bounds=bounds, method="L-BFGS-B", options={"ftol": 1e-14, "gtol": 1e-7})
    biases = found.x[1:] - found.x[1:].mean()
    return Calibration(
        temperature=float(f"{1 / found.x[0]:.4g}"),
        classes=classes,
        biases=[round(float(bias), 4) + 0.0 for bias in biases],
    )
