"""Pretrained weights: pinned by a hash, numbers and nothing else, and in the network just as in the file."""

import lesions.models.common.determinism  # before all that imports Keras

# isort: split
import hashlib
import json
import os
import pickle
import re
import zipfile
from collections.abc import Callable
from pathlib import Path
from shutil import copyfile

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from lesions.core.errors import UserError
from lesions.core.json_files import read_json, write_json
from lesions.core.params import read_file
from lesions.models.architectures import pretrained
from lesions.models.common import saving as model_file
from lesions.models.common.batch_norm import BatchNormalization
from lesions.models.pretrained.weights_file import copy_weights
from lesions.models.training.optimizer import is_head
from lesions.params.all import check_sections
from lesions.params.keras_applications import IMAGENET, NETWORKS, WITH_WIDTH, WeightsFile
from lesions.params.pretrained import Pretrained
from lesions.params.train import Train
from stages import weights as stage
from stages.train import networks
from tests.conftest import ROOT, edit_params

SHAPE = (32, 32, 3)
MOBILENET = {"model": "MobileNet", "alpha": 0.25}


@pytest.fixture(scope="module")
def published(tmp_path_factory: pytest.TempPathFactory) -> keras.Model:
    """MobileNet as Keras builds it, with weights of its own in place of ImageNet's."""
    lesions.models.common.determinism.seed(7)
    folder = tmp_path_factory.mktemp("published")
    model = keras.applications.MobileNet(input_shape=SHAPE, alpha=0.25, include_top=False, weights=None)
    model.set_weights([np.random.default_rng(i).random(w.shape, np.float32) for i, w in enumerate(model.get_weights())])
    for suffix in (".h5", ".keras"):
        model.save(folder / f"model{suffix}")
    model.save_weights(folder / "model.weights.h5")
    model.folder = folder
    return model


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to run the stage in."""
    copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    edit_params(tmp_path, train={"architecture": "pretrained"})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def backbone_weights(model: keras.Model) -> list[np.ndarray]:
    return [weight.numpy() for layer in model.layers if not is_head(layer) for weight in layer.weights]


def same(one: list[np.ndarray], other: list[np.ndarray]) -> bool:
    return len(one) == len(other) and all(map(np.array_equal, one, other))


# The stage


def test_no_network_gives_one_output(here: Path) -> None:
    stage.main()
    edit_params(here, pretrained={"alpha": 0.5, "weights": "none"})
    before = (here / "data/weights/weights.json").read_bytes()
    stage.main()
    assert (here / "data/weights/weights.json").read_bytes() == before == b'{\n  "model": "none"\n}\n'
    edit_params(here, pretrained=MOBILENET, train={"architecture": "plain"})  # which uses none, so none is fetched
    stage.main()
    assert (here / "data/weights/weights.json").read_bytes() == before
    assert [file.name for file in (here / "data/weights").iterdir()] == ["weights.json"]


@pytest.mark.parametrize("name", ["model.h5", "model.weights.h5", "model.keras"])
def test_network_has_the_weights_of_the_file(here: Path, published: keras.Model, name: str) -> None:
    edit_params(here, pretrained={**MOBILENET, "weights": "path", "path": str(published.folder / name)})
    stage.main()
    record = read_json(here / "data/weights/weights.json")
    assert record["source"] == name  # not where this machine has it
    assert record["sha256"] == hashlib.sha256((here / "data/weights" / record["file"]).read_bytes()).hexdigest()
    assert same(backbone_weights(pretrained.build(SHAPE, 3)), published.get_weights())
    assert same(backbone_weights(pretrained.build((48, 64, 3), 3)), published.get_weights())


def test_imagenet_from_downloads(here: Path, published: keras.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    content = (published.folder / "model.h5").read_bytes()
    file = WeightsFile("http://localhost:9/", "some_no_top.h5", sha256=hashlib.sha256(content).hexdigest())
    monkeypatch.setitem(IMAGENET, ("MobileNet", 0.25), file)
    edit_params(here, pretrained=MOBILENET)
    downloads = here / "data/downloads"
    downloads.mkdir(parents=True)
    (downloads / file.name).write_bytes(content)
    stage.main()
    assert same(backbone_weights(pretrained.build(SHAPE, 3)), published.get_weights())
    (downloads / file.name).write_bytes(content[:-1] + b"?")
    with pytest.raises(UserError, match="is not the file that is expected"):
        stage.main()


def test_random_weights(here: Path) -> None:
    edit_params(here, pretrained={"model": "MobileNetV2", "alpha": 0.35, "weights": "none"})
    stage.main()
    assert pretrained.build(SHAPE, 3).count_params() == 410_208 + 1281 * 3


def test_each_member_has_its_network(here: Path) -> None:
    lite = {"model": "EfficientNetLite0", "weights": "none"}
    others = [{"model": "MobileNetV2", "alpha": 0.35, "weights": "none"}, lite]
    edit_params(here, pretrained={**MOBILENET, "weights": "none", "further_members": others})
    stage.main()
    params = Train.read(here / "params.yaml").model_copy(update={"architecture": "pretrained", "ensemble_size": 4})
    first, *further = (build(SHAPE, 3).count_params() for build in networks(params))
    assert first == pretrained.build(SHAPE, 3).count_params()
    assert further == [410_208 + 1281 * 3, 3_413_024 + 1281 * 3]


def test_own_network_as_weights(here: Path) -> None:
    write_json(here / "weights.json", {**MOBILENET, "file": None})
    trained = pretrained.build((48, 48, 3), 7, here)
    model_file.save(trained, here / "model.keras")
    edit_params(here, pretrained={**MOBILENET, "weights": "path", "path": "model.keras"})
    stage.main()
    assert same(backbone_weights(pretrained.build(SHAPE, 3)), backbone_weights(trained))


# Models around the network


def tiny(prefix: str = "", first: int = 4) -> keras.Model:
    """A network with random weights, with the kinds of layers that files differ in; none knows images' size."""

    def name(own: str) -> str | None:
        return f"{prefix}_{own}" if prefix else None  # Keras's own, with a number

    x = entry = keras.Input((None, None, 3))
    x = layers.Normalization(name=name("scale"))(x)  # nothing to train in it
    for number, filters in enumerate((first, 4, 8)):
        x = layers.Conv2D(filters, 3, padding="same", name=name(f"conv{number}"))(x)
        x = layers.BatchNormalization(name=name(f"bn{number}"))(x)
    inner = keras.Input((None, None, 8))
    x = keras.Sequential([inner, layers.LayerNormalization(name=name("ln")), layers.Conv2D(8, 2, name=name("last"))])(
        x
    )  # as in ConvNeXt
    model = keras.Model(entry, x)
    values = np.random.default_rng(first)
    model.set_weights([values.uniform(0.5, 1, w.shape).astype(w.dtype) for w in model.get_weights()])
    return model


