"""P values adjusted for their number, against published values and by definition."""

from itertools import combinations

import numpy as np
import pytest

from lesions.evaluation.holm import holm


def test_holm() -> None:
    """The first two as statsmodels 0.15's `multipletests(..., method="holm")` has them."""
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.042, 0.001, 0.031, 0.014, 0.007]) == pytest.approx([0.062, 0.005, 0.062, 0.042, 0.028])
    assert list(holm([0.7, 0.8])) == [1, 1]
    assert len(holm([])) == 0


def test_holm_is_the_closed_test_of_bonferroni() -> None:
    """A hypothesis is rejected where each intersection with it is (Marcus, Peritz and Gabriel, 1976)."""
    random = np.random.default_rng(1)
    for _ in range(20):
        p = random.beta(0.3, 1, size=5)
        closed = [
            max(
                min(1, len(chosen) * min(p[list(chosen)]))
                for size in range(1, 6)
                for chosen in combinations(range(5), size)
                if one in chosen
            )
            for one in range(5)
        ]
        assert holm([*p]) == pytest.approx(closed)
