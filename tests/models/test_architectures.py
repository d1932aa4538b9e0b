"""The networks: layers and weights as their texts state them, and what all of them have in common."""

import lesions.models.common.determinism  # before all that imports Keras

# isort: split
import importlib
import runpy
from pathlib import Path

import keras
import numpy as np
import pytest
from keras import layers

from lesions.core.errors import UserError
from lesions.core.json_files import write_json
from lesions.models.architectures import lifecycle, pretrained
from lesions.models.common import saving as model_file
from lesions.params.cross_checks import LEAST_PX, LEAST_PX_PRETRAINED
from lesions.params.keras_applications import NETWORKS
from tests.conftest import ROOT

TABLE = runpy.run_path(str(ROOT / "benchmarks/architectures.py"), run_name="table")
build, facts, multiply_adds = TABLE["build"], TABLE["facts"], TABLE["multiply_adds"]

NAMES = sorted(file.stem for file in (ROOT / "lesions/models/architectures").glob("[!_]*.py"))
CASE = {case.architecture: case for case in TABLE["CASES"]}

STATED = {
    # Three Conv(3×3, relu)+MaxPool blocks 16-32-64, Flatten, Dense 128, softmax.
    "notebook_basic": ["conv 16 3×3", "pool", "conv 32 3×3", "pool", "conv 64 3×3", "pool", "flatten", "dense 128"],
    # The same with Dropout.
    "notebook_dropout": [
        *("conv 16 3×3", "pool", "conv 32 3×3", "pool", "conv 64 3×3", "pool", "dropout 0.2", "flatten", "dense 128"),
    ],
    # Conv 32 5×5 ×2, Pool; Conv 64 5×5, Pool; Conv 64 5×5, Pool; Dropout .25; Flatten; Dense 9 softmax; `same`.
    "notebook_5x5": [
        *("conv 32 5×5", "conv 32 5×5", "pool", "conv 64 5×5", "pool", "conv 64 5×5", "pool", "dropout 0.25"),
        "flatten",
    ],
    # Conv 32-64-128 3×3, Dense 128, Dropout .5.
    "notebook_generator": [
        *("conv 32 3×3 unpadded", "pool", "conv 64 3×3 unpadded", "pool", "conv 128 3×3 unpadded", "pool", "flatten"),
        *("dense 128", "dropout 0.5"),
    ],
    # [Conv 32 3×3 ×2, Pool, Dropout .25], [Conv 64 3×3 ×2, Pool, Dropout .4], Flatten, Dense 128, Dropout .5.
    "lifecycle": [
        *("conv 32 3×3", "conv 32 3×3", "pool", "dropout 0.25", "conv 64 3×3", "conv 64 3×3", "pool", "dropout 0.4"),
        *("flatten", "dense 128", "dropout 0.5"),
    ],
}
WEIGHTS = {
    "plain": 295_863,
    "residual": 1_051_623,
    "notebook_basic": 3_989_801,  # TensorFlow's tutorial prints 3,989,285 for five classes
    "notebook_dropout": 3_989_801,
    "notebook_5x5": 460_585,
    "notebook_generator": 6_648_137,
    "lifecycle": 3_752_999,  # stated: 3.75 M
    "pretrained": 218_544 + 7 * 257,  # MobileNet at width 0.25, without its own last layer, and ours
}


def described(layer: layers.Layer) -> str:
    """Return a layer in the words of the texts."""
    if isinstance(layer, layers.Conv2D):
        assert layer.activation is keras.activations.relu
        padding = "" if layer.padding == "same" else " unpadded"
        return f"conv {layer.filters} {layer.kernel_size[0]}×{layer.kernel_size[1]}{padding}"
    if isinstance(layer, layers.Dense):
        assert layer.activation is keras.activations.relu
        return f"dense {layer.units}"
    return f"dropout {layer.rate}" if isinstance(layer, layers.Dropout) else KINDS[type(layer)]