def head(maps: keras.KerasTensor) -> keras.KerasTensor:
    pooled = layers.BatchNormalization()(layers.Dense(5)(layers.GlobalAveragePooling2D()(maps)))
    return layers.Dense(3, activation="softmax")(pooled)


def behind(entry: keras.KerasTensor, *networks: keras.Model) -> keras.Model:
    """A model of networks within it, behind a convolution of its own, with a head."""
    x = layers.Conv2D(3, 1)(entry)
    maps = [network(x) for network in networks]
    return keras.Model(entry, head(maps[0] if len(maps) == 1 else layers.Add()(maps)))


def frozen(network: keras.Model, of: list[keras.layers.Layer]) -> keras.Model:
    for layer in of:
        layer.trainable = False
    return network


def in_sequential(network: keras.Model) -> keras.Model:
    return keras.Sequential([keras.Input((32, 32, 3)), layers.Rescaling(1 / 255), network, layers.Flatten()])


AROUND: dict[str, Callable[[keras.Model], keras.Model]] = {
    "alone": lambda network: network,
    "head": lambda network: keras.Model(network.input, head(network.output)),
    "Sequential": in_sequential,
    "frozen": lambda network: in_sequential(frozen(network, network.layers)),
    "model": lambda network: behind(keras.Input((32, 32, 3)), network),
    "model in a model": lambda network: behind(keras.Input((32, 32, 3)), in_sequential_of_maps(network)),
    "partly frozen": lambda network: in_sequential(frozen(network, network.layers[2:4])),
}


def in_sequential_of_maps(network: keras.Model) -> keras.Model:
    return keras.Sequential([keras.Input((None, None, 3)), network, layers.ReLU()])


def saved(model: keras.Model, folder: Path, suffix: str) -> Path:
    """Save a model, and prepare the file as the stage does."""
    file = folder / f"given{suffix}"
    (model.save_weights if suffix == ".weights.h5" else model.save)(file)
    return copy_weights(file, folder)


WANTED = {**MOBILENET, "source": "given"}


