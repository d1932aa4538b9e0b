"""What is released: results of the code beside them, and one version everywhere."""

import re
import tomllib
from typing import Any

import pytest
from dvc.repo import Repo
from ruamel.yaml import YAML

from tests.conftest import ROOT

CODE = ("lesions", "stages", "requirements.txt", "params.yaml")
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]["version"]
CITATION: dict[str, Any] = YAML(typ="safe").load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))


@pytest.mark.release
def test_committed_results_are_of_this_code_and_these_parameters() -> None:
    """`make repro`, then commit dvc.lock, metrics/ and reports/ with the code that made them."""
    changed, checked = [], 0
    with Repo(str(ROOT)) as repo:
        for stage in repo.index.stages:
            code = [entry for entry in stage.deps if str(entry).partition("/")[0] in CODE]
            for entry in (*code, *(result for result in stage.outs if not result.use_cache)):
                checked += 1
                changed += [f"{stage.name}: {name} {how}" for name, how in entry.workspace_status().items()]
    assert checked > 40
    assert changed == [], "\n".join(changed)


def test_version_is_semantic_and_the_same_everywhere() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", VERSION)
    assert CITATION["version"] == VERSION
    changelog = (ROOT / "CHANGELOG.md").read_text(encoding="utf-8")
    assert re.findall(r"^## \[(\d.*?)\] - (\S+)$", changelog, re.MULTILINE)[0] == (VERSION, CITATION["date-released"])
