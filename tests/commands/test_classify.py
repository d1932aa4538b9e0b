"""A model in use: the same answers as the pipeline's, whatever else is asked, and a plain end where there is none."""

import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from lesions.core.model_hashes import hashes
from lesions.evaluation.decision import Decision
from PIL import Image

from lesions.archives import read_members
from lesions.classifier import Classifier
from lesions.commands.classify import formats, inputs, run
from lesions.core import image_array as packed
from lesions.core.errors import UserError
from lesions.models.calibration.metadata_prior import FIELDS
from tests.conftest import ROOT


@pytest.fixture(scope="module")
def classifier(workspace: Path) -> Classifier:
    return Classifier.of_folder(workspace / "models")


@pytest.fixture(scope="module")
def judged(workspace: Path) -> pd.DataFrame:
    """Validation and test: what the pipeline said of each image, and the file's bytes."""
    data = workspace / "data"
    predicted = pd.read_csv(data / "predictions/predictions.csv", dtype=str, keep_default_na=False)
    images = pd.read_csv(data / "clean/images.csv", dtype=str, keep_default_na=False)
    table = predicted.merge(images[["image_id", "archive", "member", *FIELDS]], on="image_id", validate="1:1")
    contents: list[Any] = list(read_members(data / "raw", zip(table["archive"], table["member"], strict=True)))
    table["content"] = pd.Series(contents, dtype=object)
    return table


@pytest.fixture
def files(judged: pd.DataFrame, tmp_path: Path) -> Path:
    """A folder with six images in it, two of them in a folder below, and a file that is none."""
    folder = tmp_path / "images"
    (folder / "below").mkdir(parents=True)
    for number, content in enumerate(judged["content"].head(6)):
        (folder / ("below" if number > 3 else ".") / f"{number}.jpg").write_bytes(content)
    (folder / "notes.txt").write_text("none")
    return folder


@pytest.fixture
def models(workspace: Path, tmp_path: Path) -> Path:
    """A model's folder that a test may change."""
    folder = tmp_path / "models"
    folder.mkdir()
    for file in (workspace / "models").iterdir():
        shutil.copyfile(file, folder / file.name)
    return folder


def classify(workspace: Path, *arguments: str | Path, **how: Any) -> "subprocess.CompletedProcess[str]":
    """Run the command where the model is."""
    command = [str(Path(sys.executable).with_name("lesions")), "classify", *map(str, arguments)]
    return subprocess.run(command, cwd=workspace, capture_output=True, text=True, check=False, **how)


def change(file: Path, **values: Any) -> None:
    """Set keys of a JSON file."""
    file.write_text(json.dumps(json.loads(file.read_text()) | values))


def test_the_answers_are_those_of_predict_and_evaluate(
    workspace: Path, classifier: Classifier, judged: pd.DataFrame
) -> None:
    images = [(name, lambda content=content: content) for name, content in judged[["image_id", "content"]].to_numpy()]
    patients = [dict(zip(FIELDS, row, strict=True)) for row in judged[list(FIELDS)].to_numpy()]
    assert classifier.prior.is_active
    answers = list(classifier.classify_all(images, len(images), patients))
    alone = pd.read_csv(workspace / "data/predictions/network_outputs/predictions.csv").set_index("image_id")
    for answer in answers:
        said = alone.loc[answer.name, classifier.thresholds.classes].to_numpy(float)
        assert list(answer.image_only.values()) == pytest.approx(said, abs=1e-6)
    for answer, row in zip(answers, judged.itertuples(), strict=True):
        assert answer.name == row.image_id
        assert [f"{value:.7g}" for value in answer.uncalibrated.values()] == [
            f"{float(getattr(row, name)):.7g}" for name in classifier.thresholds.classes
        ]
        assert sum(answer.probabilities.values()) == pytest.approx(1)
    unlike = pd.read_csv(workspace / "data/predictions/ood_scores.csv").set_index("image_id")["ood_score"]
    assert [f"{answer.ood_score:.6g}" for answer in answers] == [f"{unlike[answer.name]:.6g}" for answer in answers]
    report = json.loads((workspace / "reports/evaluation.json").read_text())
    assert np.mean(
        [answer.is_ood for answer, split in zip(answers, judged["split"], strict=True) if split == "test"]
    ) == (pytest.approx(report["ood"]["test"]["flagged"], abs=1e-4))
    melanoma = report["questions"]["melanoma"]["operating_points"][1]
    assert melanoma["chosen_for"] == "sensitivity of at least 90% on val"
    alerts = np.array([bool(answer.alerts["melanoma"]) for answer in answers])
    for split in ("val", "test"):
        found = alerts[(judged["split"] == split) & (judged["label"] == "mel")]
        assert found.mean() == pytest.approx(melanoma[split]["sensitivity"]["value"], abs=1e-4)


