"""`lesions new` and `lesions update`: a project of one's own, which takes later versions of the one it was made from.

A project is a clone: Git merges a later version only into what shares its history, and every file that was left out
would be a conflict as soon as a later version changes it. Only `OWN` is left out, and stays as the project has it.
"""

import json
import subprocess
from pathlib import Path

from ruamel.yaml import YAML

from lesions.commands.presets import exchange
from lesions.commands.unfinished import unfinished
from lesions.core.errors import UserError
from lesions.core.params import FILE
from lesions.params.all import check_sections

OWN = ("dvc.lock", "metrics", "reports", ".github/workflows")
"""What a project has of its own, whatever a later version brings: results, and workflows. Ours test what is released,
and run the pipeline where the project's images are not."""
UPSTREAM = "upstream"
"""The Git remote that later versions come from."""


def new_project(folder: Path, data: Path | None = None, remote: str = "") -> str:
    """Make a project in a new folder, from the clone in the current one; a failure leaves nothing behind.

    Args:
        folder: does not exist yet, or is empty.
        data: folder with images and diagnoses, for `download.folder`; without it params.yaml stays as it is.
        remote: address or folder for DVC's default remote; without it there is none.

    Returns:
        What was made, and what to do next, as a person reads it.

    Raises:
        UserError: the current folder is no clone, or has changes that the project would lack; the new folder is not
            empty or lies in a repository; there is no data; DVC does not know such a remote; Git refuses.
    """
    _need_clone()
    if changed := [name for name in _changed("all") if not name.startswith(OWN)]:
        raise UserError(
            f"{', '.join(changed[:3])}{', ...' if len(changed) > 3 else ''} changed since the last commit, and a new "
            "project would lack that: `git commit` it, or `git stash --include-untracked` puts it aside."
        )
    if _git("rev-parse", "--is-shallow-repository") == "true":
        raise UserError("This clone has only a part of its history: `git fetch --unshallow` brings the rest.")
    target = folder.resolve()
    _need_room(folder, target)
    if data is not None and not data.is_dir():
        raise UserError(f"{data} is no folder; --data takes the one with your images and their diagnoses.")
    target.parent.mkdir(parents=True, exist_ok=True)
    with unfinished(target.parent / f".{target.name}.unfinished") as temporary:
        made = temporary / target.name
        _clone(made)
        if data is not None:
            _set_data_folder(made / FILE, data.resolve())
        if remote:
            _set_remote(made, remote if "://" in remote else str(Path(remote).expanduser().resolve()))
        _git("add", "--all", within=made)
        _git("commit", "--quiet", "--allow-empty", f"--message=Our project {target.name}", within=made)
        if target.exists():
            target.rmdir()
        made.rename(target)
    return (
        f"{target} is a project of your own: one commit of yours on the history of the pipeline, and no results yet.\n"
        f"Next: `cd {folder}`, then `make repro`. To share it: `git remote add origin ADDRESS`, "
        "`git push --set-upstream origin main`.\n"
        f"`lesions update` brings later versions, from the Git remote {UPSTREAM}."
    )


def update(version: str = "main") -> str:
    """Merge a later version into the project in the current folder; its results stay as they are.

    Args:
        version: a branch or tag of the Git remote `upstream`.

    Returns:
        What was merged, and what to do next, as a person reads it.

    Raises:
        UserError: there are changes that are not committed, no such remote or version, or both changed the same lines.
    """
    _need_clone()
    if changed := _changed("no"):
        raise UserError(
            f"{', '.join(changed[:3])} changed since the last commit: `git commit` or `git stash` it first."
        )
    if UPSTREAM not in _git("remote").split():
        raise UserError(
            f"This clone has no Git remote {UPSTREAM}: `git remote add {UPSTREAM} ADDRESS`, with the address that "
            f"`git remote get-url {UPSTREAM}` prints where `lesions new` ran."
        )
    _git("fetch", "--quiet", UPSTREAM, version)
    commits = int(_git("rev-list", "--count", "HEAD..FETCH_HEAD"))
    if not commits:
        return f"The project has all of {UPSTREAM}'s {version} already."
    says = _run("git", "merge", "--quiet", "--no-ff", "--no-commit", "FETCH_HEAD")
    if _run("git", "rev-parse", "--quiet", "--verify", "MERGE_HEAD").returncode:
        raise UserError(f"Git did not merge {version}: {says.stderr.strip()}")
    _git("rm", "-r", "--quiet", "--force", "--ignore-unmatch", "--", *OWN)
    if ours := _git("ls-tree", "--name-only", "HEAD", "--", *OWN).split():
        _git("checkout", "--quiet", "HEAD", "--", *ours)
    if conflicts := _git("diff", "--name-only", "--diff-filter=U").splitlines():
        raise UserError(
            f"You and {version} changed the same lines of {', '.join(conflicts)}: choose between the marked ones, "
            "`git add` the files and `git commit`; or `git merge --abort` takes all of it back."
        )
    _git("commit", "--quiet", f"--message=Lesion Pipeline, {version} of {UPSTREAM}")
    return f"Merged {version} of {UPSTREAM}, new commits: {commits}. `make repro` runs again what they changed."


