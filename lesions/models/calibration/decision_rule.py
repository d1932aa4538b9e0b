"""Fitting on validation how the diagnosis follows from the probabilities."""

import numpy as np
from numpy.typing import NDArray

from lesions.core.errors import UserError
from lesions.core.params import did_you_mean
from lesions.evaluation.common.decision_rule import UNCALIBRATED_ARGMAX, DecisionRule, Optimise
from lesions.evaluation.common.temperature_scaling import Calibration


def cost_matrix(costs: dict[str, dict[str, float]], classes: list[str]) -> list[list[float]]:
    """Return (classes, classes), what a diagnosis, the column, costs where the truth is the row.

    It is what is stated, else 1, and 0 for the truth itself.

    Args:
        costs: `calibrate.costs`, by the true class and by the diagnosis.
        classes: the labels.

    Raises:
        UserError: there is no such class.
    """
    for name in [*costs, *(diagnosis for row in costs.values() for diagnosis in row)]:
        if name not in classes:
            raise UserError(f"calibrate.costs in params.yaml: there is no class {name}; {did_you_mean(name, classes)}")
    return [
        [0.0 if truth == diagnosis else float(costs.get(truth, {}).get(diagnosis, 1)) for diagnosis in classes]
        for truth in classes
    ]


def fit_decision_rule(
    optimise: Optimise, costs: list[list[float]] | None, calibration: Calibration, label: NDArray[np.int64]
) -> DecisionRule:
    """Return the rule for an aim: the best one where the calibrated probabilities are exact.

    For the balanced accuracy an error costs the inverse of the true class's fraction (Menon et al., Long-tail learning
    via logit adjustment, ICLR 2021, section 3).

    Args:
        optimise: the aim.
        costs: for expected_cost, (classes, classes); else None.
        calibration: fitted on the same images.
        label: (N,), the true labels, as integers, of validation.
    """
    if optimise == "uncalibrated_probability":
        return UNCALIBRATED_ARGMAX
    if optimise != "expected_cost":
        counts = np.bincount(label, minlength=len(calibration.classes))
        of_truth = np.ones(len(counts))
        if optimise == "balanced_accuracy":
            # A class without an image would have an infinite cost: it has that of the commonest.
            of_truth = counts.sum() / np.where(counts > 0, counts, counts.max())
        costs = [[float(f"{cost:.4g}") for cost in row] for row in of_truth[:, None] * (1 - np.eye(len(counts)))]
    return DecisionRule(optimise=optimise, calibration=calibration, costs=costs)
