"""Running a network on a batch: the same bits whatever stands beside an image, and test-time augmentation."""

import lesions.models.common.determinism  # before all that imports Keras

# isort: split
from pathlib import Path

import keras
import numpy as np
import pytest

from lesions.core.json_files import write_json
from lesions.inference.features import feature_model
from lesions.inference.predict import BATCH_SIZE, dihedral_views, in_batches, predict_batch, predict_images
from lesions.models.architectures import plain, pretrained, residual

CLASSES = 7
ARCHITECTURES = ("plain", "residual", "MobileNet")


def noise(n_images: int, px: int = 64) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (n_images, px, px, 3), np.uint8)


@pytest.fixture(params=ARCHITECTURES)
def model(request: pytest.FixtureRequest, tmp_path: Path) -> keras.Model:
    """A network with random weights, from pixels to features and probabilities."""
    lesions.models.common.determinism.seed(1)
    if request.param == "MobileNet":
        weights = {"model": "MobileNet", "alpha": 0.25, "file": None, "source": "random"}
        write_json(tmp_path / "weights.json", weights)
        network = pretrained.build((64, 64, 3), CLASSES, tmp_path)
    else:
        network = {"plain": plain, "residual": residual}[request.param].build((64, 64, 3), CLASSES)
    return feature_model(network)


@pytest.mark.parametrize("tta", [False, True])
def test_bits_do_not_depend_on_the_batch(model: keras.Model, tta: bool) -> None:
    images = noise(BATCH_SIZE)
    features, probabilities = predict_batch(model, images, tta)
    for number in (0, 1, 7, BATCH_SIZE - 1):
        single = predict_batch(model, images[number : number + 1], tta)
        assert single[0][0].tobytes() == features[number].tobytes()
        assert single[1][0].tobytes() == probabilities[number].tobytes()
    order = np.random.default_rng(2).permutation(BATCH_SIZE)[:9]
    shuffled = predict_batch(model, images[order], tta)
    assert shuffled[0].tobytes() == features[order].tobytes()
    assert shuffled[1].tobytes() == probabilities[order].tobytes()


def test_outputs_are_those_of_the_network(model: keras.Model) -> None:
    images = noise(20)
    features, probabilities = predict_images(model, in_batches(images), 20, False, "predicting")
    expected = [output.numpy() for output in model(images, training=False)]
    assert features == pytest.approx(expected[0], rel=1e-4, abs=1e-5)
    assert probabilities == pytest.approx(expected[1], abs=1e-6)
    assert probabilities.sum(axis=1) == pytest.approx(1, abs=1e-6)


def test_tta_averages_over_views(model: keras.Model) -> None:
    images = noise(3)
    features, probabilities = predict_batch(model, images, tta=True)
    views = [predict_batch(model, view, tta=False)[1] for view in dihedral_views(images)]
    assert probabilities == pytest.approx(np.mean(views, axis=0), abs=1e-7)
    assert features.tobytes() == predict_batch(model, images, tta=False)[0].tobytes()


def test_dihedral_views_of_square_and_rectangle() -> None:
    square = noise(2, 8)
    assert len({view.tobytes() for view in dihedral_views(square)}) == 8
    flat = [view.shape for view in dihedral_views(square[:, :6])]
    assert flat == [(2, 6, 8, 3)] * 4