@pytest.mark.parametrize("suffix", [".h5", ".weights.h5", ".keras"])
@pytest.mark.parametrize("around", AROUND)
def test_network_is_found_in_a_model(here: Path, around: str, suffix: str) -> None:
    given = tiny("a" if around == "partly frozen" else "")
    values = {id(layer): layer.get_weights() for layer in given.layers}
    file = saved(AROUND[around](given), here, suffix)
    found = tiny("a")
    found.set_weights([np.zeros_like(array) for array in found.get_weights()])
    pretrained.load_backbone(found, file, WANTED)
    for layer, original in zip(found.layers, given.layers, strict=True):
        assert same(layer.get_weights(), values[id(original)]), layer.name


@pytest.mark.parametrize("suffix", [".h5", ".weights.h5", ".keras"])
def test_what_a_model_holds_is_said(here: Path, suffix: str) -> None:
    twice = behind(keras.Input((32, 32, 3)), tiny(), tiny())
    with pytest.raises(UserError, match=r"fit MobileNet at alpha 0\.25: it holds that network more than once"):
        pretrained.load_backbone(tiny(), saved(twice, here, suffix), WANTED)
    other = in_sequential(tiny("a", first=6))
    with pytest.raises(UserError, match=r"no 9 are that network's; for instance a_conv0, expected .*\(4,\)"):
        pretrained.load_backbone(tiny("a"), saved(other, here, suffix), WANTED)


def test_long_lists_of_names(here: Path) -> None:
    """Keras parts an attribute that is longer than HDF5 allows."""
    given = tiny()
    file = saved(given, here, ".h5")
    with h5py.File(file, "a") as opened:
        group = opened["model_weights"]
        names = list(group.attrs["layer_names"])
        del group.attrs["layer_names"]
        group.attrs["layer_names0"], group.attrs["layer_names1"] = names[:3], names[3:]
    found = tiny("a")
    pretrained.load_backbone(found, file, WANTED)
    assert same(found.get_weights(), given.get_weights())


# Files that are not what they should be


def test_partial_weights_are_refused(here: Path, published: keras.Model) -> None:
    """Keras would leave the rest as it was, with a warning."""
    copyfile(published.folder / "model.weights.h5", here / "part.weights.h5")
    with h5py.File(here / "part.weights.h5", "a") as file:
        del file["layers/depthwise_conv2d_3"]
    edit_params(here, pretrained={**MOBILENET, "weights": "path", "path": "part.weights.h5"})
    stage.main()
    with pytest.raises(UserError, match=r"part\.weights\.h5 do not fit MobileNet"):
        pretrained.build(SHAPE, 3)


def test_nan_weights_are_refused(here: Path, published: keras.Model) -> None:
    copyfile(published.folder / "model.weights.h5", here / "nan.weights.h5")
    with h5py.File(here / "nan.weights.h5", "a") as file:
        file["layers/depthwise_conv2d_3/vars/0"][0, 0] = np.nan
    edit_params(here, pretrained={**MOBILENET, "weights": "path", "path": "nan.weights.h5"})
    stage.main()
    with pytest.raises(UserError, match="its layer conv_dw_4 holds NaN or infinity"):
        pretrained.build(SHAPE, 3)


def test_weights_of_another_network_are_refused(here: Path, published: keras.Model) -> None:
    for name in ("model.h5", "model.weights.h5"):
        for other in ({"model": "MobileNet", "alpha": 0.5}, {"model": "MobileNetV2", "alpha": 1.0}):
            edit_params(here, pretrained={**other, "weights": "path", "path": str(published.folder / name)})
            stage.main()
            with pytest.raises(UserError, match=f"{name} do not fit {other['model']} at alpha {other['alpha']}"):
                pretrained.build(SHAPE, 3)


