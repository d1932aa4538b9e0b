"""`lesions export`: the files give Keras's probabilities and describe themselves; wrong ones are refused."""

import lesions.models.common.determinism  # before all that imports Keras
from lesions.core.file_hash import sha256_of

# isort: split
import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from dataclasses import replace
from functools import partial
from pathlib import Path

import keras
import numpy as np
import onnx
import pytest
from keras import layers, ops
from numpy.typing import NDArray
from PIL import Image

from lesions.classifier import Classifier
from lesions.commands.export import convert, export, export_model
from lesions.core.errors import UserError
from lesions.core.json_files import write_json
from lesions.evaluation.common.decision_rule import DecisionRule
from lesions.evaluation.common.tasks import BinaryTask
from lesions.evaluation.common.temperature_scaling import Calibration
from lesions.evaluation.common.thresholds import OOD, ModelId, PredictionSets, Provenance, Threshold, Thresholds
from lesions.images.ood_images import generated
from lesions.images.preprocessing import Preprocessing
from lesions.inference.features import feature_model
from lesions.inference.predict import dihedral_views
from lesions.models.architectures import plain, pretrained
from lesions.models.calibration import metadata_prior, ood, thresholds
from lesions.models.common import saving
from lesions.taxonomy import about
from tests.conftest import ROOT
from tests.models.test_architectures import CASE, NAMES, build

CLASSES = ["mel", "bcc", "nv"]
COSTS = [[0.0, 1.0, 9.0], [2.0, 0.0, 2.0], [1.0, 1.0, 0.0]]
TASKS = {
    "melanoma": BinaryTask(positive=["mel"], negative=["bcc", "nv"]),
    "malignant": BinaryTask(positive=["mel", "bcc"], negative=["nv"]),
}
THRESHOLDS = [Threshold(task=name, metric="sensitivity", target=0.9, value=0.3) for name in TASKS]
PREPROCESSING = Preprocessing(image_size=(32, 32), resize_mode="squash", crop_borders=False, colour_constancy="none")


def with_varied_outputs(model: keras.Model) -> keras.Model:
    """Let a network with random weights give images different probabilities: else any file would agree with it."""
    pixels = np.stack([image for *_, image in generated(model.input.shape[1], model.input.shape[2], seed=1)])[::3]
    normalised = [layer for layer in model.layers if isinstance(layer, layers.BatchNormalization)]
    momenta = [layer.momentum for layer in normalised]
    for layer in normalised:
        layer.momentum = 0.0
    model(pixels, training=True)
    for layer, momentum in zip(normalised, momenta, strict=True):
        layer.momentum = momentum
    last = model.layers[-1]
    features = keras.Model(model.input, last.input)(pixels, training=False).numpy()
    spread = features.std(axis=0)[:, None]
    kernel = np.random.default_rng(0).normal(size=last.kernel.shape)
    kernel = np.divide(kernel, spread, out=np.zeros_like(kernel), where=spread > 0.1 * spread.mean())
    sums = features @ kernel
    kernel *= 2 / sums.std(axis=0)
    last.set_weights([kernel, -(features @ kernel).mean(axis=0)])
    return model


def calibration_of(classes: list[str]) -> Calibration:
    """Return a calibration that changes the probabilities."""
    return Calibration(temperature=1.7, classes=classes, biases=[0.5 * (-1) ** place for place in range(len(classes))])


