"""Numbers as people read them."""

from lesions.reporting.common.numbers import (
    bounds,
    count,
    decimal,
    interval,
    interval_to,
    joined,
    p_value,
    percent,
    percent_interval,
    quantity,
)

SURPLUS = {"value": 0.0123, "lower": -0.003, "upper": 0.0271}
UNDEFINED = {"value": None, "lower": None, "upper": None, "reason": "does not occur"}
EXACT = {"value": 1.0, "lower": None, "upper": None}


def test_counts() -> None:
    assert count(2004) == "2,004"
    assert quantity(1, "image") == "1 image"
    assert quantity(2004, "image") == "2,004 images"
    assert quantity(0, "was", "were") == "0 were"


def test_shares_and_decimals() -> None:
    assert percent(0.7334) == "73.3 %"
    assert decimal(0.0004) == "0.000"
    assert decimal(0.1, "+") == "+0.100"
    assert decimal(None) == "-"


def test_intervals() -> None:
    assert interval(SURPLUS) == "0.012 [-0.003,\N{NO-BREAK SPACE}0.027]"
    assert interval_to(SURPLUS, "+") == "+0.012 (-0.003 to +0.027)"
    assert bounds(SURPLUS) == "-0.003 to 0.027"
    assert percent_interval(SURPLUS) == "1.2 % (-0.3 to 2.7)"


def test_intervals_without_bounds() -> None:
    assert interval(UNDEFINED) == "not defined: does not occur"
    assert interval_to(UNDEFINED) == interval_to(None) == bounds(EXACT) == "-"
    assert interval(EXACT) == interval_to(EXACT) == "1.000"
    assert percent_interval(EXACT) == "100.0 %"


def test_p_is_never_zero() -> None:
    assert p_value(1e-9) == "p < 0.001"
    assert p_value(0.0421) == "p = 0.042"


def test_joined() -> None:
    assert joined(["a"]) == "a"
    assert joined("a\n b\n\nc\n") == "a, b and c"
