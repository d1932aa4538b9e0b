"""The decision rule: what each aim makes of the same probabilities, and what is fitted on validation."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lesions.core.errors import UserError
from lesions.evaluation.common.decision_rule import DecisionRule, Optimise
from lesions.evaluation.common.temperature_scaling import Calibration
from lesions.models.calibration.decision_rule import cost_matrix, fit_decision_rule
from lesions.params.calibrate import Calibrate

CLASSES = ["mel", "bcc", "nv"]
UNCHANGED = Calibration(temperature=1.0, classes=CLASSES, biases=[0.0, 0.0, 0.0])
BIASED = Calibration(temperature=2.0, classes=CLASSES, biases=[-0.5, 0.1, 0.4])


def drawn(seed: int, images: int = 3000) -> tuple[np.ndarray, np.ndarray]:
    """Return labels, one class being rare, and exact probabilities of them."""
    random = np.random.default_rng(seed)
    probability = random.dirichlet([0.12, 0.3, 1.5], images).astype(np.float32)
    label = np.array([random.choice(3, p=row / row.sum()) for row in probability.astype(np.float64)])
    return label, probability


def balanced(label: np.ndarray, diagnosis: np.ndarray) -> float:
    return float(np.mean([(diagnosis == one)[label == one].mean() for one in range(3)]))


def test_params_have_the_same_aims() -> None:
    assert get_args(Calibrate.model_fields["optimise"].annotation) == get_args(Optimise)


def test_each_aim_is_reached_best_by_its_own_rule() -> None:
    (label, _), (other, others) = drawn(1), drawn(2, 20_000)
    costs = cost_matrix({"mel": {"nv": 20}}, CLASSES)
    found = {
        aim: fit_decision_rule(aim, costs if aim == "expected_cost" else None, UNCHANGED, label)
        for aim in ("accuracy", "balanced_accuracy", "expected_cost")
    }
    diagnoses = {aim: rule.answers(others) for aim, rule in found.items()}
    scores = {
        "accuracy": {aim: (diagnosis == other).mean() for aim, diagnosis in diagnoses.items()},
        "balanced_accuracy": {aim: balanced(other, diagnosis) for aim, diagnosis in diagnoses.items()},
        "expected_cost": {aim: -np.array(costs)[other, diagnosis].mean() for aim, diagnosis in diagnoses.items()},
    }
    for aim, reached in scores.items():
        assert max(reached, key=lambda name: reached[name]) == aim


@settings(max_examples=30)
@given(st.integers(0, 2**32 - 1))
def test_accuracy_takes_the_largest_calibrated_probability(seed: int) -> None:
    label, probability = drawn(seed, 40)
    rule = fit_decision_rule("accuracy", None, BIASED, label)
    calibrated = BIASED.apply(probability)
    assert np.allclose(calibrated[np.arange(40), rule.answers(probability)], calibrated.max(axis=1))
    one_by_one = [rule.answers(row[None])[0] for row in probability]
    assert rule.answers(probability).tolist() == one_by_one
    assert DecisionRule.model_validate_json(rule.model_dump_json()) == rule


def test_uncalibrated_probability_is_what_the_network_says() -> None:
    label, probability = drawn(3, 50)
    rule = fit_decision_rule("uncalibrated_probability", None, BIASED, label)
    assert rule.answers(probability).tolist() == probability.argmax(axis=1).tolist()


def test_absent_class_weighs_no_more_for_being_rare() -> None:
    """As where a model is recalibrated on melanomas and nevi alone."""
    label, probability = drawn(4)
    known = label != 1
    rule = fit_decision_rule("balanced_accuracy", None, UNCHANGED, label[known])
    assert rule.costs is not None
    assert rule.costs[1] == [rule.costs[2][0], 0, rule.costs[2][0]]  # as of the commonest class
    assert (rule.answers(probability[known]) == 1).mean() < 0.12


def test_costs_of_an_unknown_class() -> None:
    assert cost_matrix({"mel": {"nv": 20}}, CLASSES) == [[0, 1, 20], [1, 0, 1], [1, 1, 0]]
    with pytest.raises(UserError, match="no class mell; did you mean"):
        cost_matrix({"mell": {"nv": 20}}, CLASSES)