def put_model(folder: Path, model: keras.Model, *, tta: bool = False) -> None:
    """Write a model's folder."""
    saving.save(model, folder / "model.keras")
    height, width = model.input.shape[1:3]
    preprocessing = PREPROCESSING.model_copy(update={"image_size": (height, width)})
    classes = CLASSES[: model.output.shape[1]]
    write_json(folder / "preprocessing.json", {"classes": classes, **preprocessing.to_json()})
    pixels = np.stack([image for *_, image in generated(height, width, seed=2)])
    features = feature_model(model)(pixels)[0].numpy()
    ood.save(ood.fit_reference(features, np.arange(len(pixels)) % len(classes)), folder / ood.FILE)
    metadata_prior.MetadataPrior(classes=classes).save(folder)
    calibration_of(classes).save(folder)
    costs = [row[: len(classes)] for row in COSTS[: len(classes)]]
    of_ood = Threshold(task=OOD, metric="specificity", target=0.99, value=100.0)
    Thresholds(
        model=ModelId(sha256=hashes(folder), tta=tta, use_metadata=False),
        classes=classes,
        leakage="none",
        training_data=Provenance(source="ham10000", provenance_sha256="bb"),
        tasks=TASKS,
        thresholds=[*THRESHOLDS, of_ood],
        decision_rule=DecisionRule(optimise="expected_cost", calibration=calibration_of(classes), costs=costs),
        prediction_sets=PredictionSets(coverage=0.9, least_probability=dict.fromkeys(classes, 0.1)),
    ).write(folder / "thresholds.json")


