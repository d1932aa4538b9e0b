"""Which experiments are there, and whether they are still of the code, the parameters and the pictures of today.

DVC keeps an experiment as a Git commit, named by a ref below the commit that it started from.
"""

import re
import subprocess
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from lesions.core.errors import UserError

REF = re.compile(r"refs/exps/[0-9a-f]{2}/[0-9a-f]{38}/([^/]+)")
FILES = ("params.yaml", "dvc.yaml", "dvc.lock")
READS_A_FOLDER = ("folder", "synthetic")
"""The sources that fetch nothing."""


def git(*words: str) -> str:
    """Return what a Git command prints.

    Raises:
        UserError: it fails, with what it says.
    """
    done = subprocess.run(["git", *words], capture_output=True, text=True, check=False)  # noqa: S603, S607
    if done.returncode:
        raise UserError(f"`git {' '.join(words[:2])}` failed: {done.stderr.strip()}. Run this in the project's folder.")
    return done.stdout


def experiments() -> dict[str, list[tuple[str, str]]]:
    """Return of each name the refs and commits of its experiments, those of the present commit first."""
    found: dict[str, list[tuple[str, str]]] = {}
    head = git("rev-parse", "HEAD").strip()
    for line in git("for-each-ref", "refs/exps", "--format=%(refname) %(objectname)").splitlines():
        ref, commit = line.rsplit(" ", 1)
        if named := REF.fullmatch(ref):
            found.setdefault(named[1], []).append((ref, commit))
    for refs in found.values():
        refs.sort(key=lambda pair: pair[0].replace("/", "").find(head) < 0)
    return found


def ref_of(start: str, name: str) -> str:
    """Return the ref of an experiment that starts from a commit."""
    return f"refs/exps/{start[:2]}/{start[2:]}/{name}"


def found_from_a_copy(params: dict[str, Any], folder: Path | None = None) -> dict[str, Any]:
    """Return parameters that hold in a copy of the project too: its folders by their whole path.

    A copy has what Git and DVC track, and so neither data/incoming nor a folder beside the project.

    Args:
        params: of an experiment.
        folder: of pictures, in the place of every source that would fetch them.
    """
    download, weights = dict(params["download"]), dict(params["weights"])
    if folder is not None and download["source"] not in READS_A_FOLDER:
        download |= {"source": "folder", "folder": str(folder)}
    if download["source"] == "folder":
        download["folder"] = str(Path(download["folder"]).absolute())
    if weights["initial"] == "path":
        weights["path"] = str(Path(weights["path"]).absolute())
    return {**params, "download": download, "weights": weights}


def is_current(commit: str, params: dict[str, Any], *, any_folder: bool) -> bool:
    """Return whether an experiment would come out the same today.

    Its code is what its dvc.lock names and Git tracks: a stage added to or a comment in another file makes no other
    experiment.

    Args:
        commit: of the experiment.
        params: that are wanted of it.
        any_folder: whether pictures from a folder will do where the source is one that fetches them.
    """
    try:
        found, pipeline, locked = (_yaml(git("show", f"{commit}:{name}")) for name in FILES)
    except UserError:  # an experiment of another project's shape, under one of our names
        return False
    try:  # by whole paths, since a worker of a cluster is told the pictures' folder as params.yaml has it
        ours, theirs = found_from_a_copy(params), found_from_a_copy(found)
    except (KeyError, TypeError, ValueError):  # of another version's parameters
        return False
    if any_folder and ours["download"]["source"] not in READS_A_FOLDER and theirs["download"]["source"] == "folder":
        ours.pop("download")
        theirs.pop("download")
    lock = locked["stages"]
    stages = _yaml(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
    if ours != theirs or pipeline["stages"] != stages or set(lock) != set(stages):
        return False
    outs = {out["path"] for stage in lock.values() for out in stage.get("outs", [])}
    deps = {dep["path"] for stage in lock.values() for dep in stage.get("deps", [])} - outs
    code = sorted(dep for dep in deps if not Path(dep).is_absolute())
    return not git("diff", "--name-only", commit, "--", *code) and _same_pictures(found, lock)


def old_ref(ref: str, commit: str) -> str:
    """Return under which ref an experiment is kept that is no longer current."""
    return f"{ref}-was-{commit[:7]}"


def keep_old(ref: str, commit: str, taken: set[str]) -> str:
    """Rename an experiment that is no longer current, so that its name is free and nothing is lost.

    Returns:
        The new name.
    """
    kept = old_ref(ref, commit)
    name = kept.rpartition("/")[2]
    if name not in taken:
        git("update-ref", kept, commit)
    git("update-ref", "-d", ref)
    return name


def untracked_code() -> list[str]:
    """Return the modules that Git does not know, and so no copy has."""
    return git("ls-files", "--others", "--exclude-standard", "--", "lesions/*.py", "stages/*.py").splitlines()


def changed_code() -> list[str]:
    """Return the files of the pipeline's code that differ from the present commit."""
    return git("diff", "--name-only", "HEAD", "--", "lesions", "stages", "dvc.yaml", "requirements.txt").splitlines()


def not_in_cache() -> list[str]:
    """Return the folders that dvc.lock names and DVC's cache does not hold, as in a clone where nothing ran.

    DVC's experiments fail on them as soon as a stage that reads a file of one comes from the run cache.
    """
    from dvc.repo import Repo

    lock = Path("dvc.lock")
    if not lock.exists():
        return []
    stages = _yaml(lock.read_text(encoding="utf-8"))["stages"].values()
    outs = {out["path"]: out.get("md5", "") for stage in stages for out in stage.get("outs", [])}
    with Repo() as repo:
        cache = repo.cache.local
        return [path for path, md5 in outs.items() if md5.endswith(".dir") and not cache.exists(md5)]


@cache
def is_locked(stage: str) -> bool:
    """Return whether a stage is what dvc.lock says, as far as its files are here; what is not may come from a store."""
    from dvc.repo import Repo

    with Repo() as repo:
        changes = repo.status(targets=[stage]).get(stage, [])
    for change in changes:
        if change == "changed outs" or (isinstance(change, dict) and "changed outs" in change):
            continue
        if not (isinstance(change, dict) and set(change.get("changed deps", {"": ""}).values()) == {"deleted"}):
            return False
    return True


def _same_pictures(params: dict[str, Any], lock: dict[str, Any]) -> bool:
    """Return whether a folder holds what it held, where the experiment read one; a folder that is gone does."""
    folder = params["download"]["folder"]
    if params["download"]["source"] != "folder" or not Path(folder).is_dir():
        return True
    was = {dep["path"]: dep.get("md5") for dep in lock["download"]["deps"]}
    return was.get(folder) in (None, _hash_of(folder))


@cache
def _hash_of(folder: str) -> str | None:
    """Return the hash that DVC gives a folder; unchanged files are not read again."""
    from dvc.dependency import loads_from
    from dvc.repo import Repo
    from dvc.stage import Stage

    with Repo() as repo:
        found = loads_from(Stage(repo, path="dvc.yaml"), [folder])[0].get_hash()
    return str(found.value) if found else None


def _yaml(text: str) -> Any:
    return YAML(typ="safe").load(text)
