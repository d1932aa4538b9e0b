"""Machines that lack something: one sentence with the mend, an exit status that is not 0, and no traceback."""

import lesions.models.common.determinism  # noqa: F401 - before all that imports Keras

# isort: split
import os
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from lesions.core.errors import UserError, writing
from lesions.core.params import read_file
from lesions.explain import gallery
from lesions.reporting.common.contact_sheet import contact_sheet
from stages import predict
from tests.conftest import ROOT

PYTHON = sys.executable
NOISE = np.random.default_rng(0).integers(0, 256, (200, 200, 3), np.uint8)
LESIONS = "import sys; from lesions.cli import main; sys.argv[0] = 'lesions'; main()"
needs_mount = pytest.mark.skipif(
    subprocess.run(["unshare", "--mount", "true"], check=False, capture_output=True).returncode != 0
    if shutil.which("unshare")
    else True,
    reason="only root may mount a file system here",
)


def refused(*command: str, folder: Path, setup: str = "", **environment: str) -> str:
    """Run a command that fails, behind a shell's `setup` with mounts of its own; return what it says on stderr."""
    line = ["unshare", "--mount", "sh", "-ec", f'{setup}\nexec "$@"', "sh"] if setup else []
    done = subprocess.run(
        [*line, *command],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": str(ROOT), **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode not in (0, -6, -11), done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    return done.stderr


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """What `lesions check` and the stage `check` read, in a clone of its own."""
    folder = tmp_path / "project"
    (folder / "data/none").mkdir(parents=True)
    for name in ("dvc.yaml", "params.yaml", "Makefile"):
        shutil.copyfile(ROOT / name, folder / name)
    for name in ("stages", "studies", "presets"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    (folder / ".dvc").mkdir()
    (folder / ".dvc/config").touch()
    for words in ("init --quiet", "add --all", "-c user.name=a -c user.email=a@b commit --quiet --message a"):
        subprocess.run(["git", *words.split()], cwd=folder, check=True)
    return folder


# params.yaml


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda text: text.encode("utf-16"), "looks like UTF-16"),
        (lambda text: text.encode("utf-16-le"), "looks like UTF-16"),
        (lambda text: f"# n\n# é\n{text}".encode("latin-1"), "line 2 holds a byte that is none"),
    ],
)
def test_another_encoding_is_named(project: Path, change: Callable[[str], bytes], words: str) -> None:
    file = project / "params.yaml"
    file.write_bytes(change(file.read_text(encoding="utf-8").encode("ascii", "ignore").decode()))
    with pytest.raises(UserError) as error:
        read_file(file)
    assert words in str(error.value)
    assert "Set-Content -Encoding utf8" in str(error.value)


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_marks_and_line_ends_are_read(project: Path, encoding: str, end: str) -> None:
    file = project / "params.yaml"
    expected = read_file(file)
    file.write_bytes(file.read_text(encoding="utf-8").replace("\n", end).encode(encoding))
    assert read_file(file) == expected


# Full disks

TEMPORARY = """
import sys
from pathlib import Path
from lesions.core.errors import UserError
from lesions.core.temporary import temporary_folder
try:
    with temporary_folder() as folder:
        {work}
except UserError as error:
    sys.exit(f"ERROR: {{error}}")
"""
MODEL = """import numpy as np, h5py
        with h5py.File(folder / "weights.h5", "w") as file:
            file["weights"] = np.zeros(1_000_000)"""
TABLE = '(folder / "table").write_bytes(bytes(4_000_000))'


@needs_mount
@pytest.mark.parametrize("work", [TABLE, MODEL])
def test_full_temporary_folder_is_named(tmp_path: Path, work: str) -> None:
    (tmp_path / "small").mkdir()
    said = refused(
        *(PYTHON, "-c", TEMPORARY.format(work=work)),
        folder=tmp_path,
        setup="mount -t tmpfs -o size=1m tmpfs small",
        TMPDIR=str(tmp_path / "small"),
    )
    assert said.startswith(f"ERROR: There is no room in {tmp_path}/small, the folder for temporary files.")
    assert "export TMPDIR=" in said


def test_no_temporary_folder_at_all(tmp_path: Path) -> None:
    limited = ["sh", "-c", 'ulimit -f 0; exec "$@"', "sh", PYTHON, "-c", TEMPORARY.format(work="pass")]
    said = refused(*limited, folder=tmp_path)
    assert said.startswith("ERROR: No usable temporary directory found")
    assert "export TMPDIR=" in said


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="there is no /dev/full")
@pytest.mark.parametrize("command", ["sources", "check"])
def test_full_disk_under_standard_output(project: Path, command: str) -> None:
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            [PYTHON, "-c", LESIONS, command],
            cwd=project,
            env={**os.environ, "PYTHONPATH": str(ROOT)},
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr.splitlines() == [
        "ERROR: standard output: No space left on device. Make room on the disk, then run it again."
    ]


