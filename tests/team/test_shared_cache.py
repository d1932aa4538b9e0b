"""One store or one cache, and several people's user ids, or several versions of DVC."""

import os
import pwd
import re
import subprocess
import sys
from pathlib import Path
from shutil import copytree, which

import pytest

from tests.conftest import run
from tests.team.stores import Folder
from tests.team.test_remote import clone_of, one, project, same, wrong_objects  # noqa: F401 - two are fixtures
from tests.team.test_team import PAGE

pytestmark = pytest.mark.usefixtures("home_of_its_own")

GROUP = 54321
ANNA, BEN = sorted(user.pw_uid for user in pwd.getpwall() if user.pw_uid)[:2]
"""Any two of this machine: Python asks the system for their names."""


@pytest.fixture
def store(tmp_path: Path) -> Folder:
    """An empty folder."""
    (tmp_path / "store").mkdir()
    return Folder(tmp_path / "store")


def run_as(user: int, command: str, folder: Path, *, umask: int = 0o002, fails: bool = False) -> str:
    """Run a command line as another user of the group, who may read all, this Python too, and write as any user may."""
    (folder.parent / f"home-{user}").mkdir(exist_ok=True)
    os.chown(folder.parent / f"home-{user}", user, GROUP)
    settings = folder.parent / f"home-{user}/.gitconfig"
    settings.write_text("[user]\nname = test\nemail = test@example.org\n[safe]\ndirectory = *\n")
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": str(folder.parent / f"home-{user}"),
        "DVC_SITE_CACHE_DIR": str(folder.parent / f"home-{user}/site"),
    }
    rights = ["--inh-caps", "-all,+dac_read_search", "--ambient-caps", "-all,+dac_read_search", "--bounding-set"]
    rights += ["-all,+dac_read_search"]
    who = ["setpriv", "--reuid", str(user), "--regid", str(GROUP), "--clear-groups", *rights]
    done = subprocess.run(
        [*who, *command.split()], check=False, cwd=folder, env=environment, capture_output=True, text=True, umask=umask
    )
    printed = done.stdout + done.stderr
    assert (done.returncode != 0) == fails, printed[-4000:]
    return printed


@pytest.fixture
def people(one: Path, store: Folder) -> dict[int, Path]:  # noqa: F811
    """Two users of one group, a clone each, and a folder for the group; only root can be two people."""
    if os.getuid() != 0 or not which("setpriv"):
        pytest.skip("only root, with setpriv, can act as two users")
    clones = {}
    for user in (ANNA, BEN):
        clones[user] = clone_of(one, store, f"clone-{user}")
        run(f"chown -R {user}:{GROUP} {clones[user]}", one)
    os.chown(store.folder, ANNA, GROUP)
    store.folder.chmod(0o2775)
    return clones


@pytest.mark.parametrize(("umask", "runs"), [(0o002, 2), pytest.param(0o022, 1, marks=pytest.mark.long)])
def test_two_users_share_a_folder(
    people: dict[int, Path],
    one: Path,  # noqa: F811
    store: Folder,
    umask: int,
    runs: int,
) -> None:
    """All of their data, whatever they forbid others by default; of the run cache, then, nothing, and not a word."""
    copytree(one / ".dvc/cache", people[ANNA] / ".dvc/cache")
    run(f"chown -R {ANNA}:{GROUP} {people[ANNA]}", one)
    for user in (ANNA, BEN):
        run_as(user, "dvc remote modify team shared group", people[user], umask=umask)
    copy = "dvc stage add --run --name {0} --deps table.csv --outs {0}.csv cp table.csv {0}.csv"
    run_as(ANNA, "dvc checkout", people[ANNA], umask=umask)
    run_as(ANNA, copy.format("annas"), people[ANNA], umask=umask)
    run_as(ANNA, "dvc push --run-cache", people[ANNA], umask=umask)
    run_as(BEN, "dvc pull --run-cache", people[BEN], umask=umask)
    assert same(one, people[BEN])
    run_as(BEN, copy.format("bens"), people[BEN], umask=umask)
    # So many that they share folders of the store with Anna's.
    (people[BEN] / "more").mkdir()
    for number in range(300):
        (people[BEN] / f"more/{number}").write_text(f"of Ben {number}")
    run(f"chown -R {BEN}:{GROUP} more", people[BEN])
    run_as(BEN, "dvc add more", people[BEN], umask=umask)
    run_as(BEN, "dvc push --run-cache", people[BEN], umask=umask)
    assert wrong_objects(store) == []
    assert len(store.objects()) == 14 + 301
    assert len([name for name in store.names() if name.startswith("runs/")]) == runs
    owners = {(store.folder / name).stat().st_uid for name in store.names()}
    assert owners == {ANNA, BEN}
    groups = {path.stat().st_gid for path in store.folder.rglob("*")}
    assert groups == {GROUP}


