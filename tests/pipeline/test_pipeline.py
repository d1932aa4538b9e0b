"""The pipeline as DVC runs it, end to end, on a small set."""

import json
import re
from pathlib import Path
from shutil import copyfile, copytree

import numpy as np
import pandas as pd
import pytest

from lesions.evaluation.common.thresholds import Thresholds
from tests.conftest import commit, edit_params, reproduce, run, small_clone, stages_run

STAGES = [
    *("download", "clean", "split", "prepare", "rebalance", "weights", "train", "predict", "calibrate"),
    *("evaluate", "explain", "report"),
]
FROM_TRAIN = STAGES[STAGES.index("train") :]
FAKED = ["split", "prepare", "rebalance", *FROM_TRAIN]
FROM_PREDICT = STAGES[STAGES.index("predict") :]

RERUNS: dict[str, tuple[object, list[str]]] = {
    "download.seed": (2, [stage for stage in STAGES if stage != "weights"]),
    "clean.max_rejected": (0.5, ["clean", "evaluate", "report"]),
    "split.seed": (2, ["split", "rebalance", *FROM_TRAIN]),
    "prepare.image_size": (16, ["prepare", "rebalance", *FROM_TRAIN]),
    "rebalance.seed": (2, ["rebalance", *FROM_TRAIN]),
    "pretrained.weights": ("none", ["weights", "evaluate", "report"]),
    "train.learning_rate": (2e-3, FROM_TRAIN),
    "predict.tta": (True, FROM_PREDICT),
    "calibrate.optimise": ("accuracy", ["calibrate", "evaluate", "report"]),
    "evaluate.splits": (["val"], FROM_PREDICT),
    "evaluate.n_bootstrap": (200, ["evaluate", "report"]),
    "explain.examples_per_class": (2, ["explain", "report"]),
}
"""For a key of every section: another value, and which stages run after that change, beside `check`. docs/pipeline.md
shows this table."""

EFFECT = "# with another output"
RERUNS_OF_CODE: dict[str, tuple[str, list[str]]] = {
    "lesions/evaluation/bootstrap.py": (EFFECT, ["evaluate", "report"]),
    "lesions/models/calibration/temperature_scaling.py": (EFFECT, ["calibrate", "evaluate", "report"]),
    "lesions/explain/gallery.py": (EFFECT, ["explain", "report"]),
    "lesions/reporting/card/plots.py": (EFFECT, ["report"]),
    "lesions/reporting/common/plot_style.py": ("# with equal outputs", ["clean", "rebalance", "evaluate", "report"]),
    # In the fakes; where predict is none, evaluate and report follow it.
    "lesions/inference/corruptions.py": ("# with equal outputs", ["predict"]),
}
"""For a module: the line added to it, and which stages run after that change."""

RERUN_NOTHING = [
    "lesions/models/architectures/residual.py",
    "lesions/sources/folder/fetch.py",
    "lesions/commands/compare/compare.py",
    "lesions/commands/validate/validate.py",
]
"""Modules of what the pipeline does not use, as it is set."""

FAKE = (
    f"""
EFFECT = {EFFECT.encode()!r}
"""
    + """
import hashlib, sys
from pathlib import Path
from ruamel.yaml import YAML
stages = YAML(typ="safe").load(Path("dvc.yaml"))["stages"]
stage = stages[sys.argv[1]]
params = YAML(typ="safe").load(Path("params.yaml"))

def values(key):
    if key == {"params.yaml": None}:
        return params
    section, _, name = key.partition(".")
    return params[section][name] if name else params[section]

read = [str(values(key)) for key in stage["params"]]
for dep in stage["deps"]:
    dep = dep.replace("${train.architecture}", params["train"]["architecture"])
    files = sorted(Path(dep).rglob("*")) if Path(dep).is_dir() else [Path(dep)]
    for file in filter(Path.is_file, files):
        code = dep.startswith(("lesions/", "stages/"))
        content = str(file.read_bytes().count(EFFECT)).encode() if code else file.read_bytes()
        read.append(hashlib.sha256(content).hexdigest())
for out in stage["outs"] + stage.get("metrics", []):
    out = out if isinstance(out, str) else next(iter(out))
    inside = {dep for other in stages.values() for dep in other["deps"] if dep.startswith(out + "/")}
    for path in map(Path, sorted(inside) or [out]):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(hashlib.sha256(str([path, read]).encode()).hexdigest())
"""
)