@needs_mount
def test_full_disk_under_a_file_of_a_command(tmp_path: Path) -> None:
    write = """
from pathlib import Path
from PIL import Image
from lesions.core.errors import UserError, writing
try:
    with writing(Path("small/a.png")):
        Image.effect_noise((900, 900), 90).save("small/a.png")
except UserError as error:
    raise SystemExit(f"ERROR: {error}")
"""
    (tmp_path / "small").mkdir()
    setup = "mount -t tmpfs -o size=64k tmpfs small"
    said = refused(PYTHON, "-c", write, folder=tmp_path, setup=setup)
    assert said == "ERROR: small/a.png: No space left on device. Make room on the disk, then run it again.\n"


@pytest.mark.parametrize(
    ("name", "write"),
    [
        ("features.npy", lambda file: predict.save(file, np.zeros((100, 100), np.float32))),
        ("sheet.jpg", lambda file: contact_sheet([("", [NOISE])], file)),
        ("example.jpg", lambda file: gallery.save(Image.fromarray(NOISE), file)),
    ],
)
def test_no_half_of_a_file_passes_for_one(tmp_path: Path, name: str, write: Callable[[Path], None]) -> None:
    """As where the disk has room for a part of what is written in one go."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, before[1]))
    try:
        with pytest.raises(UserError, match=f"{name}: File too large. Make room"), writing(tmp_path / name):
            write(tmp_path / name)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@needs_mount
def test_full_disk_under_a_stage(project: Path) -> None:
    setup = "mount -t tmpfs -o size=4k tmpfs data; mkdir data/none; if cat /dev/zero > data/fill; then exit 3; fi"
    said = refused(PYTHON, "-m", "stages.check", folder=project, setup=setup)
    assert "ERROR: " in said
    assert "No space left on device. Make room on the disk" in said


# Checkouts

READ_ONLY = 'mount --bind . . && cd "$PWD" && mount -o remount,ro,bind .'


@needs_mount
def test_read_only_checkout(project: Path) -> None:
    said = refused(PYTHON, "-m", "stages.check", folder=project, setup=READ_ONLY)
    assert "ERROR: data/params_checked.txt: Read-only file system. See to the rights" in said
    said = refused("make", "repro", folder=project, setup=READ_ONLY)
    assert said.startswith(f"ERROR: {project} cannot be written.")


def test_checkout_without_git(project: Path) -> None:
    """Said before the environment is built; DVC needs no Git where it is told so."""
    shutil.rmtree(project / ".git")
    said = refused("make", "repro", folder=project)
    assert said.startswith("ERROR: this folder has no .git")
    (mend,) = (line for line in said.splitlines() if line.startswith("  printf"))
    subprocess.run(["sh", "-c", mend], cwd=project, check=True)
    subprocess.run(["make", "can-run"], cwd=project, check=True)
    config = subprocess.run(["dvc", "config", "core.no_scm"], cwd=project, check=True, capture_output=True, text=True)
    assert config.stdout == "true\n"


def test_user_without_a_name(project: Path) -> None:
    """As of a container's user id: DVC asks as here, and would not start."""
    (project / "ask.mk").write_text(f"ask:\n\t@{PYTHON} -c 'import getpass; print(getpass.getuser())'\n")
    nameless = ["env", *(f"--unset={name}" for name in ("LOGNAME", "USER", "LNAME", "USERNAME"))]
    command = [*nameless, "make", "--silent", "-f", "Makefile", "-f", "ask.mk", "ask"]
    done = subprocess.run(command, cwd=project, check=True, capture_output=True, text=True)
    assert done.stdout == "lesions\n"


def test_git_that_is_not_installed(project: Path) -> None:
    said = refused(PYTHON, "-c", LESIONS, "metrics", folder=project, PATH="/nowhere")
    assert said.endswith("\nERROR: Git is not installed, and experiments are kept in it: install it.\n")


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may give a folder to somebody else")
@pytest.mark.parametrize("command", [["compare", "HEAD"], ["study"], ["new", "../mine"]], ids=lambda words: words[0])
def test_repository_of_another_owner(project: Path, tmp_path: Path, command: list[str]) -> None:
    for path in (project, project / ".git"):
        os.chown(path, 1234, 1234)
    said = refused(
        PYTHON,
        "-c",
        LESIONS,
        *command,
        folder=project,
        HOME=str(tmp_path),
        GIT_CONFIG_NOSYSTEM="1",
        GIT_CONFIG_GLOBAL="",
    )
    assert said.startswith("ERROR: ")
    assert f"git config --global --add safe.directory {project}" in said
