"""Fitting the temperature and the biases on validation.

Class weights and logit adjustment make a network name rare classes too often; a temperature cannot undo that, and
biases can.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.optimize import minimize
from scipy.special import log_softmax, softmax

from lesions.evaluation.common.temperature_scaling import Calibration, scaled_logits

TEMPERATURES = (0.05, 20.0)
"""The range searched; beyond, all answers are certain, or all alike."""
BIAS_DEVIATION = 1.0
"""Standard deviation of the normal prior of a bias, without which a class that validation lacks would be ruled out."""


def fit_calibration(label: NDArray[np.int64], probability: NDArray[np.floating], classes: list[str]) -> Calibration:
    """Return the temperature and biases with the least log loss, to four digits.

    Args:
        label: (N,), the true labels, as integers, of validation.
        probability: (N, classes).
        classes: labels of the columns.
    """
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
