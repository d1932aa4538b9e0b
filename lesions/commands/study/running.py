"""Running what is missing of a study, each experiment in a copy of the project, through DVC.

What ran is kept by DVC as a Git commit, so that an interruption loses the experiment in hand alone; and of that, the
stages that were finished come from DVC's run cache, and the training from its checkpoint.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from lesions.commands.presets import as_override, leaves
from lesions.commands.study import experiments
from lesions.commands.study.experiments import found_from_a_copy
from lesions.commands.study.study import Entry, Study, list_studies, read_study, wanted
from lesions.core.errors import UserError
from lesions.core.params import read_file

LOCK = Path(".dvc/tmp/study.lock")
ENDINGS = (signal.SIGTERM, signal.SIGHUP)
"""Requests to end, and that the terminal was closed: taken for Ctrl-C."""


@dataclass(frozen=True)
class Planned:
    """One experiment of a study.

    Attributes:
        entry: what the study says of it.
        name: by which DVC knows it.
        params: all of them.
        commit: of the experiment, or None: it is missing.
        old: refs and commits of that name which are of other code, parameters or pictures.
        without: why it cannot run here, or "".
    """

    entry: Entry
    name: str
    params: dict[str, Any]
    commit: str | None
    old: list[tuple[str, str]]
    without: str


def plan(study: Study, folder: Path | None = None, *, shared: bool = False) -> list[Planned]:
    """Return what a study's experiments are, and which of them are there.

    Args:
        study: the study.
        folder: of pictures, in the place of every source that would fetch them.
        shared: whether they run on other machines, which have what Git and the store have.

    Raises:
        UserError: an experiment is none, or the folder is missing.
    """
    if folder is not None and not folder.is_dir():
        raise UserError(f"there is no folder {folder}. Name the one that holds the pictures and their table.")
    params = read_file()
    whole = [(entry, wanted(study, entry, params)) for entry in study.experiments]  # all, before any is looked for
    there = experiments.experiments()
    found = []
    for entry, asked in whole:
        values = asked if shared else found_from_a_copy(asked, folder)
        name = f"{study.name}-{entry.name}"
        refs = there.get(name, [])
        current = [pair for pair in refs if experiments.is_current(pair[1], values, any_folder=folder is None)]
        found.append(
            Planned(
                entry,
                name,
                values,
                current[0][1] if current else None,
                [pair for pair in refs if pair not in current],
                what_others_lack(values, params) if shared else what_is_lacking(values),
            )
        )
    return found


def what_is_lacking(params: dict[str, Any]) -> str:
    """Return which folder of pictures is not there, or ""."""
    folder = params["download"]["folder"]
    return f"no folder {folder}" if params["download"]["source"] == "folder" and not Path(folder).is_dir() else ""


def what_others_lack(params: dict[str, Any], now: dict[str, Any]) -> str:
    """Return which folder or file of this machine workers would need, or "".

    What dvc.lock speaks of they need not read: its pictures come from the store, as data/raw.

    Args:
        params: of an experiment.
        now: the content of params.yaml, which dvc.lock is of.
    """
    for section, reads in (("download", "folder"), ("weights", "path")):
        ours = params[section]
        if reads not in (ours.get("source"), ours.get("initial")):
            continue
        if ours != now[section]:
            return (
                f"{ours[reads]} is on this machine alone. Set `{section}` in params.yaml to it, `dvc repro`, commit, "
                "`dvc push --run-cache`, `git push`: workers then pull what was made of it"
            )
        if not experiments.is_locked(section):
            return f"{ours[reads]}, or what reads it, is not what dvc.lock says. `dvc repro`, commit, push"
    return ""


def command(planned: Planned) -> list[str]:
    """Return the command that runs an experiment."""
    return ["dvc", "exp", "run", "--temp", "--name", planned.name, *options(planned)]


def options(planned: Planned) -> list[str]:
    """Return an experiment's parameters as options, those that are not params.yaml's."""
    now = dict(leaves(read_file()))
    found: list[str] = []
    for key, value in leaves(planned.params):
        if key not in now or now[key] != value:
            found += ["--set-param", f"++{key}={as_override(value)}"]  # ++ for a key that params.yaml leaves out
    return found


def run(study: Study, folder: Path | None = None) -> list[str]:
    """Run what is missing of a study, one after the other.

    Returns:
        The names of the experiments that failed.

    Raises:
        UserError: as `plan`; or code is not in Git, or a study runs already.
        KeyboardInterrupt: after the stage in hand has ended.
    """
    planned = plan(study, folder)
    due = [one for one in planned if one.commit is None and not one.without]
    if not due:
        return []
    if shutil.which("dvc") is None:
        raise UserError("the command dvc is not found: enter the environment first, `. .venv/bin/activate`.")
    refuse_uncommitted_code()
    refuse_missing_data()
    failed = []
    with alone() as lock, ending_alike():
        taken = set(experiments.experiments())
        for number, one in enumerate(due, 1):
            print(f"\n=== {number} of {len(due)}: {one.name} ===", flush=True)
            for ref, commit in one.old:
                kept = experiments.keep_old(ref, commit, taken)
                print(f"The one of other code, parameters or pictures is kept as {kept}.", flush=True)
            began = time.monotonic()
            code = wait_for(command(one), lock)
            if code or one.name not in experiments.experiments():
                failed.append(one.name)
                print(f"=== {one.name} failed; what it says is above. ===", flush=True)
            else:
                print(f"=== {one.name}: done in {(time.monotonic() - began) / 60:.1f} minutes ===", flush=True)
    return failed


def wait_for(words: list[str], lock: IO[str]) -> int:
    """Run a command to its end and return its status; Ctrl-C is passed on, and waited for.

    Raises:
        KeyboardInterrupt: once the command has ended after Ctrl-C.
    """
    asked: list[int] = []
    begun: list[int] = []

    def pass_on(number: int, _frame: object) -> None:
        asked.append(number)
        if begun:
            with suppress(ProcessLookupError):  # it has just ended
                os.killpg(begun[0], signal.SIGINT)

    # Not as an exception: raised while the command is being started, it would leave that behind, running.
    before = {number: signal.signal(number, pass_on) for number in (signal.SIGINT, *ENDINGS)}
    try:
        # In a session of its own, so that it gets Ctrl-C from here alone, however this process was asked to end. It
        # keeps the lock open: should this process be killed, no other study begins beside what goes on.
        with subprocess.Popen(words, start_new_session=True, pass_fds=[lock.fileno()]) as process:  # noqa: S603
            begun.append(process.pid)
            if asked:
                pass_on(asked.pop(), None)
            code = process.wait()
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    if asked:
        raise KeyboardInterrupt
    return code


def refuse_uncommitted_code() -> None:
    """Stop where experiments would run code that no commit holds.

    Raises:
        UserError: names the files.
    """
    files = [*experiments.changed_code(), *experiments.untracked_code()]
    if files:
        raise UserError(
            f"{', '.join(files[:3])}{' and others' if len(files) > 3 else ''}: changed, and not committed. An "
            "experiment runs in a copy that holds what Git tracks, and is kept by the commit that it started from: "
            "commit the code first."
        )


def refuse_missing_data() -> None:
    """Stop in a clone in which the pipeline never ran.

    Raises:
        UserError: names what dvc.lock speaks of and is not there.
    """
    if missing := experiments.not_in_cache():
        raise UserError(
            f"{', '.join(missing[:3])}: dvc.lock names {'it' if len(missing) == 1 else 'them'}, and DVC's cache does "
            "not hold that. Experiments start from it: run `dvc repro` first, or `dvc pull` where the data are shared."
        )


@contextmanager
def alone() -> Iterator[IO[str]]:
    """Keep other studies from running in this project.

    Raises:
        UserError: one does.
    """
    LOCK.parent.mkdir(parents=True, exist_ok=True)
    with LOCK.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise UserError("a study runs in this project already, or an experiment of one that was killed.") from None
        yield file


@contextmanager
def ending_alike() -> Iterator[None]:
    """Take a request to end, or a terminal that was closed, for Ctrl-C."""

    def end(_number: int, _frame: object) -> None:
        raise KeyboardInterrupt

    before = {number: signal.signal(number, end) for number in ENDINGS}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def progress(study: Study, planned: list[Planned]) -> str:
    """Return, a line each, what is there and what is missing."""
    done = sum(one.commit is not None for one in planned)
    lines = [f"{study.name}: {study.title}. {done} of {len(planned)} done."]
    width = max(len(one.entry.name) for one in planned)
    for one in planned:
        state = "done" if one.commit else f"cannot run here: {one.without}" if one.without else "missing"
        if one.old and not one.commit:
            state += " (there is one of other code, parameters or pictures)"
        lines.append(f"  {one.entry.name:{width}}  {state}")
    return "\n".join(lines)


def all_progress() -> str:
    """Return `progress` of every study; of a file that is none, what is wrong."""
    parts = []
    for name in list_studies():
        try:
            study = read_study(name)
            parts.append(progress(study, plan(study)))
        except UserError as error:
            parts.append(f"{name}: {error}")
    return "\n\n".join(parts)
