"""Plan a study: which experiments are there, and are they of today's code, parameters and images?

DVC keeps an experiment as a Git commit, under a ref below the commit that it started from.
"""

import re
import subprocess
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML

from lesions.commands.presets import leaves, override_options
from lesions.commands.study.study import Experiment, Study, list_studies, merge_params, read_study
from lesions.core.errors import UserError
from lesions.core.params import read_file

REF = re.compile(r"refs/exps/[0-9a-f]{2}/[0-9a-f]{38}/([^/]+)")
LOCAL_SOURCES = ("folder", "synthetic")
"""The sources that fetch nothing."""


@dataclass(frozen=True)
class PlannedExperiment:
    """One experiment of a study.

    Attributes:
        entry: what the study says of it.
        name: by which DVC knows it.
        params: all of them.
        commit: of the experiment, or None: it is missing.
        old: refs and commits of that name which are of other code, parameters or images.
        blocked: why it cannot run here, or "".
    """

    entry: Experiment
    name: str
    params: dict[str, Any]
    commit: str | None
    old: list[tuple[str, str]]
    blocked: str

    @property
    def is_due(self) -> bool:
        """Whether it is missing and can run."""
        return self.commit is None and not self.blocked

    def options(self) -> list[str]:
        """Return the options of `dvc exp run`: its name, and the parameters that are not params.yaml's."""
        now = dict(leaves(read_file()))
        changed = [(key, value) for key, value in leaves(self.params) if key not in now or now[key] != value]
        return ["--name", self.name, *override_options(changed, now)]

    def command(self) -> list[str]:
        """Return the command that queues it."""
        return ["dvc", "exp", "run", "--queue", *self.options()]


def git(*words: str) -> str:
    """Return what a Git command prints; raise a UserError with what it says where it fails."""
    try:
        done = subprocess.run(["git", *words], capture_output=True, text=True, check=False)  # noqa: S603, S607
    except FileNotFoundError:
        raise UserError("Git is not installed, and experiments are kept in it: install it.") from None
    if done.returncode:
        raise UserError(f"`git {' '.join(words[:2])}` failed: {done.stderr.strip()}. Run this in the project's folder.")
    return done.stdout


def list_experiments() -> dict[str, list[tuple[str, str]]]:
    """Return the refs and commits of all experiments by name, those of the present commit first."""
    found: dict[str, list[tuple[str, str]]] = {}
    head = git("rev-parse", "HEAD").strip()
    for line in git("for-each-ref", "refs/exps", "--format=%(refname) %(objectname)").splitlines():
        ref, commit = line.rsplit(" ", 1)
        if named := REF.fullmatch(ref):
            found.setdefault(named[1], []).append((ref, commit))
    for refs in found.values():
        refs.sort(key=lambda pair: pair[0].replace("/", "").find(head) < 0)
    return found


def plan(study: Study, folder: Path | None = None, *, on_cluster: bool = False) -> list[PlannedExperiment]:
    """Return a study's experiments, and which of them are there.

    Args:
        study: the study.
        folder: of images, in the place of every source that would fetch them.
        on_cluster: whether they run on other machines, which have what Git and the DVC remote have.

    Raises:
        UserError: the parameters of an experiment are wrong, or the folder is missing.
    """
    if folder is not None and not folder.is_dir():
        raise UserError(f"there is no folder {folder}. Name the one that holds the images and their table.")
    now = read_file()
    all_params = [merge_params(study, entry, now) for entry in study.experiments]  # all, before Git is read
    existing = list_experiments()
    planned = []
    for entry, merged in zip(study.experiments, all_params, strict=True):
        params = merged if on_cluster else with_absolute_paths(merged, folder)
        name = f"{study.name}-{entry.name}"
        refs = existing.get(name, [])
        current = [pair for pair in refs if is_current(pair[1], params, any_folder=folder is None)]
        old = [pair for pair in refs if pair not in current]
        blocked = blocked_on_cluster(params, now) if on_cluster else missing_folder(params)
        planned.append(PlannedExperiment(entry, name, params, current[0][1] if current else None, old, blocked))
    return planned


def with_absolute_paths(params: dict[str, Any], folder: Path | None = None) -> dict[str, Any]:
    """Return parameters that hold in a copy of the project too, which has only what Git and DVC track.

    Args:
        params: of an experiment.
        folder: of images, in the place of every source that would fetch them.
    """
    download, pretrained = dict(params["download"]), dict(params["pretrained"])
    if folder is not None and _fetches(download):
        download |= {"source": "folder", "folder": str(folder)}
    if _folders(download):
        download["folder"] = str(Path(download["folder"]).absolute())
    if download["source"] == "merged":
        download["merge"] = [
            one | {"folder": str(Path(one["folder"]).absolute())} if one["source"] == "folder" else one
            for one in download["merge"]
        ]
    if pretrained["weights"] == "path":
        pretrained["path"] = str(Path(pretrained["path"]).absolute())
    return {**params, "download": download, "pretrained": pretrained}


