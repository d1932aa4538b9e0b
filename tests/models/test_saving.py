"""The network and its file."""

import lesions.models.common.determinism  # before all that imports Keras

# isort: split
import json
import math
import zipfile
from functools import cache
from pathlib import Path

import keras
import numpy as np
import pytest

from lesions.core.errors import UserError
from lesions.models.architectures import plain
from lesions.models.common import saving as model_file
from lesions.models.common.batch_norm import BatchNormalization
from lesions.models.common.batches import n_steps, train_batches
from lesions.models.training.fit import raise_on_nan

CLASSES = 7


@cache
def trained(seed: int = 1) -> keras.Model:
    """A network after three steps on noise."""
    lesions.models.common.determinism.seed(seed)
    model = plain.build((32, 32, 3), CLASSES)
    model.compile(optimizer="adam", loss="sparse_categorical_crossentropy")
    random = np.random.default_rng(0)
    pixels, labels = random.integers(0, 256, (48, 32, 32, 3), np.uint8), random.integers(0, CLASSES, 48)
    model.fit(
        train_batches([pixels], np.arange(48), labels, 16, seed),
        steps_per_epoch=3,
        verbose=0,
        shuffle=False,
    )
    return model


def test_layers_of_the_default_network() -> None:
    model = plain.build((96, 96, 3), CLASSES)
    assert model.count_params() == 295_863
    convolutions = [layer for layer in model.layers if isinstance(layer, keras.layers.Conv2D)]
    assert [layer.filters for layer in convolutions] == [16, 16, 32, 32, 64, 64, 128, 128]
    assert [layer.strides[0] for layer in convolutions] == [2, 1] * 4
    assert model.compute_output_shape((None, 96, 96, 3)) == (None, CLASSES)


def test_same_training_gives_the_same_file(tmp_path: Path) -> None:
    model_file.save(trained(), tmp_path / "one.keras")
    model_file.save(trained.__wrapped__(), tmp_path / "two.keras")
    model_file.save(trained(seed=2), tmp_path / "three.keras")
    one, two, three = ((tmp_path / f"{name}.keras").read_bytes() for name in ("one", "two", "three"))
    assert one == two
    assert one != three


def test_loaded_model_predicts_the_same(tmp_path: Path) -> None:
    model = trained()
    model_file.save(model, tmp_path / "model.keras")
    pixels = np.random.default_rng(1).integers(0, 256, (5, 32, 32, 3), np.uint8)
    back = model_file.load(tmp_path / "model.keras")
    assert np.array_equal(back(pixels).numpy(), model(pixels).numpy())
    assert back(pixels).numpy().sum(axis=1) == pytest.approx(1, abs=1e-6)


def test_file_holds_no_times(tmp_path: Path) -> None:
    model_file.save(trained(), tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        assert {info.date_time for info in archive.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert json.loads(archive.read("metadata.json"))["date_saved"].startswith("1980")


def test_fused_normalisation_equals_keras(tmp_path: Path) -> None:
    numbers = np.random.default_rng(2)
    images = numbers.normal(3, 2, (16, 8, 8, 5)).astype(np.float32)
    ours, theirs = BatchNormalization(momentum=0.9), keras.layers.BatchNormalization(momentum=0.9)
    for _ in range(2):
        one, other = (keras.ops.convert_to_numpy(layer(images, training=True)) for layer in (ours, theirs))
        assert one == pytest.approx(other, abs=1e-4)
    mean, variance = (keras.ops.convert_to_numpy(moving) for moving in (theirs.moving_mean, theirs.moving_variance))
    assert keras.ops.convert_to_numpy(ours.moving_mean) == pytest.approx(mean, rel=1e-5)
    # Of the unbiased estimate; what is left of the first variance, which is 1, after two steps is 0.81.
    unbiased = 0.81 + (variance - 0.81) * (16 * 8 * 8) / (16 * 8 * 8 - 1)
    assert keras.ops.convert_to_numpy(ours.moving_variance) == pytest.approx(unbiased, rel=1e-5)
    theirs.moving_variance.assign(ours.moving_variance)
    one, other = (keras.ops.convert_to_numpy(layer(images, training=False)) for layer in (ours, theirs))
    assert one == pytest.approx(other, abs=1e-4)
    model_file.save(trained(), tmp_path / "model.keras")
    with zipfile.ZipFile(tmp_path / "model.keras") as archive:
        assert b"lesions" not in archive.read("config.json")


def test_file_with_code_is_refused(tmp_path: Path) -> None:
    hostile, damaged, other = (tmp_path / name for name in ("hostile.keras", "damaged.keras", "other.keras"))
    ran = str(tmp_path / "ran")
    pixels = keras.Input((8, 8, 3))
    code = keras.layers.Lambda(lambda x: (open(ran, "w").close, x)[1], output_shape=(8, 8, 3))(pixels)  # noqa: PTH123, SIM115
    keras.Model(pixels, code).save(hostile)
    Path(ran).unlink(missing_ok=True)
    model_file.save(trained(), damaged)
    damaged.write_bytes(damaged.read_bytes()[:-2000])
    other.write_text("no archive")
    for path in (hostile, damaged, other):
        with pytest.raises(UserError, match=f"{path.name} is no model that can be read here"):
            model_file.load(path)
    assert not Path(ran).exists()


def test_epoch_has_each_image_once() -> None:
    first, second = np.zeros((6, 2, 2, 3), np.uint8), np.zeros((5, 2, 2, 3), np.uint8)
    first[:] = np.arange(6)[:, None, None, None]
    second[:] = np.arange(6, 11)[:, None, None, None]
    rows = np.array([0, 2, 4, 7, 10])
    stream = iter(train_batches([first, second], rows, rows * 10, batch=2, seed=3))
    epochs = []
    for _ in range(3):
        batches = [next(stream) for _ in range(n_steps(len(rows), 2))]
        seen = np.concatenate([pixels.numpy()[:, 0, 0, 0] for pixels, _ in batches])
        assert np.array_equal(np.concatenate([labels.numpy() for _, labels in batches]), seen.astype(int) * 10)
        assert sorted(seen) == list(rows)
        epochs.append(list(seen))
    assert epochs[0] != epochs[1]


@pytest.mark.parametrize(("loss", "val_loss"), [(math.nan, 1.0), (1.0, math.inf)])
def test_infinite_loss_names_the_epoch(loss: float, val_loss: float) -> None:
    with pytest.raises(UserError, match="in epoch 2 the loss became"):
        raise_on_nan(1, {"loss": loss, "val_loss": val_loss})
    raise_on_nan(1, {"loss": 1.0, "val_loss": 0.5})
