"""What the documents say is so: their commands run as written, their tables are true, their files exist."""

import json
import re
import sys
from pathlib import Path
from shutil import copytree

import pytest

from tests.conftest import ROOT, run
from tests.test_pipeline import RERUNS

FILES = [ROOT / "README.md", *sorted(ROOT.glob("docs/*.md"))]
DOCUMENTS = {file.name: file.read_text(encoding="utf-8") for file in FILES}
README = DOCUMENTS["README.md"]
BLOCKS = [
    (name, mark, commands)
    for name, text in DOCUMENTS.items()
    for mark, commands in re.findall(r"(<!-- not run by the tests: [^\n]+ -->\n)?```sh\n(.*?)```", text, re.DOTALL)
]


@pytest.fixture(scope="module")
def clone(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A clone with its environment in .venv, as `make repro` leaves it."""
    clone = copytree(workspace, tmp_path_factory.mktemp("readme") / "clone", symlinks=True)
    (clone / ".venv").symlink_to(sys.prefix)
    return clone


def test_commands_are_found() -> None:
    assert len(BLOCKS) == sum(text.count("```sh") for text in DOCUMENTS.values()) > 10


@pytest.mark.parametrize(
    "commands",
    # Those of docs/team.md need servers: tests/test_team.py.
    [pytest.param(commands, id=name) for name, mark, commands in BLOCKS if not mark and name != "team.md"],
)
def test_commands_run_as_written(clone: Path, commands: str) -> None:
    script = clone.parent / "block.sh"
    script.write_text(f"set -eu\n{commands}")
    run(f"bash {script}", clone)


def test_two_experiments_compare(clone: Path) -> None:
    """After the README's commands, which make two and compare them."""
    one, other = re.findall(r"dvc exp run --name (\S+)", README)
    assert f"dvc metrics diff {one} {other}" in README
    changes = json.loads(run(f"dvc metrics diff {one} {other} --json", clone))
    change = changes["metrics/evaluate.json"]["test.log_loss"]
    assert change["old"] != change["new"]
    assert "metrics/train.json" in changes
    shown = json.loads(run(f"dvc params diff {one} {other} --json", clone))
    assert list(shown["params.yaml"]) == ["train.learning_rate"]
    printed = run(f"lesions compare {one} {other} --side test", clone)
    assert f"{one} {other} difference" in printed
    log_loss = next(line for line in printed.splitlines() if line.startswith("log_loss (less is better)")).split()
    assert [float(log_loss[4]), float(log_loss[5])] == pytest.approx([change["old"], change["new"]], abs=6e-4)
    page = (clone / "dvc_plots/index.html").read_text(encoding="utf-8")
    assert f'"rev": "{one}"' in page
    assert f'"rev": "{other}"' in page


def test_the_table_shows_what_reruns() -> None:
    for key, (_, stages) in RERUNS.items():
        assert f"| `{key}` | {', '.join(stages)} |" in README


def test_what_appears_is_there(workspace: Path) -> None:
    section = README.partition("## What appears where")[2].partition("\n## ")[0]
    table = "\n".join(line for line in section.splitlines() if line.startswith("|"))
    named = re.findall(r"`((?:data|metrics|plots|models|reports)/[\w/.]*)`", table)
    assert len(named) > 15
    for name in named:
        assert (workspace / name).exists(), name
    for document, text in DOCUMENTS.items():
        folder = ROOT if document == "README.md" else ROOT / "docs"
        for name in re.findall(r"\]\(((?!https?:|#)[^)#]+)", text):
            assert (folder / name).is_file(), f"{document}: {name}"
