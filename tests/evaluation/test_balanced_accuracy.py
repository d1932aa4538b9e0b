"""The interval of a balanced accuracy, against a published example, by simulation, and at the edges."""

import numpy as np
import pytest
from scipy.stats import binomtest

from lesions.evaluation.balanced_accuracy import balanced_accuracy_estimate, wilson_bounds
from lesions.evaluation.common.proportion import exact_bounds


@pytest.mark.parametrize(("found", "cases"), [(1, 7), (3, 20), (40, 46)])
def test_wilson_bounds(found: int, cases: int) -> None:
    expected = binomtest(found, cases).proportion_ci(method="wilson")
    assert wilson_bounds(found / cases, cases) == pytest.approx((expected.low, expected.high))


def predictions(*correct: tuple[int, int]) -> tuple[np.ndarray, np.ndarray]:
    """Return labels and diagnoses: of each class how many images are right, and of how many."""
    label = np.repeat(np.arange(len(correct)), [images for _, images in correct])
    predicted = [
        one if number < right else (one + 1) % len(correct)
        for one, (right, images) in enumerate(correct)
        for number in range(images)
    ]
    return label, np.array(predicted)


def test_published_example() -> None:
    """Newcombe (Statistics in Medicine 17, 1998), table II: 56/70 - 48/80, method 10, is 0.0524 to 0.3339.

    The difference of two proportions is twice the balanced accuracy of the first and of the second's complement, less
    one. There the cases are counted; here their variance is estimated, which takes one of them.
    """
    label, diagnosis = predictions((56, 70), (32, 80))
    found = balanced_accuracy_estimate(label, diagnosis, np.arange(150))
    assert 2 * found["value"] - 1 == pytest.approx(0.2)  # type: ignore[operator]
    assert (2 * found["lower"] - 1, 2 * found["upper"] - 1) == pytest.approx((0.0524, 0.3339), abs=2e-3)  # type: ignore[operator]


def test_no_error_has_bounds() -> None:
    label, diagnosis = predictions((8, 8), (20, 20))
    found = balanced_accuracy_estimate(label, diagnosis, np.arange(28))
    one, other = (1 - exact_bounds(1, cases)[0] for cases in (8, 20))
    assert (found["value"], found["upper"]) == (1, 1)
    assert found["lower"] == pytest.approx(1 - np.hypot(one, other) / 2, abs=1e-4)


def test_coverage_with_ten_groups_of_a_class() -> None:
    """Of ten groups of melanoma and 200 others, of one to three images that are alike."""
    random = np.random.default_rng(1)
    held = []
    for _ in range(400):
        groups = np.repeat(np.arange(210), random.integers(1, 4, 210))
        label = (groups >= 10).astype(np.int64)
        alike = np.sqrt(0.6) * random.normal(size=210)[groups] + np.sqrt(0.4) * random.normal(size=len(groups))
        correct = alike < np.array([1.2816, 0.8416])[label]  # a sensitivity of 0.9, and a specificity of 0.8
        diagnosis = np.where(correct, label, 1 - label)
        found = balanced_accuracy_estimate(label, diagnosis, groups)
        held.append(found["lower"] <= 0.85 <= found["upper"])  # type: ignore[operator]
    assert 0.92 <= np.mean(held) <= 0.98


def test_groups_that_happen_to_be_alike() -> None:
    """Half of each group's images are right: no group differs from another, and yet nothing is certain."""
    label, diagnosis = predictions((2, 4), (8, 8))
    wide = balanced_accuracy_estimate(
        label, np.concatenate([diagnosis[[0, 2, 1, 3]], diagnosis[4:]]), np.arange(12) // 2
    )
    assert wide["lower"] < wide["value"] < wide["upper"]  # type: ignore[operator]
