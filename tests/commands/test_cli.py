"""The command `lesions` itself."""

import re
import sys
from pathlib import Path

import pytest

from lesions.cli import main
from tests.conftest import run


def test_bare_command_prints_help(tmp_path: Path) -> None:
    printed = run("lesions", tmp_path)
    assert printed == run("lesions --help", tmp_path)
    assert {"classify", "metrics", "study"} <= set(printed.split())


def test_version(tmp_path: Path) -> None:
    assert re.fullmatch(r"lesions \d+\.\d+\.\d+\n", run("lesions --version", tmp_path))


@pytest.mark.parametrize(
    "arguments", [["classify", ""], ["classify", "a.jpg", "--heatmap", " "], ["validate", ""], ["export", "--out", ""]]
)
def test_empty_argument_is_no_folder(
    arguments: list[str], monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As of a shell's variable that is not set; "" would be the current folder."""
    monkeypatch.setattr(sys, "argv", ["lesions", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "expected a name, found nothing" in capsys.readouterr().err