def test_age_sex_and_site_are_weighed_in(workspace: Path, files: Path, classifier: Classifier) -> None:
    image = next(files.glob("*.jpg"))
    asked = classify(workspace, image, "--json", "--age", "81", "--sex", "F", "--site", "posterior torso")
    (found,) = json.loads(asked.stdout)["images"]
    assert found["patient"] == {"age": "81", "sex": "female", "site": "back"}
    known = classifier.classify(image, patient={"age": "81", "sex": "female", "site": "back"})
    assert found["uncalibrated"] == known.uncalibrated
    alone = classifier.classify(image)
    assert known.alone == alone.alone == pytest.approx(alone.uncalibrated)
    model = classifier.prior
    ratios = np.sum([model.age["80"], model.sex["female"], model.site["trunk"]], axis=0)
    due = np.array(list(alone.alone.values())) * np.exp(ratios)
    assert list(known.uncalibrated.values()) == pytest.approx(due / due.sum(), abs=1e-6)
    wrong = classify(workspace, image, "--age", "old")
    assert (wrong.returncode, wrong.stderr) == (1, "ERROR: age old: expected years from 0 to 120.\n")


def test_a_image_gets_the_same_answer_alone_among_others_and_in_any_form(
    classifier: Classifier, judged: pd.DataFrame, tmp_path: Path
) -> None:
    content = judged["content"].iloc[3]
    images = [("", lambda content=content: content) for content in judged["content"].head(70)]
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


def test_pixels_are_those_that_the_pipeline_prepared(
    workspace: Path, classifier: Classifier, judged: pd.DataFrame
) -> None:
    pixels, index = packed.read(workspace / "data/prepared")
    row = index.index[index["image_id"] == judged["image_id"].iloc[0]][0]
    assert (classifier.classify(judged["content"].iloc[0]).pixels == pixels[row]).all()


