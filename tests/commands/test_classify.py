"""The classifier and `lesions classify`: the pipeline's predictions, and clear errors where there are none."""

import csv
import io
import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lesions.archives import read_members
from lesions.classifier import Classifier
from lesions.commands.classify import formats, inputs, run
from lesions.core import image_array
from lesions.core.errors import UserError
from lesions.core.file_hash import sha256_of
from lesions.evaluation.common.temperature_scaling import Calibration
from lesions.images import decode
from lesions.models.calibration import thresholds
from lesions.models.calibration.metadata_prior import FIELDS
from tests.conftest import ROOT, lesions


@pytest.fixture(scope="module")
def classifier(workspace: Path) -> Classifier:
    return Classifier.of_folder(workspace / "models")


@pytest.fixture(scope="module")
def evaluated(workspace: Path) -> pd.DataFrame:
    """Validation and test: the pipeline's predictions, and each file's bytes."""
    data = workspace / "data"
    predicted = pd.read_csv(data / "predictions/predictions.csv", dtype=str, keep_default_na=False)
    images = pd.read_csv(data / "clean/images.csv", dtype=str, keep_default_na=False)
    table = predicted.merge(images[["image_id", "archive", "member", *FIELDS]], on="image_id", validate="1:1")
    contents: list[Any] = list(read_members(data / "raw", zip(table["archive"], table["member"], strict=True)))
    table["content"] = pd.Series(contents, dtype=object)
    return table


@pytest.fixture
def files(evaluated: pd.DataFrame, tmp_path: Path) -> Path:
    """A folder with six images in it, two of them in a folder below, and a file that is none."""
    folder = tmp_path / "images"
    (folder / "below").mkdir(parents=True)
    for number, content in enumerate(evaluated["content"].head(6)):
        (folder / ("below" if number > 3 else ".") / f"{number}.jpg").write_bytes(content)
    (folder / "notes.txt").write_text("none")
    return folder


def classify_apart(workspace: Path, *arguments: str | Path, **how: Any) -> "subprocess.CompletedProcess[str]":
    """Run the command where the model is, in a process of its own."""
    command = [str(Path(sys.executable).with_name("lesions")), "classify", *map(str, arguments)]
    return subprocess.run(command, cwd=workspace, capture_output=True, text=True, check=False, **how)


def change(file: Path, **values: Any) -> None:
    """Set keys of a JSON file."""
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def renew_hashes(models: Path, **values: Any) -> None:
    """Let thresholds.json belong to the files as they are now; set more keys of its model."""
    model = json.loads((models / "thresholds.json").read_text())["model"]
    sha256 = {name: sha256_of(models / name) for name in thresholds.FILES}
    change(models / "thresholds.json", model=model | {"sha256": sha256} | values)


def test_predictions_equal_the_pipelines(workspace: Path, classifier: Classifier, evaluated: pd.DataFrame) -> None:
    images = [
        (name, lambda content=content: content) for name, content in evaluated[["image_id", "content"]].to_numpy()
    ]
    patients = [dict(zip(FIELDS, row, strict=True)) for row in evaluated[list(FIELDS)].to_numpy()]
    assert classifier.prior.is_active
    found = list(classifier.classify_all(images, len(images), patients))
    assert [one.name for one in found] == list(evaluated["image_id"])
    for file, attribute in (
        ("network_outputs/predictions.csv", "image_only"),
        ("predictions/predictions.csv", "uncalibrated"),
        ("predictions/predictions_calibrated.csv", "probabilities"),
    ):
        table = pd.read_csv(workspace / "data" / file).set_index("image_id").loc[evaluated["image_id"]]
        due = table[classifier.thresholds.classes].to_numpy(np.float32)
        assert (np.array([list(getattr(one, attribute).values()) for one in found], np.float32) == due).all(), file
    rule = classifier.thresholds.decision_rule
    assert rule.optimise == "balanced_accuracy"
    uncalibrated = np.array([list(one.uncalibrated.values()) for one in found])
    diagnoses = rule.answers(uncalibrated)
    assert [one.diagnosis for one in found] == [classifier.thresholds.classes[label] for label in diagnoses]
    assert (diagnoses != uncalibrated.argmax(axis=1)).any()
    scores = pd.read_csv(workspace / "data/predictions/ood_scores.csv").set_index("image_id")["ood_score"]
    assert [np.float32(one.ood_score) for one in found] == [np.float32(scores[one.name]) for one in found]
    report = json.loads((workspace / "reports/evaluation.json").read_text())
    flagged = [one.is_ood is True for one, split in zip(found, evaluated["split"], strict=True) if split == "test"]
    assert np.mean(flagged) == pytest.approx(report["ood"]["test"]["flagged"], abs=1e-4)
    melanoma = report["tasks"]["melanoma"]["operating_points"][1]
    assert melanoma["chosen_for"] == "sensitivity of at least 90%"
    alerts = np.array([bool(one.alerts["melanoma"]) for one in found])
    for split in ("val", "test"):
        of_melanoma = alerts[(evaluated["split"] == split) & (evaluated["label"] == "mel")]
        assert of_melanoma.mean() == pytest.approx(melanoma[split]["sensitivity"]["value"], abs=1e-4)