def _collections(download: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the collections of merged data, else the section itself: each has a source."""
    return list(download["merge"]) if download["source"] == "merged" else [download]


def _fetches(download: dict[str, Any]) -> bool:
    return any(one["source"] not in LOCAL_SOURCES for one in _collections(download))


def _folders(download: dict[str, Any]) -> list[str]:
    """Return the folders of images that are read, after the one that holds them all and that DVC hashes."""
    read = [one["folder"] for one in _collections(download) if one["source"] == "folder"]
    return list(dict.fromkeys([download["folder"], *read])) if read else []


def missing_folder(params: dict[str, Any]) -> str:
    """Return which folder of images is not there, or ""."""
    return next((f"no folder {folder}" for folder in _folders(params["download"]) if not Path(folder).is_dir()), "")


def blocked_on_cluster(params: dict[str, Any], now: dict[str, Any]) -> str:
    """Return which folder or file of this machine workers would need, or "".

    They need not read the folder that dvc.lock was made from: they pull data/raw from the DVC remote.

    Args:
        params: of an experiment.
        now: the content of params.yaml.
    """
    folder = next(iter(_folders(params["download"])), "")
    weights = params["pretrained"]["path"] if params["pretrained"]["weights"] == "path" else ""
    for section, path in (("download", folder), ("pretrained", weights)):
        if path and params[section] != now[section]:
            return (
                f"{path} is on this machine alone. Set `{section}` in params.yaml to it, `dvc repro`, "
                "commit, `dvc push --run-cache`, `git push`: workers then pull what was made of it"
            )
    if folder and not _same_images(params, _yaml(Path("dvc.lock").read_text(encoding="utf-8"))["stages"]):
        return f"{folder}, or what reads it, is not what dvc.lock says. `dvc repro`, commit, push"
    return ""


def is_current(commit: str, params: dict[str, Any], *, any_folder: bool) -> bool:
    """Return whether an experiment would come out the same today.

    Its code is dvc.yaml, and what its dvc.lock names and Git tracks: changes of other files do not make the
    experiment outdated.

    Args:
        commit: of the experiment.
        params: that it should have.
        any_folder: whether images from a folder will do where the source is one that fetches them.
    """
    try:
        found, locked = (_yaml(git("show", f"{commit}:{name}")) for name in ("params.yaml", "dvc.lock"))
        # By absolute paths, since a worker of a cluster has the folder as params.yaml has it.
        ours, theirs = with_absolute_paths(params), with_absolute_paths(found)
    except (UserError, KeyError, TypeError, ValueError):  # of another project's shape, or another version's parameters
        return False
    if any_folder and _fetches(ours["download"]) and theirs["download"]["source"] == "folder":
        ours.pop("download")
        theirs.pop("download")
    if ours != theirs:
        return False
    lock = locked["stages"]
    outs = {out["path"] for stage in lock.values() for out in stage.get("outs", [])}
    deps = {dep["path"] for stage in lock.values() for dep in stage.get("deps", [])} - outs
    code = sorted(dep for dep in deps if not Path(dep).is_absolute())
    return not git("diff", "--name-only", commit, "--", "dvc.yaml", *code) and _same_images(found, lock)


def _same_images(params: dict[str, Any], lock: dict[str, Any]) -> bool:
    """Return whether a folder holds what it held, where the experiment read one, or is no longer there."""
    folder = next(iter(_folders(params["download"])), "")
    if not folder or not Path(folder).is_dir():
        return True
    md5 = {dep["path"]: dep.get("md5") for dep in lock["download"]["deps"]}
    return md5.get(folder) in (None, _folder_hash(folder))


@cache
def _folder_hash(folder: str) -> str | None:
    """Return the hash that DVC gives a folder; unchanged files are not read again."""
    from dvc.dependency import loads_from
    from dvc.repo import Repo
    from dvc.stage import Stage

    with Repo() as repo:
        found = loads_from(Stage(repo, path="dvc.yaml"), [folder])[0].get_hash()
    return str(found.value) if found else None


def _yaml(text: str) -> Any:
    return YAML(typ="safe").load(text)


def progress(study: Study, planned: list[PlannedExperiment]) -> str:
    """Return, a line each, what is there and what is missing."""
    done = sum(one.commit is not None for one in planned)
    lines = [f"{study.name}: {study.title}. {done} of {len(planned)} done."]
    width = max(len(one.entry.name) for one in planned)
    for one in planned:
        state = "done" if one.commit else f"cannot run here: {one.blocked}" if one.blocked else "missing"
        if one.old and not one.commit:
            state += " (there is one of other code, parameters or images)"
        lines.append(f"  {one.entry.name:{width}}  {state}")
    return "\n".join(lines)


def all_progress() -> str:
    """Return `progress` of every study; of an invalid file, what is wrong."""
    git("rev-parse", "HEAD")  # what is wrong with the repository is said once
    parts = []
    for name in list_studies():
        try:
            study = read_study(name)
            parts.append(progress(study, plan(study)))
        except UserError as error:
            parts.append(f"{name}: {error}")
    return "\n\n".join(parts)
