"""Pairs of near vectors: those that comparing all with all finds, whatever their order and the number of cores."""

import joblib
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.distance import cdist

from lesions.audit import near_vectors
from lesions.audit.near_vectors import STEPS, near_pairs


def by_comparing_all(vectors: near_vectors.Floats, radius: float, neighbours: int) -> set[tuple[int, int]]:
    distances = cdist(vectors, vectors)
    np.fill_diagonal(distances, np.inf)
    nearest = np.argsort(distances, axis=1, kind="stable")[:, :neighbours]
    return {(min(a, b), max(a, b)) for a, row in enumerate(nearest) for b in row if distances[a, b] <= radius}


@given(st.integers(0, 2**32 - 1), st.integers(0, 60), st.integers(1, 6), st.integers(1, 5))
def test_pairs_are_those_of_comparing_all(seed: int, count: int, dimensions: int, neighbours: int) -> None:
    random = np.random.default_rng(seed)
    # Whole steps, and few values: many are equally near, at the radius itself, or the same.
    vectors = (random.integers(-4, 5, (count, dimensions)) * 64 / STEPS).astype(np.float32)
    found = near_pairs(vectors, 3 * 64 / STEPS, neighbours)
    assert [tuple(pair) for pair in found] == sorted(by_comparing_all(vectors, 3 * 64 / STEPS, neighbours))


def test_blocks_and_cores_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    vectors = np.random.default_rng(1).normal(0, 0.2, (500, 40)).astype(np.float32)
    expected = near_pairs(vectors, 1.35, 4)
    assert 500 < len(expected) < 2000
    for rows, columns, cores in [(7, 11, 1), (100, 64, 3)]:
        monkeypatch.setattr(near_vectors, "ROWS", rows)
        monkeypatch.setattr(near_vectors, "COLUMNS", columns)
        monkeypatch.setattr(joblib, "cpu_count", lambda cores=cores: cores)
        assert np.array_equal(near_pairs(vectors, 1.35, 4), expected)


def test_long_vectors_come_no_farther_apart() -> None:
    """Those of an image of one colour alone are long: they are shortened, and what was near stays near."""
    vectors = np.array([[900, 0], [900.1, 0], [0, 900], [0.1, 0]], np.float32)
    assert [0, 1] in near_pairs(vectors, 0.29, 3).tolist()
