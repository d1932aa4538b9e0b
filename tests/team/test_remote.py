"""What goes wrong with a team's store, on each kind of it: nothing is lost, and nothing wrong is accepted."""

import os
import re
import subprocess
import sys
import threading
from collections.abc import Iterator
from hashlib import md5
from pathlib import Path
from shutil import copytree

import pytest

from tests.conftest import run
from tests.team.stores import S3, SSH, Folder, Store

pytestmark = pytest.mark.usefixtures("home_of_its_own")


def on(*quick: str) -> pytest.MarkDecorator:
    """Run a test on all kinds of store; on those not named only where the long tests run too."""
    kinds = [kind if kind in quick else pytest.param(kind, marks=pytest.mark.long) for kind in ("s3", "ssh", "folder")]
    return pytest.mark.parametrize("store", kinds, indirect=True)


LARGE = 3_000_000
"""Bytes of the largest file of `images/`."""


@pytest.fixture
def store(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Store]:
    """An empty store of each kind."""
    if request.param == "s3":
        with S3().served() as s3:
            yield s3
        return
    (tmp_path / "store").mkdir()
    if request.param == "ssh":
        with SSH(tmp_path / "store").served() as ssh:
            yield ssh
        return
    yield Folder(tmp_path / "store")


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small repository with a folder and a file in DVC, of which nothing was pushed."""
    folder = tmp_path_factory.mktemp("project") / "one"
    (folder / "images").mkdir(parents=True)
    for number in range(12):
        (folder / f"images/{number}").write_bytes(bytes([number]) * (LARGE if number == 7 else 20_000))
    (folder / "table.csv").write_text("image_id,dx\n" + "a,nv\n" * 5000)
    run("git init --quiet", folder)
    run("dvc init --quiet", folder)
    run("dvc add --quiet images table.csv", folder)
    return folder


@pytest.fixture
def one(store: Store, project: Path, tmp_path: Path) -> Path:
    """A clone whose cache holds all, and whose remote, the store, nothing."""
    folder = copytree(project, tmp_path / "one")
    lines = [
        f"url = {store.url}",
        "verify = true",
        *([f"endpointurl = {store.endpoint}"] if isinstance(store, S3) else []),
    ]
    (folder / ".dvc/config").write_text(
        "[core]\nremote = team\nanalytics = false\n['remote \"team\"']\n" + "\n".join(lines)
    )
    give_secrets(store, folder)
    run("git add --all", folder)
    run("git commit --quiet --message data", folder)
    return folder


def give_secrets(store: Store, clone: Path, *, secret: str | None = None) -> None:
    """Write the credentials of the store into a clone's own configuration, or a wrong secret."""
    lines = []
    if isinstance(store, S3):
        lines = [f"access_key_id = {store.key[0]}", f"secret_access_key = {secret or store.key[1]}"]
    elif isinstance(store, SSH):
        key = clone.parent / "key"
        store.key.write_private_key(key)
        lines = [f"keyfile = {key}"] if secret is None else [f"password = {secret}"]
    (clone / ".dvc/config.local").write_text("['remote \"team\"']\n" + "\n".join(lines))


def clone_of(one: Path, store: Store, name: str) -> Path:
    """Clone the repository; the clone's cache is empty."""
    run(f"git clone --quiet {one} {one.parent / name}", one)
    give_secrets(store, one.parent / name)
    return one.parent / name


def oid_of(file: Path) -> str:
    return md5(file.read_bytes(), usedforsecurity=False).hexdigest()


def same(one: Path, other: Path) -> bool:
    """Return whether a clone has the data of another."""
    files = [path.relative_to(one) for path in [*one.glob("images/*"), one / "table.csv"]]
    return len(files) == 13 and all((one / file).read_bytes() == (other / file).read_bytes() for file in files)


def wrong_objects(store: Store) -> list[str]:
    """Return the objects of the store whose content is not what their name says."""
    objects = store.objects()
    return [
        oid
        for oid, name in objects.items()
        if md5(store.read(name), usedforsecurity=False).hexdigest() != oid.removesuffix(".dir")
    ]


