"""The pipeline as DVC runs it, end to end, on a small set."""

import json
import re
from pathlib import Path
from shutil import copyfile, copytree

import pandas as pd
import pytest

from tests.conftest import commit, edit_params, run, small_clone, stages_run

STAGES = [
    *("check", "download", "clean", "split", "prepare", "rebalance", "weights", "train", "predict", "evaluate"),
    *("explain", "report"),
]

RERUNS: dict[str, tuple[object, list[str]]] = {
    "download.seed": (2, [stage for stage in STAGES[1:] if stage != "weights"]),
    "clean.max_rejected": (0.5, ["clean", "report"]),
    "split.seed": (2, ["split", "rebalance", "train", "predict", "evaluate", "explain", "report"]),
    "prepare.image_size": (16, ["prepare", "rebalance", "train", "predict", "evaluate", "explain", "report"]),
    "rebalance.seed": (2, ["rebalance", "train", "predict", "evaluate", "explain", "report"]),
    "pretrained.weights": ("none", ["weights", "report"]),
    "train.learning_rate": (2e-3, ["train", "predict", "evaluate", "explain", "report"]),
    "predict.tta": (True, ["predict", "evaluate", "explain", "report"]),
    "evaluate.splits": (["val"], ["predict", "evaluate", "explain", "report"]),
    "evaluate.n_bootstrap": (200, ["evaluate", "report"]),
    "explain.examples_per_class": (2, ["explain", "report"]),
}
"""For a key of every section: another value, and which stages run after that change, beside `check`. The README
shows this table."""

FAKE = """
import hashlib, sys
from pathlib import Path
from ruamel.yaml import YAML
stage = YAML(typ="safe").load(Path("dvc.yaml"))["stages"][sys.argv[1]]
params = YAML(typ="safe").load(Path("params.yaml"))

def values(key):
    if key == {"params.yaml": None}:
        return params
    section, _, name = key.partition(".")
    return params[section][name] if name else params[section]

read = [str(values(key)) for key in stage["params"]]
for dep in stage["deps"]:
    files = sorted(Path(dep).rglob("*")) if Path(dep).is_dir() else [Path(dep)]
    read += [hashlib.sha256(file.read_bytes()).hexdigest() for file in files if file.is_file()]
for out in stage["outs"] + stage.get("metrics", []):
    path = Path(out if isinstance(out, str) else next(iter(out)))
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(hashlib.sha256(str([out, read]).encode()).hexdigest())
"""


