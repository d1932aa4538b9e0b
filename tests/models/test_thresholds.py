"""Choosing thresholds, against brute force."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lesions.models.calibration.thresholds import choose_ood_threshold, choose_threshold


@given(st.integers(0, 2**32 - 1), st.sampled_from(["sensitivity", "specificity"]), st.sampled_from([0.8, 0.9, 0.95, 1]))
def test_threshold_gives_away_least(seed: int, metric: str, target: float) -> None:
    random = np.random.default_rng(seed)
    positive = np.append([True, False], random.random(random.integers(0, 50)) < 0.3)
    score = np.round(random.random(len(positive)) + positive, 1)
    rates = {
        threshold: ((score >= threshold)[positive].mean(), (score < threshold)[~positive].mean())
        for threshold in np.unique(score)
    }
    mine, other = (0, 1) if metric == "sensitivity" else (1, 0)
    reached = {threshold: rate for threshold, rate in rates.items() if rate[mine] >= target - 1e-9}
    chosen = choose_threshold(positive, score, metric, target)
    if chosen is None:
        assert not reached
    else:
        assert reached[chosen][other] == max(rate[other] for rate in reached.values())


@pytest.mark.parametrize("positive", [[], [True, True], [False]])
def test_no_threshold_without_both_kinds(positive: list[bool]) -> None:
    assert choose_threshold(np.array(positive, bool), np.ones(len(positive)), "sensitivity", 0.9) is None


def test_ood_threshold_is_a_score() -> None:
    score = np.arange(200, dtype=np.float32)
    threshold = choose_ood_threshold(score).value
    assert threshold == 198
    assert (score > threshold).sum() == 1
    assert choose_ood_threshold(np.empty(0)).value is None