class Attack:
    """What runs code when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("attacked",)


def pickled(path: Path) -> None:
    path.write_bytes(pickle.dumps(Attack()))


def cut(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["layers/conv2d/vars/0"] = np.zeros((64, 64))
    path.write_bytes(path.read_bytes()[:1500])


def hollow(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("layers/conv2d/vars/0", (10**6, 10**6), "f4", chunks=(64, 64))


def compressed(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("layers/conv2d/vars/0", data=np.zeros(10**6), compression="gzip")


def linked(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["layers/conv2d/vars/0"] = h5py.ExternalLink("/etc/passwd", "/")


def elsewhere(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file.create_dataset("layers/conv2d/vars/0", (8,), "u1", external=[("/etc/passwd", 0, 8)])


def text(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["layers/conv2d/vars/0"] = "import os"


def other_hdf5(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["images"] = np.zeros(4)


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (pickled, "is no HDF5 file, or a damaged one"),
        (cut, "is no HDF5 file, or a damaged one"),
        (hollow, "claims 4,000,000,000,000 of numbers"),
        (compressed, "expected them uncompressed"),
        (linked, "vars/0 is a link"),
        (elsewhere, "vars/0 is no array of numbers"),
        (text, "vars/0 is no array of numbers"),
        (other_hdf5, "holds no layers"),
    ],
)
def test_hostile_file_is_refused(here: Path, make: object, words: str) -> None:
    assert callable(make)
    make(here / "given.h5")
    with pytest.raises(UserError, match=words):
        copy_weights(here / "given.h5", here)
    with zipfile.ZipFile(here / "given.keras", "w") as archive:
        archive.write(here / "given.h5", "model.weights.h5")
    with pytest.raises(UserError, match=words):
        copy_weights(here / "given.keras", here)
    assert not (here / "attacked").exists()


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damaged_archive_is_refused(here: Path, method: int) -> None:
    file = here / "given.keras"
    with zipfile.ZipFile(file, "w", method) as archive:
        archive.writestr("model.weights.h5", bytes(range(256)) * 100)
    content = bytearray(file.read_bytes())
    content[60:120] = bytes(byte ^ 0x5A for byte in content[60:120])
    file.write_bytes(content)
    with pytest.raises(UserError, match=r"is no \.keras file, or a damaged one"):
        copy_weights(file, here)


def test_group_that_holds_itself(here: Path) -> None:
    with h5py.File(here / "given.h5", "w") as file:
        file["layers/again"] = file.create_group("layers/one")
        file["layers/one/two"] = file["layers"]
    assert copy_weights(here / "given.h5", here).name == "weights.h5"


def test_efficientnet_scales_as_imagenet(here: Path) -> None:
    """Its files hold standard deviations in the place of variances."""
    network = keras.applications.EfficientNetB0(input_shape=SHAPE, include_top=False, weights=None)
    scaling = next(layer for layer in network.layers if isinstance(layer, layers.Normalization))
    mean, spread = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    scaling.set_weights([mean, spread, np.array(0)])
    network.save(here / "own.keras")
    edit_params(here, pretrained={"model": "EfficientNetB0", "alpha": 1.0, "weights": "path", "path": "own.keras"})
    stage.main()
    built = pretrained.build(SHAPE, 2)
    (ours,) = [layer for layer in built.layers if isinstance(layer, layers.Normalization)]
    pixels = np.random.default_rng(0).integers(0, 256, (1, *SHAPE)).astype(np.float32)
    found = keras.Model(built.inputs, ours.output)(pixels)
    np.testing.assert_allclose(found, (pixels / 255 - mean) / spread, rtol=1e-4, atol=1e-4)


def test_no_code_of_a_file_is_run(here: Path, published: keras.Model) -> None:
    """A Lambda layer stands in the file's description, which is not even copied."""
    hostile = {"class_name": "Lambda", "config": {"function": {"class_name": "__lambda__", "config": {"code": "4wA="}}}}
    with zipfile.ZipFile(published.folder / "model.keras") as good, zipfile.ZipFile(here / "bad.keras", "w") as bad:
        bad.writestr("config.json", json.dumps(hostile))
        bad.writestr("model.weights.h5", good.read("model.weights.h5"))
    edit_params(here, pretrained={**MOBILENET, "weights": "path", "path": "bad.keras"})
    stage.main()
    assert same(backbone_weights(pretrained.build(SHAPE, 3)), published.get_weights())
    assert sorted(file.name for file in Path("data/weights").iterdir()) == ["weights.h5", "weights.json"]


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04 nothing more", None])
def test_no_archive(here: Path, content: bytes | None) -> None:
    if content is not None:
        (here / "given.keras").write_bytes(content)
    with pytest.raises(UserError, match=r"given\.keras is no"):
        copy_weights(here / "given.keras", here)


# The network


@pytest.mark.parametrize("module", ["mobilenet", "resnet", "densenet", "mobilenet_v3"])
def test_preprocessing_equals_keras(module: str) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (2, 8, 8, 3)).astype(np.float32)
    entry = keras.Input((8, 8, 3))
    ours = keras.Model(entry, pretrained.preprocess(entry, module) * 1.0)(pixels)
    expected = getattr(keras.applications, module).preprocess_input(pixels.copy())
    assert np.asarray(ours) == pytest.approx(expected, abs=1e-5)


