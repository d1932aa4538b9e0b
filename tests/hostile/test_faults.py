"""Faults of the machine in every stage: a disk that is full, forbidden, read-only or failing, and signals.

The faults are real to the stage's process: a library (`faults.c`) is loaded before all others, and makes the system's
own functions fail. Which error or signal meets which output or moment is counted through, not chosen.
"""

import errno
import json
import os
import signal
import subprocess
import sys
import time
from itertools import product
from pathlib import Path
from shutil import copytree, which

import pytest

from lesions.core.signals import ENDING
from lesions.core.stage import outputs, read_stages
from tests.conftest import ROOT, run

ERRORS = (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EIO)
MOMENTS = ("import", "early", "late")
QUICK = ("clean", "split", "calibrate", "evaluate")
"""Stages that do not load TensorFlow, of which `make test` tries one case each."""


def all_stages() -> dict[str, list[str]]:
    """The outputs of each stage."""
    before = Path.cwd()
    os.chdir(ROOT)
    try:
        stages = read_stages()
    finally:
        os.chdir(before)
    return {name: [str(path) for path in outputs(definition)] for name, definition in stages.items()}


STAGES = all_stages()
OUTPUTS = [(stage, path) for stage, paths in STAGES.items() for path in paths]


def marked(cases: list[tuple[str, str, int]]) -> list[object]:
    """The first case of each quick stage for `make test`, the others for `make test-long`."""
    found: list[object] = []
    quick = set(QUICK)
    for stage, where, number in cases:
        marks = () if stage in quick else (pytest.mark.long,)
        quick.discard(stage)
        found.append(pytest.param(stage, where, number, marks=marks, id=f"{stage}-{where}-{number}"))
    return found


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = which("cc") or which("gcc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("no C compiler for Linux is here, which the library of faults needs")
    file = tmp_path_factory.mktemp("faults") / "faults.so"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", file, ROOT / "tests/hostile/faults.c", "-ldl"], check=True)
    return file


@pytest.fixture(scope="module")
def project(workspace: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return copytree(workspace, tmp_path_factory.mktemp("faults") / "project", symlinks=True)


def start(project: Path, stage: str, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, "-m", f"stages.{stage}"],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=os.environ | environment,
        preexec_fn=lambda: [signal.signal(number, signal.SIG_DFL) for number in ENDING],  # noqa: PLW1509
    )


def assert_nothing_is_lost(project: Path, stage: str) -> None:
    """Nothing half-written is there, and the two commands of the message bring all back."""
    assert not [path for path in STAGES[stage] if (project / path).exists()]
    run("git checkout metrics reports", project)
    run("dvc checkout", project)
    assert run("git status --porcelain", project) == ""
    assert json.loads(run("dvc status --json", project)) == {"check": ["always changed"]}


@pytest.mark.parametrize(
    ("stage", "path", "number"),
    marked([(stage, path, ERRORS[n % len(ERRORS)]) for n, (stage, path) in enumerate(OUTPUTS)]),
)
def test_disk_fails(project: Path, library: Path, tmp_path: Path, stage: str, path: str, number: int) -> None:
    seen = tmp_path / "seen"
    stage_process = start(
        project, stage, LD_PRELOAD=str(library), FAULT_PATH=path, FAULT_ERRNO=str(number), FAULT_SEEN=str(seen)
    )
    said = stage_process.communicate(timeout=300)[0]
    assert seen.exists(), f"{stage} never wrote {path}"
    assert stage_process.returncode == 1, said
    assert "Traceback" not in said, said
    (sentence,) = [line for line in said.splitlines() if line.startswith("ERROR: ")]
    assert os.strerror(number) in sentence or "full" in sentence
    assert "run it again" in sentence or "Make room" in sentence
    assert_nothing_is_lost(project, stage)


@pytest.mark.parametrize(
    ("stage", "moment", "number"),
    marked(
        [
            (stage, moment, ENDING[n % len(ENDING)])
            for n, (moment, stage) in enumerate(product(reversed(MOMENTS), STAGES))
        ]
    ),
)
def test_signal_ends_the_stage(project: Path, stage: str, moment: str, number: int) -> None:
    before = {path: (project / path).stat().st_mtime_ns for path in STAGES[stage]}
    stage_process = start(project, stage)
    assert stage_process.stdout
    first = ""
    if moment == "import":
        time.sleep(0.2)
    elif moment == "early":
        first = stage_process.stdout.readline()
    else:
        while stage_process.poll() is None and all(
            (project / path).exists() and (project / path).stat().st_mtime_ns == time_before
            for path, time_before in before.items()
        ):
            time.sleep(0.005)
    stage_process.send_signal(number)
    said = first + stage_process.communicate(timeout=300)[0]
    assert "Traceback" not in said, said
    if stage_process.returncode == 0:  # it was done before the signal came
        run("dvc checkout", project)
        return
    assert stage_process.returncode == 1, said
    assert "Interrupted." in said
    if moment == "import":  # before it begins, nothing is touched
        assert run("git status --porcelain", project) == ""
        return
    assert_nothing_is_lost(project, stage)
