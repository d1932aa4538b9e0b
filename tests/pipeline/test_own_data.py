"""A person's own folder, through DVC: what goes on, and what stops and loses nothing."""

import hashlib
import json
import os
import signal
import subprocess
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from shutil import copyfile, copytree, rmtree

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lesions.core import image_array
from lesions.core.csv_files import read_csv
from stages import clean, download, prepare, split
from tests.conftest import ROOT, commit, edit_params, run, stages_run
from tests.stand_in import put_stand_ins

INCOMING = Path("data/incoming")
TABLE = INCOMING / "HAM10000_metadata.csv"
AFTER_TRAIN = ["predict", "calibrate", "evaluate", "explain", "report"]


@pytest.fixture(scope="module")
def finished(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone in which the pipeline ran on a folder in HAM10000's layout: the drawn images."""
    clone = copytree(workspace, tmp_path_factory.mktemp("own") / "clone", symlinks=True)
    (clone / INCOMING).mkdir()
    for file in (clone / "data/raw").glob("*.zip"):
        copyfile(file, clone / INCOMING / file.name)
    copyfile(clone / "data/raw/metadata.csv", clone / TABLE)
    edit_params(clone, download={"source": "folder", "folder": INCOMING.as_posix()})
    put_stand_ins(clone, workspace, AFTER_TRAIN)
    run("dvc repro", clone)
    commit(clone)
    return clone


@pytest.fixture
def own(finished: Path, tmp_path: Path) -> Path:
    return copytree(finished, tmp_path / "clone", symlinks=True)


def outputs(folder: Path) -> dict[str, str]:
    """Return the hash of each file that the stages made."""
    files = [file for top in ("data", "models", "metrics", "plots") for file in (folder / top).rglob("*")]
    return {
        file.relative_to(folder).as_posix(): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in files
        if file.is_file() and INCOMING.name not in file.parts
    }


def edit_table(folder: Path, change: Callable[[pd.DataFrame], pd.DataFrame]) -> None:
    change(read_csv(folder / TABLE)).to_csv(folder / TABLE, index=False)


def break_images(folder: Path, ids: set[str]) -> None:
    """Replace images in the archives by text."""
    for file in (folder / INCOMING).glob("*.zip"):
        with zipfile.ZipFile(file) as archive:
            content = {name: archive.read(name) for name in archive.namelist()}
        with zipfile.ZipFile(file, "w") as archive:
            for name, data in content.items():
                archive.writestr(name, b"no image" if Path(name).stem in ids else data)


def ids_of(folder: Path, label: str) -> set[str]:
    table = read_csv(folder / TABLE)
    return set(table.loc[table["dx"] == label, "image_id"])


def rename_column(folder: Path) -> None:
    edit_table(folder, lambda table: table.rename(columns={"dx": "finding"}))


def double_an_id(folder: Path) -> None:
    edit_table(folder, lambda table: pd.concat([table, table.head(1)]))


def leave_two_lesions(folder: Path) -> None:
    def change(table: pd.DataFrame) -> pd.DataFrame:
        of_class = table["dx"] == "df"
        few = sorted(set(table.loc[of_class, "lesion_id"]))[:2]
        return table[~of_class | table["lesion_id"].isin(few)]

    edit_params(folder, clean={"max_rejected": 0.5})
    edit_table(folder, change)


def break_a_class(folder: Path) -> None:
    edit_params(folder, clean={"max_rejected": 0.5})
    break_images(folder, ids_of(folder, "vasc"))


def truncate(folder: Path) -> None:
    archive = folder / INCOMING / "images_part_2.zip"
    archive.write_bytes(archive.read_bytes()[:-1000])


def empty(folder: Path) -> None:
    rmtree(folder / INCOMING)
    (folder / INCOMING).mkdir()


STOPS: dict[str, tuple[Callable[[Path], None], str]] = {
    "missing folder": (lambda own: edit_params(own, download={"folder": "data/elsewhere"}), "no folder data/elsewhere"),
    "empty folder": (empty, "data/incoming holds no images"),
    "missing column": (rename_column, "has no column dx"),
    "duplicate ids": (double_an_id, "image_ids in more than one row"),
    "truncated archive": (truncate, "images_part_2.zip cannot be opened as a zip archive"),
    "too few lesions": (leave_two_lesions, "class 'df' has 2 group(s)"),
    "a fold without a class": (lambda own: edit_params(own, split={"folds": 9}), "6 group(s)"),
    "a class without images": (break_a_class, "of vasc no image can be used"),
    "too many rejects": (
        lambda own: break_images(own, ids_of(own, "nv")),
        "more than clean.max_rejected allows (5.0%)",
    ),
    "unknown source": (
        lambda own: edit_params(own, download={"source": "floder"}),
        'no such source; did you mean "folder"?',
    ),
    "unknown architecture": (
        lambda own: edit_params(own, train={"architecture": "plian"}),
        'no such architecture; did you mean "plain"?',
    ),
    "an operation that fails": (
        lambda own: edit_params(
            own,
            rebalance={"operations": [{"operation": "crop_by_size", "probability": 1.0, "width": 999, "height": 999}]},
        ),
        "Augmentor's Crop fails",
    ),
}


QUICK = ["missing folder", "missing column", "a fold without a class", "an operation that fails"]
"""One for each stage; of `clean`, test_failure_names_the_way_back. The others have quicker tests of their own."""


@pytest.mark.parametrize(
    "what", [what if what in QUICK else pytest.param(what, marks=pytest.mark.long) for what in STOPS]
)
def test_error_has_a_reason_and_loses_nothing(own: Path, what: str) -> None:
    spoil, words = STOPS[what]
    before = outputs(own)
    spoil(own)
    printed = run("dvc repro", own, fails=True)
    assert words in printed
    assert "Traceback" not in printed
    assert "  git checkout params.yaml dvc.lock metrics reports\n  dvc checkout" in printed
    run("git checkout --quiet .", own)
    run("dvc checkout", own)
    rmtree(own / "data/stopped", ignore_errors=True)  # what `clean` found; the next run removes it
    assert outputs(own) == before


def test_vanished_folder_loses_nothing(own: Path) -> None:
    before = outputs(own)
    rmtree(own / INCOMING)
    printed = run("dvc repro", own, fails=True)
    assert "data/incoming" in printed
    run("dvc checkout", own)
    assert outputs(own) == before


def test_interrupted_training_loses_nothing(own: Path) -> None:
    before = outputs(own)
    edit_params(own, train={"learning_rate": 0.002, "epochs": 1000, "early_stopping_patience": 1000})
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with subprocess.Popen(
        ["dvc", "repro"], cwd=own, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        text=True, start_new_session=True,
    ) as process:  # fmt: skip
        assert process.stdout is not None
        printed = ""
        for line in process.stdout:
            printed += line
            if "Epoch 3/" in line:  # wherever it stands: what two processes print can share a line
                os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
    assert process.returncode != 0
    assert "Interrupted." in printed
    assert "Traceback" not in printed
    assert not (own / "plots/history.csv").exists()
    run("git checkout --quiet .", own)
    run("dvc checkout", own)
    assert outputs(own) == before


def test_new_image_is_read(own: Path) -> None:
    with zipfile.ZipFile(own / INCOMING / "images_part_1.zip") as archive:
        donor = archive.namelist()[0]
        (own / INCOMING / "new.jpg").write_bytes(archive.read(donor) + b" ")  # a file of its own
    label = read_csv(own / "data/clean/images.csv").set_index("image_id")["label"][Path(donor).stem]
    row = {"image_id": "new", "lesion_id": "new", "dx": label}
    edit_table(own, lambda table: pd.concat([table, pd.DataFrame([row])]).fillna(""))
    assert stages_run(run("dvc repro clean", own)) == ["download", "clean"]
    assert "new" in set(read_csv(own / "data/clean/images.csv")["image_id"])


@pytest.mark.parametrize("how", ["--temp", pytest.param("--queue", marks=pytest.mark.long)])
def test_experiment_runs_without_the_folder(own: Path, how: str) -> None:
    if how == "--temp":
        put_stand_ins(own, own, ["train"])
        commit(own)
    printed = run(f"dvc exp run {how} --allow-missing --name far --set-param train.learning_rate=0.002", own)
    if how == "--queue":
        run("dvc queue start --jobs 1", own)
        run("dvc queue logs --follow far", own)
        printed = run("dvc queue logs far", own)
    assert stages_run(printed) == ["train", "predict", "calibrate", "evaluate", "explain", "report"]
    assert "far" in run("dvc exp list --name-only", own)


def write_images(folders: dict[Path, int]) -> None:
    """Write so many different images into each folder."""
    random = np.random.default_rng(0)
    for folder, number in folders.items():
        folder.mkdir(parents=True)
        for place in range(number):
            Image.fromarray(random.integers(0, 256, (30, 40, 3), np.uint8)).save(folder / f"{folder.name}_{place}.jpg")


def prepared(folder: Path) -> pd.DataFrame:
    """Run the stages up to the pixels in the current folder, and return images.csv with the split."""
    Path("params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    edit_params(Path.cwd(), download={"source": "folder", "folder": str(folder)}, prepare={"image_size": [16, 20]})
    for stage in (download, clean, split, prepare):
        stage.main()
    images = read_csv(Path("data/clean/images.csv"))
    pixels, index = image_array.read(Path("data/prepared"))
    assert pixels.shape == (len(images), 16, 20, 3)
    assert list(index["image_id"]) == list(images["image_id"])
    return images.merge(read_csv(Path("data/split/split.csv")), on="image_id")


def test_folder_per_class_with_published_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "mine"
    write_images({mine / "Train/melanoma": 12, mine / "Train/my mole": 14, mine / "Test/my mole": 5})
    (mine / "Train/melanoma/holiday.heic").write_bytes(b"of no format that is read")
    images = prepared(mine)
    assert images["label"].value_counts().to_dict() == {"my mole": 19, "mel": 12}
    assert images["published_split"].value_counts().to_dict() == {"train": 26, "test": 5}
    assert json.loads(Path("metrics/data.json").read_text())["kept_together"] == ["duplicates"]
    assert "no image" in read_csv(Path("data/clean/rejects.csv"))["reason"][0]


def test_isic_challenge_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_images({tmp_path / "isic/images": 20})
    rows = [f"images_{place},{place % 2}.0,{1 - place % 2}.0,0.0" for place in range(20)]
    truth = tmp_path / "isic/ISIC2018_Task3_Training_GroundTruth.csv"
    truth.write_text("\n".join(["image,MEL,NV,BCC", *rows, "images_99,0.0,1.0,0.0"]))
    images = prepared(tmp_path / "isic")
    assert images["label"].value_counts().to_dict() == {"mel": 10, "nv": 10}
    assert list(read_csv(Path("data/clean/rejects.csv"))["image_id"]) == ["images_99"]
