"""`lesions metrics`: what it shows of experiments, in 80 columns, and that nobody's metrics stand beside another."""

import json
from pathlib import Path

import pytest

from lesions.commands.metrics import FILE, Row, format_rows
from tests.conftest import commit, run

NAMES = ("accuracy", "balanced_accuracy", "macro_auc", "macro_f1", "log_loss", "melanoma_auc")
ALL: dict[str, float | None] = dict.fromkeys(NAMES, 0.5)


def write_metrics(folder: Path, accuracy: float, leakage: str = "none") -> None:
    splits = {split: {**ALL, "accuracy": accuracy} for split in ("val", "test")}
    (folder / "metrics").mkdir(exist_ok=True)
    (folder / "metrics/evaluate.json").write_text(json.dumps({"leakage": leakage, **splits}))


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project of one stage, with an experiment that is kept and one that waits."""
    for command in ("git init --quiet", "git config user.email test@example.org", "git config user.name test"):
        run(command, tmp_path)
    run("dvc init --quiet", tmp_path)
    (tmp_path / "params.yaml").write_text("train:\n  epochs: 2\n")
    (tmp_path / "dvc.yaml").write_text(
        "stages:\n  train:\n    cmd: 'true'\n    params: [train]\n"
        "    metrics:\n      - metrics/evaluate.json: {cache: false, persist: true}\n"
    )
    write_metrics(tmp_path, 0.25)
    commit(tmp_path)
    (tmp_path / "params.yaml").write_text("train:\n  epochs: 7\n")
    write_metrics(tmp_path, 0.75, "split by image (leaky)")
    run("dvc exp save --name kept", tmp_path)
    run("git checkout --quiet .", tmp_path)
    run("dvc exp run --queue --name waiting --set-param train.epochs=9", tmp_path)
    return tmp_path


def test_experiments_and_their_metrics(project: Path) -> None:
    (project / "metrics/evaluate.json").unlink()  # as a stage does that starts
    branch = run("git branch --show-current", project).strip()
    *table, said = run("lesions metrics", project).splitlines()  # stdout, then stderr
    assert said == "Reading the experiments ..."
    lines = [line.split() for line in table]
    expected = ["0.500"] * 5
    assert lines[1][0] == "val"
    assert lines[2:] == [
        ["workspace", "no", "metrics"],
        [branch, "0.250", *expected],
        ["kept", "0.750", *expected],
        ["train.epochs=7", "leakage:", "split", "by", "image", "(leaky)"],
        ["waiting", "queued"],
        ["train.epochs=9"],
    ]
    (project / FILE).write_text('{"val"')
    assert f"{FILE} is damaged" in run("lesions metrics", project)
    run("git commit --quiet --allow-empty --message later", project)
    assert "kept" in run("lesions metrics --split test", project)


def test_older_head_comes_first(project: Path) -> None:
    first = run("git rev-parse HEAD", project).strip()
    (project / "params.yaml").write_text("train:\n  epochs: 3\n")
    commit(project)
    run("dvc exp save --name later", project)
    run(f"git checkout --quiet --force {first}", project)
    lines = [line.split() for line in run("lesions metrics", project).splitlines()]
    assert [line[0] for line in lines[2:4]] == ["workspace", first[:7]]  # and nothing changed
    assert "later" in [line[0] for line in lines]


def test_no_project(tmp_path: Path) -> None:
    printed = run("lesions metrics", tmp_path, fails=True)
    assert "ERROR: There are no experiments to show here" in printed
    assert "Traceback" not in printed


def test_table_fits_a_terminal() -> None:
    name, change = "a-name-as-long-as-some-studies-give-their-experiments", f"rebalance.operations={'x' * 99}"
    long = Row(name, ALL, "none", "", [change] * 3)
    unknown = Row("no melanoma", {**ALL, "melanoma_auc": None}, "none", "", [])
    lines = format_rows([long, unknown], "val", 80).splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert lines[-1].split()[-1] == "-"


def test_table_in_a_narrow_terminal() -> None:
    lines = format_rows([Row("a-long-name", ALL, "none", "", [])], "val", 50).splitlines()
    assert lines[-1].split() == ["a-long-name", *["0.500"] * 6]
