"""Smooth functions and random numbers made of exact operations alone, so that every processor draws the same bits.

IEEE 754 fixes each bit of `+ - * /`, the square root and comparisons. It fixes none of exp, log, sin, cos and power,
of which NumPy and the C library have versions by processor; NumPy's `normal`, `lognormal` and `poisson` use them too.
Of a generator only `random`, `integers` and what is made of these may be used here.
"""

from typing import Any, TypeVar

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

Field = NDArray[np.floating[Any]]
"""Single precision throughout: twice as fast, and fine enough for 8 bits."""

Number = TypeVar("Number", float, Field)


def exponential(x: Number) -> Number:
    """Return nearly exp(x), as (1 + x / 256) ** 256: within 2 % from -3 to 3, and at least 0."""
    power: Any = np.maximum(x / 256 + 1, 0) if isinstance(x, np.ndarray) else max(x / 256 + 1, 0)
    for _ in range(8):
        power *= power
    result: Number = power
    return result


def wave(turns: Number) -> Number:
    """Return nearly cos(2π turns), within 0.02: two cubics a period."""
    nearest: Any = np.rint(turns) if isinstance(turns, np.ndarray) else round(turns)
    off: Any = abs(turns - nearest)
    result: Number = 1 + off * off * (32 * off - 24)
    return result


def turns_of(x: Any, y: Any) -> Field:
    """Return nearly the angle of (x, y) in turns, from -1/2 to 1/2, within 0.001."""
    across, up = np.abs(x), np.abs(y)
    ratio = np.minimum(across, up) / np.maximum(np.maximum(across, up), np.float32(1e-6))
    turns = ratio * (0.125 + 0.0435 * (1 - ratio))
    turns = np.where(up > across, 0.25 - turns, turns)
    turns = np.where(x < 0, 0.5 - turns, turns)
    return np.asarray(np.where(y < 0, -turns, turns))


def uniform(rng: Generator, low: float, high: float) -> float:
    """Return a number from `low` to `high`."""
    return low + (high - low) * rng.random()


def uniforms(rng: Generator, low: float, high: float, number: int) -> Field:
    """Return (number,) numbers from `low` to `high`."""
    return low + (high - low) * rng.random(number)


def normals(rng: Generator, mean: float, deviation: float, number: int) -> Field:
    """Return (number,) nearly normal numbers: sums of four uniform ones, none farther off than 3.5 deviations."""
    a, b, c, d = rng.random((4, number))
    return np.asarray(mean + deviation * 3**0.5 * (a + b + c + d - 2))


def normal(rng: Generator, mean: float, deviation: float) -> float:
    """Return a nearly normal number; see `normals`."""
    return float(normals(rng, mean, deviation, 1)[0])


def lognormal(rng: Generator, mean: float, deviation: float) -> float:
    """Return nearly exp of a nearly normal number."""
    return exponential(normal(rng, mean, deviation))
