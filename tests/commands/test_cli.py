"""The command `lesions` itself."""

import re
from pathlib import Path

from tests.conftest import run


def test_bare_command_prints_help(tmp_path: Path) -> None:
    printed = run("lesions", tmp_path)
    assert printed == run("lesions --help", tmp_path)
    assert {"classify", "metrics", "study"} <= set(printed.split())


def test_version(tmp_path: Path) -> None:
    assert re.fullmatch(r"lesions \d+\.\d+\.\d+\n", run("lesions --version", tmp_path))
