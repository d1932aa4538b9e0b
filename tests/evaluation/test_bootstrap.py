"""Intervals: they hold the truth as often as they say, and say where there is none."""

from typing import Any

import numpy as np
import pytest
from scipy.stats import binomtest

from lesions.evaluation.bootstrap import Bootstrap, unwrap_single
from lesions.evaluation.metrics import Metrics
from lesions.evaluation.roc import safe_divide


def covered(seed: int, truth: float) -> tuple[bool, bool]:
    """Return whether an interval holds the truth, of lesions of 1 to 6 images that are mostly all right or all wrong.

    Returns:
        By lesion, and by image.
    """
    random = np.random.default_rng(seed)
    lesions = np.repeat(np.arange(300), random.integers(1, 7, 300))
    # A beta distribution of each lesion's own chance, with the mean `truth` and much weight near 0 and 1.
    correct = random.random(len(lesions)) < random.beta(0.4 * truth, 0.4 * (1 - truth), 300)[lesions]

    def accuracy(weights: np.ndarray) -> Metrics:
        return {"accuracy": weights @ correct / weights.sum(axis=1)}

    held = []
    for groups in (lesions, np.arange(len(lesions))):
        found: dict[str, Any] = unwrap_single(Bootstrap(200, seed).estimates(accuracy, groups))["accuracy"]
        held.append(found["lower"] <= truth <= found["upper"])
    return held[0], held[1]


def test_coverage_of_intervals() -> None:
    held = np.array([covered(seed, 0.7) for seed in range(250)])
    by_lesion, by_image = held.mean(axis=0)
    assert 0.92 <= by_lesion <= 0.98
    assert by_image < 0.8


def interval_of_sensitivity(correct: np.ndarray, groups: np.ndarray) -> dict[str, Any]:
    def sensitivity(weights: np.ndarray) -> Metrics:
        return {"sensitivity": weights @ correct / weights.sum(axis=1)}

    return unwrap_single(Bootstrap(300, 1).estimates(sensitivity, groups))["sensitivity"]


@pytest.mark.parametrize(("cases", "truth"), [(10, 0.7), (22, 0.9), (60, 0.7)])
def test_coverage_of_a_proportion_of_few_lesions(cases: int, truth: float) -> None:
    held = []
    for seed in range(400):
        random = np.random.default_rng(seed)
        found = interval_of_sensitivity(random.random(cases) < truth, np.arange(cases))
        held.append(found["lower"] <= truth <= found["upper"])
    assert np.mean(held) >= 0.94


@pytest.mark.parametrize("cases", [10, 22, 60])
def test_more_found_never_lowers_a_bound(cases: int) -> None:
    found = [interval_of_sensitivity(np.arange(cases) < correct, np.arange(cases)) for correct in range(cases + 1)]
    for bound in ("lower", "upper"):
        assert (np.diff([float(one[bound]) for one in found]) >= -0.01).all()


def test_resamples_depend_on_the_seed_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = np.array([0, 0, 1, 2, 2, 2])
    once = np.concatenate(list(Bootstrap(120, 7).weights(groups)))
    monkeypatch.setattr("lesions.evaluation.bootstrap.CELLS", 42)  # seven resamples at once
    blocks = list(Bootstrap(120, 7).weights(groups))
    assert len(blocks) > 1
    assert (np.concatenate(blocks) == once).all()
    assert (once[:, [0, 2, 3]].sum(axis=1) == 3).all()  # three groups are drawn, whole
    assert (once[:, 0] == once[:, 1]).all()
    assert (np.concatenate(list(Bootstrap(120, 8).weights(groups))) != once).any()


def test_undefined_resamples_are_counted() -> None:
    def share(weights: np.ndarray) -> Metrics:
        return {"share": np.where(weights[:, 0] > 0, weights[:, 0], np.nan)}

    found: dict[str, Any] = unwrap_single(Bootstrap(400, 1).estimates(share, np.arange(3)))["share"]
    assert found["undefined_resamples"] / 400 == pytest.approx((2 / 3) ** 3, abs=0.06)
    assert (found["lower"], found["upper"]) == (1, 3)


def test_interval_without_width_is_null() -> None:
    """Of [1, 1] a reader would think that all is certain."""
    found = unwrap_single(
        Bootstrap(100, 1).estimates(lambda weights: {"macro_f1": np.ones(len(weights))}, np.arange(5))
    )
    assert found["macro_f1"]["lower"] is None
    assert "every resample gives the same" in str(found["macro_f1"]["reason"])


@pytest.mark.parametrize("right", [True, False])
def test_proportion_of_0_or_1_has_exact_bounds(right: bool) -> None:
    """Clopper and Pearson's, of the 12 lesions among 30 that are melanomas, however many images each has."""
    groups = np.repeat(np.arange(30), 2)
    melanoma = groups < 12

    def sensitivity(weights: np.ndarray) -> Metrics:
        return {"sensitivity": safe_divide(weights @ (melanoma * right), weights @ melanoma)}

    found = unwrap_single(Bootstrap(100, 1).estimates(sensitivity, groups))["sensitivity"]
    bounds = binomtest(12 * right, 12).proportion_ci(0.95, method="exact")
    assert found == {"value": right, "lower": round(bounds.low, 4), "upper": round(bounds.high, 4)}
    difference = unwrap_single(Bootstrap(100, 1).estimates(sensitivity, groups, proportions=()))["sensitivity"]
    assert difference["lower"] is None