def test_two_users_share_a_cache(people: dict[int, Path], one: Path, store: Folder) -> None:  # noqa: F811
    copytree(one / ".dvc/cache/files", store.folder / "files")
    cache = store.folder.parent / "cache"
    cache.mkdir()
    os.chown(cache, ANNA, GROUP)
    cache.chmod(0o2775)
    (found,) = re.findall(r"<!-- run by the tests: server -->\n```sh\n(.*?)```", PAGE, re.DOTALL)
    commands = found.replace("/srv/lesions-cache", str(cache)).splitlines()
    for command in commands[:3]:
        for user in (ANNA, BEN):
            run_as(user, command, people[user])
    run_as(ANNA, "dvc pull", people[ANNA])
    printed = run_as(BEN, "dvc pull", people[BEN])
    assert "fetched" not in printed  # it is there already
    run_as(BEN, commands[3], people[BEN])
    assert same(one, people[BEN])
    assert (people[BEN] / "images/7").resolve().is_relative_to(cache)
    run_as(BEN, "rm -r images", people[BEN])
    run_as(BEN, "dvc checkout", people[BEN])
    (people[BEN] / "own").write_text("Ben's own")
    os.chown(people[BEN] / "own", BEN, GROUP)
    run_as(BEN, "dvc add own", people[BEN])
    assert (people[BEN] / "own").resolve().stat().st_uid == BEN
    # Anna puts something beside it, in whatever folder of the cache.
    (people[ANNA] / "more").mkdir()
    for number in range(300):
        (people[ANNA] / f"more/{number}").write_text(f"of Anna {number}")
    run(f"chown -R {ANNA}:{GROUP} more", people[ANNA])
    run_as(ANNA, "dvc add more", people[ANNA])
    modes = {path.stat().st_mode & 0o7777 for path in cache.glob("files/md5/*")}
    assert modes == {0o2775}
    assert same(one, people[ANNA])


@pytest.mark.long
@pytest.mark.parametrize("version", ["3.0.0", "3.50.0", "2.58.2"])
def test_other_version_of_dvc(version: str, one: Path, store: Folder, tmp_path: Path) -> None:  # noqa: F811
    other = tmp_path / "other"
    done = subprocess.run(["uv", "venv", "--quiet", "--python", "3.11", other], check=False)
    packages = [f"dvc=={version}", "setuptools<81", "pathspec<1"]
    command = ["uv", "pip", "install", "--quiet", "--python", f"{other}/bin/python", *packages]
    if done.returncode or subprocess.run(command, check=False).returncode:
        pytest.skip(f"DVC {version} cannot be installed here")
    run("dvc push", one)
    two = clone_of(one, store, "two")
    if version.startswith("2"):
        printed = run(f"{other}/bin/dvc pull", two, fails=True)
        assert "validation failed" in printed
        assert "extra keys not allowed" in printed
        assert not (two / "table.csv").exists()
        assert wrong_objects(store) == []
        return
    run(f"{other}/bin/dvc pull", two)
    assert same(one, two)
    (two / "own").write_text("of another version")
    run(f"{other}/bin/dvc add own", two)
    run(f"{other}/bin/dvc push", two)
    run("git add own.dvc .gitignore", two)
    run("git commit --quiet --message own", two)
    run(f"git pull --quiet {two}", one)
    run("dvc pull", one)
    assert (one / "own").read_text() == "of another version"
    assert wrong_objects(store) == []
