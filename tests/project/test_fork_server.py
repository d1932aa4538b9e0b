"""The tests' fork server: processes begin with modules loaded, and else run and end as without it."""

import signal
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="the fork server is for Linux")

PROBE = """
import os, signal, sys
loaded = ["tensorflow" in sys.modules, "lesions" in sys.modules]
said = [*loaded, os.getcwd(), sys.argv, sys.path[0], os.environ["DVC_X"]]
print(sys.stdin.read(), file=sys.stderr)
sys.stdout.write(f"{said}\\nno line's end")
end = sys.argv[1]
if end == "waits":
    sys.stdout.flush()
    signal.pause()
if end == "raises":
    raise ValueError(end)
if end == "words":
    sys.exit(end)
sys.exit(int(end))
"""


class Project(NamedTuple):
    """A folder with a stage, and the environment variables that the server has."""

    folder: Path
    environment: dict[str, str]


@pytest.fixture
def project(tmp_path: Path, fork_server: dict[str, str]) -> Project:
    (tmp_path / "stages").mkdir()
    (tmp_path / "stages/__init__.py").touch()
    (tmp_path / "stages/probe.py").write_text(PROBE)
    # Not the tests' own, which the tests before may have added to.
    return Project(tmp_path, fork_server)


def probe(project: Project, end: str, **environment: str) -> "subprocess.Popen[str]":
    """Start a stage that says what it began with, and ends as told."""
    return subprocess.Popen(
        [sys.executable, "-m", "stages.probe", end],
        cwd=project.folder,
        env=project.environment | {"DVC_X": "x"} | environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(("end", "status"), [("0", 0), ("3", 3), ("300", 44), ("words", 1), ("raises", 1)])
def test_process_is_as_without_the_server(project: Project, end: str, status: int) -> None:
    started = {served: probe(project, end, **more) for served, more in ((True, {}), (False, {"TF_X": "1"}))}
    printed = {served: process.communicate("input", timeout=120) for served, process in started.items()}
    assert {process.returncode for process in started.values()} == {status}
    for served, (stdout, stderr) in printed.items():
        file = project.folder / "stages/probe.py"
        assert (
            stdout
            == f"{[served, False, str(project.folder), [str(file), end], str(project.folder), 'x']}\nno line's end"
        )
        lines = stderr.splitlines()
        assert (lines[0], lines[-1]) == ("input", {"words": "words", "raises": "ValueError: raises"}.get(end, "input"))


def test_process_is_served_after_a_test_has_loaded_tensorflow(project: Project) -> None:
    served, other = (probe(project, "0", KERAS_BACKEND=name) for name in ("tensorflow", "jax"))
    assert served.communicate("input", timeout=120)[0].startswith("[True")
    assert other.communicate("input", timeout=120)[0].startswith("[False")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGKILL])
def test_signals_end_both(project: Project, number: int) -> None:
    process = probe(project, "waits")
    assert process.stdin
    assert process.stdout
    process.stdin.close()
    assert process.stdout.readline().startswith("[True")
    process.send_signal(number)
    assert process.wait(60) == -number
    assert process.stdout.read() == "no line's end"  # whoever ran has closed it
