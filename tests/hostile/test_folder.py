"""A person's folder, which DVC hashes: what is no image's file in it is named before that, and never read."""

import os
import socket
from collections.abc import Callable
from contextlib import chdir
from pathlib import Path

import pytest

from lesions.core.errors import UserError
from lesions.core.stage import read_stages
from lesions.params.inputs import check_inputs
from stages import download
from tests.conftest import ROOT, edit_params, run

INCOMING = "data/incoming"
IMAGE = b"\xff\xd8\xff an image"


def socket_in(folder: Path) -> None:
    with chdir(folder), socket.socket(socket.AF_UNIX) as listening:  # a socket's path must be short
        listening.bind("x.jpg")


def named_in_latin_1(folder: Path) -> None:
    try:
        Path(os.fsdecode(os.fsencode(folder) + b"/n\xe6vus.jpg")).write_bytes(IMAGE)
    except OSError:
        pytest.skip("this file system has names in UTF-8 alone")


def unreadable(folder: Path) -> None:
    if os.geteuid() == 0:
        pytest.skip("root reads every file")
    (folder / "x.jpg").touch(mode=0)


def link(target: str | Path) -> Callable[[Path], None]:
    return lambda folder: (folder / "x.jpg").symlink_to(target)


FOLDERS: dict[str, tuple[Callable[[Path], None], str]] = {
    "a pipe": (lambda folder: os.mkfifo(folder / "x.jpg"), "x.jpg is a pipe, a socket or a device"),
    "a pipe that no stage reads": (lambda folder: os.mkfifo(folder / ".x"), ".x is a pipe, a socket or a device"),
    "a socket": (socket_in, "x.jpg is a pipe, a socket or a device"),
    "a link to a device": (link("/dev/zero"), "x.jpg is a pipe, a socket or a device"),
    "a link to nothing": (link("gone"), "x.jpg is a link to"),
    "a link to itself": (link("x.jpg"), "which is not there"),
    "a link to a folder": (link(".."), "x.jpg is a link to a folder"),
    "a link to a file elsewhere": (link("/etc/passwd"), "x.jpg is a link to /etc/passwd; expected the file itself"),
    "a link out and back": (link("../../../params.yaml"), "links out of the folder are not followed"),
    "a name in Latin-1": (named_in_latin_1, "has a name that is no UTF-8"),
    "no permission": (unreadable, "x.jpg cannot be read"),
}
VALUES: dict[str, tuple[str, object, str]] = {
    "a stage's folder": (
        "download.folder",
        "data/clean",
        "must lie apart from what the pipeline writes",
    ),
    "a folder around it": ("download.folder", ".", "must lie apart from what the pipeline writes"),
    "a folder in it": (
        "download.folder",
        "data/raw/mine",
        "must lie apart from what the pipeline writes",
    ),
    "another's link": ("download.folder", "linked", "must lie apart from what the pipeline writes, such as data/raw"),
    "no such folder": ("download.folder", "gone", "there is no folder gone"),
    "a file": ("download.folder", "params.yaml", "there is no folder params.yaml"),
    "no such weights": ("pretrained.path", "gone.h5", "gone.h5 does not exist"),
    "weights that are a pipe": ("pretrained.path", "pipe.h5", "pipe.h5 is a pipe, a socket or a device"),
    "no such groups": ("clean.known_groups", "gone.csv", "gone.csv does not exist"),
    "a table without groups": ("clean.known_groups", "lesions.csv", "lesions.csv (clean.known_groups) has the columns"),
    "an earlier split without splits": ("split.keep", "lesions.csv", "lesions.csv (split.keep) has the columns"),
    "no earlier split": ("split.keep", "gone.csv", "gone.csv does not exist"),
    "a stage's table": ("clean.known_groups", "data/clean/mine.csv", "must lie apart from what the pipeline writes"),
    "a stage's model": ("pretrained.path", "models/model.keras", "must lie apart from what the pipeline writes"),
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a folder of two classes."""
    for name in ("dvc.yaml", "params.yaml"):
        (tmp_path / name).write_bytes((ROOT / name).read_bytes())
    for label in ("mel", "nv"):
        (tmp_path / INCOMING / label).mkdir(parents=True)
        (tmp_path / INCOMING / label / "a.jpg").write_bytes(IMAGE)
    (tmp_path / "data/none").mkdir()
    edit_params(tmp_path, download={"source": "folder", "folder": INCOMING})
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_plain_folder_is_taken(project: Path) -> None:
    (project / INCOMING / "mel/again.jpg").symlink_to("a.jpg")
    check_inputs()
    download.main()


@pytest.mark.parametrize("what", FOLDERS)
def test_folder_is_checked_before_dvc_reads_it(project: Path, what: str) -> None:
    spoil, words = FOLDERS[what]
    spoil(project / INCOMING / "mel")
    for read in (check_inputs, download.main):
        with pytest.raises(UserError) as error:
            read()
        assert words in str(error.value)
        assert "take it out" in str(error.value)
    assert not list((project / "data/raw").glob("*.zip"))


@pytest.mark.usefixtures("project")
def test_check_runs_first_and_always() -> None:
    """Else DVC would read the folder unchecked, where params.yaml is as before."""
    stages = read_stages()
    assert stages["check"]["always_changed"]
    for stage in stages.values():
        if any(dep.startswith("${") for dep in stage["deps"]):
            assert set(stages["check"]["outs"]) <= set(stage["deps"])


def test_command_prints_what_a_terminal_obeys_as_text(project: Path) -> None:
    os.mkfifo(project / INCOMING / "x\x1b[2J.jpg")
    printed = run("lesions check", project, fails=True)
    assert printed.startswith("ERROR: data/incoming/x\\x1b[2J.jpg is a pipe")


@pytest.mark.parametrize("what", VALUES)
def test_path_that_dvc_cannot_take_is_named(project: Path, what: str) -> None:
    key, value, words = VALUES[what]
    os.mkfifo(project / "pipe.h5")
    (project / "data/raw").mkdir()
    (project / "linked").symlink_to("data/raw")
    (project / "lesions.csv").write_text("image_id,lesion_id\na,1\n")
    section, name = key.split(".")
    edit_params(project, **{section: {name: value}})
    with pytest.raises(UserError) as error:
        check_inputs()
    assert words in str(error.value)


@pytest.mark.parametrize("target", ["elsewhere", "gone"])
def test_linked_folder_of_outputs_is_named(project: Path, target: str) -> None:
    (project / "elsewhere").mkdir()
    (project / "models").symlink_to(target)
    with pytest.raises(UserError, match=r"^models is a link.*dvc cache dir --local"):
        check_inputs()


def test_missing_folder_is_no_error_once_its_images_are_stored(project: Path) -> None:
    """As with `dvc repro --pull --allow-missing` on another machine."""
    (project / INCOMING).rename(project / "elsewhere")
    with pytest.raises(UserError, match="there is no folder"):
        check_inputs()
    edit_params(project, download={"n_images": 100})
    text = (project / "params.yaml").read_text()
    section = text[text.index("download:") : text.index("\nclean:")].replace("\n", "\n          ")
    lock = f"stages:\n  download:\n    params:\n      params.yaml:\n          {section}\n"
    (project / "dvc.lock").write_text(lock)
    check_inputs()
    edit_params(project, download={"n_images": 101})
    with pytest.raises(UserError, match="there is no folder"):
        check_inputs()