def test_metadata_changes_the_prediction(workspace: Path, files: Path, classifier: Classifier) -> None:
    image = next(files.glob("*.jpg"))
    done = lesions(workspace, "classify", image, "--json", "--age", "81", "--sex", "F", "--site", "posterior torso")
    (found,) = json.loads(done.stdout)["images"]
    assert found["metadata"] == {"age": "81", "sex": "female", "site": "back"}
    known = classifier.classify(image, metadata={"age": "81", "sex": "female", "site": "back"})
    assert found["uncalibrated"] == known.uncalibrated
    without = classifier.classify(image)
    assert known.image_only == without.image_only == without.uncalibrated
    prior = classifier.prior
    ratios = np.sum([prior.age["80"], prior.sex["female"], prior.site["trunk"]], axis=0)
    due = np.array(list(without.image_only.values())) * np.exp(ratios)
    assert list(known.uncalibrated.values()) == pytest.approx(due / due.sum(), abs=1e-6)
    wrong = lesions(workspace, "classify", image, "--age", "old")
    assert (wrong.status, wrong.stderr.splitlines()[-1]) == (1, "ERROR: age old: expected years from 0 to 120.")


def test_prediction_depends_on_the_image_alone(classifier: Classifier, evaluated: pd.DataFrame, tmp_path: Path) -> None:
    content = evaluated["content"].iloc[3]
    images = [("", lambda content=content: content) for content in evaluated["content"].head(70)]
    among = list(classifier.classify_all(images, 70))[3]
    (tmp_path / "a").write_bytes(content)
    for image in (content, tmp_path / "a", str(tmp_path / "a")):
        alone = classifier.classify(image)
        assert (alone.uncalibrated, alone.ood_score) == (among.uncalibrated, among.ood_score)
    # Decoded pixels know nothing of a JPEG's reduced scales: of an image of the preprocessing's size there are none.
    with Image.open(io.BytesIO(content)) as image:
        small = image.resize(classifier.preprocessing.image_size[::-1])
    png = io.BytesIO()
    small.save(png, "PNG")
    assert (
        classifier.classify(np.asarray(small)).uncalibrated
        == classifier.classify(small).uncalibrated
        == classifier.classify(png.getvalue()).uncalibrated
    )


def test_pixels_equal_prepare_s(workspace: Path, classifier: Classifier, evaluated: pd.DataFrame) -> None:
    pixels, index = image_array.read(workspace / "data/prepared")
    row = index.index[index["image_id"] == evaluated["image_id"].iloc[0]][0]
    assert (classifier.classify(evaluated["content"].iloc[0]).pixels == pixels[row]).all()


def test_metadata_of_fewer_images_is_refused(classifier: Classifier) -> None:
    images = [(name, lambda: b"") for name in "abc"]
    with pytest.raises(UserError, match="metadata of 2 images, and 3 images; expected one for each"):
        list(classifier.classify_all(images, 3, [{}, {}]))


