"""Signals that end a stage or a command: at any moment one sentence, no traceback, and nothing left over."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from shutil import copytree

import pytest

from lesions.core.signals import ENDING
from tests.conftest import ROOT

STAGE = """
import sys
from pathlib import Path
from lesions.core.stage import run_stage

def main():
    out = Path("data/raw")
    out.mkdir(parents=True)
    (out / "half").write_text("half")
    print("working", flush=True)
    {work}

if __name__ == "__main__":
    run_stage(main)
"""
WAIT = "[__import__('time').sleep(0.05) for _ in range(1200)]"
"""A minute. Not one sleep: a signal that comes as it begins is seen when it ends, as Python has it."""
FAILED_IMPORT = """
    try:
        [__import__("time").sleep(0.05) for _ in range(1200)]
    except KeyboardInterrupt as error:  # as a C extension does that was interrupted as it loaded
        raise ImportError("no module") from error"""


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project whose stage `download` writes a half and waits."""
    copytree(ROOT / "lesions", tmp_path / "lesions", ignore=lambda *_: ["__pycache__"])
    (tmp_path / "stages").mkdir()
    for name in ("stages/__init__.py", "dvc.yaml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    (tmp_path / "stages/download.py").write_text(STAGE.format(work=WAIT))
    return tmp_path


def start(project: Path, *command: str, **environment: str) -> "subprocess.Popen[str]":
    return subprocess.Popen(
        [sys.executable, *command],
        cwd=project,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONPATH": str(project), **environment},
        preexec_fn=lambda: [signal.signal(number, signal.SIG_DFL) for number in ENDING],  # noqa: PLW1509
    )


def wait_for(found: Callable[[], bool]) -> None:
    end = time.monotonic() + 60
    while not found():
        assert time.monotonic() < end
        time.sleep(0.02)


@pytest.mark.parametrize("number", ENDING)
@pytest.mark.parametrize("work", [WAIT, FAILED_IMPORT])
def test_stage_ends_with_a_word_and_leaves_nothing(project: Path, number: int, work: str) -> None:
    (project / "stages/download.py").write_text(STAGE.format(work=work))
    stage = start(project, "-m", "stages.download")
    wait_for((project / "data/raw/half").exists)
    stage.send_signal(number)
    _, said = stage.communicate(timeout=60)
    assert stage.returncode == 1
    assert said.startswith("\nInterrupted.\nNothing is lost")
    assert "Traceback" not in said
    assert not (project / "data/raw").exists()


def test_second_ctrl_c_leaves_nothing_either(project: Path) -> None:
    """It comes while the half that was written is removed."""
    work = "[(out / str(number)).touch() for number in range(30_000)]; Path('written').touch(); " + WAIT
    (project / "stages/download.py").write_text(STAGE.format(work=work))
    stage = start(project, "-m", "stages.download")
    wait_for((project / "written").exists)
    stage.send_signal(signal.SIGINT)
    wait_for(lambda: len(list((project / "data/raw").glob("*"))) < 30_000)
    for _ in range(5):
        stage.send_signal(signal.SIGINT)
        time.sleep(0.02)
    _, said = stage.communicate(timeout=60)
    assert "Traceback" not in said
    assert not (project / "data/raw").exists()


@pytest.mark.parametrize("number", ENDING)
def test_signal_after_the_work_changes_nothing(project: Path, number: int) -> None:
    """It comes as Python itself ends."""
    last = f"""
import os

class Last:
    def __del__(self, kill=os.kill, process=os.getpid()):
        kill(process, {int(number)})

last = Last()
"""
    (project / "stages/download.py").write_text(STAGE.format(work="pass").replace("\ndef main", last + "\ndef main"))
    stage = start(project, "-m", "stages.download")
    assert stage.communicate(timeout=60) == ("working\n", "")
    assert stage.returncode == 0
    assert (project / "data/raw/half").exists()


@pytest.mark.parametrize("number", ENDING)
def test_stage_ends_while_modules_load(project: Path, number: int) -> None:
    slow = f"from pathlib import Path\nPath('loading').touch()\n{WAIT}\n"
    (project / "stages/download.py").write_text(slow)
    stage = start(project, "-m", "stages.download")
    wait_for((project / "loading").exists)
    stage.send_signal(number)
    assert stage.communicate(timeout=60)[1] == "\nInterrupted.\n"
    assert stage.returncode == 1


@pytest.mark.parametrize("number", ENDING)
def test_command_ends_while_modules_load(project: Path, number: int) -> None:
    slow = f"from pathlib import Path\nPath('loading').touch()\n{WAIT}\n"
    (project / "lesions/params/all.py").write_text(slow)
    command = start(project, "-c", "import sys; from lesions.cli import main; sys.argv = ['lesions', 'check']; main()")
    wait_for((project / "loading").exists)
    command.send_signal(number)
    assert command.communicate(timeout=60)[1] == "\nInterrupted.\n"
    assert command.returncode == 1


def test_stage_ends_with_the_dvc_that_started_it(project: Path) -> None:
    """Killed, DVC ends nothing itself."""
    starts = f"import subprocess; subprocess.run([{sys.executable!r}, '-m', 'stages.download'])"
    parent = start(project, "-c", starts, DVC_STAGE="download")
    wait_for((project / "data/raw/half").exists)
    parent.kill()
    wait_for(lambda: not (project / "data/raw").exists())
    said = parent.communicate(timeout=60)[1]
    assert "Interrupted." in said
    assert "Traceback" not in said


def test_stage_of_a_shell_goes_on_without_it(project: Path) -> None:
    starts = f"import subprocess; subprocess.run([{sys.executable!r}, '-m', 'stages.download'])"
    (project / "stages/download.py").write_text(STAGE.format(work="__import__('time').sleep(3); Path('done').touch()"))
    parent = start(project, "-c", starts)
    wait_for((project / "data/raw/half").exists)
    parent.kill()
    wait_for((project / "done").exists)


def test_ignored_signal_stays_ignored(project: Path) -> None:
    """As under nohup."""
    work = "__import__('os').kill(__import__('os').getpid(), 1); Path('done').touch()"
    (project / "stages/download.py").write_text(STAGE.format(work=work))
    stage_command = f"os.execv({sys.executable!r}, ['python', '-m', 'stages.download'])"
    ignores = f"import os, signal; signal.signal(1, signal.SIG_IGN); {stage_command}"
    stage = start(project, "-c", ignores)
    stage.communicate(timeout=60)
    assert stage.returncode == 0
    assert (project / "done").exists()


@pytest.mark.parametrize(
    ("errno", "mend"), [("ENOSPC", "Make room"), ("EACCES", "See to the rights"), ("EIO", "See to")]
)
def test_system_error_is_a_sentence(project: Path, errno: str, mend: str) -> None:
    work = f"raise OSError(__import__('errno').{errno}, 'as the system says', 'data/raw/half')"
    (project / "stages/download.py").write_text(STAGE.format(work=work))
    _, said = start(project, "-m", "stages.download").communicate(timeout=60)
    assert said.startswith("\nERROR: data/raw/half: ")
    assert mend in said.splitlines()[1]
    assert "Traceback" not in said
    assert not (project / "data/raw").exists()
