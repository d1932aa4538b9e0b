"""The out-of-distribution score of features, and the file of its reference."""

from pathlib import Path

import numpy as np
import pytest

from lesions.core.errors import UserError
from lesions.models.calibration import ood


def test_outliers_score_high(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    labels = random.integers(3, size=400)
    spread = np.array([5, 1, 1, 0.2, 0])  # one feature that never moves
    features = (random.normal(size=(400, 5)) * spread + 8 * np.eye(5)[labels]).astype(np.float32)
    reference = ood.fit_reference(features, labels)
    inside = ood.score(reference, features)
    assert inside.mean() == pytest.approx(4, rel=0.3)
    for moved in ([0, 0, 0, 3, 0], [0, 0, 12, 0, 0], [0, 0, 0, 0, 1]):
        assert ood.score(reference, features[:1] + moved)[0] > 2 * np.quantile(inside, 0.99)
    ood.save(reference, tmp_path / "one.npz")
    ood.save(ood.fit_reference(features, labels), tmp_path / "two.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    assert (ood.score(ood.load(tmp_path / "one.npz"), features) == inside).all()


def test_rare_class_counts_as_much() -> None:
    """Else its spread, here along another axis, would hardly be known, and half of its images be strange."""
    random = np.random.default_rng(1)
    labels = np.repeat([0, 1], [2000, 20])
    features = random.normal(size=(2020, 2)) * np.array([[3, 0.3], [0.3, 3]])[labels]
    inside = ood.score(ood.fit_reference(features, labels), features)
    assert inside[labels == 1].mean() == pytest.approx(inside[labels == 0].mean(), rel=0.4)


def test_score_of_equal_images_is_finite() -> None:
    reference = ood.fit_reference(np.ones((2, 4), np.float32), np.array([0, 1]))
    assert ood.score(reference, np.array([[1, 1, 1, 1], [1, 1, 1, 3]], np.float32)) == pytest.approx([0, 4])


def test_other_file_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "ood.npz"
    file.write_bytes(b"no archive")
    with pytest.raises(UserError, match="is no out-of-distribution reference"):
        ood.load(file)
    np.savez(file, means=np.zeros((2, 3), np.float32), whitening=np.zeros((3, 3), object))
    with pytest.raises(UserError, match="is no out-of-distribution reference"):
        ood.load(file)
    np.savez(file, means=np.zeros((2, 3), np.float32), whitening=np.zeros((2, 3), np.float32))
    with pytest.raises(UserError, match="expected float32"):
        ood.load(file)