def hashes(folder: Path) -> dict[str, str]:
    return {name: sha256_of(folder / name) for name in thresholds.FILES}


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of the default network, an image, and what the command made."""
    folder = tmp_path_factory.mktemp("there")
    lesions.models.common.determinism.seed(1)
    put_model(folder / "models", with_varied_outputs(plain.build((32, 32, 3), 3)), tta=True)
    export.export(folder / "models", folder / "exported")
    noise = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise).resize((301, 227), Image.Resampling.BICUBIC).save(folder / "image.jpg", exif=exif)
    return folder


def some_images() -> NDArray[np.uint8]:
    return np.stack([image for *_, image in generated(*PREPROCESSING.image_size, seed=3)][::7])


def as_png(image: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(image).save(file, "PNG")
    return file.getvalue()


def test_files_equal_classify(there: Path) -> None:
    classifier, images = Classifier.of_folder(there / "models"), some_images()
    inputs = ((str(number), partial(as_png, image)) for number, image in enumerate(images))
    answers = list(classifier.classify_all(inputs, len(images)))
    by_onnx = convert.run_onnx((there / "exported/model.onnx").read_bytes(), images)
    by_litert = convert.run_litert((there / "exported/model.tflite").read_bytes(), images)
    assert np.ptp([answer.probabilities["mel"] for answer in answers]) > 0.3
    for found in (by_onnx, by_litert):
        for name in export_model.OUTPUTS:
            expected = [list(getattr(answer, name).values()) for answer in answers]
            assert np.abs(found[name] - expected).max() < 1e-4
        assert np.abs(found["probabilities"] - found["uncalibrated"]).max() > 0.01  # the calibration is inside


@pytest.mark.long
def test_same_model_gives_same_bytes(there: Path, tmp_path: Path) -> None:
    """In another process, in which sets have another order, after another network was converted."""
    code = (
        "from pathlib import Path; from lesions.commands.export.export import export\n"
        "export(Path('models'), Path('first'))\n"
        f"export(Path('models'), Path({str(tmp_path)!r}))"
    )
    run_python(code, there, PYTHONHASHSEED="7")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["model.json", "model.onnx", "model.tflite"]
    for name in names:
        assert (tmp_path / name).read_bytes() == (there / "exported" / name).read_bytes(), name


def run_python(code: str, folder: Path, **more: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | more
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_malignancy_is_that_of_the_model(there: Path) -> None:
    """As `clean.classes` may say otherwise than the taxonomy."""
    classifier = Classifier.of_folder(there / "models")
    tasks = {"malignant": BinaryTask(positive=["nv"], negative=["bcc"])}
    own = replace(classifier, thresholds=classifier.thresholds.model_copy(update={"tasks": tasks, "thresholds": []}))
    assert export.model_json(own)["malignancy"] == {"mel": "unstated", "bcc": "benign", "nv": "malignant"}


def test_files_contain_model_json(there: Path) -> None:
    text = (there / "exported/model.json").read_text(encoding="utf-8")
    found = json.loads(text)
    assert found["classes"] == CLASSES
    assert found["names"]["mel"] == "melanoma"
    assert found["calibration"]["temperature"] == 1.7
    assert found["calibration"]["biases"] == calibration_of(CLASSES).biases
    assert found["tasks"]["malignant"]["positive"] == ["mel", "bcc"]
    assert found["diagnosis"]["costs"] == COSTS
    assert found["thresholds"] == [threshold.model_dump() for threshold in THRESHOLDS]
    assert "nor can the one with the largest calibrated probability" in found["prediction_sets"]["use"]
    assert found["made_from"]["sha256"] == hashes(there / "models")
    assert found["preprocessing"]["image_size"] == [32, 32]
    assert "medical" in found["notice"]
    proto = onnx.load(there / "exported/model.onnx")
    assert {entry.key: entry.value for entry in proto.metadata_props} == {"model.json": text}
    with zipfile.ZipFile(there / "exported/model.tflite") as archive:
        assert archive.read("model.json").decode() == text


@pytest.mark.parametrize(("number", "runtime"), [(0, "onnxruntime"), (1, "ai_edge_litert")])
def test_documented_examples_run_without_keras(there: Path, number: int, runtime: str) -> None:
    text = (ROOT / "docs/export.md").read_text(encoding="utf-8")
    example = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[number]
    assert runtime in example
    assert len([line for line in example.splitlines() if line and not re.match("import|from", line)]) == 14
    printed = run_python(f"{example}\nimport sys; print('tensorflow' in sys.modules, 'lesions' in sys.modules)", there)
    *probabilities, diagnosis, alert, without = printed.splitlines()
    assert without == "False False"
    answer = Classifier.of_folder(there / "models").classify(there / "image.jpg")
    shown = [float(value) for value in re.findall(r"\d\.\d+", probabilities[0])]
    assert shown == pytest.approx(list(answer.probabilities.values()), abs=1e-3)
    assert diagnosis == f"diagnosis: {about(answer.diagnosis).name}"
    assert alert == ("ALERT" if answer.alerts["melanoma"] else "no alert")


def test_wrong_file_is_refused(there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right = convert.to_onnx

    def wrong(model: keras.Model, network: keras.Model) -> onnx.ModelProto:
        proto = right(model, network)
        bias = next(constant for constant in proto.graph.initializer if list(constant.dims) == [3])
        values = onnx.numpy_helper.to_array(bias) + np.array([0.01, 0, 0], np.float32)
        bias.ParseFromString(onnx.numpy_helper.from_array(values, bias.name).SerializeToString())
        return proto

    monkeypatch.setattr(convert, "to_onnx", wrong)
    monkeypatch.setattr(convert, "to_litert", lambda *_: b"")
    with pytest.raises(UserError, match=r"model\.onnx would not equal Keras: a probability differs by 0\.0"):
        export.export(there / "models", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_thresholds_of_another_model_are_refused(there: Path, tmp_path: Path) -> None:
    shutil.copytree(there / "models", tmp_path / "models")
    saving.save(with_varied_outputs(plain.build((32, 32, 3), 3)), tmp_path / "models/model.keras")
    with pytest.raises(UserError, match=r"thresholds\.json was made for another model\.keras"):
        export.export(tmp_path / "models", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_damaged_file_is_an_error() -> None:
    with pytest.raises(UserError, match="LiteRT cannot run the file"):
        convert.run_litert(b"no model", some_images())


def test_unsupported_layer_is_named() -> None:
    pixels = keras.Input((16, 16, 3))
    x = layers.Resizing(8, 8, "bicubic", name="small_images")(pixels)
    x = layers.GlobalAveragePooling2D()(ops.erfinv(x / 300))
    model = keras.Model(pixels, layers.Dense(2, activation="softmax")(x))
    whole = keras.Input((16, 16, 3), dtype="uint8", name="pixels")
    outside = keras.Model(whole, {"uncalibrated": model(ops.cast(whole, "float32"))})
    with pytest.raises(UserError, match=r"cannot be written as LiteRT: .*ResizeBicubic in the layer small_images"):
        convert.to_litert(outside, model)
    with pytest.raises(UserError, match=r"cannot be written as ONNX: there is no counterpart of Erfinv \("):
        convert.to_onnx(outside, model)


@pytest.mark.parametrize("shape", [(6, 6, 3), (4, 6, 3)])
def test_tta_and_calibration_equal_the_projects(shape: tuple[int, int, int]) -> None:
    images = np.random.default_rng(0).integers(0, 256, (2, *shape)).astype(np.float32)
    ours = {view.numpy().tobytes() for view in export_model.dihedral_views(ops.convert_to_tensor(images))}
    assert ours == {view.astype(np.float32).tobytes() for view in dihedral_views(images.astype(np.uint8))}
    probability = np.array([[1, 0, 0], [0.7, 0.3, 1e-30], [1 / 3, 1 / 3, 1 / 3], [0.02, 0.97, 0.01]])
    for value in (0.05, 1.0, 1.3, 20.0):
        calibration = Calibration(temperature=value, classes=["a", "b", "c"], biases=[-1.5, 0.5, 1.0])
        found = ops.convert_to_numpy(export_model.calibrate(ops.convert_to_tensor(probability, "float32"), calibration))
        assert np.abs(found - calibration.apply(probability.astype(np.float32))).max() < 1e-5


def largest_difference(model: keras.Model, folder: Path, *, tta: bool) -> float:
    """Return by how much the two files of a network differ from Keras."""
    put_model(folder, model, tta=tta)
    classifier = Classifier.of_folder(folder)
    images = np.stack([image for *_, image in generated(*classifier.preprocessing.image_size, seed=4)])[::20]
    expected, whole = export_model.keras_outputs(classifier, images), export_model.export_model(classifier)
    assert np.ptp(expected["probabilities"], axis=0).max() > 0.05
    proto, lite = convert.to_onnx(whole, classifier.model), convert.to_litert(whole, classifier.model)
    found = [convert.run_onnx(proto.SerializeToString(), images), convert.run_litert(lite, images)]
    return max(float(np.abs(one[name] - expected[name]).max()) for one in found for name in export_model.OUTPUTS)


def test_normalization_constants_are_exported(tmp_path: Path) -> None:
    pixels = keras.Input((16, 16, 3))
    x = layers.Normalization(mean=[103.9, 116.8, 123.7], variance=[2e3, 3e3, 4e3])(pixels)
    x = layers.Dense(4, activation="relu", name="features")(layers.GlobalAveragePooling2D()(x))
    model = keras.Model(pixels, layers.Dense(3, activation="softmax")(x))
    assert largest_difference(with_varied_outputs(model), tmp_path, tta=False) < 1e-4


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_every_architecture_is_exported(name: str, tmp_path: Path) -> None:
    lesions.models.common.determinism.seed(1)
    model = with_varied_outputs(build(CASE[name]._replace(shape=(40, 48, 3), classes=3)))
    assert largest_difference(model, tmp_path, tta=name == "residual") < 1e-4


@pytest.mark.long
@pytest.mark.parametrize(
    "network",
    [
        *("MobileNetV2", "MobileNetV3Small", "EfficientNetB0", "EfficientNetV2B0", "DenseNet121", "ResNet50"),
        *("ResNet50V2", "VGG16", "InceptionV3", "Xception", "NASNetMobile"),
    ],
)
def test_keras_applications_are_exported(network: str, tmp_path: Path) -> None:
    lesions.models.common.determinism.seed(1)
    write_json(tmp_path / "weights.json", {"model": network, "alpha": 1.0, "file": None, "source": "random"})
    model = with_varied_outputs(pretrained.build((80, 80, 3), 3, tmp_path))
    assert largest_difference(model, tmp_path / "models", tta=False) < 1e-4