@pytest.fixture(scope="module")
def changing(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the workspace for one change after another, in which the stages with TensorFlow take no time.

    What runs is DVC's decision, by what dvc.yaml says of them; their outputs are a hash of what they read.
    """
    clone = copytree(workspace, tmp_path_factory.mktemp("changing") / "clone", symlinks=True)
    (clone / "fake.py").write_text(FAKE)
    definition = (clone / "dvc.yaml").read_text()
    for stage in ("train", "predict", "evaluate", "explain", "report"):
        assert f"python -m stages.{stage}\n" in definition
        definition = definition.replace(f"python -m stages.{stage}\n", f"python fake.py {stage}\n")
    (clone / "dvc.yaml").write_text(definition)
    assert stages_run(run("dvc repro", clone)) == ["train", "predict", "evaluate", "explain", "report"]
    return clone


def test_nothing_to_do_changes_nothing(workspace: Path) -> None:
    lock = (workspace / "dvc.lock").read_bytes()
    assert stages_run(run("dvc repro", workspace)) == []
    assert (workspace / "dvc.lock").read_bytes() == lock
    assert run("git status --porcelain", workspace) == ""


def test_a_second_clone_gets_the_same_bits(workspace: Path, tmp_path: Path) -> None:
    second = small_clone(tmp_path / "elsewhere" / "second")
    (second / "dvc.lock").unlink(missing_ok=True)
    assert stages_run(run("dvc repro", second)) == STAGES
    assert (second / "dvc.lock").read_bytes() == (workspace / "dvc.lock").read_bytes()
    for result in ("metrics/evaluate.json", "reports/evaluation.json"):
        assert (second / result).read_bytes() == (workspace / result).read_bytes()


def test_only_what_depends_on_a_new_file_runs(changing: Path) -> None:
    copyfile(changing / "lesions/models/architectures/plain.py", changing / "lesions/models/architectures/another.py")
    copytree(changing / "lesions/sources/folder", changing / "lesions/sources/another")
    assert stages_run(run("dvc repro", changing)) == []


@pytest.mark.parametrize("key", RERUNS)
def test_only_what_depends_on_a_parameter_runs(changing: Path, key: str) -> None:
    value, expected = RERUNS[key]
    section, name = key.split(".")
    edit_params(changing, **{section: {name: value}})
    assert stages_run(run("dvc repro", changing)) == ["check", *expected]


def test_evaluate_does_not_load_tensorflow(workspace: Path, tmp_path: Path) -> None:
    copy = copytree(workspace, tmp_path / "clone", symlinks=True)
    script = copy / "watch.py"
    script.write_text(
        "import runpy, sys\n"
        "runpy.run_module('stages.evaluate', run_name='__main__')\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)\n"
    )
    run("rm -r plots metrics reports", copy)
    run("python watch.py", copy)


def test_the_drawn_copies_are_found(workspace: Path) -> None:
    found = json.loads((workspace / "metrics/data.json").read_text())
    copies = pd.read_csv(workspace / "data/clean/duplicates.csv")
    assert found["near_duplicates"] == 1  # the mirrored one
    assert (
        found["duplicates_under_two_lesions"] == len(copies) == found["exact_duplicates"] + 2
    )  # one pair was set aside
    groups = pd.read_csv(workspace / "data/clean/images.csv").set_index("image_id")["group_id"]
    kept = copies[copies["label_one"] == copies["label_other"]]
    assert (groups[kept["one"]].to_numpy() == groups[kept["other"]].to_numpy()).all()


def test_what_the_stages_made_fits_together(workspace: Path) -> None:
    images = pd.read_csv(workspace / "data/clean/images.csv")
    split = pd.read_csv(workspace / "data/split/split.csv")
    assert list(images["image_id"]) == sorted(images["image_id"]) == list(split["image_id"])
    splits = images.merge(split, on="image_id").groupby("group_id")["split"].nunique()
    assert (splits == 1).all()
    copies = pd.read_csv(workspace / "data/rebalanced/index.csv")
    train = set(split.loc[split["split"] == "train", "image_id"])
    assert len(copies) > 0
    assert set(copies["original"]) <= train
    predictions = pd.read_csv(workspace / "data/predictions/predictions.csv")
    assert set(predictions["image_id"]) == set(images["image_id"]) - train
    assert set(predictions["leakage"]) == {"none"}
    classes = list(predictions.columns[4:])
    assert predictions[classes].sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-5)
    metrics = json.loads((workspace / "metrics/evaluate.json").read_text())
    test = predictions[predictions["split"] == "test"]
    hits = (test[classes].idxmax(axis=1) == test["label"]).mean()
    assert metrics["test"]["accuracy"] == pytest.approx(hits, abs=6e-4)


def test_an_experiment_in_a_copy_runs_its_own_code(workspace: Path, tmp_path: Path) -> None:
    clone = copytree(workspace, tmp_path / "clone", symlinks=True)
    with (clone / "lesions/evaluation/metrics.py").open("a") as code:
        code.write("\nprint('metrics from', __file__)\n")
    commit(clone)
    printed = run("dvc exp run --temp --set-param evaluate.splits=[val]", clone)
    (module,) = re.findall(r"metrics from (.*)", printed)
    assert Path(module).is_relative_to(clone / ".dvc/tmp/exps")
    # While one chooses on validation, no test image is corrupted, and none shown.
    assert "corrupted.csv: 0 corrupted test images" in printed
    assert re.search(r"reports/gallery: \d+ images of val\.", printed)


def test_a_failure_says_how_the_last_good_outputs_come_back(workspace: Path, tmp_path: Path) -> None:
    clone = copytree(workspace, tmp_path / "clone", symlinks=True)
    before = (clone / "data/clean/images.csv").read_bytes()
    edit_params(clone, clean={"max_rejected": 0.0})
    printed = run("dvc repro", clone, fails=True)
    assert "more than clean.max_rejected allows (0.0%)" in printed
    assert "`dvc checkout` brings the last good outputs back" in printed
    assert "Traceback" not in printed
    assert not (clone / "data/clean/images.csv").exists()
    run("dvc checkout", clone)
    assert (clone / "data/clean/images.csv").read_bytes() == before


def test_a_wrong_key_of_the_last_stage_stops_the_first(workspace: Path, tmp_path: Path) -> None:
    clone = copytree(workspace, tmp_path / "clone", symlinks=True)
    edit_params(clone, evaluate={"split": ["val"]}, train={"epochs": 3})
    printed = run("dvc repro", clone, fails=True)
    assert 'evaluate.split: unknown key; did you mean "splits"?' in printed
    assert stages_run(printed) == ["check"]