def test_every_module_of_keras_is_known() -> None:
    """`preprocess` tells three kinds by name and takes the rest for -1 to 1: a new module must be checked."""
    modules = {getattr(keras.applications, name).__module__.rpartition(".")[2] for name in NETWORKS}
    assert modules == {
        *("convnext", "densenet", "efficientnet", "efficientnet_v2", "inception_resnet_v2", "inception_v3"),
        *("mobilenet", "mobilenet_v2", "mobilenet_v3", "nasnet", "resnet", "resnet_v2", "vgg16", "vgg19", "xception"),
    }


def test_frozen_backbone_does_not_change(tmp_path: Path) -> None:
    write_json(tmp_path / "weights.json", {**MOBILENET, "file": None})
    model = pretrained.build(SHAPE, 3, tmp_path)
    for layer in (layer for layer in model.layers if not is_head(layer)):
        layer.trainable = False
    assert [layer.name for layer in model.layers if layer.trainable] == [
        *("head_pooling", "head_dropout", "probabilities"),
    ]
    assert any(isinstance(layer, layers.BatchNormalization) for layer in model.layers)
    before = [value.copy() for value in backbone_weights(model)]
    head = model.get_layer("probabilities").get_weights()
    model.compile("adam", "sparse_categorical_crossentropy")
    model.train_on_batch(np.full((4, *SHAPE), 200, np.uint8), np.array([0, 1, 2, 0]))
    assert same(backbone_weights(model), before)
    assert not same(model.get_layer("probabilities").get_weights(), head)


@pytest.mark.parametrize(("network", "all_fused"), [("MobileNet", True), ("InceptionV3", False)])
def test_fused_normalisation(tmp_path: Path, network: str, all_fused: bool) -> None:
    write_json(tmp_path / "weights.json", {"model": network, "alpha": 0.25, "file": None})
    model = pretrained.build((75, 75, 3), 3, tmp_path)
    assert isinstance(model.input, keras.KerasTensor)  # not a list of one, of which Keras warns with each batch
    normalising = [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
    fused = [isinstance(layer, BatchNormalization) for layer in normalising]
    assert len(fused) > 20
    assert fused == [all_fused] * len(fused)
    assert [layer.scale for layer in normalising] == fused


# What can be named


def test_table_equals_keras() -> None:
    assert [name for name in dir(keras.applications) if name[0].isupper()] == NETWORKS
    sources = Path(keras.__file__).parent.glob("src/applications/*.py")
    source = "\n".join(file.read_text() for file in sources)
    for (network, width), file in IMAGENET.items():
        assert re.fullmatch(r"[0-9a-f]{32}", file.md5 or "0" * 32)
        assert re.fullmatch(r"[0-9a-f]{64}", file.sha256 or "0" * 64)
        assert network == "MobileNet" or (file.md5 or file.sha256 or "nothing") in source
        assert width == 1 or network in WITH_WIDTH


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {"model": "MobilNet"},
            'pretrained.model: Keras Applications has no such network; did you mean "MobileNet"?',
        ),
        ({"model": "ResNet50", "alpha": 0.5}, "ResNet50 has one alpha, 1.0"),
        ({"model": "MobileNetV2"}, "nobody publishes a hash of the ImageNet weights of MobileNetV2 at alpha 1"),
        ({"model": "MobileNet", "alpha": 0.5}, "set alpha to 0.25, or fetch them yourself and set weights to path"),
        ({"model": "MobileNet", "weights": "path"}, "weights is path, but path names no file"),
        ({"path": "~/weights.h5"}, "pretrained.path: write the whole path"),
        ({"path": "weights.pkl"}, "pretrained.path: expected a file .h5 or .keras"),
    ],
)
def test_unavailable_weights_are_refused(values: dict[str, object], words: str) -> None:
    params = read_file(ROOT / "params.yaml")["pretrained"]
    Pretrained.check(params)
    with pytest.raises(UserError) as error:
        Pretrained.check(params | values)
    assert words in str(error.value)


@pytest.mark.usefixtures("here")
def test_pretrained_network_must_be_named() -> None:
    content = read_file()
    content["train"]["architecture"] = "pretrained"
    with pytest.raises(UserError, match=r"pretrained, but pretrained\.model is none"):
        check_sections(content)
    stage.main()
    with pytest.raises(UserError, match=r"set pretrained\.model"):
        pretrained.build(SHAPE, 3)
