"""What turns a network's outputs into answers, fitted on images that it did not learn from: calibration and thresholds.

The stage `calibrate` fits it on validation, `lesions recalibrate` on a collection of somebody's own.
"""

from typing import NamedTuple

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesions.evaluation.common.decision_rule import DecisionRule, Optimise
from lesions.evaluation.common.tasks import BinaryTask
from lesions.evaluation.common.temperature_scaling import Calibration
from lesions.evaluation.common.thresholds import PredictionSets, Threshold
from lesions.models.calibration.decision_rule import fit_decision_rule
from lesions.models.calibration.prediction_sets import fit_prediction_sets
from lesions.models.calibration.temperature_scaling import fit_calibration
from lesions.models.calibration.thresholds import choose_ood_threshold, task_thresholds


class Answers(NamedTuple):
    """What was fitted.

    Attributes:
        calibration: the temperature and the biases.
        decision_rule: how the diagnosis follows.
        thresholds: of each task, and of the out-of-distribution score.
        prediction_sets: from which probability each class is in a set.
    """

    calibration: Calibration
    decision_rule: DecisionRule
    thresholds: list[Threshold]
    prediction_sets: PredictionSets


def fit_answers(
    predicted: pd.DataFrame,
    images: pd.DataFrame,
    ood_score: NDArray[np.floating],
    classes: list[str],
    tasks: dict[str, BinaryTask],
    optimise: Optimise,
    costs: list[list[float]] | None,
) -> Answers:
    """Fit on N images.

    Args:
        predicted: N rows with `label` and the uncalibrated probability of each class.
        images: of these, row by row, with `group_id` and `source`, "" where none is stated.
        ood_score: of images that are not out-of-distribution; (M,).
        classes: the labels.
        tasks: by name.
        optimise: what the diagnosis is chosen for.
        costs: for expected_cost, (classes, classes).
    """
    label = predicted["label"].map(classes.index).to_numpy(np.int64)
    uncalibrated = predicted[classes].to_numpy()
    calibration = fit_calibration(label, uncalibrated, classes)
    chosen = [
        threshold
        for name, task in tasks.items()
        for threshold in task_thresholds(name, task, classes, predicted, images)
    ]
    groups = images["group_id"].to_numpy()
    rule = fit_decision_rule(optimise, costs, calibration, label)
    sets = fit_prediction_sets(label, calibration.apply(uncalibrated), groups, classes)
    return Answers(calibration, rule, [*chosen, choose_ood_threshold(ood_score)], sets)
