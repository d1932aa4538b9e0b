"""Calibration of the top label, of a class and of a binary task."""

import numpy as np
import pandas as pd
import pytest
from scipy.special import expit, logit
from sklearn.linear_model import LogisticRegression

from lesions.evaluation import calibration
from lesions.evaluation.bootstrap import Bootstrap


def drawn(seed: int, lesions: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Draw exact probabilities of being positive, what is observed, and the groups of 1 to 3 images."""
    random = np.random.default_rng(seed)
    groups = np.repeat(np.arange(lesions), random.integers(1, 4, lesions))
    probability = random.beta(0.5, 2, lesions)[groups]
    return random.random(len(groups)) < probability, probability, groups


def test_reliability_has_bins_of_equal_mass() -> None:
    random = np.random.default_rng(1)
    probability = random.dirichlet([0.6, 0.6, 0.6], 20_000)
    label = (random.random((len(probability), 1)) > probability.cumsum(axis=1)).sum(axis=1)
    table = pd.DataFrame(calibration.reliability(label, probability))
    assert len(table) == calibration.BINS
    assert table["images"].max() - table["images"].min() <= 1
    assert (table["confidence"] - table["accuracy"]).abs().max() < 0.04


def test_ece_of_exact_probabilities_is_that_of_chance() -> None:
    random = np.random.default_rng(2)
    confidence = random.uniform(0.4, 1, 400)
    exact = [calibration.ece(confidence, random.random(400) < confidence) for _ in range(200)]
    chance = calibration.ece_by_chance(confidence, np.arange(400), 1)
    assert chance["mean"] == pytest.approx(np.mean(exact), rel=0.1)
    assert 0.9 <= np.mean(np.array(exact) <= chance["upper"]) <= 0.99
    of_pairs = calibration.ece_by_chance(np.sort(confidence), np.arange(400) // 2, 1)
    assert of_pairs["mean"] > 1.2 * chance["mean"]  # type: ignore[operator]
    assert calibration.ece(confidence, random.random(400) < confidence - 0.2) > 3 * np.mean(exact)


@pytest.mark.parametrize(("shift", "stretch"), [(0, 1), (-1, 1), (0, 2), (0.5, 0.5)])
def test_intercept_and_slope(shift: float, stretch: float) -> None:
    positive, exact, groups = drawn(1, 4000)
    probability = expit((logit(np.clip(exact, 1e-6, 1 - 1e-6)) - shift) * stretch)
    found = calibration.calibration_intercept_and_slope(positive, probability, groups)
    x = logit(np.clip(probability, 1e-6, 1 - 1e-6))
    reference = LogisticRegression(C=np.inf, tol=1e-10, max_iter=1000).fit(x[:, None], positive)
    assert found["slope"]["value"] == pytest.approx(reference.coef_[0, 0], abs=2e-4)
    slope = found["slope"]
    assert slope["lower"] <= 1 / stretch <= slope["upper"]  # type: ignore[operator]
    if stretch == 1:
        intercept = found["intercept"]
        assert intercept["lower"] <= shift <= intercept["upper"]  # type: ignore[operator]


def test_standard_error_by_group() -> None:
    """Over repeated draws the estimates spread as the errors say; where images repeat, more than images alone would."""
    slopes, errors = [], []
    for seed in range(150):
        positive, probability, groups = drawn(seed, 300)
        twice = np.r_[np.arange(len(groups)), np.arange(len(groups))]
        columns = np.stack([np.ones(len(twice)), logit(np.clip(probability[twice], 1e-6, 1 - 1e-6))], axis=1)
        value, error = calibration.logistic_regression(columns, np.zeros(len(twice)), positive[twice], groups[twice])
        slopes.append(value[1])
        errors.append(error[1])
    assert np.median(errors) == pytest.approx(np.std(slopes), rel=0.2)


def test_binary_calibration() -> None:
    positive, probability, groups = drawn(5, 400)
    found = calibration.binary_calibration(positive, probability, groups, Bootstrap(200, 1))
    assert found["observed"]["value"] == pytest.approx(positive.mean(), abs=1e-4)
    assert found["surplus"]["lower"] < 0 < found["surplus"]["upper"]
    bins = pd.DataFrame(found["reliability"])
    assert len(bins) == calibration.BINARY_BINS
    assert bins["images"].sum() == len(positive)
    assert bins["predicted"].is_monotonic_increasing
    within = [one["lower"] <= predicted <= one["upper"] for predicted, one in zip(bins["predicted"], bins["observed"])]  # noqa: B905
    assert sum(within) >= len(bins) - 2


def test_too_few_positive_groups_have_no_slope() -> None:
    positive = np.arange(100) < 9
    found = calibration.calibration_intercept_and_slope(positive, np.linspace(0.9, 0.1, 100), np.arange(100))
    assert found["slope"]["value"] is None
    assert "has 9 and 91" in str(found["slope"]["reason"])


@pytest.mark.parametrize(("mean", "observed"), [(0.049, 0.633), (0.021, 0.217), (0.934, 0.323), (0.001, 0.9)])
def test_intercept_of_probabilities_far_from_the_truth(mean: float, observed: float) -> None:
    """With a slope of 1 the fitted probabilities sum to the positives; a whole Newton step overshoots here."""
    random = np.random.default_rng(3)
    probability = np.clip(random.beta(50 * mean, 50 * (1 - mean), 400), 1e-6, 1 - 1e-6)
    positive = np.arange(400) < 400 * observed
    found = calibration.calibration_intercept_and_slope(positive, probability, np.arange(400))["intercept"]
    assert expit(logit(probability) + found["value"]).sum() == pytest.approx(positive.sum(), abs=0.1)
    assert (found["lower"] > 0) == (observed > mean)  # type: ignore[operator]


def test_separated_classes_have_no_slope() -> None:
    positive = np.arange(100) < 50
    found = calibration.calibration_intercept_and_slope(positive, np.where(positive, 0.9, 0.1), np.arange(100))
    assert found["slope"]["value"] is None
    assert found["intercept"]["value"] is not None
