"""The stage rebalance: which images are augmented, the leak's name, determinism, and no partial output."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from shutil import copyfile
from typing import Any, TypeAlias

import dask
import numpy as np
import pandas as pd
import pytest
from distributed import LocalCluster
from numpy.typing import NDArray
from PIL import Image
from ruamel.yaml import YAML

from lesions.core import image_array
from lesions.core.csv_files import read_csv
from lesions.core.errors import UserError
from lesions.core.json_files import write_json
from lesions.images import parallel_map
from lesions.models.common import dataset
from lesions.params.rebalance import Rebalance, operations
from lesions.sampling import oversampling
from lesions.sampling.augmentor import AugmentedImage, augment
from lesions.sampling.oversampling import LEAK, index_table, plan_oversampling
from stages import calibrate, evaluate, rebalance
from tests.conftest import ROOT, edit_params, put_clean

Images: TypeAlias = NDArray[np.uint8]
PUBLISHED = {"operation": "rotate", "probability": 0.7, "max_left_rotation": 10, "max_right_rotation": 10}
BY_IMAGE = "split by image (leaky)"


def put_data(folder: Path, images: int = 90, px: int = 20, leakage: str = "none") -> None:
    """Write what the stage reads: images of three classes, of which a tenth is left out by the split."""
    (folder / "data/split").mkdir(parents=True)
    (folder / "data/clean").mkdir()
    pd.DataFrame({"label": ["mel", "nv", "df"]}).to_csv(folder / "data/clean/labels.csv", index=False)
    names = [f"p{number:04}" for number in range(images)]
    labels = ["nv" if number % 9 < 6 else "mel" if number % 9 < 8 else "df" for number in range(images)]
    index = pd.DataFrame({"image_id": names, "label": labels})
    random = np.random.default_rng(0)
    drawn = (random.integers(80, 256, (px, px, 3), np.uint8) for _ in names)
    image_array.write(folder / "data/prepared", index, drawn, (px, px))
    splits = ["train", "val", "train", "test", "train", "left_out", "train", "train", "val", "train"]
    split = pd.DataFrame({"image_id": names, "split": [splits[number % 10] for number in range(images)]})
    split.assign(leakage=leakage).to_csv(folder / "data/split/split.csv", index=False)
    for file in ("params.yaml", "dvc.yaml"):
        copyfile(ROOT / file, folder / file)
    edit_params(folder, rebalance={"operations": [PUBLISHED]})


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    put_data(tmp_path)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run(folder: Path, **values: object) -> pd.DataFrame:
    """Run the stage with these parameters; return index.csv, with each original's split as `original_split`."""
    edit_params(folder, rebalance=values)
    rebalance.main()
    rows = read_csv(Path("data/rebalanced/index.csv"))
    splits = read_csv(Path("data/split/split.csv")).set_index("image_id")["split"]
    return rows.assign(original_split=rows["original"].map(splits))


def test_only_training_images_are_augmented(project: Path) -> None:
    rows = run(project, target="max")
    assert list(rows)[:6] == ["image_id", "original", "number", "label", "split", "leakage"]
    assert set(rows["original_split"]) == set(rows["split"]) == {"train"}
    assert set(rows["leakage"]) == {"none"}
    assert (rows["image_id"] == rows["original"] + "+" + rows["number"]).all()
    data = dataset.load(Path("data"))
    assert data.leakage == "none"
    train = data.table.loc[data.rows("train"), "label"].value_counts()
    assert train["mel"] == train["nv"] == train["df"]
    assert (data.arrays[1] != 0).all()


def test_index_matches_pixels(project: Path) -> None:
    rows = run(project, target="max")
    pixels, index = image_array.read(Path("data/prepared"))
    augmented, _ = image_array.read(Path("data/rebalanced"))
    params = Rebalance.read()
    image_of = dict(zip(index["image_id"], pixels, strict=True))
    for made, original, number in zip(augmented, rows["original"], rows["number"], strict=True):
        item = (image_of[original], AugmentedImage(original, int(number)))
        assert np.array_equal(made, augment(item, params.operations_of_augmentor(), params.seed))


