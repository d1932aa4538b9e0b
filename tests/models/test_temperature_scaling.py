"""Temperature and biases: fitted by log loss, exact when the distortion is one of theirs."""

import numpy as np
import pytest
from pydantic import ValidationError
from scipy.special import softmax

from lesions.evaluation.common.temperature_scaling import Calibration
from lesions.models.calibration.temperature_scaling import fit_calibration

CLASSES = ["a", "b", "c"]


def drawn(n_images: int, seed: int = 1) -> tuple[np.ndarray, np.ndarray]:
    """Draw labels and their exact probabilities."""
    random = np.random.default_rng(seed)
    probability = random.dirichlet([2, 0.6, 0.3], n_images)
    return (random.random((n_images, 1)) > probability.cumsum(axis=1)).sum(axis=1), probability


def log_loss(label: np.ndarray, probability: np.ndarray) -> float:
    return float(-np.log(probability[np.arange(len(label)), label]).mean())


def test_distortion_is_undone() -> None:
    label, exact = drawn(20_000)
    biases = np.array([-0.8, 0.1, 0.7])
    distorted = softmax((np.log(exact) - biases) * 2.5, axis=1)
    found = fit_calibration(label, distorted, CLASSES)
    assert found.temperature == pytest.approx(2.5, rel=0.04)
    assert found.biases == pytest.approx(biases, abs=0.08)
    assert sum(found.biases) == pytest.approx(0, abs=1e-3)
    assert found.apply(distorted) == pytest.approx(exact, abs=0.03)
    assert found.apply(distorted).mean(axis=0) == pytest.approx(np.eye(3)[label].mean(axis=0), abs=2e-3)


def test_log_loss_is_least() -> None:
    label, exact = drawn(3000)
    distorted = softmax(np.log(exact) * 1.7 + [0, 0.5, 1], axis=1)
    found = fit_calibration(label, distorted, CLASSES)
    least = log_loss(label, found.apply(distorted))
    for factor in (0.9, 1.1):
        assert found.temperature is not None
        other = Calibration(temperature=found.temperature * factor, classes=CLASSES, biases=found.biases)
        assert log_loss(label, other.apply(distorted)) > least
    for place in range(3):
        moved = [bias + 0.1 * (number == place) for number, bias in enumerate(found.biases)]
        other = Calibration(temperature=found.temperature, classes=CLASSES, biases=moved)
        assert log_loss(label, other.apply(distorted)) > least


def test_class_without_validation_images_is_not_ruled_out() -> None:
    label, exact = drawn(300)
    rows = label != 2
    found = fit_calibration(label[rows], exact[rows], CLASSES)
    assert np.abs(found.biases).max() < 5
    assert found.apply(exact)[:, 2].mean() > 1e-3


def test_certain_answers_do_not_overflow() -> None:
    certain = np.eye(3)[[0, 1, 2]]
    found = fit_calibration(np.array([0, 1, 2]), certain, CLASSES)
    assert np.isfinite(found.apply(certain)).all()
    assert np.isfinite(fit_calibration(np.array([1, 2, 0]), certain, CLASSES).apply(certain)).all()


def test_same_bits_alone_and_among_others() -> None:
    label, exact = drawn(500)
    found = fit_calibration(label, exact.astype(np.float32), CLASSES)
    together = found.apply(exact.astype(np.float32))
    alone = np.concatenate([found.apply(row[None]) for row in exact.astype(np.float32)])
    assert (together == alone).all()


def test_biases_of_other_classes_are_refused() -> None:
    with pytest.raises(ValidationError, match="one bias per class"):
        Calibration(temperature=1, classes=CLASSES, biases=[0.0, 0.0])