KINDS = {layers.MaxPooling2D: "pool", layers.Flatten: "flatten"}


@pytest.mark.parametrize("name", STATED)
def test_layers_of_a_published_network(name: str) -> None:
    pixels, rescaling, *middle, last = build(CASE[name]).layers
    assert isinstance(pixels, layers.InputLayer)
    assert isinstance(rescaling, layers.Rescaling)
    assert [described(layer) for layer in middle] == STATED[name]
    assert last.units == CASE[name].classes
    assert last.activation is keras.activations.softmax


def test_every_network_is_in_the_table() -> None:
    assert sorted(CASE) == NAMES == sorted(WEIGHTS)


@pytest.mark.parametrize("name", NAMES)
def test_table_in_the_document(name: str) -> None:
    model = build(CASE[name])
    assert model.count_params() == WEIGHTS[name]
    document = (ROOT / "docs/architectures.md").read_text(encoding="utf-8")
    table = document.partition(TABLE["BEGIN"])[2].partition(TABLE["END"])[0].splitlines()
    row = f"| {' | '.join(facts(CASE[name], model))} | "
    assert [line for line in table if line.startswith(row)], f"run benchmarks/architectures.py: {row}"


def test_multiply_adds_by_hand() -> None:
    by_hand = 75 * 100 * 9 * (3 * 32 + 32 * 32) + 37 * 50 * 9 * (32 * 64 + 64 * 64) + 18 * 25 * 64 * 128 + 128 * 7
    assert multiply_adds(lifecycle.build((75, 100, 3), 7)) == by_hand
    pixels = keras.Input((8, 8, 3))
    depthwise = keras.Model(pixels, layers.DepthwiseConv2D(3, strides=2, padding="same")(pixels))
    assert multiply_adds(depthwise) == 4 * 4 * 9 * 3


@pytest.mark.parametrize("name", NAMES)
def test_network_gives_probabilities(name: str, tmp_path: Path) -> None:
    lesions.models.common.determinism.seed(1)
    model = build(CASE[name]._replace(shape=(40, 48, 3), classes=3))
    assert not [layer for layer in model.layers if isinstance(layer, layers.Lambda)]
    assert [layer.name for layer in model.layers][-1] == "probabilities"
    pixels = np.random.default_rng(1).integers(0, 256, (2, 40, 48, 3), np.uint8)
    probability = model(pixels).numpy()
    assert probability.sum(axis=1) == pytest.approx(1, abs=1e-6)
    # Untrained, a network that normalises its pixels is certain of nothing.
    assert probability.max() < 0.999
    model_file.save(model, tmp_path / "model.keras")
    assert np.array_equal(model_file.load(tmp_path / "model.keras")(pixels).numpy(), probability)


@pytest.mark.parametrize("name", ["plain", "residual", "notebook_generator"])
def test_small_image_is_refused(name: str) -> None:
    least = LEAST_PX.get(name, 16)
    module = importlib.import_module(f"lesions.models.architectures.{name}")
    module.build((least, least, 3), 2)
    with pytest.raises(UserError, match=f"{name} needs images of at least {least} pixels .*{least}×{least - 1}"):
        module.build((least, least - 1, 3), 2)


@pytest.mark.parametrize("network", NETWORKS)
def test_small_image_is_refused_by_keras(network: str, tmp_path: Path) -> None:
    least = LEAST_PX.get(network, LEAST_PX_PRETRAINED)
    write_json(tmp_path / "weights.json", {"model": network, "alpha": 1.0, "file": None, "source": "random"})
    with pytest.raises(UserError, match=f"{network} needs images of at least {least} pixels"):
        pretrained.build((least - 1, least, 3), 2, tmp_path)


def test_others_take_the_smallest_images() -> None:
    for name in ("notebook_basic", "notebook_dropout", "notebook_5x5", "lifecycle"):
        build(CASE[name]._replace(shape=(16, 16, 3)))