def test_documented_python_runs(
    workspace: Path,
    tmp_path: Path,
    evaluated: pd.DataFrame,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("models").symlink_to(workspace / "models")
    Path("lesion.jpg").write_bytes(evaluated["content"].iloc[0])
    (lines,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/classify.md").read_text(encoding="utf-8"), re.DOTALL)
    exec(lines, {})  # noqa: S102 - our own document
    assert re.match(r"[a-z]+ \{'mel': 0\.", capsys.readouterr().out)


def test_folder_as_table(workspace: Path, files: Path, tmp_path: Path, classifier: Classifier) -> None:
    (files / "broken.png").write_bytes(b"%PDF-1.4")
    heat = tmp_path / "heat"
    done = lesions(workspace, "classify", files, files / "0.jpg", files / "none.jpg", "--heatmap", heat)
    assert done.status == 1, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["image", "diagnosis", "probability", "not", "excluded", "malignant", "melanoma"]
    named = [Path(line.split("  ")[0]).name for line in lines[1 : lines.index("")]]
    assert named == ["0.jpg", "1.jpg", "2.jpg", "3.jpg", "4.jpg", "5.jpg", "broken.png", "0.jpg", "none.jpg"]
    assert lines[1].split(None, 1)[1] == lines[8].split(None, 1)[1]
    assert "no image: not one of JPEG" in lines[7]
    assert "No such file" in lines[9]
    assert formats.NOTICE in done.stdout
    *doing, warning, written, problems = done.stderr.splitlines()
    assert doing == ["Loading models/model.keras ..."]
    assert warning.startswith("WARNING: the model was trained on drawings")
    assert written == f"{heat}: 7 images beside their heat maps"
    assert problems == "2 of 9 images could not be classified."
    drawn = sorted(file.name for file in heat.iterdir())
    assert drawn == [*(f"{number:05d}-{number - 1}.png" for number in range(1, 7)), "00008-0.png"]
    with Image.open(heat / "00001-0.png") as image:
        assert np.asarray(image.convert("RGB")).std() > 10
    found = classifier.classify(files / "0.jpg")
    (heat,) = classifier.heat_maps([found])
    assert heat.shape == found.pixels.shape[:2]


def test_csv_and_json_agree(workspace: Path, files: Path, classifier: Classifier) -> None:
    (files / "=cmd.jpg").write_bytes(b"")
    table = lesions(files, "classify", "--csv", "--models", workspace / "models", ".").stdout
    rows = list(csv.DictReader(io.StringIO(table)))
    named = ["0.jpg", "1.jpg", "2.jpg", "3.jpg", "'=cmd.jpg", "below/4.jpg", "below/5.jpg"]
    assert [row["image"] for row in rows] == named
    assert rows[4]["problem"] == "empty file"
    done = lesions(workspace, "classify", "--json", files / "1.jpg", files / "=cmd.jpg", "--sensitivity", "80")
    printed = json.loads(done.stdout)
    assert "sensitivity of at least 80% on the model's own validation images" in printed["notes"][0]
    first, second = printed["images"]
    assert second == {"image": str(files / "=cmd.jpg"), "problem": "empty file"}
    found = classifier.classify(files / "1.jpg")
    assert first["uncalibrated"] == found.uncalibrated
    assert first["prediction_set"] == found.prediction_set == rows[1]["prediction_set"].split(";")
    assert max(found.probabilities, key=lambda name: found.probabilities[name]) == found.prediction_set[0]
    assert first["probabilities"] == found.probabilities
    assert (first["ood_score"], first["is_ood"]) == (found.ood_score, found.is_ood)
    assert rows[1]["diagnosis"] == first["diagnosis"] == found.diagnosis
    assert np.float32(rows[1]["probability_mel"]) == np.float32(found.probabilities["mel"])
    assert np.float32(rows[1]["ood_score"]) == np.float32(found.ood_score)
    assert rows[1]["is_ood"] == ("yes" if found.is_ood else "no")


def test_out_of_distribution_has_no_answer(files: Path, classifier: Classifier) -> None:
    found = replace(classifier.classify(files / "1.jpg", "1.jpg"), is_ood=True)
    said = formats.as_object(found, classifier)
    assert (said["diagnosis"], said["probabilities"], said["alerts"]) == (None, None, None)
    assert said["network_output"]["diagnosis"] == found.diagnosis
    assert said["is_ood"] is True
    printed = {name: io.StringIO() for name in ("table", "csv")}
    formats.write_table([found], classifier, printed["table"])
    formats.write_csv([found], classifier, printed["csv"])
    row = printed["table"].getvalue().splitlines()[1]
    assert "no answer: unlike the training images" in row
    assert "ALERT" not in row
    (read,) = csv.DictReader(printed["csv"].getvalue().splitlines())
    assert (read["diagnosis"], read["melanoma"], read["malignant"], read["is_ood"]) == ("", "", "", "yes")


def test_name_that_is_no_utf_8_in_json(classifier: Classifier, files: Path) -> None:
    name = os.fsdecode(b"na\xefve.jpg")
    good = replace(classifier.classify(files / "1.jpg"), name=name)
    out = io.TextIOWrapper(io.BytesIO(), encoding="utf-8")
    formats.write_json([good, replace(good, problem=f"{name}: broken")], classifier, out)
    out.seek(0)
    first, second = json.load(out)["images"]
    assert first["image"] == "na\\udcefve.jpg"
    assert second == {"image": "na\\udcefve.jpg", "problem": "na\\udcefve.jpg: broken"}


def test_standard_input(workspace: Path, files: Path) -> None:
    with (files / "0.jpg").open("rb") as stdin:
        done = classify_apart(workspace, "--csv", "-", stdin=stdin)
    assert done.stderr.splitlines()[:2] == ["Loading TensorFlow ...", "Loading models/model.keras ..."]
    (row,) = csv.DictReader(io.StringIO(done.stdout))
    assert (done.returncode, row["image"], row["problem"]) == (0, "standard input", "")
    done = classify_apart(workspace, "-", preexec_fn=lambda: os.close(0))
    assert done.returncode == 1
    assert done.stderr == (
        "ERROR: standard input is closed; expected an image's bytes, as in `lesions classify - < FILE`.\n"
    )


def test_short_memory_is_the_problem_of_one_image(
    classifier: Classifier, files: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    to_rgb = decode.to_rgb

    def short(image: Image.Image) -> Image.Image:
        if image.width > 3000:
            raise MemoryError
        return to_rgb(image)

    monkeypatch.setattr(decode, "to_rgb", short)
    large = Image.effect_noise((4000, 3000), 50)
    assert "memory is too small to decode an image of 4000×3000" in classifier.classify(large).problem
    assert classifier.classify(files / "1.jpg").problem == ""


def animated_gif() -> bytes:
    file = io.BytesIO()
    frames = [Image.new("P", (64, 48), colour) for colour in (1, 2)]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return file.getvalue()


def with_false_size(content: bytes) -> bytes:
    """Return a JPEG that says it is 60,000 pixels wide and high."""
    at = content.index(b"\xff\xc0")
    return content[: at + 5] + b"\xea\x60\xea\x60" + content[at + 9 :]


def test_unusable_image_names_the_problem(classifier: Classifier, evaluated: pd.DataFrame, tmp_path: Path) -> None:
    good = evaluated["content"].iloc[0]
    for content, words in (
        (b"", "empty file"),
        (b"%PDF-1.7\n", "no image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "no image"),
        (animated_gif(), "no image"),
        (with_false_size(good), "too large: more pixels than any camera has"),
        (good[: len(good) // 2], "broken image"),
    ):
        found = classifier.classify(content, "x")
        assert (found.name, found.diagnosis, found.alerts) == ("x", "", {})
        assert words in found.problem
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(ValueError, match="no regular file"):
        inputs.find([str(tmp_path / "pipe.jpg")])[0][1]()


def test_heat_maps_among_the_images_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.jpg").touch()
    for place in (tmp_path, tmp_path / "heat"):
        with pytest.raises(UserError, match=r"--heatmap .* lies in the folder .* expected another place"):
            inputs.find([str(tmp_path)], place)
    assert inputs.find([str(tmp_path / "a.jpg")], tmp_path)


def test_unusable_folder_is_an_error(tmp_path: Path, workspace: Path) -> None:
    with pytest.raises(UserError, match="has no image"):
        inputs.find([str(tmp_path)])
    (tmp_path / "file").touch()
    found = inputs.find([str(tmp_path / "file")])
    with pytest.raises(UserError, match="is no folder to write heat maps into"):
        run.classify(found, workspace / "models", "table", tmp_path / "file", 90, {})
    if os.geteuid() == 0:
        pytest.skip("root may read everything")
    tmp_path.chmod(0)
    with pytest.raises(UserError, match="cannot be read"):
        inputs.find([str(tmp_path)])
    tmp_path.chmod(0o700)


@pytest.mark.parametrize(
    "name",
    ["model.keras", "preprocessing.json", "ood.npz", "calibration.json", "metadata_prior.json", "thresholds.json"],
)
def test_missing_file_is_named(models: Path, name: str) -> None:
    (models / name).unlink()
    with pytest.raises(UserError, match=f"{name} is missing, so there is no model to run. Make one with `dvc repro`"):
        thresholds.load(models)


@pytest.mark.parametrize("name", ["model.keras", "preprocessing.json", "ood.npz", "calibration.json"])
def test_changed_byte_is_refused(models: Path, name: str) -> None:
    content = bytearray((models / name).read_bytes())
    content[len(content) // 2] ^= 1
    (models / name).write_bytes(content)
    with pytest.raises(UserError, match=f"was made for another {name} than the one beside it"):
        thresholds.load(models)


def test_damaged_files_are_refused(models: Path) -> None:
    change(models / "calibration.json", temperature="warm")
    with pytest.raises(UserError, match="holds no calibration"):
        Calibration.load(models)
    change(models / "thresholds.json", leakage=None)
    with pytest.raises(UserError, match=r"no thresholds that this version of the project can read \(leakage"):
        thresholds.load(models)
    change(
        models / "thresholds.json", leakage="none", prediction_sets={"coverage": 0.9, "least_probability": {"mel": 0}}
    )
    with pytest.raises(UserError, match=r"\(prediction_sets: Value error, expected one probability per class\)"):
        thresholds.load(models)
    change(models / "thresholds.json", prediction_sets={"coverage": 0.9, "least_probability": {"mel": float("nan")}})
    with pytest.raises(UserError, match=r"prediction_sets\.least_probability\.mel"):
        thresholds.load(models)
    (models / "thresholds.json").write_text("{")
    with pytest.raises(UserError, match="no thresholds that this version"):
        thresholds.load(models)
    with pytest.raises(UserError, match="is no folder"):
        thresholds.load(models / "model.keras")
    with pytest.raises(UserError, match="expected one of"):
        Classifier.of_folder(models, 99)


def test_other_versions_and_leakage_are_warned_of(models: Path, classifier: Classifier) -> None:
    assert [warning.split(",")[0] for warning in classifier.warnings] == [
        "the model was trained on drawings that the project makes itself"
    ]
    change(models / "preprocessing.json", packages={"tensorflow": "1.0", "keras": "0.1"})
    change(models / "thresholds.json", leakage="split by image")
    renew_hashes(models)
    change(models / "thresholds.json", training_data={"source": "ham10000", "provenance_sha256": "bb"})
    renew_hashes(models)
    first, second = Classifier.of_folder(models).warnings
    assert "leaky split: split by image" in first
    assert "trained with keras 0.1 and tensorflow 1.0" in second


def test_no_threshold_gives_no_alert(models: Path, evaluated: pd.DataFrame, capsys: pytest.CaptureFixture[str]) -> None:
    found = json.loads((models / "thresholds.json").read_text())
    found["tasks"].pop("malignant")
    kept = [one for one in found["thresholds"] if one["task"] != "malignant"]
    none = [one | {"value": None} if one["task"] == "melanoma" else one for one in kept]
    change(models / "thresholds.json", tasks=found["tasks"], thresholds=none)
    renew_hashes(models)
    classifier = Classifier.of_folder(models)
    prediction = classifier.classify(evaluated["content"].iloc[0])
    assert prediction.alerts == {"melanoma": None}
    formats.write_table([prediction], classifier, sys.stdout)
    printed = capsys.readouterr().out
    assert "no threshold is known" in printed


def test_tta_averages_over_turns(models: Path, evaluated: pd.DataFrame) -> None:
    renew_hashes(models, tta=True)
    classifier = Classifier.of_folder(models)
    with Image.open(io.BytesIO(evaluated["content"].iloc[0])) as image:
        pixels = np.asarray(image.convert("RGB").resize(classifier.preprocessing.image_size[::-1]))
    turned = [classifier.classify(np.rot90(pixels, turns)).uncalibrated for turns in range(4)]
    for other in turned[1:]:
        assert other == pytest.approx(turned[0], abs=1e-6)
    renew_hashes(models, tta=False)
    assert Classifier.of_folder(models).classify(pixels).uncalibrated != pytest.approx(turned[0], abs=1e-6)


def test_unknown_preprocessing_is_refused(models: Path) -> None:
    change(models / "preprocessing.json", version=99)
    renew_hashes(models)
    with pytest.raises(UserError, match="in a way that this version of the project cannot follow"):
        Classifier.of_folder(models)
