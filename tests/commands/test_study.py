"""Studies: what is refused before anything runs, what runs and what does not run again, and what the report says."""

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from shutil import copyfile, copytree
from typing import Any

import pandas as pd
import pytest
from ruamel.yaml import YAML

from lesions.commands.study import report
from lesions.commands.study import run as study_run
from lesions.commands.study.comparison_table import comparison_table
from lesions.commands.study.comparisons import ONE_RUN, Comparison, holm_adjusted
from lesions.commands.study.ladder import MeasuredStep, measure_steps
from lesions.commands.study.plan import PlannedExperiment, list_experiments, missing_folder, plan, with_absolute_paths
from lesions.commands.study.plot import Row, draw, draw_differences
from lesions.commands.study.study import (
    METRICS,
    Ladder,
    Published,
    Step,
    Study,
    list_studies,
    merge_params,
    read_study,
)
from lesions.core.errors import UserError
from lesions.core.params import read_file
from lesions.params.all import check_sections
from lesions.sources.common.download import downloads
from tests.commands.test_compare import as_predictions, modelled
from tests.commands.test_compare import put as put_experiment
from tests.conftest import ROOT, commit, run, stages_run
from tests.stand_in import put_stand_ins

SHIPPED = sorted(list_studies(ROOT / "studies"))


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with parameters and presets, for what runs nothing."""
    copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    copytree(ROOT / "presets", tmp_path / "presets")
    (tmp_path / "studies").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def write(folder: Path, name: str, experiments: list[dict[str, object]], **more: object) -> None:
    (folder / "studies").mkdir(exist_ok=True)
    content = {"title": "A title", "question": "Does it?", "experiments": experiments, **more}
    YAML().dump(content, folder / f"studies/{name}.yaml")


@pytest.mark.parametrize("name", SHIPPED)
def test_shipped_study(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    study = read_study(name)
    for entry in study.experiments:
        merge_params(study, entry, read_file())
    assert len((ROOT / f"studies/{name}.yaml").read_text().splitlines()) < 100


def test_published_study_differs_in_the_split_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    study = read_study("published")
    params = {entry.name: merge_params(study, entry, read_file()) for entry in study.experiments}
    presets = {preset for entry in study.experiments for preset in entry.presets}
    assert {file.stem for file in (ROOT / "presets").glob("*-honest.yaml")} <= presets
    pairs = [(name.replace("-honest", ""), name) for name in params if "-honest-" in name]
    assert len(pairs) == 18
    for leaky, without_leak in pairs:
        one, other = params[leaky], params[without_leak]
        one["rebalance"].pop("when")
        assert other["rebalance"].pop("when") == "after_split"
        assert {**one, "split": 0} == {**other, "split": 0}, leaky
        assert (other["split"]["method"], other["split"]["group_overlap"]) != ("published", "keep")
        assert other["split"]["method"] != "image"
    for network in ("lifecycle", "pretrained"):
        arms = [
            [ours for name, ours in params.items() if f"{network}-{arm}" in name] for arm in ("injected", "withheld")
        ]
        for injected, withheld in zip(*arms, strict=True):
            assert {**injected, "split": 0} == {**withheld, "split": 0}


def test_each_combination_is_an_experiment(here: Path) -> None:
    each = {"split.fold": [0, 2], "train.learning_rate": [0.1, 0.01]}
    write(here, "grid", [{"name": "f", "set": {"split.folds": 3}, "each": each}], common={"set": {"train.epochs": 3}})
    study = read_study("grid")
    assert [entry.name for entry in study.experiments] == ["f-0-0.1", "f-0-0.01", "f-2-0.1", "f-2-0.01"]
    params = [merge_params(study, entry, read_file()) for entry in study.experiments]
    assert [(one["split"]["fold"], one["train"]["learning_rate"]) for one in params] == [
        *((0, 0.1), (0, 0.01), (2, 0.1), (2, 0.01)),
    ]
    assert {(one["split"]["folds"], one["train"]["epochs"]) for one in params} == {(3, 3)}


A: dict[str, object] = {"name": "a"}
STEP: dict[str, object] = {"experiment": "a", "shows": "as it is"}


@pytest.mark.parametrize(
    ("experiments", "words"),
    [
        ([{"name": "a", "presets": ["ham1000"]}], 'experiment a: There is no preset "ham1000"; did you mean "ham10000'),
        ([{"name": "a", "set": {"train.epoch": 3}}], 'train.epoch: unknown key; did you mean "epochs"?'),
        ([{"name": "a", "set": {"train.epochs": 0}}], "train.epochs: input should be greater than or equal to 1"),
        ([{"name": "a", "set": {"trian.epochs": 3}}], "set: trian.epochs is no parameter"),
        ([{"name": "a", "set": {"epochs": 3}}], "set: epochs is no parameter; expected its section and name"),
        ([{"name": "../../evil"}], "experiment ../../evil.name: expected letters and digits, with - . _ between"),
        ([{"name": "a; rm -rf ~"}], "expected letters and digits"),
        ([{"name": "--force"}], "expected letters and digits"),
        ([{"name": "a.lock"}], "'a.lock' is no name for an experiment"),
        ([{"name": "a", "each": {"evaluate.splits": [["val"], ["test"]]}}], "is no name for an experiment"),
        ([A, A], "two experiments are called a"),
        ([{"name": "a", "each": {"train.seed": [1, 2]}}, A], "two experiments are called a"),
        ([{**A, "preset": ["lifecycle"]}], "experiment a.preset: unknown key; remove it"),
        ([], "experiments: list should have at least 1 item"),
        (["a"], "experiment 1: input should be a valid dictionary"),
        ("a", "experiments: input should be a valid list"),
    ],
)
def test_invalid_study_is_refused(here: Path, experiments: list[dict[str, object]], words: str) -> None:
    write(here, "mine", experiments)
    with pytest.raises(UserError) as error:
        plan(read_study("mine"))
    assert words in str(error.value)
    assert "studies/mine.yaml" in str(error.value)


@pytest.mark.parametrize(
    ("ladder", "words"),
    [
        ({"steps": [{"experiment": "b", "shows": "x"}]}, "ladder L: there is no experiment b; known: a"),
        ({"steps": [{"experiment": "a", "shows": "x", "unseen_by": "c"}]}, "ladder L: there is no experiment c"),
        ({"steps": []}, "ladders.0.steps: list should have at least 1 item"),
        (
            {"steps": [STEP], "published": {"value": 83.5, "split": "val", "source": "x"}},
            "ladders.0.published.value: input should",
        ),
    ],
)
def test_invalid_ladder_is_refused(here: Path, ladder: dict[str, object], words: str) -> None:
    write(here, "mine", [A], ladders=[{"name": "L", **ladder}])
    with pytest.raises(UserError) as error:
        read_study("mine")
    assert words in str(error.value)


def test_unknown_study(here: Path) -> None:
    write(here, "mine", [{"name": "a"}])
    with pytest.raises(UserError, match=r"no study '\.\./params'; known: mine"):
        read_study("../params")
    (here / "studies/mine.yaml").unlink()
    with pytest.raises(UserError, match="no folder studies/ with studies here"):
        read_study("mine")


def test_absolute_paths(here: Path) -> None:
    params = read_file()
    mine = {**params["download"], "source": "folder", "folder": "data/incoming"}
    found = with_absolute_paths({**params, "download": mine})
    assert found["download"]["folder"] == str(here / "data/incoming")
    fetched = {**params["download"], "source": "ham10000"}
    assert with_absolute_paths({**params, "download": fetched}) == {**params, "download": fetched}
    instead = with_absolute_paths({**params, "download": fetched}, Path("elsewhere"))["download"]
    assert (instead["source"], instead["folder"]) == ("folder", str(here / "elsewhere"))
    assert with_absolute_paths(params, Path("elsewhere")) == params
    merge = [{"source": "folder", "folder": f"data/incoming/{name}"} for name in "ab"]
    merged = {**params["download"], "source": "merged", "merge": merge, "folder": "data/incoming"}
    found = with_absolute_paths({**params, "download": merged}, Path("elsewhere"))
    assert [found["download"]["folder"], *(one["folder"] for one in found["download"]["merge"])] == [
        *(str(here / "data/incoming" / name) for name in ("", "a", "b")),
    ]
    check_sections(found)
    (here / "data/incoming/a").mkdir(parents=True)
    assert missing_folder(found) == f"no folder {here / 'data/incoming/b'}"
    both = {**merged, "merge": [*merge, {"source": "ham10000"}]}
    assert with_absolute_paths({**params, "download": both}, Path("elsewhere"))["download"]["source"] == "folder"
    assert downloads(Path("/p/.dvc/tmp/exps/standalone/tmp1")) == Path("/p/data/downloads")
    assert downloads(Path("/p/.dvc/tmp/exps/tmp1/stages")) == Path("/p/data/downloads")
    assert downloads(Path("/p/tmp/exps")) == Path("data/downloads")


def test_missing_data_and_uncommitted_code_are_refused(here: Path) -> None:
    write(here, "mine", [{"name": "a"}])
    for words in ("git init --quiet", "git config user.email test@example.org", "git config user.name test"):
        run(words, here)
    run("dvc init --quiet", here)
    (here / "dvc.yaml").write_text("stages: {clean: {cmd: none, outs: [data/clean]}}")
    (here / "dvc.lock").write_text(
        f"schema: '2.0'\nstages:\n  clean:\n    cmd: none\n    outs:\n    - {{path: data/clean, md5: {'0' * 32}.dir}}\n"
    )
    commit(here)
    study = read_study("mine")
    with pytest.raises(UserError, match=r"data/clean: dvc\.lock names it.*run `dvc repro` first"):
        study_run.run(study)
    (here / "lesions").mkdir()
    (here / "lesions/mine.py").touch()
    with pytest.raises(UserError, match=r"lesions/mine\.py: changed, and not committed"):
        study_run.run(study)


def test_foreign_experiment_of_same_name_is_kept(here: Path) -> None:
    write(here, "mine", [{"name": "a"}])
    for words in ("git init --quiet", "git config user.email test@example.org", "git config user.name test"):
        run(words, here)
    commit(here)
    head = run("git rev-parse HEAD", here).strip()
    ref = f"refs/exps/{head[:2]}/{head[2:]}/mine-a"
    run(f"git update-ref {ref} {head}", here)
    (planned,) = plan(read_study("mine"))
    assert (planned.commit, planned.old) == (None, [(ref, head)])
    study_run.keep_old([planned])
    name = f"mine-a-was-{head[:7]}"
    assert list_experiments() == {name: [(ref.replace("mine-a", name), head)]}


# In a clone where the pipeline ran


@pytest.fixture(scope="module")
def clone(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    clone = copytree(workspace, tmp_path_factory.mktemp("study") / "clone", symlinks=True)
    put_stand_ins(clone, workspace, ["report"])
    return clone


def state(folder: Path) -> str:
    """Return what Git and DVC see changed, and params.yaml."""
    return run("git status --short", folder) + run("dvc status", folder) + (folder / "params.yaml").read_text()


def test_study_runs_and_reports(clone: Path) -> None:
    draw: dict[str, object] = {"name": "draw", "each": {"evaluate.seed": [2]}}
    elsewhere: dict[str, object] = {
        "name": "elsewhere",
        "set": {"download.source": "folder", "download.folder": "data/incoming"},
    }
    steps = [
        {"experiment": "same", "shows": "one seed"},
        {"experiment": "draw", "shows": "another"},
        {"experiment": "draw", "shows": "what none of its lesions trains", "unseen_by": "draw"},
        {"experiment": "draw", "shows": "the others", "seen_by": "draw"},
        {"experiment": "draw", "shows": "all of them again"},
        {"experiment": "elsewhere", "shows": "other images"},
    ]
    ladder = {"name": "Seeds", "published": {"value": 0.123, "split": "val", "source": "a [page](x)"}, "steps": steps}
    ladders = {"metric": "accuracy", "ladders": [ladder]}
    write(clone, "draws", [draw, {"name": "same"}, elsewhere], report="docs/draws.md", baseline="same", **ladders)
    commit(clone)
    before = state(clone)
    dry = run("lesions study draws --dry", clone)
    assert "dvc exp run --queue --name draws-draw-2 --set-param ++evaluate.seed=2\n" in dry
    printed = run("lesions study draws", clone)
    assert "=== 1 of 2: draws-draw-2 ===" in printed
    assert re.search(r"elsewhere +cannot run here: no folder \S+data/incoming", printed)
    assert stages_run(printed) == ["evaluate", "report"]
    assert "2 of 3 done" in printed
    page = (clone / "docs/draws.md").read_text()
    assert "| `elsewhere` | its images are not here |" in page
    assert "- **Seeds**, accuracy: published 0.123\n  - one seed: 0." in page
    assert r"Published: 0.123, called validation: a \[page\](x)." in page
    assert "| other images | `elsewhere` | not run yet | - |" in page
    assert re.search(r"\| Seeds: another, rather than one seed \(\d+ images\) \| \+0\.000", page)
    assert re.search(r"  - what none of its lesions trains: \d", page)  # of the same images: no lesion is in two splits
    assert re.search(r"\| Seeds: all of them again, rather than what none", page)
    assert "| the others |" not in page.replace(
        "| the others | `draw` | not run yet |", ""
    )  # no lesion is in two splits
    assert re.search(r"\| what none of its lesions trains \| `draw` \| \d", page)
    assert "![By how much each is more than same; the tables below have the numbers](draws.png)" in page
    assert str(clone) not in page
    # `same` has the parameters of the workspace.
    metrics = json.loads((clone / "metrics/evaluate.json").read_text())["test"]
    assert f"| `same` | test | {metrics['accuracy']:.3f} (" in page
    for file in ("draws.md", "draws.png"):
        (clone / "docs" / file).unlink()
    assert state(clone) == before


@pytest.mark.long
def test_study_goes_on_after_a_failure(clone: Path) -> None:
    wrong: dict[str, object] = {"name": "wrong", "set": {"rebalance.operations": [TOO_LARGE]}}
    write(clone, "faults", [wrong, {"name": "right", "set": {"evaluate.seed": 3}}], report="docs/faults.md")
    commit(clone)
    printed = run("lesions study faults", clone, fails=True)
    assert "Augmentor's Crop fails" in printed
    assert "faults-wrong failed; the others ran. `lesions study faults` tries again." in printed
    assert "Traceback" not in printed
    assert "1 of 2 done" in printed
    assert "| `wrong` | not run yet |" in (clone / "docs/faults.md").read_text()
    (clone / "docs/faults.md").unlink()
    (clone / "docs/faults.png").unlink(missing_ok=True)


@pytest.mark.long
def test_other_code_makes_an_experiment_missing(clone: Path) -> None:
    """It is run, and the old one is kept under another name."""
    write(clone, "codes", [{"name": "draw", "each": {"evaluate.seed": [4]}}])
    commit(clone)
    printed = run("lesions study codes --report other/found.md", clone)
    assert "1 of 1 done" in printed
    assert "The report: other/found.md" in printed
    page = (clone / "other/found.md").read_text()
    assert "\nlesions study codes --report other/found.md\n" in page
    assert re.findall(r"!\[[^\]]+\]\(([^)]+)\)", page) == ["found.png"]
    # There, and not where it goes without the option.
    made = run("git status --short --untracked-files=all", clone).split()[1::2]
    assert made == ["other/found.md", "other/found.png"]
    for file in made:
        (clone / file).unlink()
    code = clone / "lesions/evaluation/calibration.py"
    code.write_text(f"{code.read_text()}\nprint('this is the code of', __file__)\n")
    assert "calibration.py: changed, and not committed" in run("lesions study codes", clone, fails=True)
    commit(clone)
    assert "there is one of other code, parameters or images" in run("lesions study codes --dry", clone)
    printed = run("lesions study codes", clone)
    assert re.search(r"this is the code of \S+/\.dvc/tmp/exps/\S+/lesions/evaluation/calibration.py", printed)
    old = re.findall(r"is kept as (codes-draw-4-was-\w{7})\.", printed)[0]
    names = run("dvc exp list --all-commits --name-only", clone).split()
    assert {name for name in names if name.startswith("codes-draw-4")} == {"codes-draw-4", old}


TOO_LARGE = {"operation": "crop_by_size", "probability": 1.0, "width": 999, "height": 999}


def studied(clone: Path, name: str, line: str, act: Callable[["subprocess.Popen[str]"], None]) -> int:
    """Run a study, do something to it where it prints a line that begins so, and return its exit status."""
    with subprocess.Popen(
        ["lesions", "study", name], cwd=clone, env=environment(), stdout=subprocess.PIPE, text=True
    ) as process:  # fmt: skip
        assert process.stdout is not None
        for printed in process.stdout:
            if printed.startswith(line):
                act(process)
    return process.returncode


@pytest.mark.long
def test_interrupted_study_goes_on(clone: Path) -> None:
    # So many epochs that the training is not done before the signal comes.
    long = {"train.epochs": 100, "train.early_stopping_patience": 100, "train.learning_rate": 0.002}
    write(clone, "killed", [{"name": "long", "set": long}])
    commit(clone)
    assert studied(clone, "killed", "Epoch 3/", lambda process: process.send_signal(signal.SIGTERM)) == 1
    assert "long  missing" in run("lesions study", clone)
    printed = run("lesions study killed", clone)
    assert "Going on after epoch" in printed
    assert stages_run(printed)[0] == "train"
    assert "1 of 1 done" in printed


@pytest.mark.long
def test_killed_study_goes_on(clone: Path) -> None:
    write(clone, "shot", [{"name": "long", "set": {"train.epochs": 4, "train.learning_rate": 0.003}}])
    commit(clone)

    studied(clone, "shot", "Epoch 2/", lambda process: process.kill())
    # Its experiment goes on in DVC's queue, and the next call follows it.
    assert "1 of 1 done" in run("lesions study shot", clone)


@pytest.mark.long
def test_untracked_images_reach_the_workspace(clone: Path, tmp_path: Path) -> None:
    outside = tmp_path / "my images"
    for folder in (outside, clone / "data/incoming/mine"):
        folder.mkdir(parents=True)
        for file in (clone / "data/raw").glob("*.zip"):
            copyfile(file, folder / file.name)
        copyfile(clone / "data/raw/metadata.csv", folder / "HAM10000_metadata.csv")
    ours = {"download.source": "folder", "download.folder": "data/incoming/mine"}
    merge = [{"source": "folder", "folder": "data/incoming/mine"}]
    merged = {"download.source": "merged", "download.folder": "data/incoming", "download.merge": merge}
    experiments: list[dict[str, object]] = [
        {"name": "mine", "set": ours},
        {"name": "merged", "set": merged},
        {"name": "fetched", "set": {"download.source": "ham10000"}},
    ]
    write(clone, "folder", experiments)
    commit(clone)
    printed = run_words(["lesions", "study", "folder", "--source-folder", str(outside)], clone)
    assert "3 of 3 done" in printed
    assert "3 of 3 done" in run("lesions study folder --dry", clone)  # without naming the folder again
    (clone / "data/incoming/mine/HAM10000_metadata.csv").open("a").write("\n")
    assert "1 of 3 done" in run("lesions study folder --dry", clone)


def environment() -> dict[str, str]:
    return os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}


def run_words(words: list[str], folder: Path) -> str:
    done = subprocess.run(words, check=True, cwd=folder, env=environment(), capture_output=True, text=True)
    return done.stdout + done.stderr


# The report


def entry(value: float | None, spread: float = 0.05) -> dict[str, object]:
    if value is None:
        return {"value": None, "lower": None, "upper": None}
    return {"value": value, "lower": value - spread, "upper": value + spread}


def evaluation(value: float | None, leakage: str = "none") -> dict[str, object]:
    split = {
        "metrics": dict.fromkeys(METRICS, entry(value)),
        "majority_baseline": {"accuracy": 0.5, "balanced_accuracy": 0.25, "macro_auc": 0.5},
    }
    return {"leakage": leakage, "val": split, "test": split}


@pytest.fixture
def found(here: Path) -> tuple[Study, list[PlannedExperiment], dict[str, report.ExperimentResult]]:
    write(here, "mine", [{"name": name} for name in ("leaky", "clean", "later", "undefined")])
    study = read_study("mine")
    planned = [
        PlannedExperiment(one, one.name, {}, None if one.name == "later" else "c", [], "") for one in study.experiments
    ]
    metrics = {"leaky": evaluation(0.8, "it leaks"), "clean": evaluation(0.6), "undefined": evaluation(None)}
    return (
        study,
        planned,
        {one.name: report.ExperimentResult(one, metrics[one.name], {}) for one in planned if one.commit},
    )


def test_table_of_experiments(found: tuple[Study, list[PlannedExperiment], dict[str, report.ExperimentResult]]) -> None:
    study, planned, read = found
    page = report.table(study, planned, read)
    assert "| `leaky` | test | 0.800 (0.750 to 0.850) |" in page
    assert page.count("it leaks |") == 1
    assert "| `later` | not run yet | - |" in page
    assert "| `undefined` | test | - | - | 0.500 |" in page
    rows = report.single_rows(study, read)
    assert rows[0] == Row("leaky", None, (entry(0.8), 0.25), leaks=True)
    assert rows[1] == Row("clean", None, (entry(0.6), 0.25), leaks=False)


def measured_steps(step: Step, value: float, leakage: str = "none", images: int = 60) -> MeasuredStep:
    """A step of two runs."""
    estimates = dict.fromkeys(map(str, METRICS), entry(value) | {"least": value - 0.01, "most": value + 0.02})
    run = as_predictions(modelled(1, 1.5).head(images), "HEAD")
    return MeasuredStep(step, "test", estimates, 0.5, images, ONE_RUN, leakage, {"1": run, "2": run})


def test_ladder_in_words_and_rows() -> None:
    steps = [Step(experiment=name, shows=name) for name in ("leaky", "clean", "small")]
    ladder = Ladder(name="L", published=Published(value=0.83, split="val", source="s"), steps=steps)
    every = [
        measured_steps(steps[0], 0.8, "it leaks"),
        measured_steps(steps[1], 0.6),
        measured_steps(steps[2], 0.5, images=40),
    ]
    said = report.ladder_words(ladder, every, "accuracy")
    assert said.splitlines() == [
        "- **L**, accuracy: published 0.83, in 2 runs here 0.790 to 0.820",
        "  - leaky: 0.800 (0.750 to 0.850)",
        "  - clean: 0.600 (0.550 to 0.650)",
        "  - small (other images): 0.500 (0.450 to 0.550)",
    ]
    # Its own protocol was not run.
    assert report.ladder_words(ladder, every[1:], "accuracy").startswith(
        "- **L**, accuracy: published 0.83\n  - clean: "
    )
    none = {"value": 0.8, "lower": None, "upper": None, "least": 0.8, "most": 0.8}
    few: dict[str, dict[str, Any]] = dict.fromkeys(METRICS, none)
    assert report.ladder_words(ladder, [replace(every[0], estimates=few)], "accuracy").endswith("  - leaky: 0.800")
    assert report.ladder_words(ladder, [], "accuracy") == ""
    first, second, _ = report.rows_of(ladder, every, "accuracy")
    assert first == Row("leaky (60 images)", 0.83, (every[0].estimates["accuracy"], 0.5), leaks=True)
    assert second == Row("clean (60 images)", None, (every[1].estimates["accuracy"], 0.5), leaks=False)


def test_augmented_images_are_of_the_group_of_their_original(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a validation that was augmented before the split: which of its images train has an augmented image of."""
    monkeypatch.chdir(tmp_path)
    for command in ("git init --quiet", "git config user.email test@example.org", "git config user.name test"):
        run(command, tmp_path)
    run("dvc init --quiet", tmp_path)
    table = modelled(1, 1.5)
    table = table[table["split"] == "val"]
    copyfile(ROOT / "params.yaml", tmp_path / "params.yaml")
    put_experiment(tmp_path, table)
    split = table[["image_id", "split"]].copy()
    half = split.index[: len(split) // 2]
    split.loc[half, "split"] = "train"
    split.to_csv(tmp_path / "data/split/split.csv", index=False)
    # One augmented image in validation of each training image, and in train one of the last validation image.
    made = table.loc[half].assign(original=table["image_id"], image_id=table["image_id"] + "+0001")
    last = table.tail(1).assign(original=table["image_id"], image_id=table["image_id"] + "+0001", split="train")
    (tmp_path / "data/rebalanced").mkdir()
    index = pd.concat([made, last])[["image_id", "original", "label", "split"]]
    index.to_csv(tmp_path / "data/rebalanced/index.csv", index=False)
    shown = pd.concat([table.drop(half), made]).drop(columns=["group_id", "original"])
    shown.to_csv(tmp_path / "data/predictions/predictions.csv", index=False)
    commit(tmp_path)
    steps = [
        Step(experiment="a", shows=x, split="val", **more)
        for x, more in (("all", {}), ("made", {"seen_by": "a"}), ("others", {"unseen_by": "a"}))
    ]
    every, seen, others = measure_steps(Ladder(name="L", steps=steps), {"a": {"": "HEAD"}}, "val")
    groups = table.set_index("image_id")["group_id"]
    trained = set(groups[split.loc[half, "image_id"]]) | set(last["group_id"])
    known = groups.drop(split.loc[half, "image_id"])
    assert seen.n_images == len(half) + int(known.isin(trained).sum())
    assert others.n_images == int((~known.isin(trained)).sum())
    assert every.n_images == seen.n_images + others.n_images == len(shown)
    assert (seen.leakage, others.leakage) == ("none", "none")


def test_mean_and_spread_of_replicates(here: Path) -> None:
    experiments: list[dict[str, object]] = [
        {"name": name, "set": {"train.epochs": epochs}, "each": {"train.seed": [1, 2]}}
        for name, epochs in (("a", 3), ("b", 4))
    ]
    write(here, "mine", experiments)
    study = read_study("mine")
    metrics = {"a-1": 0.5, "a-2": 0.7, "b-1": 0.4}
    read = {
        entry.name: report.ExperimentResult(
            PlannedExperiment(entry, "", {}, "c", [], ""), evaluation(metrics[entry.name]), {}
        )
        for entry in study.experiments
        if entry.name in metrics
    }
    caption, _, text = report.means(study, report.whole_configurations(study, read)).partition("\n\n")
    assert caption == "Mean and standard deviation over the runs, test."
    assert "| `a` | 2 | 0.600 ± 0.141 |" in text
    assert "`b`" not in text  # of which one run is missing


def test_unknown_baseline(here: Path) -> None:
    write(here, "mine", [{"name": "a", "each": {"train.seed": [1, 2]}}], baseline="b")
    with pytest.raises(UserError, match="baseline: there is no experiment b; known: a"):
        read_study("mine")


def test_plot(found: tuple[Study, list[PlannedExperiment], dict[str, report.ExperimentResult]]) -> None:
    rows = report.single_rows(found[0], found[2])
    image = draw({"": rows}, "accuracy")
    assert image == draw({"": rows}, "accuracy")
    assert image[:4] == b"\x89PNG"
    assert image != draw({"": [*rows[1:], rows[0]]}, "accuracy")
    assert image != draw({"first": rows[:1], "second": rows[1:]}, "accuracy")


def compared(name: str, p: float | None, value: float = 0.02) -> Comparison:
    """Return a comparison that has p for the accuracy, and no interval of the other metrics."""
    none: dict[str, Any] = {"value": value, "lower": None, "upper": None, "p": None, "reason": "too few groups"}
    known: dict[str, Any] = {"value": value, "lower": value - 0.01, "upper": value + 0.01, "p": p}
    return Comparison(
        name, "3 runs, groups", {**dict.fromkeys(METRICS, none), "accuracy": none if p is None else known}
    )


def test_table_says_how_many_survive() -> None:
    text = comparison_table(holm_adjusted([compared("`a`", 0.001), compared("`b`", 0.03), compared("`c`", 0.04)]))
    assert text.startswith("3 comparisons: ")
    assert "At 5 % over all, 1 differs: `a` in accuracy (bold). Of the others this tells neither" in text
    assert "6 have no interval: too few groups." in text
    assert "| `a` | **+0.020 (+0.010 to +0.030)**, p = 0.003 | +0.020 | +0.020 | 3 runs, groups |" in text
    assert "| `b` | +0.020 (+0.010 to +0.030), p = 0.060 |" in text  # alone it would be .03
    assert "None is shown to differ at 5 %, which does not show that they are alike" in comparison_table(
        holm_adjusted([compared("b", 0.5)])
    )
    one_seed = comparison_table(holm_adjusted([replace(compared("`a`", 0.001), holds=ONE_RUN)]))
    assert "nothing of other random seeds, 1 differs: `a` in accuracy" in one_seed
    assert "At 5 % over all" not in one_seed
    assert "differ" not in comparison_table(holm_adjusted([compared("`a`", None)]))


def test_plot_of_differences() -> None:
    one, none, weak = compared("one", 0.001), compared("none", None), compared("one", 0.9)
    both = draw_differences(holm_adjusted([one, none]), "recipe")
    assert both[:4] == b"\x89PNG"
    assert both != draw_differences(holm_adjusted([none, one]), "recipe")
    assert both != draw_differences(holm_adjusted([weak, none]), "recipe")
    assert both != draw_differences(holm_adjusted([replace(one, holds=ONE_RUN), none]), "recipe")