def start(command: str, folder: Path, **environment: str) -> subprocess.Popen[str]:
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    return subprocess.Popen(
        command.split(),
        cwd=folder,
        env=os.environ | {"PATH": path} | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@on("s3", "ssh", "folder")
def test_spoiled_object_is_refused_and_replaced(one: Path, store: Store) -> None:
    run("dvc push --quiet", one)
    objects = store.objects()
    spoiled = {oid_of(one / "images/3"), oid_of(one / "table.csv")}
    for oid in spoiled:
        store.write(objects[oid], b"spoiled" * 3000)
    two = clone_of(one, store, "two")
    printed = run("dvc pull", two, fails=True)
    assert "Checkout failed for following targets" in printed
    assert not (two / "images/3").exists()
    assert not (two / "table.csv").exists()
    assert "Everything is up to date" in run("dvc push", one)  # DVC alone does not mend it
    assert set(wrong_objects(store)) == spoiled
    corrupted = re.findall(r"corrupted cache file '.*files/md5/(..)/(.*)'", run("dvc fetch --verbose", two))
    assert {begin + rest for begin, rest in corrupted} == spoiled
    for oid, name in objects.items():
        if oid in spoiled or oid.endswith(".dir"):
            store.remove(name)
    run("dvc push", one)
    assert wrong_objects(store) == []
    assert set(store.objects()) == set(objects)
    run("dvc pull", two)
    assert same(one, two)


DIES_AT_THE_FIFTH = """
import os, signal
replace, count = os.replace, 0
def counted(source, destination, **options):
    global count
    count += "files/md5/" in os.fspath(destination)
    if count == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    replace(source, destination, **options)
os.replace = counted
"""


@on("ssh")
def test_interrupted_push_is_finished_later(one: Path, store: Store, tmp_path: Path) -> None:
    if type(store) is Folder:
        # No server that could wait: the program ends itself between a file's last byte and its name.
        (tmp_path / "path").mkdir()
        (tmp_path / "path/sitecustomize.py").write_text(DIES_AT_THE_FIFTH)
        process = start("dvc push", one, PYTHONPATH=str(tmp_path / "path"))
    else:
        arrived, ended = threading.Event(), threading.Event()

        def wait(count: int) -> None:
            if count >= 5:
                arrived.set()
                ended.wait(30)

        store.on_write = wait
        process = start("dvc push", one)
        assert arrived.wait(60)
        process.kill()
    process.communicate(timeout=60)
    assert process.returncode == -9
    if type(store) is not Folder:
        store.on_write = lambda _: None
        ended.set()
    assert 0 < len(store.objects()) < 14
    assert wrong_objects(store) == []
    run("dvc push", one)
    assert len(store.objects()) == 14
    two = clone_of(one, store, "two")
    run("dvc pull", two)
    assert same(one, two)


@on("ssh")
def test_full_store_loses_nothing(one: Path, store: Store) -> None:
    if type(store) is Folder:
        script = one.parent / "full.sh"  # a bound on each file's size stands for the disk's
        script.write_text("ulimit -f 1000\ndvc push\n")
        printed = run(f"bash {script}", one, fails=True)
        assert "File too large" in printed
    else:
        store.room = 200_000
        printed = run("dvc push", one, fails=True)
        assert ("QuotaExceeded" if isinstance(store, S3) else "No space left on device") in printed
        store.room = None
    assert "failed to push" in printed
    assert "Traceback" not in printed
    assert wrong_objects(store) == []
    assert oid_of(one / "images/7") not in store.objects()
    assert not [oid for oid in store.objects() if oid.endswith(".dir")]  # which would say that the folder is complete
    run("dvc push", one)
    assert len(store.objects()) == 14
    assert wrong_objects(store) == []


@pytest.mark.parametrize("store", ["s3", "ssh"], indirect=True)
def test_wrong_secret_is_not_shown(one: Path, store: Store) -> None:
    secret = "never/to+be=shown"  # noqa: S105
    give_secrets(store, one, secret=secret)
    for command in ("dvc push", "dvc pull --verbose"):
        printed = run(command, one, fails=True)
        assert secret not in printed
        # Of SSH, DVC asks for another password, and has few words where there is no terminal to ask at.
        assert ("403" if isinstance(store, S3) else "ERROR") in printed, command
    assert store.names() == []


@on("folder")
def test_two_pushes_at_once(one: Path, store: Store) -> None:
    two = clone_of(one, store, "two")
    run("dvc push --quiet table.csv", one)
    copytree(one / ".dvc/cache", two / ".dvc/cache")
    (two / "own").write_bytes(b"two's own" * 10_000)
    run("dvc add --quiet own", two)
    processes = [start("dvc push", clone) for clone in (one, two)]
    printed = [process.communicate(timeout=120)[0] for process in processes]
    assert [process.returncode for process in processes] == [0, 0], printed
    assert len(store.objects()) == 15
    assert wrong_objects(store) == []
    three = clone_of(one, store, "three")
    run("dvc pull", three)
    assert same(one, three)
