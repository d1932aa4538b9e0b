"""`lesions export`: files that answer as Keras does, say what they are, and are refused where they would not."""

import lesions.models.common.determinism  # before all that imports Keras

# isort: split
import io
import json
import os
import re
import shutil
import subprocess
import sys
import zipfile
from functools import partial
from pathlib import Path

import keras
import numpy as np
import onnx
import pandas as pd
import pytest
from keras import layers, ops
from numpy.typing import NDArray
from PIL import Image

from lesions.classifier import Classifier
from lesions.commands.export import answering, export, litert_file, loss, onnx_file
from lesions.commands.export.converting import converted
from lesions.core import image_array as packed
from lesions.core.errors import UserError
from lesions.core.json_files import read_json, write_json
from lesions.core.model_hashes import hashes
from lesions.evaluation import calibration
from lesions.images.preprocessing import Recipe
from lesions.inference import metadata_prior as patient
from lesions.inference import ood as likeness
from lesions.inference.features import with_features
from lesions.inference.ood_images import generated
from lesions.inference.predict import orientations
from lesions.models.architectures import plain, pretrained
from lesions.models.common import saving as model_file
from tests.conftest import ROOT
from tests.models.test_architectures import CASE, NAMES, build

CLASSES = ["mel", "bcc", "nv"]
QUESTIONS = {"melanoma": ["mel"], "malignant": ["mel", "bcc"]}
AT_LEAST = {"sensitivity of at least 90% on val": 0.3}
RECIPE = Recipe(px=(32, 32), fit="squash", borders="keep", colour_constancy="none")


def lively(model: keras.Model) -> keras.Model:
    """Let a network with random weights tell pictures apart: else any file would agree with it."""
    pixels = np.stack([picture for *_, picture in generated(model.input.shape[1], model.input.shape[2], seed=1)])[::3]
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


def put_model(folder: Path, model: keras.Model, *, dihedral: bool = False, temperature: float | None = 1.7) -> None:
    """Write a model's folder."""
    model_file.save(model, folder / "model.keras")
    height, width = model.input.shape[1:3]
    recipe = RECIPE.model_copy(update={"px": (height, width)})
    classes = CLASSES[: model.output.shape[1]]
    write_json(folder / "recipe.json", {"classes": classes, **recipe.to_json()})
    pixels = np.stack([picture for *_, picture in generated(height, width, seed=2)])
    features = with_features(model)(pixels)[0].numpy()
    likeness.save(likeness.fit(features, np.arange(len(pixels)) % len(classes)), folder / "likeness.npz")
    patient.save(patient.Patient(classes=classes), folder)
    decision = {
        "model": {"sha256": hashes(folder), "dihedral": dihedral, "patient": False},
        "classes": classes,
        "protocol": "honest",
        "temperature": temperature,
        "thresholds": {name: {"positive": of, "at_least": AT_LEAST} for name, of in QUESTIONS.items()},
        "unlikeness": {"flagged_above": 100.0},
    }
    write_json(folder / "decision.json", decision)


