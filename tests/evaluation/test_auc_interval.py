"""Intervals of areas under the ROC curve hold with few positive lesions."""

import numpy as np
import pytest
from scipy.stats import norm
from sklearn.metrics import roc_auc_score

from lesions.evaluation import auc_interval
from lesions.evaluation.auc_interval import auc_covariance, auc_estimate, expected_variance, macro_auc_estimate

Case = tuple[np.ndarray, np.ndarray, np.ndarray]


def drawn(random: np.random.Generator, positives: int, negatives: int, distance: float) -> Case:
    """Draw lesions of 1 to 3 images; a positive image's score is `distance` larger on average."""
    n_images = random.integers(1, 4, positives + negatives)
    groups = np.repeat(np.arange(len(n_images)), n_images)
    positive = groups < positives
    alike = np.sqrt(0.6) * random.normal(size=len(n_images))[groups]
    return positive, distance * positive + alike + np.sqrt(0.4) * random.normal(size=len(groups)), groups


@pytest.mark.parametrize("positives", [10, 20, 46])
def test_coverage_with_few_positive_lesions(positives: int) -> None:
    distance = 2.66
    truth = norm.cdf(distance / np.sqrt(2))
    random = np.random.default_rng(positives)
    found = [auc_estimate(*drawn(random, positives, 300, distance)) for _ in range(300)]
    assert 0.93 <= np.mean([one["lower"] <= truth <= one["upper"] for one in found]) <= 1


def test_hanley_and_mcneil_1982() -> None:
    """The example of their paper: an area of 0.893 of 51 diseased and 58 normal patients has a standard error .032."""
    assert np.sqrt(expected_variance(np.array([0.893]), 51, 58))[0] == pytest.approx(0.032, abs=5e-4)


def test_perfect_ranking_has_a_lower_bound_alone() -> None:
    positive = np.arange(60) < 10
    found = auc_estimate(positive, positive.astype(float), np.arange(60))
    assert (found["value"], found["upper"]) == (1, 1)
    assert 0.6 < float(found["lower"] or 0) < 0.95


def test_too_few_positive_groups() -> None:
    positive, score = np.arange(50) < 12, np.linspace(1, 0, 50) + (np.arange(50) % 7 == 0)
    groups = np.where(positive, np.arange(50) // 4, np.arange(50))
    found = auc_estimate(positive, score, np.unique(groups, return_inverse=True)[1])
    assert found["value"] == pytest.approx(roc_auc_score(positive, score), abs=1e-4)
    assert found["lower"] is None
    assert "has 3" in str(found["reason"])
    alone = auc_estimate(np.ones(4, bool), np.arange(4.0), np.arange(4))
    assert alone["value"] is None


def test_macro_auc() -> None:
    random = np.random.default_rng(3)
    label = np.repeat([0, 1, 2], [200, 60, 20])
    probability = random.dirichlet((1, 1, 1), len(label)) + 0.3 * np.eye(3)[label]
    probability /= probability.sum(axis=1, keepdims=True)
    found = macro_auc_estimate(label, probability, np.arange(len(label)))
    assert found["value"] == pytest.approx(roc_auc_score(label, probability, multi_class="ovr"), abs=1e-4)
    assert found["lower"] < found["value"] < found["upper"]  # type: ignore[operator]


def test_covariance_between_classes() -> None:
    """Two scores of opposite classes are one ranking: their areas are the same and vary together."""
    random = np.random.default_rng(1)
    positive, score, groups = drawn(random, 20, 80, 1)
    aucs, covariance = auc_covariance(np.stack([positive, ~positive]), np.stack([score, -score]), groups)
    assert aucs[0] == pytest.approx(aucs[1])
    assert covariance[0, 1] == pytest.approx(covariance[0, 0], rel=0.06)  # but for the correction of small samples


@pytest.mark.parametrize("positives", [10, 60, 90])
def test_opposite_classes_have_one_interval(positives: int) -> None:
    positive, score, groups = drawn(np.random.default_rng(4), positives, 100 - positives, 1)
    found = auc_estimate(positive, score, groups)
    assert auc_estimate(~positive, -score, groups) == pytest.approx(found)
    probability = np.column_stack([score, -score])
    macro = macro_auc_estimate((~positive).astype(np.int64), probability, groups)
    assert macro == pytest.approx(found, abs=0.01)


def test_difference_from_itself_has_no_interval() -> None:
    positive, score, groups = drawn(np.random.default_rng(2), 20, 80, 1)
    same = auc_interval.auc_difference(positive[None], [score[None]], [score[None]], groups)
    assert (same["value"], same["lower"]) == (0, None)
    other = auc_interval.auc_difference(positive[None], [score[None]], [score[None] + positive], groups)
    assert other["lower"] > 0  # type: ignore[operator]