@pytest.fixture(scope="module")
def changing(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the workspace for one change after another, in which the slow stages take no time.

    What runs is DVC's decision, by what dvc.yaml says of them; their outputs are a hash of the parameters and data that
    they read, and of the lines EFFECT in their code.
    """
    clone = copytree(workspace, tmp_path_factory.mktemp("changing") / "clone", symlinks=True)
    (clone / "fake.py").write_text(FAKE)
    definition = (clone / "dvc.yaml").read_text()
    for stage in FAKED:
        assert f"python -m stages.{stage}\n" in definition
        definition = definition.replace(f"python -m stages.{stage}\n", f"python fake.py {stage}\n")
    (clone / "dvc.yaml").write_text(definition)
    assert reproduce(clone) == FAKED
    return clone


def test_second_run_changes_nothing(workspace: Path) -> None:
    lock = (workspace / "dvc.lock").read_bytes()
    assert stages_run(run("dvc repro", workspace)) == []
    assert (workspace / "dvc.lock").read_bytes() == lock
    assert run("git status --porcelain", workspace) == ""


@pytest.mark.long
def test_second_clone_gets_the_same_bits(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """By processes that load all by themselves, unlike those of the workspace."""
    monkeypatch.delenv("TESTS_FORK_SERVER", raising=False)
    second = small_clone(tmp_path / "elsewhere" / "second")
    (second / "dvc.lock").unlink(missing_ok=True)
    assert stages_run(run("dvc repro", second)) == STAGES
    assert (second / "dvc.lock").read_bytes() == (workspace / "dvc.lock").read_bytes()
    for result in ("metrics/evaluate.json", "reports/evaluation.json"):
        assert (second / result).read_bytes() == (workspace / result).read_bytes()


def test_unused_and_new_modules_rerun_nothing(changing: Path) -> None:
    for module in RERUN_NOTHING:
        add_line(changing / module, EFFECT)
    copyfile(changing / "lesions/models/architectures/plain.py", changing / "lesions/models/architectures/another.py")
    copytree(changing / "lesions/sources/folder", changing / "lesions/sources/another")
    assert reproduce(changing) == []


@pytest.mark.parametrize("module", RERUNS_OF_CODE)
def test_stages_that_a_module_reruns(changing: Path, module: str) -> None:
    line, expected = RERUNS_OF_CODE[module]
    add_line(changing / module, line)
    assert reproduce(changing) == expected


def add_line(module: Path, line: str) -> None:
    with module.open("a", encoding="utf-8") as code:
        code.write(f"\n{line}\n")


@pytest.mark.parametrize(
    "key", [pytest.param(key, marks=pytest.mark.long if key == "download.seed" else ()) for key in RERUNS]
)
def test_stages_that_a_parameter_reruns(changing: Path, key: str) -> None:
    value, expected = RERUNS[key]
    section, name = key.split(".")
    edit_params(changing, **{section: {name: value}})
    assert reproduce(changing) == expected


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


def test_drawn_duplicates_are_found(workspace: Path) -> None:
    found = json.loads((workspace / "metrics/data.json").read_text())
    duplicates = pd.read_csv(workspace / "data/clean/duplicates.csv")
    assert found["near_duplicates"] == 1  # the mirrored one
    assert (
        found["duplicates_under_two_lesions"] == len(duplicates) == found["exact_duplicates"] + 2
    )  # one pair was set aside
    groups = pd.read_csv(workspace / "data/clean/images.csv").set_index("image_id")["group_id"]
    kept = duplicates[duplicates["label_one"] == duplicates["label_other"]]
    assert (groups[kept["one"]].to_numpy() == groups[kept["other"]].to_numpy()).all()


def test_outputs_fit_together(workspace: Path) -> None:
    images = pd.read_csv(workspace / "data/clean/images.csv")
    split = pd.read_csv(workspace / "data/split/split.csv")
    assert list(images["image_id"]) == sorted(images["image_id"]) == list(split["image_id"])
    splits = images.merge(split, on="image_id").groupby("group_id")["split"].nunique()
    assert (splits == 1).all()
    augmented = pd.read_csv(workspace / "data/rebalanced/index.csv")
    train = set(split.loc[split["split"] == "train", "image_id"])
    assert len(augmented) > 0
    assert set(augmented["original"]) <= train
    predictions = pd.read_csv(workspace / "data/predictions/predictions.csv")
    assert set(predictions["image_id"]) == set(images["image_id"]) - train
    assert set(predictions["leakage"]) == {"none"}
    classes = list(predictions.columns[4:])
    assert predictions[classes].sum(axis=1).to_numpy() == pytest.approx(1, abs=1e-5)
    metrics = json.loads((workspace / "metrics/evaluate.json").read_text())
    test = predictions[predictions["split"] == "test"]
    rule = Thresholds.read(workspace / "models/thresholds.json").decision_rule
    accuracy = (np.array(classes)[rule.answers(test[classes].to_numpy())] == test["label"]).mean()
    assert metrics["test"]["accuracy"] == pytest.approx(accuracy, abs=6e-4)


@pytest.mark.long
def test_experiment_in_a_workspace_runs_its_code(workspace: Path, tmp_path: Path) -> None:
    clone = copytree(workspace, tmp_path / "clone", symlinks=True)
    with (clone / "lesions/evaluation/metrics.py").open("a") as code:
        code.write("\nprint('metrics from', __file__)\n")
    commit(clone)
    printed = run("dvc exp run --temp --set-param evaluate.splits=[val]", clone)
    (module,) = re.findall(r"metrics from (.*)", printed)
    assert Path(module).is_relative_to(clone / ".dvc/tmp/exps")
    # While one chooses on validation, no test image is corrupted, and none shown.
    assert ", 0 corrupted test images," in printed
    assert re.search(r"reports/gallery: \d+ images of val\.", printed)


def test_failure_names_the_way_back(workspace: Path, tmp_path: Path) -> None:
    clone = copytree(workspace, tmp_path / "clone", symlinks=True)
    before = (clone / "data/clean/images.csv").read_bytes()
    edit_params(clone, clean={"max_rejected": 0.0})
    printed = run("dvc repro", clone, fails=True)
    assert "more than clean.max_rejected allows (0.0%)" in printed
    back = [line.strip() for line in printed.partition("To go back")[2].splitlines()[1:3]]
    assert back == ["git checkout params.yaml dvc.lock metrics reports", "dvc checkout"]
    assert "Traceback" not in printed
    assert not (clone / "data/clean/images.csv").exists()
    for command in back:
        run(command, clone)
    assert (clone / "data/clean/images.csv").read_bytes() == before


def test_wrong_key_stops_before_the_first_stage(workspace: Path, tmp_path: Path) -> None:
    clone = copytree(workspace, tmp_path / "clone", symlinks=True)
    edit_params(clone, evaluate={"split": ["val"]}, train={"epochs": 3})
    printed = run("dvc repro", clone, fails=True)
    assert 'evaluate.split: unknown key; did you mean "splits"?' in printed
    assert stages_run(printed) == []