def put_data(data: Path, classifier: Classifier) -> None:
    """Write pictures with three sides, and what the model says of them."""
    pictures = list(generated(*classifier.recipe.px, seed=3))
    index = pd.DataFrame({"image_id": [f"P{number:03}" for number in range(len(pictures))]})
    index["label"] = [CLASSES[number % 3] for number in range(len(pictures))]
    packed.write(data / "prepared", index, (picture for *_, picture in pictures), classifier.recipe.px)
    write_json(data / "prepared/recipe.json", classifier.recipe.to_json())
    split = index[["image_id"]].assign(
        split=[("train", "train", "val", "test")[number // 3 % 4] for number in range(len(pictures))]
    )
    (data / "split").mkdir()
    split.to_csv(data / "split/split.csv", index=False)
    said = answering.keras_answers(classifier, np.stack([picture for *_, picture in pictures]))["uncalibrated"]
    table = split.merge(index, on="image_id").assign(protocol="honest")
    table[classifier.decision.classes] = said
    (data / "predictions").mkdir()
    table[table["split"] != "train"].to_csv(data / "predictions/pictures_alone.csv", index=False)


@pytest.fixture(scope="module")
def there(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a model of the default network, its data, a picture, and what the command made."""
    folder = tmp_path_factory.mktemp("there")
    lesions.models.common.determinism.seed(1)
    put_model(folder / "models", lively(plain.build((32, 32, 3), 3)), dihedral=True)
    put_data(folder / "data", Classifier.of_folder(folder / "models"))
    export.export(folder / "models", folder / "exported", folder / "data", int8=True)
    noise = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(noise).resize((301, 227), Image.Resampling.BICUBIC).save(folder / "picture.jpg", exif=exif)
    return folder


def pictures_of(folder: Path) -> NDArray[np.uint8]:
    return np.array(packed.read(folder / "data/prepared")[0][::7])


def as_png(picture: NDArray[np.uint8]) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, "PNG")
    return file.getvalue()


def test_both_files_answer_as_classify_does(there: Path) -> None:
    classifier, pictures = Classifier.of_folder(there / "models"), pictures_of(there)
    asked = ((str(number), partial(as_png, picture)) for number, picture in enumerate(pictures))
    answers = list(classifier.answers(asked, len(pictures)))
    by_onnx = onnx_file.ask((there / "exported/model.onnx").read_bytes(), pictures)
    by_litert = litert_file.ask((there / "exported/model.tflite").read_bytes(), pictures)
    assert np.ptp([answer.probabilities["mel"] for answer in answers]) > 0.3
    for found in (by_onnx, by_litert):
        for name in answering.OUTPUTS:
            expected = [list(getattr(answer, name).values()) for answer in answers]
            assert np.abs(found[name] - expected).max() < 1e-4
        assert np.abs(found["probabilities"] - found["uncalibrated"]).max() > 0.01  # the temperature is inside


def test_the_same_model_gives_the_same_bytes(there: Path, tmp_path: Path) -> None:
    """In another process, in which sets have another order, after another network was converted."""
    code = (
        "from pathlib import Path; from lesions.classifier import Classifier\n"
        "from lesions.exporting import answering, onnx_file; from lesions.commands.export.export import export\n"
        "onnx_file.convert(answering.answering(Classifier.of_folder('models')))\n"
        f"export(Path('models'), Path({str(tmp_path)!r}), Path('data'), int8=True)"
    )
    run_python(code, there, PYTHONHASHSEED="7")
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == ["model.int8.tflite", "model.json", "model.onnx", "model.tflite"]
    for name in names:
        assert (tmp_path / name).read_bytes() == (there / "exported" / name).read_bytes(), name


def run_python(code: str, folder: Path, **more: str) -> str:
    environment = os.environ | {"PYTHONPATH": str(ROOT)} | more
    done = subprocess.run(
        [sys.executable, "-c", code], check=False, cwd=folder, env=environment, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_file_alone_says_what_it_is(there: Path) -> None:
    text = (there / "exported/model.json").read_text(encoding="utf-8")
    facts = json.loads(text)
    assert facts["classes"] == CLASSES
    assert facts["names"]["mel"] == "melanoma"
    assert facts["temperature"] == 1.7
    assert facts["thresholds"]["malignant"]["positive"] == ["mel", "bcc"]
    assert facts["thresholds"]["malignant"]["at_least"] == AT_LEAST
    assert facts["made_from"]["sha256"] == hashes(there / "models")
    assert facts["recipe"]["px"] == [32, 32]
    assert "medical" in facts["notice"]
    proto = onnx.load(there / "exported/model.onnx")
    assert {entry.key: entry.value for entry in proto.metadata_props} == {"model.json": text}
    for name in ("model.tflite", "model.int8.tflite"):
        with zipfile.ZipFile(there / "exported" / name) as archive:
            assert archive.read("model.json").decode() == text


def test_what_int8_loses_is_measured(there: Path) -> None:
    stated = read_json(there / "exported/model.json")["int8"]
    classifier = Classifier.of_folder(there / "models")
    pixels, index = packed.read(there / "data/prepared")
    split = pd.read_csv(there / "data/split/split.csv")["split"]
    small = (there / "exported/model.int8.tflite").read_bytes()
    assert len(small) < 0.4 * len((there / "exported/model.tflite").read_bytes())
    for side in ("val", "test"):
        rows = np.flatnonzero(split == side)
        label = index["label"].iloc[rows].map(CLASSES.index).to_numpy()
        exact = answering.keras_answers(classifier, pixels[rows])
        found = litert_file.ask(small, pixels[rows])
        assert stated[side]["pictures"] == len(rows)
        for name, answers in (("float32", exact), ("int8", found)):
            hits = answers["uncalibrated"].argmax(axis=1) == label
            assert stated[side]["accuracy"][name] == pytest.approx(hits.mean(), abs=1e-4)
        difference = np.abs(exact["probabilities"] - found["probabilities"])
        assert stated[side]["largest_difference"] == pytest.approx(difference.max(), abs=1e-4)
        assert 0 < stated[side]["mean_difference"] < 0.05
        assert found["probabilities"].sum(axis=1) == pytest.approx(1, abs=1e-5)
        # Were probabilities in int8, they would be multiples of 1/256.
        assert np.abs(found["uncalibrated"] * 256 % 1 - 0.5).min() < 0.4
    assert re.search(r"accuracy +0\.\d{4}, was 0\.\d{4}", loss.as_table({"val": stated["val"], "test": None}))


@pytest.mark.parametrize(("number", "runtime"), [(0, "onnxruntime"), (1, "ai_edge_litert")])
def test_the_examples_run_as_written_without_keras(there: Path, number: int, runtime: str) -> None:
    text = (ROOT / "docs/export.md").read_text(encoding="utf-8")
    example = re.findall(r"```python\n(.*?)```", text, re.DOTALL)[number]
    assert runtime in example
    assert len([line for line in example.splitlines() if line and not re.match("import|from", line)]) == 10
    printed = run_python(f"{example}\nimport sys; print('tensorflow' in sys.modules, 'lesions' in sys.modules)", there)
    *probabilities, alert, without = printed.splitlines()
    assert without == "False False"
    answer = Classifier.of_folder(there / "models").classify(there / "picture.jpg")
    shown = [float(value) for value in re.findall(r"\d\.\d+", probabilities[0])]
    assert shown == pytest.approx(list(answer.probabilities.values()), abs=1e-3)
    assert alert == ("ALERT" if answer.alerts["melanoma"] else "no alert")


def test_without_data_the_files_are_checked_on_drawn_pictures(
    there: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    shutil.copytree(there / "exported", tmp_path / "out")
    export.export(there / "models", tmp_path / "out", tmp_path / "data", int8=False)
    printed = capfd.readouterr()
    assert "Checked on drawn pictures alone" in printed.err
    assert "on 18 pictures" in printed.out
    # The int8 file of an earlier export would be another model's.
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["model.json", "model.onnx", "model.tflite"]
    with pytest.raises(UserError, match=r"pixels.npy is missing[\s\S]*int8 needs the model's training pictures"):
        export.export(there / "models", tmp_path / "other", tmp_path / "data", int8=True)
    assert not (tmp_path / "other").exists()


def test_a_file_that_disagrees_is_not_written(there: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    right, lite = onnx_file.convert, (there / "exported/model.tflite").read_bytes()

    def wrong(model: keras.Model) -> onnx.ModelProto:
        proto = right(model)
        bias = next(constant for constant in proto.graph.initializer if list(constant.dims) == [3])
        values = onnx.numpy_helper.to_array(bias) + np.array([0.01, 0, 0], np.float32)
        bias.CopyFrom(onnx.numpy_helper.from_array(values, bias.name))
        return proto

    monkeypatch.setattr(onnx_file, "convert", wrong)
    monkeypatch.setattr(litert_file, "convert", lambda _: lite[: lite.index(b"PK\x03\x04")])
    with pytest.raises(UserError, match=r"model\.onnx would not answer as Keras does: a probability differs by 0\.0"):
        export.export(there / "models", tmp_path / "out", there / "data", int8=False)
    assert not (tmp_path / "out").exists()


def test_a_decision_of_another_model_and_a_changed_split_are_refused(there: Path, tmp_path: Path) -> None:
    shutil.copytree(there / "models", tmp_path / "models")
    shutil.copytree(there / "data", tmp_path / "data")
    table = pd.read_csv(tmp_path / "data/split/split.csv")
    table.assign(split=table["split"].replace({"test": "train", "train": "test"})).to_csv(
        tmp_path / "data/split/split.csv", index=False
    )
    with pytest.raises(UserError, match="split has other sides than the model was made from and judged on"):
        export.export(there / "models", tmp_path / "out", tmp_path / "data", int8=True)
    table.to_csv(tmp_path / "data/split/split.csv", index=False)
    predictions = pd.read_csv(tmp_path / "data/predictions/pictures_alone.csv")
    predictions.assign(mel=predictions["bcc"], bcc=predictions["mel"]).to_csv(
        tmp_path / "data/predictions/pictures_alone.csv", index=False
    )
    with pytest.raises(UserError, match="predictions holds another model's answers"):
        export.export(there / "models", tmp_path / "out", tmp_path / "data", int8=True)
    model_file.save(lively(plain.build((32, 32, 3), 3)), tmp_path / "models/model.keras")
    with pytest.raises(UserError, match=r"decision\.json was made for another model\.keras"):
        export.export(tmp_path / "models", tmp_path / "out", there / "data", int8=False)
    assert not (tmp_path / "out").exists()


def test_a_file_that_the_runtime_refuses_is_a_clear_error() -> None:
    with pytest.raises(UserError, match=r"LiteRT cannot run the file .* Leave --int8 out"):
        litert_file.ask(b"no model", [])


def test_a_layer_without_counterpart_is_named() -> None:
    pixels = keras.Input((16, 16, 3))
    x = layers.Resizing(8, 8, "bicubic", name="small_pictures")(pixels)
    x = layers.GlobalAveragePooling2D()(ops.erfinv(x / 300))
    model = keras.Model(pixels, layers.Dense(2, activation="softmax")(x))
    whole = keras.Input((16, 16, 3), dtype="uint8", name="pixels")
    outside = keras.Model(whole, {"uncalibrated": model(ops.cast(whole, "float32"))})
    with pytest.raises(UserError, match=r"cannot be written as LiteRT: .*ResizeBicubic in the layer small_pictures"):
        converted(lambda: litert_file.convert(outside), model, "LiteRT")
    with pytest.raises(UserError, match=r"cannot be written as ONNX: it has nothing for Erfinv \("):
        converted(lambda: onnx_file.convert(outside), model, "ONNX")


@pytest.mark.parametrize("shape", [(6, 6, 3), (4, 6, 3)])
def test_orientations_and_temperature_are_those_of_the_project(shape: tuple[int, int, int]) -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (2, *shape)).astype(np.float32)
    ours = {view.numpy().tobytes() for view in answering.orientations(ops.convert_to_tensor(pictures))}
    assert ours == {view.astype(np.float32).tobytes() for view in orientations(pictures.astype(np.uint8))}
    probability = np.array([[1, 0, 0], [0.7, 0.3, 1e-30], [1 / 3, 1 / 3, 1 / 3], [0.02, 0.97, 0.01]])
    for temperature in (0.05, 1.0, 1.3, 20.0):
        found = answering.tempered(ops.convert_to_tensor(probability.astype(np.float32)), temperature)
        expected = calibration.tempered(probability.astype(np.float32).astype(float), temperature)
        assert np.abs(found.numpy() - expected).max() < 1e-5


def agreement(model: keras.Model, folder: Path, *, dihedral: bool) -> float:
    """Return by how much the two files of a network differ from Keras; int8 is made as well."""
    put_model(folder, model, dihedral=dihedral)
    classifier = Classifier.of_folder(folder)
    pictures = np.stack([picture for *_, picture in generated(*classifier.recipe.px, seed=4)])[::20]
    expected, whole = answering.keras_answers(classifier, pictures), answering.answering(classifier)
    assert np.ptp(expected["probabilities"], axis=0).max() > 0.05
    proto = converted(lambda: onnx_file.convert(whole), classifier.model, "ONNX")
    lite = converted(lambda: litert_file.convert(whole), classifier.model, "LiteRT")
    small = converted(lambda: litert_file.convert_int8(whole, pictures), classifier.model, "LiteRT in int8")
    assert len(small) < 0.5 * len(lite)
    assert litert_file.ask(small, pictures)["probabilities"].shape == expected["probabilities"].shape
    return max(
        float(np.abs(found[name] - expected[name]).max())
        for found in (onnx_file.ask(onnx_file.with_facts(proto, {}), pictures), litert_file.ask(lite, pictures))
        for name in answering.OUTPUTS
    )


def test_what_a_layer_holds_outside_of_its_weights_is_in_the_file() -> None:
    whole = keras.Input((8, 8, 3), dtype="uint8", name="pixels")
    x = layers.Normalization(mean=[103.9, 116.8, 123.7], variance=[2.0, 3.0, 4.0])(ops.cast(whole, "float32"))
    model = keras.Model(whole, {"uncalibrated": ops.mean(x, axis=(1, 2))})
    pictures = np.random.default_rng(0).integers(0, 256, (3, 8, 8, 3), np.uint8)
    content = onnx_file.with_facts(onnx_file.convert(model), {})
    found = onnx_file.ask(content, pictures)["uncalibrated"]
    assert found == pytest.approx(model(pictures)["uncalibrated"].numpy(), abs=1e-4)


@pytest.mark.long
@pytest.mark.parametrize("name", NAMES)
def test_every_network_is_exported(name: str, tmp_path: Path) -> None:
    lesions.models.common.determinism.seed(1)
    model = lively(build(CASE[name]._replace(shape=(40, 48, 3), classes=3)))
    assert agreement(model, tmp_path, dihedral=name == "residual") < 1e-4


@pytest.mark.long
@pytest.mark.parametrize(
    "network",
    [
        *("MobileNetV2", "MobileNetV3Small", "EfficientNetB0", "EfficientNetV2B0", "DenseNet121", "ResNet50"),
        *("ResNet50V2", "VGG16", "InceptionV3", "Xception", "NASNetMobile"),
    ],
)
def test_families_of_keras_applications_are_exported(network: str, tmp_path: Path) -> None:
    lesions.models.common.determinism.seed(1)
    write_json(tmp_path / "weights.json", {"network": network, "width": 1.0, "file": None, "source": "random"})
    model = lively(pretrained.build((80, 80, 3), 3, tmp_path))
    assert agreement(model, tmp_path / "models", dihedral=False) < 1e-4
