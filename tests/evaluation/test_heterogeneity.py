"""Tests and pooling of several estimates, against published examples."""

import numpy as np
import pytest
from scipy.special import expit, logit

from lesions.evaluation.heterogeneity import empirical_logit, omnibus_test, pool

BCG = np.array(
    [
        [4, 119, 11, 128], [6, 300, 29, 274], [3, 228, 11, 209], [62, 13536, 248, 12619], [33, 5036, 47, 5761],
        [180, 1361, 372, 1079], [8, 2537, 10, 619], [505, 87886, 499, 87892], [29, 7470, 45, 7232],
        [17, 1699, 65, 1600], [186, 50448, 141, 27197], [5, 2493, 3, 2338], [27, 16886, 29, 17825],
    ]
)  # fmt: skip
"""Cases of tuberculosis and others, vaccinated and not, in 13 trials (Colditz et al., JAMA 271, 1994)."""


def bcg() -> tuple[np.ndarray, np.ndarray]:
    """Return the log relative risks of the trials, and their covariance."""
    cases, others, control_cases, control_others = BCG.T
    risk, control_risk = cases / (cases + others), control_cases / (control_cases + control_others)
    variance = 1 / cases - 1 / (cases + others) + 1 / control_cases - 1 / (control_cases + control_others)
    return np.log(risk / control_risk), np.diag(variance)


def test_published_example() -> None:
    """Viechtbauer (J. Stat. Softw. 36 (3), 2010) has Q and the Q profile of these trials.

    Tau, the mean and its t interval are those of statsmodels 0.14's combine_effects(method_re="iterated", use_t=True).
    """
    test = omnibus_test(*bcg())
    assert test["q"] == pytest.approx(152.2330, abs=5e-5)
    assert (test["degrees_of_freedom"], test["p"] < 1e-20) == (12, True)
    found = pool(*bcg())
    assert np.square(found.tau_interval) == pytest.approx([0.1197, 1.1115], abs=5e-5)
    assert found.i_squared == pytest.approx(0.9212, abs=5e-5)
    assert found.tau**2 == pytest.approx(0.318068, abs=5e-7)
    assert found.mean == pytest.approx(-0.714968, abs=5e-7)
    assert found.interval == pytest.approx([-1.109098, -0.320838], abs=5e-7)
    # By hand: 2.200985 is the t of 11 degrees of freedom.
    reach = 2.200985 * np.sqrt(0.318068 + 0.180892**2)
    assert found.prediction == pytest.approx([-0.714968 - reach, -0.714968 + reach], abs=1e-5)


def test_alike_estimates() -> None:
    found = pool(np.ones(2), np.eye(2))
    assert (found.mean, found.tau, found.i_squared, found.prediction) == (1, 0, 0, None)
    assert omnibus_test(np.ones(2), np.eye(2))["p"] == 1


def test_covariance_counts() -> None:
    """Of two estimates the test is that of their difference: it varies less where both are of the same groups."""
    for correlation in (0, 0.5, 0.9):
        covariance = np.array([[0.04, 0.04 * correlation], [0.04 * correlation, 0.04]])
        q = omnibus_test(np.array([1.0, 1.3]), covariance)["q"]
        assert q == pytest.approx(0.3**2 / (0.08 * (1 - correlation)))
    assert omnibus_test(np.array([1.0, 1.0]), np.full((2, 2), 0.04))["p"] == 1


def test_empirical_logit() -> None:
    by_hand = [np.log(40.5 / 10.5), np.sqrt(1 / 40.5 + 1 / 10.5)]
    assert empirical_logit(0.8, 0.8 * 0.2 / 50, 50) == pytest.approx(by_hand)
    assert empirical_logit(0.8, 0.8 * 0.2 / 5e6, 50) == pytest.approx([logit(0.8), 0], abs=2e-3)
    found, error = empirical_logit(1, 0, 30)
    assert expit(found - 1.96 * error) == pytest.approx(0.78, abs=0.02)