def test_the_documented_lines_of_python(
    workspace: Path, judged: pd.DataFrame, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(workspace)
    (lines,) = re.findall(r"```python\n(.*?)```", (ROOT / "docs/classify.md").read_text(encoding="utf-8"), re.DOTALL)
    with Image.open(io.BytesIO(judged["content"].iloc[0])) as image:
        exec(lines, {"pixels": np.asarray(image)})  # noqa: S102 - our own document
    assert re.match(r"[a-z]+ \{'mel': 0\.", capsys.readouterr().out)


def test_a_folder_as_a_table(workspace: Path, files: Path, classifier: Classifier) -> None:
    (files / "broken.png").write_bytes(b"%PDF-1.4")
    done = classify(workspace, files, files / "0.jpg", files / "none.jpg", "--heatmap", files / "heat")
    assert done.returncode == 1, done.stderr
    lines = done.stdout.splitlines()
    assert lines[0].split() == ["image", "diagnosis", "probability", "malignant", "melanoma"]
    named = [Path(line.split("  ")[0]).name for line in lines[1 : lines.index("")]]
    assert named == ["0.jpg", "1.jpg", "2.jpg", "3.jpg", "4.jpg", "5.jpg", "broken.png", "0.jpg", "none.jpg"]
    assert lines[1].split(None, 1)[1] == lines[8].split(None, 1)[1]
    assert "no image: not one of JPEG" in lines[7]
    assert "No such file" in lines[9]
    assert formats.NOTICE in done.stdout
    assert done.stderr.strip() == "2 of 9 images could not be classified."
    drawn = sorted(file.name for file in (files / "heat").iterdir())
    assert drawn == [*(f"{number:05d}-{number - 1}.png" for number in range(1, 7)), "00008-0.png"]
    with Image.open(files / "heat/00001-0.png") as image:
        assert np.asarray(image.convert("RGB")).std() > 10
    answer = classifier.classify(files / "0.jpg")
    (heat,) = classifier.heat_maps([answer])
    assert heat.shape == answer.pixels.shape[:2]


def test_as_csv_and_json(workspace: Path, files: Path, classifier: Classifier) -> None:
    (files / "=cmd.jpg").write_bytes(b"")
    rows = list(csv.DictReader(io.StringIO(classify(files, "--csv", "--models", workspace / "models", ".").stdout)))
    named = ["0.jpg", "1.jpg", "2.jpg", "3.jpg", "'=cmd.jpg", "below/4.jpg", "below/5.jpg"]
    assert [row["image"] for row in rows] == named
    assert rows[4]["problem"] == "empty file"
    done = classify(workspace, "--json", files / "1.jpg", files / "=cmd.jpg", "--sensitivity", "80")
    told = json.loads(done.stdout)
    assert "found 80 % on validation" in told["notes"][0]
    assert told["images"][1] == {"image": str(files / "=cmd.jpg"), "problem": "empty file"}
    answer = classifier.classify(files / "1.jpg")
    assert told["images"][0]["uncalibrated"] == answer.uncalibrated
    assert told["images"][0]["probabilities"] == answer.probabilities
    assert rows[1]["diagnosis"] == told["images"][0]["diagnosis"] == answer.diagnosis
    assert float(rows[1]["probability_mel"]) == pytest.approx(answer.probabilities["mel"], rel=1e-6)


def test_standard_input(workspace: Path, files: Path) -> None:
    with (files / "0.jpg").open("rb") as stdin:
        done = classify(workspace, "--csv", "-", stdin=stdin)
    (row,) = csv.DictReader(io.StringIO(done.stdout))
    assert (done.returncode, row["image"], row["problem"]) == (0, "standard input", "")
    done = classify(workspace, "-", preexec_fn=lambda: os.close(0))
    assert done.returncode == 1
    assert done.stderr == (
        "ERROR: standard input is closed; expected an image's bytes, as in `lesions classify - < FILE`.\n"
    )


def animated_gif() -> bytes:
    file = io.BytesIO()
    frames = [Image.new("P", (64, 48), colour) for colour in (1, 2)]
    frames[0].save(file, "GIF", save_all=True, append_images=frames[1:])
    return file.getvalue()


def of_a_lying_header(content: bytes) -> bytes:
    """Return a JPEG that says it is 60,000 pixels wide and high."""
    at = content.index(b"\xff\xc0")
    return content[: at + 5] + b"\xea\x60\xea\x60" + content[at + 9 :]


def test_what_is_no_image_is_told_in_its_row(classifier: Classifier, judged: pd.DataFrame, tmp_path: Path) -> None:
    good = judged["content"].iloc[0]
    for content, words in (
        (b"", "empty file"),
        (b"%PDF-1.7\n", "no image"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>", "no image"),
        (animated_gif(), "no image"),
        (of_a_lying_header(good), "too large: more pixels than any camera has"),
        (good[: len(good) // 2], "broken image"),
    ):
        answer = classifier.classify(content, "x")
        assert (answer.name, answer.diagnosis, answer.alerts) == ("x", "", {})
        assert words in answer.problem
    os.mkfifo(tmp_path / "pipe.jpg")
    with pytest.raises(ValueError, match="no regular file"):
        inputs.find([str(tmp_path / "pipe.jpg")])[0].read()


def test_an_empty_folder_or_one_without_rights_ends_with_a_message(tmp_path: Path, workspace: Path) -> None:
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


@pytest.mark.parametrize("name", ["model.keras", "preprocessing.json", "ood.npz", "thresholds.json"])
def test_without_a_part_there_is_no_model(models: Path, name: str) -> None:
    (models / name).unlink()
    with pytest.raises(UserError, match=f"{name} is missing, so there is no model to ask. Make one with `dvc repro`"):
        Decision.of_folder(models)


@pytest.mark.parametrize("name", ["model.keras", "preprocessing.json", "ood.npz"])
def test_a_changed_byte_is_noticed(models: Path, name: str) -> None:
    content = bytearray((models / name).read_bytes())
    content[len(content) // 2] ^= 1
    (models / name).write_bytes(content)
    with pytest.raises(UserError, match=f"was made for another {name} than the one beside it"):
        Decision.of_folder(models)


def test_a_decision_that_says_something_else_is_refused(models: Path) -> None:
    change(models / "thresholds.json", temperature="warm")
    with pytest.raises(UserError, match=r"no decision that this version of the project can follow \(temperature"):
        Decision.of_folder(models)
    (models / "thresholds.json").write_text("{")
    with pytest.raises(UserError, match="no decision that this version"):
        Decision.of_folder(models)
    with pytest.raises(UserError, match="is no folder"):
        Decision.of_folder(models / "model.keras")
    with pytest.raises(UserError, match="expected one of"):
        Classifier.of_folder(models, 99)


def test_another_tensorflow_and_a_leak_give_a_warning(models: Path, classifier: Classifier) -> None:
    assert classifier.warnings == []
    change(models / "preprocessing.json", packages={"tensorflow": "1.0", "keras": "0.1"})
    decision = json.loads((models / "thresholds.json").read_text())
    parts = hashes(models)
    change(models / "thresholds.json", leakage="split by image", model={**decision["model"], "sha256": parts})
    first, second = Classifier.of_folder(models).warnings
    assert "trained with keras 0.1 and tensorflow 1.0" in first
    assert "leaky leakage: split by image" in second


def test_a_model_without_thresholds_gives_no_alert(
    models: Path, judged: pd.DataFrame, capsys: pytest.CaptureFixture[str]
) -> None:
    decision = json.loads((models / "thresholds.json").read_text())
    decision["thresholds"].pop("malignant")
    decision["thresholds"]["melanoma"]["at_least"] = dict.fromkeys(decision["thresholds"]["melanoma"]["at_least"])
    change(models / "thresholds.json", **decision | {"temperature": None, "ood_score": {"flagged_above": None}})
    classifier = Classifier.of_folder(models)
    answer = classifier.classify(judged["content"].iloc[0])
    assert (answer.alerts, answer.is_ood) == ({"melanoma": None}, None)
    assert answer.probabilities == pytest.approx(answer.uncalibrated)
    formats.write_table([answer], classifier, sys.stdout)
    printed = capsys.readouterr().out
    assert "no threshold is known" in printed
    assert "not calibrated" in printed


def test_orientations_are_averaged_where_predict_did(models: Path, judged: pd.DataFrame) -> None:
    decision = json.loads((models / "thresholds.json").read_text())
    change(models / "thresholds.json", model={**decision["model"], "dihedral": True})
    classifier = Classifier.of_folder(models)
    with Image.open(io.BytesIO(judged["content"].iloc[0])) as image:
        pixels = np.asarray(image.convert("RGB").resize(classifier.preprocessing.image_size[::-1]))
    turned = [classifier.classify(np.rot90(pixels, turns)).uncalibrated for turns in range(4)]
    for other in turned[1:]:
        assert other == pytest.approx(turned[0], abs=1e-6)
    change(models / "thresholds.json", model={**decision["model"], "dihedral": False})
    assert Classifier.of_folder(models).classify(pixels).uncalibrated != pytest.approx(turned[0], abs=1e-6)


def test_the_preprocessing_is_the_models_own(models: Path) -> None:
    """Whatever params.yaml says by now."""
    change(models / "preprocessing.json", version=99)
    decision = json.loads((models / "thresholds.json").read_text())
    parts = hashes(models)
    change(models / "thresholds.json", model={**decision["model"], "sha256": parts})
    with pytest.raises(UserError, match="in a way that this version of the project cannot follow"):
        Classifier.of_folder(models)