def _need_clone() -> None:
    """Raise a UserError where the current folder is not a whole clone of this project."""
    top = _run("git", "rev-parse", "--show-toplevel")
    here = Path.cwd()
    if "dubious ownership" in top.stderr:
        raise UserError(f"`git` says: {top.stderr.strip()}")
    if top.returncode or Path(top.stdout.strip()).resolve() != here.resolve() or not Path("dvc.yaml").is_file():
        raise UserError(f"{here} is no clone of Lesion Pipeline: go to the folder of one that has dvc.yaml and .git.")


def _need_room(folder: Path, target: Path) -> None:
    """Raise a UserError where a project cannot be made there."""
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        raise UserError(f"{folder} exists already and is not an empty folder: choose another name.")
    parent = next(parent for parent in target.parents if parent.is_dir())
    around = _run("git", "rev-parse", "--show-toplevel", within=parent)
    if around.returncode == 0:
        outside = Path(around.stdout.strip()).parent / target.name
        raise UserError(
            f"{folder} lies in the repository {around.stdout.strip()}, and a project is one of its own: "
            f"`lesions new {outside}` makes it beside that."
        )


def _clone(made: Path) -> None:
    """Clone what the current folder has checked out, without what is `OWN`."""
    here = Path.cwd()
    origin = _run("git", "remote", "get-url", "origin")
    address = str(here) if origin.returncode else origin.stdout.strip()
    _git("clone", "--quiet", "--single-branch", str(here), str(made))
    # Anew, so that no branch of the project follows one there, and `git push` cannot go there by mistake.
    _git("remote", "remove", "origin", within=made)
    _git("remote", "add", UPSTREAM, address, within=made)
    _git("checkout", "--quiet", "-B", "main", within=made)
    _git("rm", "-r", "--quiet", "--ignore-unmatch", "--", *OWN, within=made)


def _set_data_folder(file: Path, data: Path) -> None:
    """Set download.source and download.folder in a params.yaml, and nothing else."""
    preset = f"download:\n  source: folder\n  folder: {json.dumps(data.as_posix(), ensure_ascii=False)}\n"
    text = exchange(file.read_text(encoding="utf-8"), preset)
    check_sections(YAML(typ="safe").load(text), file)
    file.write_text(text, encoding="utf-8")


def _set_remote(made: Path, remote: str) -> None:
    """Make it DVC's default remote, and one whose objects are verified: docs/team.md."""
    from dvc.config import Config, ConfigError

    try:
        with Config(str(made / ".dvc"), validate=False).edit("repo") as config:
            config["remote"]["team"] = {"url": remote, "verify": True}
            config["core"]["remote"] = "team"
    except ConfigError as error:
        raise UserError(f"DVC does not take {remote} as a remote: {error}.") from None


def _changed(untracked: str) -> list[str]:
    """Return which files differ from the last commit; `all` untracked ones count, or `no`."""
    listed = _git("status", "--porcelain", "--no-renames", "-z", f"--untracked-files={untracked}")
    return [entry[3:] for entry in listed.split("\0") if entry]


def _git(*words: str, within: Path = Path()) -> str:
    """Return what a Git command prints.

    Args:
        words: of the command, without `git`.
        within: the folder to run it in.

    Raises:
        UserError: it fails, with what it says.
    """
    done = _run("git", *words, within=within)
    if done.returncode:
        raise UserError(f"`git {words[0]}` failed: {done.stderr.strip()}")
    return done.stdout.rstrip("\n")


def _run(*words: str, within: Path = Path()) -> subprocess.CompletedProcess[str]:
    try:
        return subprocess.run(words, cwd=within, capture_output=True, text=True, check=False)  # noqa: S603
    except FileNotFoundError:
        raise UserError(f"{words[0]} is not installed; a project needs it.") from None
