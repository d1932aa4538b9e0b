"""What a worker of a Dask cluster does for a study: an experiment, in a clone that is removed afterwards.

The worker was started in a clone of the project. What an experiment needs of the machine it takes from there: the
address of Git's `origin`, DVC's settings with the credentials of `.dvc/config.local`, and DVC's cache, so that pictures
are pulled once a machine. So no address and no secret travels with a task.
"""

import asyncio
import os
import platform
import re
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Any

import dask
from distributed import Reschedule, get_worker
from dvc.config import Config
from dvc.repo import Repo

from lesions.commands.study import experiments, sharing
from lesions.commands.study.experiments import git
from lesions.core.errors import UserError
from lesions.images.dask_cluster import environment, refuse_other_version, version_of

PACKAGES = ("keras", "tensorflow", "pandas", "scikit-learn", "matplotlib", "seaborn", "dvc")
"""What makes an experiment's outputs, beside what makes pixels."""
LAST_WORDS = 15
"""Lines of an experiment's output that are sent back where it fails."""
SECONDS_UNFIT = 20
"""How long an experiment stays with a worker that cannot run it; others may have none then."""
MORE_THREADS = "it has more than one thread, and would train several networks at once: start it with `--nthreads 1`"
SECONDS_TO_END = 20
"""How long an experiment that nobody waits for may take to end after Ctrl-C, before it is ended by force."""


@dataclass(frozen=True)
class Task:
    """An experiment to run.

    Attributes:
        commit: of the project.
        name: of the experiment.
        options: of `dvc exp run`: its parameters.
        versions: that the worker must have.
        store: the hash of the store's address.
        topic: under which Dask hands on what the worker does.
    """

    commit: str
    name: str
    options: list[str]
    versions: dict[str, str]
    store: str
    topic: str


@dataclass(frozen=True)
class Ended:
    """How an experiment ended.

    Attributes:
        where: the worker: its machine and port.
        seconds: that it took there.
        wrong: the last of what was printed where it failed, or "": it is on `origin`, and in the store.
    """

    where: str
    seconds: float
    wrong: str


def versions() -> dict[str, str]:
    """Name the version of all that decides an experiment's outputs, beside its commit."""
    return {**environment(), **{package: version_of(package) for package in PACKAGES}}


async def look() -> dict[str, Any]:
    """Return a worker's versions, its folder, and what it sees of `origin` and the store."""
    return await asyncio.to_thread(_look)


def _look() -> dict[str, Any]:
    os.environ["GIT_TERMINAL_PROMPT"] = "0"  # nobody is there to answer
    found: dict[str, Any] = {"versions": versions(), "folder": str(Path.cwd()), "wrong": ""}
    try:
        found |= {"store": sharing.store(), "heads": sharing.heads()}
    except UserError as error:
        found["wrong"] = without_passwords(str(error))
    return found


def run_experiment(task: Task) -> Ended:
    """Run an experiment and share it.

    Raises:
        Reschedule: this worker, which may have joined after the others were looked at, cannot: another one shall.
    """
    worker = get_worker()
    where = f"{platform.node()}:{worker.address.rpartition(':')[2]}"  # a machine may have several workers
    key = worker.get_current_task()

    def tell(what: str) -> None:
        worker.log_event(task.topic, {"name": task.name, "where": where, "what": what})

    def wanted() -> bool:
        """Return whether somebody waits for it; Dask cannot interrupt what runs."""
        state = worker.state.tasks.get(key)
        return state is not None and state.state == "executing"

    if wrong := why_unfit(task, worker.state.nthreads):
        tell(f"is left to another worker, since this one cannot take part: {wrong}")
        time.sleep(SECONDS_UNFIT)  # or it would be asked again at once
        raise Reschedule
    began = time.monotonic()
    tell("started")
    try:
        # Dask removes what a worker that was killed has left in this folder.
        with TemporaryDirectory(prefix="experiment-", dir=worker.local_directory, ignore_cleanup_errors=True) as folder:
            # Where DVC has its own copies, and by which stages.check knows one: it may lack a folder of pictures.
            wrong = _run(task, Path(folder) / ".dvc/tmp/exps/clone", wanted, tell)
    except InterruptedError:
        raise
    except Exception as error:  # a disk that is full, say: the others go on
        wrong = f"{type(error).__name__}: {error}"
    return Ended(where, time.monotonic() - began, without_passwords(wrong))


def why_unfit(task: Task, threads: int) -> str:
    """Return what keeps a worker from running an experiment, or ""."""
    try:
        refuse_other_version(platform.node(), versions(), task.versions)
    except UserError as error:
        return str(error)
    if threads != 1:
        return MORE_THREADS
    found = _look()
    return str(found["wrong"]) or ("" if found["store"] == task.store else "it has another store")