def test_before_split_augments_train_and_val(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    rows = run(project, target="none", copies_per_class=200, when="before_split")
    assert rows["label"].value_counts().to_dict() == {"nv": 200, "mel": 200, "df": 200}
    assert set(zip(rows["original_split"], rows["split"], strict=True)) == {
        (a, b) for a in ("train", "val") for b in ("train", "val")
    }
    # As large a fraction of the augmented images as of the originals, whatever the original's own split.
    for _, ours in rows.groupby("original_split"):
        assert (ours["split"] == "val").mean() == pytest.approx(18 / 72, abs=0.08)
    assert set(rows["leakage"]) == {LEAK}
    printed = capsys.readouterr().out
    assert f"WARNING: {LEAK}" in printed
    seen = {*rows.loc[rows["split"] == "train", "original"]}
    assert len(seen) == 72
    assert "of 100.0% of the validation images" in printed


def test_when_does_not_change_augmented_images(project: Path) -> None:
    after = run(project, target="none", copies_per_class=30).set_index("image_id")
    pixels, _ = image_array.read(Path("data/rebalanced"))
    expected = dict(zip(after.index, np.array(pixels), strict=True))
    before = run(project, copies_per_class=60, when="before_split")
    pixels, _ = image_array.read(Path("data/rebalanced"))
    compared = [
        np.array_equal(expected[name], found)
        for name, found in zip(before["image_id"], pixels, strict=True)
        if name in expected
    ]
    assert len(compared) > 30
    assert all(compared)


def predict_without_network(monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the stage predict with a network that finds every class as probable, and of each image only noise."""
    from stages import predict

    def predict_images(_: None, batches: Iterator[Images], n_images: int, *_rest: object) -> tuple[NDArray[Any], ...]:
        assert sum(map(len, batches)) == n_images
        features = np.random.default_rng(0).normal(size=(n_images, 3)).astype(np.float32)
        return features, np.full((n_images, 3), 1 / 3, np.float32)

    def predict_corrupted(
        _: None, batches: Iterator[Images], known: pd.DataFrame, *_rest: object, **_more: object
    ) -> pd.DataFrame:
        assert sum(map(len, batches)) == len(known)
        return known.assign(corruption="blur", severity=1, mel=0.0, nv=1.0, df=0.0)

    for name, function in (("predict_images", predict_images), ("predict_corrupted", predict_corrupted)):
        monkeypatch.setattr(predict, name, function)
    monkeypatch.setattr("lesions.models.common.saving.load", lambda _: None)
    monkeypatch.setattr(predict, "feature_model", lambda _: None)
    Path("models").mkdir(exist_ok=True)
    predict.MODEL.write_bytes(b"")
    write_json(predict.PREPROCESSING, {"classes": ["mel", "nv", "df"]})
    ood = pd.DataFrame({"image_id": ["noise"], "split": "ood", "label": "noise"})
    image_array.write(Path("data/ood"), ood, iter([np.zeros((20, 20, 3), np.uint8)]), (20, 20))
    predict.main()


@pytest.mark.parametrize(
    ("split", "values", "leakage"),
    [
        ("none", {"when": "before_split"}, LEAK),
        (BY_IMAGE, {"when": "before_split"}, f"{BY_IMAGE}, {LEAK}"),
        (BY_IMAGE, {}, BY_IMAGE),
        ("none", {"when": "before_split", "target": "none"}, "none"),
    ],
)
def test_metrics_name_the_leak(
    tmp_path: Path,
    split: str,
    values: dict[str, Any],
    leakage: str,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    """And predict runs on the augmented images in val as well."""
    put_data(tmp_path, leakage=split)
    monkeypatch.chdir(tmp_path)
    rows = run(tmp_path, **values)
    data = dataset.load(Path("data"))
    assert data.leakage == leakage
    predict_without_network(monkeypatch)
    outputs = Path("data/network_outputs")
    for file in ("predictions.csv", "corrupted.csv", "features.csv"):
        assert set(read_csv(outputs / file)["leakage"]) == {leakage}
    predictions = read_csv(outputs / "predictions.csv")
    assert predictions["image_id"].is_unique
    val, test = (set(predictions.loc[predictions["split"] == name, "image_id"]) for name in ("val", "test"))
    assert val >= set(rows.loc[rows["split"] == "val", "image_id"])
    assert not test & set(rows["image_id"])

    _, index = image_array.read(Path("data/prepared"))
    put_clean(tmp_path, index.assign(group_id=index["image_id"]))
    calibrate.main()
    evaluate.main()
    for file in ("models/thresholds.json", "metrics/evaluate.json", "reports/evaluation.json"):
        assert json.loads(Path(file).read_text())["leakage"] == leakage
    assert (f"WARNING: {leakage}" in capsys.readouterr().out) == (leakage != "none")


def test_no_augmented_images(project: Path) -> None:
    assert run(project, target="none").empty
    data = dataset.load(Path("data"))
    assert data.arrays[1].shape == (0, 20, 20, 3)
    assert data.leakage == "none"
    table = pd.read_csv("plots/class_balance.csv")
    before, after = (table.loc[table["when"] == when, "images"].tolist() for when in ("before", "after"))
    assert before == after
    assert Image.open("plots/augmented_images.jpg").size[0] > 200


def test_plots_show_augmented_images(project: Path) -> None:
    rows = run(project, target="none", copies_per_class=40)
    table = pd.read_csv("plots/class_balance.csv").pivot_table(index="diagnosis", columns="when", values="images")
    assert (table["after"] - table["before"] == 40).all()
    assert table["before"].sum() == 54
    pixels, _ = image_array.read(Path("data/prepared"))
    augmented, _ = image_array.read(Path("data/rebalanced"))
    sheet = np.asarray(Image.open("plots/augmented_images.jpg"))
    place = int(np.flatnonzero(rows["label"] == "mel")[0])
    original = int(rows["original"].iloc[place].removeprefix("p"))
    for shown, left in ((pixels[original], 4), (augmented[place], 28)):
        # Above it a line of text; the original is framed.
        # The sheet is a JPEG, which keeps of noise its grey values.
        there, made = (
            np.asarray(Image.fromarray(part).convert("L")).ravel()
            for part in (sheet[26:42, left + 2 : left + 18], np.asarray(shown[2:-2, 2:-2]))
        )
        assert np.corrcoef(there, made)[0, 1] > 0.9
    assert np.abs(sheet[24:44, 4:6].mean(axis=(0, 1)) - (255, 165, 0)).max() < 60


def test_id_in_use_is_refused(project: Path) -> None:
    for file in ("data/prepared/index.csv", "data/split/split.csv"):
        Path(file).write_text(Path(file).read_text().replace("p0003,", "p0006+0,"))
    with pytest.raises(UserError, match=r"the images have the id 'p0006\+0' already"):
        run(project, target="max")


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells a process's largest memory there")
def test_memory_is_bounded(tmp_path: Path) -> None:
    tell = (
        "import atexit; atexit.register(lambda: print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0]))"
    )
    peaks = []
    for images in (300, 6_000):
        folder = tmp_path / str(images)
        put_data(folder, images, px=64)
        flip = {"operation": "flip_random", "probability": 0.5}
        edit_params(folder, rebalance={"target": "none", "copies_per_class": images, "operations": [flip]})
        stage = start(folder, tell)
        printed, _ = stage.communicate(timeout=60)
        peaks.append(int(printed.split()[-1]) / 1000)  # MB
        read, written = (
            (folder / f"data/{name}/pixels.npy").stat().st_size / 1e6 for name in ("prepared", "rebalanced")
        )
    assert read > 70
    assert written > 200
    assert peaks[1] - peaks[0] < 40, peaks
    assert peaks[1] < 400


def sha256(folder: Path, params: Rebalance, workers: int = -1) -> str:
    """Make and write augmented images as the stage does; return the hash of both files."""
    pixels, index = image_array.read(Path("data/prepared"))
    planned = plan_oversampling(index, "none", 40, 1)
    rows = index_table(planned, index, params)
    originals = (pixels[int(image.original[1:])] for image in planned)
    image_array.write(folder, rows, oversampling.augment_all(planned, originals, params, workers), (20, 20))
    return hashlib.sha256((folder / "pixels.npy").read_bytes() + (folder / "index.csv").read_bytes()).hexdigest()


def test_workers_and_batches_change_nothing(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = Rebalance.read()
    seen = set()
    for workers, batch in [(1, 16), (2, 1), (3, 7), (8, 16), (2, 1000)]:
        monkeypatch.setattr(parallel_map, "BATCH", batch)
        seen.add(sha256(project / "out", params, workers))
    assert len(seen) == 1


def test_cluster_that_loses_a_worker(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    params = Rebalance.read()
    expected = sha256(project / "out", params, workers=1)
    monkeypatch.setattr(parallel_map, "CLUSTER_BATCH", 5)
    # Half a minute is how long Dask may try to reach the worker that is no more, where it had results.
    brief = dask.config.set({"distributed.comm.timeouts.connect": "2s"})
    with brief, LocalCluster(n_workers=2, threads_per_worker=2, dashboard_address=None) as cluster:
        monkeypatch.setenv("LESIONS_CLUSTER", cluster.scheduler_address)
        assert sha256(project / "out", params) == expected

        make = oversampling.augment_all

        def losing(*given: Any) -> Iterator[NDArray[np.uint8]]:
            for number, image in enumerate(make(*given)):
                if number == 30:
                    os.kill(cluster.workers[0].pid, signal.SIGKILL)
                yield image

        monkeypatch.setattr(oversampling, "augment_all", losing)
        assert sha256(project / "out", params) == expected


def start(folder: Path, before: str = "") -> "subprocess.Popen[str]":
    """Start the stage in a process of its own."""
    code = f"{before}\nimport runpy\nrunpy.run_module('stages.rebalance', run_name='__main__')\n"
    return subprocess.Popen(
        [sys.executable, "-c", code],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


@pytest.mark.skipif(sys.platform == "win32", reason="resource limits are Unix's")
def test_full_disk(tmp_path: Path) -> None:
    put_data(tmp_path)
    edit_params(tmp_path, rebalance={"target": 900})
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))"
    stage = start(tmp_path, limit)
    _, printed = stage.communicate(timeout=60)
    assert stage.returncode == 1
    assert "data/rebalanced/pixels.npy could not be written: File too large" in printed
    assert "Traceback" not in printed
    assert not (tmp_path / "data/rebalanced").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are Unix's")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL], ids=["SIGINT", "SIGKILL"])
def test_interrupted_run_leaves_nothing(tmp_path: Path, sent: signal.Signals) -> None:
    put_data(tmp_path)
    edit_params(tmp_path, rebalance={"target": 100_000})
    stage = start(tmp_path)
    unfinished = tmp_path / "data/rebalanced/pixels.npy.part"
    while not (unfinished.exists() and unfinished.stat().st_size > 100_000):
        assert stage.poll() is None
        time.sleep(0.01)
    stage.send_signal(sent)
    _, printed = stage.communicate(timeout=60)
    assert stage.returncode != 0
    assert not (tmp_path / "data/rebalanced/pixels.npy").exists()
    if sent == signal.SIGINT:
        assert "Interrupted" in printed
        assert "Traceback" not in printed
        assert not (tmp_path / "data/rebalanced").exists()
    with pytest.raises(ProcessLookupError):
        os.killpg(stage.pid, 0)  # nobody of its group is left


DOCS = (ROOT / "docs/rebalance.md").read_text(encoding="utf-8")


def test_documented_operations_and_examples() -> None:
    table = DOCS.partition("| operation |")[2].partition("\n\n")[0]
    named = {name for row in table.splitlines()[2:] for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert named == set(operations())
    examples = re.findall(r"```yaml\n(.*?)```", DOCS, re.DOTALL)
    assert examples
    for example in examples:
        Rebalance.check({"seed": 1} | YAML(typ="safe").load(example)["rebalance"])


def test_documented_message() -> None:
    wrong = {"operation": "rotate", "probability": 1, "max_left": 1}
    with pytest.raises(UserError) as error:
        Rebalance.check({"target": "max", "seed": 1, "operations": [wrong]})
    (said,) = re.findall(r"```text\n(.*?)\n```", DOCS)
    assert said in str(error.value)
