"""Faults of the machine in each stage and command: a disk that is full, forbidden, read-only or failing, and signals.

The faults are real to the process: a library (`faults.c`) is loaded before all others, and makes the system's
own functions fail. Which error or signal meets which output or moment is counted through, not chosen.
"""

import errno
import json
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from contextlib import suppress
from itertools import product
from pathlib import Path
from shutil import copyfile, copytree, rmtree, which

import pytest

from lesions.core.signals import ENDING
from lesions.core.stage import outputs, read_stages
from tests.conftest import ROOT, run

ERRORS = (errno.ENOSPC, errno.EACCES, errno.EROFS, errno.EIO)
MOMENTS = ("import", "early", "late")


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


def marked(cases: list[tuple[str, str, int]], *quick_stages: str) -> list[object]:
    """The first case of each quick stage, which loads no TensorFlow, for `make test`; the others for the long ones."""
    found: list[object] = []
    quick = set(quick_stages)
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


def start(project: Path, said: Path, stage: str, **environment: str) -> "subprocess.Popen[bytes]":
    """Start a stage as DVC does, which has removed its outputs; what it says goes into a file."""
    for path in STAGES[stage]:
        if (project / path).is_dir():
            rmtree(project / path)
        else:
            (project / path).unlink(missing_ok=True)
    return run_apart(project, said, [sys.executable, "-m", f"stages.{stage}"], environment)


def run_apart(project: Path, said: Path, words: list[str], environment: dict[str, str]) -> "subprocess.Popen[bytes]":
    """Start a process that no signal is kept from; what it says goes into a file."""
    return subprocess.Popen(
        words,
        cwd=project,
        stdout=said.open("wb"),
        stderr=subprocess.STDOUT,
        # Of its own: a process of the fork server gets its signals from another one.
        env={name: value for name, value in os.environ.items() if name != "TESTS_FORK_SERVER"} | environment,
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
    marked([(stage, path, ERRORS[n % len(ERRORS)]) for n, (stage, path) in enumerate(OUTPUTS)], "split", "evaluate"),
)
def test_disk_fails(project: Path, library: Path, tmp_path: Path, stage: str, path: str, number: int) -> None:
    seen, log = tmp_path / "seen", tmp_path / "log"
    faults = {"FAULT_PATH": str(Path(path).with_suffix("")), "FAULT_ERRNO": str(number), "FAULT_SEEN": str(seen)}
    status = start(project, log, stage, LD_PRELOAD=str(library), **faults).wait(300)
    said = log.read_text()
    assert seen.exists(), f"{stage} never wrote {path}: {said}"
    assert status == 1, said
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
        ],
        "clean",
        "calibrate",
    ),
)
def test_signal_ends_the_stage(project: Path, tmp_path: Path, stage: str, moment: str, number: int) -> None:
    log = tmp_path / "log"
    running = start(project, log, stage)
    comes: Callable[[], object] = {
        "import": lambda: catches_signals(running.pid),
        "early": lambda: log.stat().st_size,
        "late": lambda: any((project / path).exists() for path in STAGES[stage]),
    }[moment]
    while running.poll() is None and not comes():
        time.sleep(0.005)
    running.send_signal(number)
    status, said = running.wait(300), log.read_text()
    assert "Traceback" not in said, said
    if status == 0:  # it was done before the signal came
        run("git checkout metrics reports", project)
        run("dvc checkout --force", project)
        return
    assert status == 1, said
    assert "Interrupted." in said
    assert_nothing_is_lost(project, stage)


def catches_signals(process: int) -> bool:
    """Whether a process has begun to handle SIGTERM; before, Python itself is loading."""
    with suppress(FileNotFoundError):
        (caught,) = re.findall(r"SigCgt:\s*(\w+)", Path(f"/proc/{process}/status").read_text())
        return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)
    return False


COMMANDS = {
    "classify": "classify images --heatmap out",
    "validate": "validate images --out out --data none --resamples 100",
    "export": "export --out out",
    "preset": "preset ham10000",
    "new": "new out",
}
PLACES = dict.fromkeys(COMMANDS, "/out") | {"preset": "params"}
"""Where each writes, as a part of the path."""


@pytest.fixture(scope="module")
def images(project: Path) -> Path:
    """Images and their table, in a clone of the project with a model."""
    folder = project / "images"
    folder.mkdir()
    for archive in sorted((project / "data/raw").glob("*.zip")):
        with zipfile.ZipFile(archive) as opened:
            for member in opened.namelist():
                (folder / Path(member).name).write_bytes(opened.read(member))
    copyfile(project / "data/raw/metadata.csv", folder / "metadata.csv")
    (project / ".git/info/exclude").write_text("images\n")
    return folder


def command(project: Path, log: Path, name: str, out: Path, **environment: str) -> "subprocess.Popen[bytes]":
    """Start a command that writes to a folder."""
    words = [str(out) if word == "out" else word for word in COMMANDS[name].split()]
    return run_apart(project, log, [str(Path(sys.executable).with_name("lesions")), *words], environment)


def assert_nothing_is_left(project: Path, out: Path) -> None:
    """No half of a file, and the project is as it was."""
    assert not [path for path in out.rglob("*") if path.is_file() and path.suffix in (".part", ".tmp", ".lock")]
    assert not (out / ".unfinished").exists()
    assert run("git status --porcelain", project) == ""


@pytest.mark.long
@pytest.mark.usefixtures("images")
@pytest.mark.parametrize(("name", "number"), list(product(COMMANDS, ERRORS)))
def test_disk_fails_under_a_command(project: Path, library: Path, tmp_path: Path, name: str, number: int) -> None:
    seen, log, out = tmp_path / "seen", tmp_path / "log", tmp_path / "out"
    faults = {"FAULT_PATH": PLACES[name], "FAULT_ERRNO": str(number), "FAULT_SEEN": str(seen)}
    status = command(project, log, name, out, LD_PRELOAD=str(library), **faults).wait(300)
    said = log.read_text()
    assert seen.exists(), f"{name} wrote nothing: {said}"
    assert status == 1, said
    assert "Traceback" not in said, said
    assert len([line for line in said.splitlines() if line.startswith("ERROR: ")]) == 1, said
    assert_nothing_is_left(project, out)


@pytest.mark.long
@pytest.mark.usefixtures("images")
@pytest.mark.parametrize(("name", "number"), list(product(COMMANDS, ENDING)))
@pytest.mark.parametrize("moment", ["import", "late"])
def test_signal_ends_the_command(project: Path, tmp_path: Path, name: str, number: int, moment: str) -> None:
    log, out = tmp_path / "log", tmp_path / "out"
    running = command(project, log, name, out)
    while running.poll() is None and not (catches_signals(running.pid) if moment == "import" else out.exists()):
        time.sleep(0.005)
    running.send_signal(number)
    status, said = running.wait(300), log.read_text()
    run("git checkout params.yaml", project)  # of `preset`, which may be done
    assert "Traceback" not in said, said
    done = status == 0 or (status == -number and moment == "late")  # its work was done before the signal came
    assert done or (status == 1 and "Interrupted." in said), said
    assert_nothing_is_left(project, out)
