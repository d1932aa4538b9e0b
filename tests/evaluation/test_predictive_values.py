"""Predictive values at a stated prevalence hold the truth as often as they say, with few positives too."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lesions.evaluation.bootstrap import Bootstrap, Json
from lesions.evaluation.common.proportion import exact_bounds
from lesions.evaluation.mover import Interval, ratio_bounds
from lesions.evaluation.operating_points import threshold_metrics
from lesions.evaluation.predictive_values import with_intervals

BOUND = st.floats(0.01, 1)


def proportion(right: int, cases: int) -> Json:
    value = right / cases
    lower, upper = exact_bounds(value, cases)
    return {"value": value, "lower": lower, "upper": upper}


def at_threshold(found: int, positives: int, spared: int, negatives: int) -> dict[str, Json]:
    """Return the metrics of so many positives found and negatives not predicted positive."""
    positive = np.arange(positives + negatives) < positives
    score = np.concatenate([np.arange(positives) < found, np.arange(negatives) >= spared], axis=None, dtype=np.float64)
    values = threshold_metrics([0.5], positive, score, np.ones((1, len(positive))))
    metrics: dict[str, Json] = {
        name: {"value": None if np.isnan(value[0, 0]) else float(value[0, 0]), "lower": None, "upper": None}
        for name, value in values.items()
    }
    flagged = found + negatives - spared
    metrics |= {
        "sensitivity": proportion(found, positives),
        "specificity": proportion(spared, negatives),
        "ppv": proportion(found, flagged) if flagged else metrics["ppv"],
    }
    return with_intervals(metrics)


@pytest.mark.parametrize("name", ["ppv_at_5%", "npv_at_5%"])
def test_coverage_with_few_positives(name: str) -> None:
    random = np.random.default_rng(1)
    sensitivity, specificity, prevalence = 0.9, 0.8, 0.05
    truth = (
        sensitivity * prevalence / (sensitivity * prevalence + (1 - specificity) * (1 - prevalence))
        if name.startswith("ppv")
        else specificity * (1 - prevalence) / (specificity * (1 - prevalence) + (1 - sensitivity) * prevalence)
    )
    held = []
    for _ in range(600):
        found = at_threshold(random.binomial(15, sensitivity), 15, random.binomial(150, specificity), 150)[name]
        held.append(float(found["lower"] or 0) <= truth <= float(found["upper"] or 0))
    assert 0.92 < np.mean(held) < 0.99


def test_interval_where_no_positive_is_missed() -> None:
    """As of percentiles, since none is missed in any resample either."""
    found = at_threshold(10, 10, 80, 100)
    assert found["npv_at_5%"]["value"] == 1
    # Of ten the sensitivity is at least .69: 0.8 * 0.95 / (0.8 * 0.95 + 0.31 * 0.05) = 0.98.
    assert found["npv_at_5%"]["lower"] == pytest.approx(0.98, abs=0.002)
    positive = np.arange(110) < 10
    score = np.where(positive | (np.arange(110) % 5 == 0), 0.9, 0.1)
    resampled = Bootstrap(100, 1).estimates(
        lambda weights: threshold_metrics([0.5], positive, score, weights), np.arange(110)
    )
    assert resampled["npv_at_5%"][0]["lower"] is None


def test_number_needed_to_biopsy_is_one_over_the_predictive_value() -> None:
    found = at_threshold(9, 10, 80, 100)
    needed, ppv = found["number_needed_to_biopsy"], found["ppv"]
    for one, other in (("value", "value"), ("lower", "upper"), ("upper", "lower")):
        assert float(needed[one] or 0) == pytest.approx(1 / float(ppv[other] or 0), abs=1e-4)


def test_without_predictions_there_is_none() -> None:
    found = at_threshold(0, 10, 100, 100)
    assert (found["ppv_at_5%"]["value"], found["number_needed_to_biopsy"]["value"]) == (None, None)
    assert found["npv_at_5%"]["value"] == pytest.approx(0.95)


@given(st.lists(BOUND, min_size=3, max_size=3), st.lists(BOUND, min_size=3, max_size=3))
def test_bounds_of_a_ratio_are_where_the_difference_begins_to_hold_zero(one: list[float], other: list[float]) -> None:
    """R is a bound where `above` - R * `below` has an interval that ends at 0 (Donner and Zou, equation 8)."""
    above, below = (Interval(values[1], values[0], values[2]) for values in (sorted(one), sorted(other)))
    lower, upper = ratio_bounds(above, below)
    assert 0 <= lower <= above.value / below.value * (1 + 1e-9)
    reach = np.hypot(above.value - above.lower, lower * (below.upper - below.value))
    assert above.value - lower * below.value == pytest.approx(reach, abs=1e-6)
    if np.isfinite(upper) and upper < 1e6:
        reach = np.hypot(above.upper - above.value, upper * (below.value - below.lower))
        assert upper * below.value - above.value == pytest.approx(reach, rel=1e-6, abs=1e-6)
