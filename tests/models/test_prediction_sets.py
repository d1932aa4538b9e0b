"""Prediction sets hold the true class as often as they promise, of each class and by group."""

import numpy as np
import pytest

from lesions.evaluation.bootstrap import Bootstrap
from lesions.evaluation.common.thresholds import PredictionSets
from lesions.evaluation.prediction_sets import prediction_set_report
from lesions.models.calibration.prediction_sets import COVERAGE, fit_prediction_sets, least_probability
from tests.evaluation.test_reports import predictions

CLASSES = ["rare", "common"]


def drawn(random: np.random.Generator, lesions: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw labels, probabilities and groups of 1 to 6 images, which a bad network takes for much alike."""
    label = (random.random(lesions) < 0.8).astype(np.int64)
    groups = np.repeat(np.arange(lesions), random.integers(1, 7, lesions))
    score = random.normal(size=lesions)[groups] + 0.5 * random.normal(size=len(groups)) + (label[groups] - 0.5)
    probability = 1 / (1 + np.exp(-score))
    return label[groups], np.stack([1 - probability, probability], axis=1), groups


def test_coverage_of_each_class_by_group() -> None:
    """The set of a new lesion's image holds the class in nine of ten draws or more, of the rare class too."""
    random = np.random.default_rng(1)
    held: dict[int, list[float]] = {0: [], 1: []}
    for _ in range(150):
        label, probability, groups = drawn(random, 120)
        sets = fit_prediction_sets(label, probability, groups.astype(object), CLASSES)
        assert sets is not None
        label, probability, groups = drawn(random, 300)
        members = sets.members(CLASSES, probability)[np.arange(len(label)), label]
        of_group = np.bincount(groups, members) / np.bincount(groups)
        for number in (0, 1):
            held[number].append(float(of_group[np.unique(groups[label == number])].mean()))
    assert [np.mean(held[number]) for number in (0, 1)] == pytest.approx([0.91, 0.905], abs=0.02)


def test_least_probability_of_single_images() -> None:
    """Of 19 images a tenth of 20, two, may be at the threshold or below."""
    probability = np.random.default_rng(0).permutation(np.arange(1, 20) / 20)
    assert least_probability(probability, np.arange(19).astype(object)) == pytest.approx(0.1)
    twice = np.repeat(probability, 2)
    assert least_probability(twice, np.repeat(np.arange(19), 2).astype(object)) == pytest.approx(0.1)


def test_eight_groups_exclude_nowhere() -> None:
    assert least_probability(np.full(8, 0.9), np.arange(8).astype(object)) == 0
    assert least_probability(np.full(9, 0.9), np.arange(9).astype(object)) == 0.9
    few = fit_prediction_sets(np.arange(12) // 10, np.full((12, 2), 0.5), np.arange(12).astype(object), CLASSES)
    assert few.never_excluded == ["common"]


def test_report() -> None:
    sets = PredictionSets(coverage=COVERAGE, least_probability={"rare": 0.3, "common": 0.9})
    probability = np.array([[0.2, 0.8], [0.4, 0.6], [0.05, 0.95], [0.6, 0.4]])
    label = np.array([0, 0, 1, 1])
    split = predictions(CLASSES, label, probability, probability)
    found = prediction_set_report(split, sets, Bootstrap(100, 1))
    assert sets.members(CLASSES, probability).tolist() == [[False, True], [True, True], [False, True], [True, False]]
    assert found["never_excluded"] == []
    assert (found["coverage"]["value"], found["size"]["value"]) == (0.5, 1.25)
    assert [row["coverage"]["value"] for row in found["classes"]] == [0.5, 0.5]
