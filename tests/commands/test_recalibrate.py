"""`lesions recalibrate`: calibrate's fit, on images that the model has not seen, in a folder of its own."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lesions.classifier import Classifier
from lesions.commands.recalibrate import recalibrate as module
from lesions.commands.recalibrate.recalibrate import KEPT, recalibrate
from lesions.commands.validate.validate import validate
from lesions.core.csv_files import read_csv
from lesions.core.errors import UserError
from lesions.evaluation.common.recalibration import IMAGES
from lesions.evaluation.common.temperature_scaling import Calibration
from lesions.evaluation.common.thresholds import THRESHOLDS_FILE, Thresholds
from lesions.models.calibration.temperature_scaling import fit_calibration
from lesions.models.calibration.thresholds import choose_threshold, load
from tests.commands.test_validate import images_of, put
from tests.conftest import lesions

FILES = {*KEPT, IMAGES, Calibration.FILE, THRESHOLDS_FILE}
Recalibrate = Callable[..., str]


@pytest.fixture
def recalibrated(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Recalibrate:
    """Recalibrate the small clone's model on its own test images, which are few."""
    monkeypatch.chdir(workspace)
    monkeypatch.setattr(module, "MIN_GROUPS", 1)

    def made(folder: Path, **other: Path | bool) -> str:
        paths = {"models": Path("models"), "data": Path("data"), "out": tmp_path / "new"} | other
        return recalibrate(folder, mapping=[], **paths)  # type: ignore[arg-type]

    return made


def contents(folder: Path) -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in folder.iterdir()}


def test_fit_is_that_of_the_pipeline_on_other_images(recalibrated: Recalibrate, tmp_path: Path) -> None:
    before = contents(Path("models"))
    printed = recalibrated(put(tmp_path / "clinic", *images_of("test")))
    assert contents(Path("models")) == before
    new = contents(tmp_path / "new")
    assert set(new) == FILES
    assert {name: new[name] for name in KEPT} == {name: before[name] for name in KEPT}

    table = pd.read_csv("data/predictions/predictions.csv").query("split == 'test'")
    found, old = load(tmp_path / "new"), load(Path("models"))
    label, probability = table["label"].map(found.classes.index).to_numpy(), table[found.classes].to_numpy(np.float32)
    calibration = Calibration.load(tmp_path / "new")
    assert calibration == fit_calibration(label, probability, found.classes)
    for name, task in found.tasks.items():
        rows = table["label"].isin(task.positive + task.negative).to_numpy()
        positive, score = table["label"].isin(task.positive).to_numpy(), task.score(found.classes, probability)
        for one in found.of_task(name):
            assert one.value == choose_threshold(positive[rows], score[rows], one.metric, one.target)
    assert found.thresholds != old.thresholds
    assert found.recalibrated is not None
    assert found.recalibrated.images == len(table)
    mel = table.loc[table["label"] == "mel", "image_id"]
    images = read_csv(Path("data/clean/images.csv")).set_index("image_id")
    assert found.recalibrated.positive_groups["melanoma"] == images.loc[mel, "group_id"].nunique()
    assert f"The thresholds of melanoma rest on {found.recalibrated.positive_groups['melanoma']} positive" in printed
    unchanged = {"leakage", "classes", "tasks", "training_data"}
    assert found.model_dump(include=unchanged) == old.model_dump(include=unchanged)


def test_whoever_uses_it_reads_on_what_it_rests(recalibrated: Recalibrate, tmp_path: Path) -> None:
    folder = put(tmp_path / "clinic", *images_of("test"))
    recalibrated(folder)
    classifier = Classifier.of_folder(tmp_path / "new")
    assert "fitted again on" in classifier.warnings[0]
    assert "images of clinic; positive lesions: " in classifier.warnings[0]
    image = next(folder.glob("*.jpg"))
    printed = lesions(Path.cwd(), "classify", image, "--json", "--models", tmp_path / "new")
    assert printed.status == 0
    assert "fitted again on" in printed.stdout
    assert classifier.classify(image).image_only == Classifier.of_folder().classify(image).image_only


def test_its_own_images_do_not_validate_it(recalibrated: Recalibrate, tmp_path: Path) -> None:
    folder = put(tmp_path / "clinic", *images_of("test"))
    recalibrated(folder)

    def validated() -> None:
        validate([folder], tmp_path / "new", [], Path("data"), tmp_path / "out", 100)

    with pytest.raises(UserError, match=r"no image of .*clinic is left to evaluate:\n.* the model was made from them"):
        validated()
    with (tmp_path / "new" / IMAGES).open("a") as file:
        file.write("\n")
    with pytest.raises(UserError, match=f"{IMAGES} is missing, or not the table that was written with"):
        validated()


def test_nothing_is_overwritten(recalibrated: Recalibrate, tmp_path: Path) -> None:
    folder = put(tmp_path / "clinic", *images_of("test"))
    for place in (Path("models"), folder, folder / "new"):
        with pytest.raises(UserError, match="expected another place, for a new model"):
            recalibrated(folder, out=place, replace=True)
    recalibrated(folder)
    before = contents(tmp_path / "new")
    with pytest.raises(UserError, match="is there already: name another folder with --out, or add --replace"):
        recalibrated(folder)
    assert contents(tmp_path / "new") == before
    recalibrated(folder, replace=True)
    assert contents(tmp_path / "new") == before
    # Of a recalibrated model another one can be made, of images that neither has seen.
    with pytest.raises(UserError, match="is left to evaluate"):
        recalibrated(folder, models=tmp_path / "new", out=tmp_path / "newer")


def test_few_lesions_are_refused(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace)
    folder = put(tmp_path / "clinic", *images_of("test"))
    printed = lesions(workspace, "recalibrate", folder, "--out", tmp_path / "new")
    assert printed.status == 1
    assert "has too few lesions for thresholds that mean something" in printed.stderr
    assert "positive of melanoma" in printed.stderr
    assert "Expected at least 20 positive and 20 negative ones of each task" in printed.stderr
    assert not list((tmp_path / "new").iterdir())


def test_train_and_val_are_left_out(recalibrated: Recalibrate, tmp_path: Path) -> None:
    with pytest.raises(UserError, match="is left to evaluate"):
        recalibrated(put(tmp_path / "own", *images_of("val")))


def test_pipeline_writes_no_word_of_it(workspace: Path) -> None:
    """The file of a model that was not recalibrated is as it was before there was the command."""
    assert Thresholds.read(workspace / "models/thresholds.json").recalibrated is None
    assert "recalibrated" not in (workspace / "models/thresholds.json").read_text(encoding="utf-8")