def _run(task: Task, clone: Path, wanted: Callable[[], bool], tell: Callable[[str], None]) -> str:
    """Clone, run, push, the store first: an experiment that is on `origin` is whole."""
    printed: deque[str] = deque(maxlen=LAST_WORDS)

    def hear(line: str) -> None:
        print(line, end="", flush=True)
        printed.append(without_passwords(line))
        if found := re.match(r"Running stage '(\w+)'", line):
            tell(found[1])

    def succeeds(*words: str, folder: Path = clone) -> bool:
        printed.clear()
        return attended(list(words), folder, wanted, hear) == 0

    dvc = (sys.executable, "-m", "dvc")
    origin = git("remote", "get-url", "origin").strip()
    if not succeeds("git", "clone", "--quiet", "--no-checkout", origin, str(clone), folder=Path.cwd()):
        return "".join(printed)
    if not succeeds("git", "checkout", "--quiet", "--detach", task.commit):
        return "".join(printed)
    settle(clone)
    options = ["--name", task.name, "--pull", "--allow-missing", *task.options]
    if not succeeds(*dvc, "exp", "run", *options):
        return "".join(printed)
    tell("push")
    if not succeeds(*dvc, "push", "--run-cache"):
        return "It ran, and could not be pushed to the store:\n" + "".join(printed)
    if not reaches_origin(experiments.ref_of(task.commit, task.name), succeeds):
        return "It ran, and `origin` did not take it, or has another one of its name.\n" + "".join(printed)
    return ""


def reaches_origin(ref: str, succeeds: Callable[..., bool]) -> bool:
    """Push an experiment, and return whether `origin` then has it.

    By Git: `dvc exp push` succeeds, too, where it did not push because `origin` has another one of this name.

    Args:
        ref: of the experiment.
        succeeds: runs a command in the clone.
    """
    # A worker that was lost after it had pushed leaves the same content in another commit.
    same = (("git", "fetch", "--quiet", "origin", ref), ("git", "diff", "--quiet", ref, "FETCH_HEAD"))
    return succeeds("git", "push", "--quiet", "origin", f"{ref}:{ref}") or all(succeeds(*words) for words in same)


def settle(clone: Path) -> None:
    """Give a clone this project's settings of DVC, its cache, and what it has downloaded."""
    with Repo() as ours, Config(str(clone / ".dvc")).edit("local") as settings:
        # All of them: a folder's path that is relative in .dvc/config is so to this project, and not to the clone.
        settings["core"]["remote"] = ours.config["core"]["remote"]
        settings["remote"] = ours.config["remote"]
        settings["cache"] = {**ours.config["cache"], "dir": str(Path(ours.cache.local.path).parents[1])}
    downloads = Path("data/downloads").absolute()
    downloads.mkdir(parents=True, exist_ok=True)
    (clone / "data/downloads").symlink_to(downloads)


def attended(words: list[str], folder: Path, wanted: Callable[[], bool], hear: Callable[[str], None]) -> int:
    """Run a command and return its status; it ends when nobody wants it any more, and when this process does.

    Args:
        words: the command.
        folder: to run it in.
        wanted: asked each second.
        hear: gets each line that it prints.

    Raises:
        InterruptedError: it is no longer wanted, and has ended.
    """

    def listen(stream: IO[str]) -> None:
        for line in stream:
            hear(line)

    with (
        subprocess.Popen(  # noqa: S603
            words,
            cwd=folder,
            env=surroundings(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        ) as process,
        ending_with_us(process.pid),
    ):
        assert process.stdout is not None  # noqa: S101 - for mypy
        listener = threading.Thread(target=listen, args=[process.stdout], daemon=True)
        listener.start()
        while True:
            try:
                code = process.wait(1)
                break
            except subprocess.TimeoutExpired:
                if not wanted():
                    _end(process)
                    raise InterruptedError("no longer wanted") from None
        listener.join()
    return code


def _end(process: "subprocess.Popen[str]") -> None:
    """End a command and all that it started, as Ctrl-C does, and by force where that takes long."""
    for number in (signal.SIGINT, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
            process.wait(SECONDS_TO_END)
        except (ProcessLookupError, subprocess.TimeoutExpired):
            continue


@contextmanager
def ending_with_us(group: int) -> Iterator[None]:
    """End a group of processes when this process ends, even by SIGKILL: its experiment then runs elsewhere."""
    words = ["sh", "-c", 'read -r _; kill -s KILL -- "-$0"', str(group)]
    # Its standard input ends with us.
    with subprocess.Popen(words, stdin=subprocess.PIPE, start_new_session=True) as watch:  # noqa: S603
        try:
            yield
        finally:
            watch.kill()


def surroundings() -> dict[str, str]:
    """Return the environment of an experiment: the worker's, without what Dask has set for itself."""
    ours = dict(os.environ)
    for name, value in dask.config.get("distributed.nanny.pre-spawn-environ").items():
        if ours.get(name) == str(value):  # one thread for linear algebra, say
            del ours[name]
    ours.pop("LESIONS_CLUSTER", None)
    path = f"{Path(sys.executable).parent}{os.pathsep}{ours.get('PATH', '')}"
    return ours | {"PATH": path, "GIT_TERMINAL_PROMPT": "0", "PYTHONUNBUFFERED": "1"}


def without_passwords(text: str) -> str:
    """Return a text in which addresses name nobody."""
    return re.sub(r"://[^/\s]+@", "://…@", text)
