"""How numbers are written for people: counts, shares, metrics with their intervals, p-values."""

from collections.abc import Mapping, Sequence
from typing import Any

Estimate = Mapping[str, Any]
"""`value`, `lower` and `upper`, each a number or None, and `reason` where the value is None; see
`lesions.evaluation.bootstrap`."""


def count(number: float) -> str:
    """Return a whole number with commas: 2,004."""
    return f"{number:,.0f}"


def quantity(number: int, one: str, many: str = "") -> str:
    """Return a count with its noun: 1 image, 2,004 images.

    Args:
        number: how many.
        one: the noun, or noun and verb, of one.
        many: that of several; without it, `one` with an s.
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def percent(share: float) -> str:
    """Return a share as a percentage, 73.3 %: one digit more would look more exact than most test sets are."""
    return f"{100 * share:.1f} %"


def decimal(value: float | str | None, sign: str = "") -> str:
    """Return a number in three digits; "-" where there is none.

    Args:
        value: the number.
        sign: "+" writes the sign of positive numbers too.
    """
    return "-" if value is None else f"{float(value):{sign}.3f}"


def interval(estimate: Estimate) -> str:
    """Return a metric with its interval: 0.733 [0.709, 0.755]."""
    if estimate["value"] is None:
        return f"not defined: {estimate['reason']}"
    if estimate["lower"] is None:
        return decimal(estimate["value"])
    # The space within the brackets does not break.
    return f"{decimal(estimate['value'])} [{decimal(estimate['lower'])},\N{NO-BREAK SPACE}{decimal(estimate['upper'])}]"


def bounds(estimate: Estimate, sign: str = "") -> str:
    """Return an interval alone: -0.017 to +0.008; "-" where there is none.

    Args:
        estimate: the metric.
        sign: "+" writes the sign of positive numbers too, as of differences.
    """
    if estimate["lower"] is None:
        return "-"
    return f"{decimal(estimate['lower'], sign)} to {decimal(estimate['upper'], sign)}"


def interval_to(estimate: Estimate | None, sign: str = "") -> str:
    """Return a metric with its interval: 0.733 (0.709 to 0.755); "-" where it is undefined.

    Args:
        estimate: the metric, or None.
        sign: "+" writes the sign of positive numbers too, as of differences.
    """
    if estimate is None or estimate["value"] is None:
        return "-"
    value = decimal(estimate["value"], sign)
    return value if estimate["lower"] is None else f"{value} ({bounds(estimate, sign)})"


def percent_interval(estimate: Estimate) -> str:
    """Return a share with its interval: 73.3 % (70.9 to 75.5)."""
    value = percent(estimate["value"])
    if estimate["lower"] is None:
        return value
    return f"{value} ({100 * estimate['lower']:.1f} to {100 * estimate['upper']:.1f})"


def p_value(p: float) -> str:
    """Return a p-value as it is reported, never as 0: p = 0.042, p < 0.001."""
    return f"p = {p:.3f}" if p >= 0.0005 else "p < 0.001"


def joined(words: Sequence[str]) -> str:
    """Return a list as a sentence has it: a, b and c. A text is taken line by line."""
    if isinstance(words, str):
        words = [line.strip() for line in words.splitlines() if line.strip()]
    return " and ".join([", ".join(words[:-1]), words[-1]] if words[1:] else words)


def first_few(words: Sequence[str], separator: str = ", ", most: int = 4) -> str:
    """Return the first words, and how many more there are: "a, b, and 3 more".

    Args:
        words: all of them.
        separator: stands between two.
        most: how many are named.
    """
    more = f"{separator}and {len(words) - most} more" if len(words) > most else ""
    return separator.join(words[:most]) + more
