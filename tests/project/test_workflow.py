"""The hosted workflows: what they may do, and that the commands do what they say."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT, commit, edit_params, run

FILES = sorted((ROOT / ".github/workflows").glob("*.yml"))
WORKFLOWS: dict[str, Any] = {file.stem: YAML(typ="safe").load(file.read_text(encoding="utf-8")) for file in FILES}
WORKFLOW = WORKFLOWS["compare"]
COMPARE, COMMENT = (WORKFLOW["jobs"][name] for name in ("compare", "comment"))
JOBS = [job for workflow in WORKFLOWS.values() for job in workflow["jobs"].values()]


def test_job_that_runs_code_only_reads() -> None:
    # Of `pull_request_target` and `workflow_run`, a fork's code would get the repository's secrets.
    assert list(WORKFLOW["on"]) == ["pull_request"]
    assert WORKFLOW["permissions"] == {}
    assert COMPARE["permissions"] == {"contents": "read"}
    assert COMPARE["steps"][0]["with"]["persist-credentials"] is False
    assert "secrets." not in str(WORKFLOW)
    assert "github.token" not in str(COMPARE)


def test_job_that_writes_runs_no_code() -> None:
    assert COMMENT["if"] == "github.event.pull_request.head.repo.full_name == github.repository"
    assert COMMENT["permissions"] == {"contents": "write", "pull-requests": "write"}
    commands = "\n".join(step.get("run", "") for step in COMMENT["steps"])
    assert not re.search(r"python|dvc|lesions|make|bash", commands)
    assert not [step for step in COMMENT["steps"] if "checkout" in step.get("uses", "")]


def test_actions_are_pinned() -> None:
    for step in [step for job in JOBS for step in job["steps"]]:
        if "uses" in step:
            assert re.fullmatch(r"actions/[\w-]+@[0-9a-f]{40}", step["uses"])
        else:
            assert "${{" not in step["run"]


@pytest.mark.parametrize("name", ["tests", "release"])
def test_workflows_that_test_only_read(name: str) -> None:
    assert WORKFLOWS[name]["permissions"] == {}
    assert "secrets." not in str(WORKFLOWS[name])
    for job in WORKFLOWS[name]["jobs"].values():
        assert job["permissions"] == {"contents": "read"}
        assert job["steps"][0]["with"]["persist-credentials"] is False


def test_make_has_what_the_workflows_run() -> None:
    matrix = WORKFLOWS["tests"]["jobs"]["test"]["strategy"]["matrix"]["include"]
    commands = "\n".join(step.get("run", "") for job in JOBS for step in job["steps"])
    wanted = {entry["run"] for entry in matrix} | set(re.findall(r"^make ([\w./-]+)$", commands, re.MULTILINE))
    assert {"lint", "test", "release-check", ".venv/installed-dev"} <= wanted
    assert wanted <= set(re.findall(r"^([\w./-]+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))


def test_tag_must_be_the_version(tmp_path: Path) -> None:
    job = WORKFLOWS["release"]["jobs"]["check"]
    (tmp_path / "pyproject.toml").write_text('name = "lesions"\nversion = "1.20.3"\n', encoding="utf-8")
    run_step(job, "Tag", tmp_path, {"GITHUB_REF_NAME": "v1.20.3"})
    for other in ("v1.20", "v1.20.31", "v1x20.3", "1.2.3"):
        with pytest.raises(AssertionError):
            run_step(job, "Tag", tmp_path, {"GITHUB_REF_NAME": other})


def run_step(job: dict[str, Any], name: str, folder: Path, environment: dict[str, str]) -> None:
    """Run a step as the hosted machine does: its commands, as written, in bash that stops at the first failure."""
    (step,) = (step for step in job["steps"] if step.get("name") == name)
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        cwd=folder, env=os.environ | environment, capture_output=True, text=True, check=False, timeout=900,
    )  # fmt: skip
    assert done.returncode == 0, (done.stdout + done.stderr)[-4000:]


GH = """#!/bin/sh
for word; do last=${word#body=@}; done
echo "$@" >> "$KEPT"
case "$1 $2" in
  "pr comment"|"api --silent") cat "$last" >> "$KEPT";;
  "api --paginate") if grep -q "of two models -->" "$KEPT.posted" 2>/dev/null; then echo 5; fi;;
esac
if [ "$1" = pr ]; then cp "$last" "$KEPT.posted"; fi
"""
"""Of `gh`: keeps what it is given, and knows the comment, by the number 5, once there is one."""


@pytest.fixture
def hosted(tmp_path: Path) -> dict[str, str]:
    """What the hosted machine has around it: a server with a repository, and `gh`, which keeps what it is given."""
    run("git init --quiet --bare server/team/lesions.git", tmp_path)
    (tmp_path / "bin").mkdir()
    gh = tmp_path / "bin/gh"
    gh.write_text(GH)
    gh.chmod(0o755)
    return {
        "GH_REPO": "team/lesions",
        "GITHUB_SERVER_URL": f"file://{tmp_path}/server",
        "GITHUB_STEP_SUMMARY": str(tmp_path / "summary.md"),
        "KEPT": str(tmp_path / "gh.txt"),
        "NUMBER": "7",
        "PATH": f"{tmp_path / 'bin'}:{Path(sys.executable).parent}:{os.environ['PATH']}",
    }


@pytest.mark.long
def test_pull_request_gets_its_comment(workspace: Path, tmp_path: Path, hosted: dict[str, str]) -> None:
    clone = shutil.copytree(workspace, tmp_path / "clone", symlinks=True)
    commits = [run("git rev-parse HEAD", clone).strip()]
    edit_params(clone, predict={"tta": True})
    commit(clone)
    commits.append(run("git rev-parse HEAD", clone).strip())
    hosted |= dict(zip(("BASE", "HEAD"), commits, strict=True))
    (clone / ".venv").mkdir()
    (clone / ".venv/installed").touch()  # the environment that runs the tests is there already

    run_step(COMPARE, "Results", clone, hosted)
    run_step(COMPARE, "Comparison", clone, hosted)
    summary = Path(hosted["GITHUB_STEP_SUMMARY"]).read_text()
    assert "## proposed beside base, on validation" in summary
    assert "| accuracy |" in summary
    assert "![" not in summary

    # Two runs of the workflow for one pull request, the second of them started twice.
    for place, number in enumerate(("11", "12", "12")):
        second, temporary = tmp_path / f"second{place}", tmp_path / f"temporary{place}"
        shutil.copytree(clone / "comparison", second / "comparison")
        (second / "comparison/elsewhere.png").symlink_to("/etc/hostname")
        temporary.mkdir()
        for step in ("Images", "Comment"):
            run_step(COMMENT, step, second, hosted | {"RUN": number, "RUNNER_TEMP": str(temporary)})
    kept = Path(hosted["KEPT"]).read_text()
    assert kept.count("pr comment 7 --body-file comment.md") == 1
    assert kept.count("api --silent --method PATCH repos/team/lesions/issues/comments/5 --field body=@comment.md") == 2
    addresses = re.findall(r"!\[[^\]]+\]\((\S+)\)", kept)
    assert len(addresses) == 6
    for address in addresses:
        path = re.fullmatch(rf"{re.escape(hosted['GITHUB_SERVER_URL'])}/team/lesions/blob/(\S+)\?raw=true", address)
        assert path
        branch, _, file = path[1].partition("/")
        content = subprocess.run(
            ["git", "show", f"{branch}:{file}"],
            cwd=tmp_path / "server/team/lesions.git",
            check=True,
            capture_output=True,
        ).stdout
        assert content == (clone / "comparison" / Path(file).name).read_bytes()
