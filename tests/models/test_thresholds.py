"""Choosing thresholds, against brute force."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from lesions.evaluation.common.proportion import exact_bounds
from lesions.models.calibration.thresholds import choose_ood_threshold, choose_threshold, on_left_out_sources


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


def test_left_out_source_does_not_choose_its_threshold() -> None:
    """Melanomas of a have scores of 1 to 20, those of b of 11 to 30, and c has too few."""
    scores = {"a": range(1, 21), "b": range(11, 31), "c": range(1, 3)}
    rows = [(source, f"{source}{score}", True, score) for source, values in scores.items() for score in values]
    rows += [(source, f"{source} benign", False, 0) for source in scores]
    stated = pd.DataFrame(rows, columns=["source", "group_id", "positive", "score"])
    positive, score = stated["positive"].to_numpy(), stated["score"].to_numpy(np.float64)
    one, other = on_left_out_sources(positive, score, stated, 0.9)
    # Of b and c 19.8 of 22 must be found: the threshold is 11. Of a and c it is 2.
    assert (one.source, one.positive_groups, one.sensitivity["value"]) == ("a", 20, 0.5)
    assert (other.source, other.sensitivity["value"]) == ("b", 1)
    assert (other.sensitivity["lower"], other.sensitivity["upper"]) == (round(exact_bounds(1, 20)[0], 4), 1)
    alone = (stated["source"] == "a").to_numpy()
    assert on_left_out_sources(positive[alone], score[alone], stated[alone], 0.9) == []


def test_left_out_source_with_many_images_of_a_patient() -> None:
    """Two of ten patients have forty images each, all found of one and none of the other: they are worth few cases."""
    ours = pd.DataFrame({"group_id": np.repeat(np.arange(10), [40, 40] + [1] * 8), "source": "a", "score": 2.0})
    ours.loc[ours["group_id"] == 1, "score"] = 0.0
    others = pd.DataFrame({"group_id": np.arange(10, 30), "source": "b", "score": 1.0})
    stated = pd.concat([ours, others.assign(score=np.repeat([1.0, 0.5], 10))], ignore_index=True)
    positive = (stated["score"] != 0.5).to_numpy()
    (one,) = (of for of in on_left_out_sources(positive, stated["score"].to_numpy(), stated, 0.9) if of.source == "a")
    assert one.sensitivity["value"] == round(48 / 88, 4)
    assert one.sensitivity["lower"] < 0.1
    assert one.sensitivity["upper"] > 0.95


@pytest.mark.parametrize(("found", "cases"), [(0, 7), (7, 7), (3, 20), (46, 46)])
def test_exact_bounds(found: int, cases: int) -> None:
    expected = binomtest(found, cases).proportion_ci(method="exact")
    assert exact_bounds(found / cases, cases) == pytest.approx((expected.low, expected.high))


def test_ood_threshold_is_a_score() -> None:
    score = np.arange(200, dtype=np.float32)
    threshold = choose_ood_threshold(score).value
    assert threshold == 198
    assert (score > threshold).sum() == 1
