"""How a stage starts and fails: no metrics of other data stay beside new parameters, and what was good comes back."""

from pathlib import Path

import pytest
from ruamel.yaml import YAML

from lesions.core.errors import UserError
from lesions.core.stage import read_stages, run_stage, say, stale_results
from tests.conftest import ROOT

EVALUATE = {"metrics/evaluate.json", "plots/evaluation", "reports/evaluation.json"}
REPORT = {"reports/card", "reports/model_card.html", "reports/model_card.md"}
PIPELINE = {
    "test_stage": {"outs": ["data/made"], "deps": []},
    "next": {"outs": ["data/next"], "deps": ["data/made/table.csv"]},
    "evaluate": {
        "outs": ["plots/evaluation"],
        "deps": ["data"],
        "metrics": [{"metrics/evaluate.json": {"cache": False}}],
    },
    "before": {"outs": [{"reports/other.json": {"cache": False}}], "deps": ["data/other"]},
}
"""The first stage is the one that this module's functions are: a stage has its module's name."""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in which all stages ran once; DVC has removed the outputs of the one that is to run."""
    monkeypatch.chdir(tmp_path)
    YAML().dump({"stages": PIPELINE}, tmp_path / "dvc.yaml")
    for name in ("data/next", "plots/evaluation/roc.csv", "metrics/evaluate.json", "reports/other.json"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    return tmp_path


@pytest.mark.parametrize(
    ("stage", "expected"),
    [
        ("clean", EVALUATE | REPORT),
        ("train", EVALUATE | REPORT),
        ("calibrate", EVALUATE | REPORT),
        ("evaluate", REPORT),
        ("explain", REPORT),
        ("report", set()),
    ],
)
def test_results_of_later_stages_are_stale(stage: str, expected: set[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    assert {path.as_posix() for path in stale_results(read_stages(), stage)} == expected


def test_stale_results_are_gone_while_a_stage_runs(folder: Path) -> None:
    seen: list[bool] = []

    def main() -> None:
        seen.extend((folder / name).exists() for name in ("metrics/evaluate.json", "plots/evaluation"))

    run_stage(main)
    assert seen == [False, False]
    assert (folder / "data/next").exists()
    assert (folder / "reports/other.json").exists()


def test_stage_whose_output_never_changes_removes_nothing(folder: Path) -> None:
    run_stage(lambda: None, makes_stale=False)
    assert (folder / "metrics/evaluate.json").exists()


def test_failed_stage_leaves_nothing_half_written(folder: Path) -> None:
    def main() -> None:
        (folder / "data/made").mkdir()
        raise UserError("the table is empty")

    with pytest.raises(SystemExit) as failure:
        run_stage(main)
    message = str(failure.value)
    assert "ERROR: the table is empty" in message
    assert "git checkout params.yaml dvc.lock metrics reports\n  dvc checkout" in message
    assert not (folder / "data/made").exists()
    assert not (folder / "metrics/evaluate.json").exists()


def test_what_is_said_is_no_output(capsys: pytest.CaptureFixture[str]) -> None:
    say("Loading ...")
    assert capsys.readouterr() == ("", "Loading ...\n")
