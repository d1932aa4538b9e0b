"""Run the missing experiments of a study through DVC's queue, one at a time, each in a copy of the project.

An interruption loses the experiment in hand alone; of that, finished stages come from the run cache, and the training
from its checkpoint.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, suppress
from itertools import chain
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any

from filelock import FileLock, Timeout

from lesions.commands.study.plan import PlannedExperiment, git, list_experiments, plan
from lesions.commands.study.study import Study
from lesions.core.errors import UserError, needs_extra

SECONDS_TO_END = 60
"""How long an interrupted experiment may take to end, before it is killed."""


def run(study: Study, folder: Path | None = None, cluster: str = "") -> list[str]:
    """Run what is missing of a study: one after the other, or on the workers of a cluster.

    Args:
        study: the study.
        folder: of images, in the place of every source that would fetch them.
        cluster: the address of a Dask scheduler, such as tcp://host:8786; or "".

    Returns:
        The names of the experiments that failed.

    Raises:
        UserError: as `plan`; or code is not in Git, data not in DVC's cache, or another study runs; on a cluster, what
            workers need is not shared, a worker is unfit, or the cluster is lost.
        KeyboardInterrupt: once the queue and the experiment in hand have ended.
    """
    if cluster:
        with needs_extra("cluster"):
            from lesions.commands.study import worker
        worker.share()
        worker.fetch(study)
    due = [one for one in plan(study, folder, on_cluster=bool(cluster)) if one.is_due]
    if not due:
        return []
    refuse_uncommitted()
    with one_study_at_a_time():
        if cluster:
            with signals_call(signal.default_int_handler):
                worker.run_on_workers(due, cluster)
            worker.fetch(study)
        else:
            run_in_queue(due)
    done = list_experiments()  # and not whether it is current: code may have changed meanwhile
    return [one.name for one in due if one.name not in done]


def run_in_queue(due: list[PlannedExperiment]) -> None:
    """Run experiments on this machine, one after the other; see `run`."""
    from dvc.repo import Repo

    refuse_missing_data()
    keep_old(due)
    with Repo() as repo:
        queue = repo.experiments.celery_queue
        try:
            entries = enqueue(queue, due)
            with signals_call(signal.default_int_handler):
                for number, one in enumerate(due, 1):
                    print(f"\n=== {number} of {len(due)}: {one.name} ===", flush=True)
                    follow(queue, entries[one.name])
        except KeyboardInterrupt:
            stop(queue, {one.name for one in due})
            raise


def one_study_at_a_time() -> AbstractContextManager[Any]:
    """Raise a UserError where another `lesions study` runs: Ctrl-C of one would end the other's experiment."""
    try:
        return FileLock(".dvc/tmp/study.lock").acquire(timeout=0)
    except Timeout:
        raise UserError("Another `lesions study` runs in this project. Wait until it has ended.") from None


def enqueue(queue: Any, due: list[PlannedExperiment]) -> dict[str, Any]:
    """Queue experiments, unless they are from a call that was killed; return DVC's entries of its queue by name."""
    from dvc.repo.experiments.queue.exceptions import CannotKillTasksError

    interrupts: list[int] = []
    # DVC changes params.yaml for a moment, so that an interruption waits for it.
    with signals_call(lambda number, _: interrupts.append(number)):
        if not queue.worker_status():  # the machine went down in the middle of one
            with suppress(CannotKillTasksError):  # a worker has come up meanwhile: they run
                queue._mark_inactive_tasks_failure({entry: entry.name for entry in queue.iter_active()})
        waiting = {entry.name for entry in pending(queue)}
        for one in due:
            if one.name not in waiting and not interrupts:
                call_dvc(*one.command()[1:])
    if interrupts:
        raise KeyboardInterrupt
    return {entry.name: entry for entry in pending(queue)}


def follow(queue: Any, entry: Any) -> None:
    """Print what an experiment prints, until it has ended."""
    call_dvc("queue", "start", "--jobs", "1")
    began = time.monotonic()
    while not queue.proc.get(entry.stash_rev):  # it waits, or DVC makes its copy of the project
        if entry not in pending(queue):
            print("DVC could not start it: `dvc queue logs` says more.")
            return
        time.sleep(1)
    for line in queue.proc.follow(entry.stash_rev):
        print(line, end="", flush=True)
    with suppress(FileNotFoundError):
        queue.get_result(entry)  # which waits until DVC has kept it
    outcome = "done in" if entry.name in list_experiments() else "failed; what it says is above, after"
    print(f"=== {entry.name}: {outcome} {(time.monotonic() - began) / 60:.1f} minutes ===", flush=True)


def stop(queue: Any, names: Collection[str]) -> None:
    """Take experiments out of the queue, and end the one that runs, as Ctrl-C does."""
    if waiting := [entry.stash_rev for entry in queue.iter_queued() if entry.name in names]:
        queue.remove(revs=waiting)
    workers = Path(queue.wdir).glob("dvc-exp-worker-*.pid")
    for worker in workers:
        with suppress(ProcessLookupError):  # it has ended
            group = os.getpgid(int(worker.read_text()))  # of the worker, the experiment and its stage
            os.killpg(group, signal.SIGINT)
            for _ in range(10 * SECONDS_TO_END):
                os.killpg(group, 0)
                time.sleep(0.1)
            os.killpg(group, signal.SIGKILL)


def pending(queue: Any) -> Iterator[Any]:
    """Return the entries of DVC's queue that wait or run."""
    return chain(queue.iter_active(), queue.iter_queued())


def call_dvc(*words: str) -> None:
    """Run a DVC command out of reach of the terminal's Ctrl-C; raise a UserError where it fails."""
    command = [sys.executable, "-m", "dvc", *words]
    with TemporaryFile("w+") as printed:  # not a pipe, whose end would come with that of the queue's worker
        code = subprocess.call(  # noqa: S603
            command,
            env=with_our_path(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=printed,
            stderr=printed,
            start_new_session=True,
        )
        printed.seek(0)
        if code:
            raise UserError(f"`dvc {' '.join(words[:2])}` failed: {printed.read().strip()}")


def with_our_path(environment: Mapping[str, str]) -> dict[str, str]:
    """Return environment variables by which stages find the programs of this Python's environment."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"
    return {**environment, "PATH": path}


@contextmanager
def signals_call(handler: Callable[[int, Any], Any]) -> Iterator[None]:
    """Handle Ctrl-C, a request to end, and a terminal that is closed alike."""
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


def keep_old(due: list[PlannedExperiment]) -> None:
    """Rename experiments that are no longer current, so that their names are free and nothing is lost."""
    for one in due:
        for ref, commit in one.old:
            git("update-ref", old_ref(ref, commit), commit)
            git("update-ref", "-d", ref)
            name = old_ref(ref, commit).rpartition("/")[2]
            print(f"{one.name}: the one of other code, parameters or images is kept as {name}.")


def old_ref(ref: str, commit: str) -> str:
    """Return under which ref an experiment is kept that is no longer current."""
    return f"{ref}-was-{commit[:7]}"


def refuse_uncommitted(*more: str) -> None:
    """Raise a UserError where experiments would run code, or `more`, that no commit holds."""
    changed = git("diff", "--name-only", "HEAD", "--", "lesions", "stages", "dvc.yaml", "requirements.txt", *more)
    untracked = git("ls-files", "--others", "--exclude-standard", "--", "lesions/*.py", "stages/*.py", *more)
    if files := [*changed.splitlines(), *untracked.splitlines()]:
        raise UserError(
            f"{', '.join(files[:3])}{' and others' if len(files) > 3 else ''}: changed, and not committed. An "
            "experiment runs in a copy that holds what Git tracks, and is kept by the commit that it started from: "
            "commit first."
        )


def refuse_missing_data(*, on_remote: bool = False) -> None:
    """Raise a UserError where DVC's cache, or its remote, lacks what dvc.lock names: DVC's experiments fail on that."""
    from dvc.repo import Repo

    with Repo() as repo:
        store = repo.cloud.get_remote_odb() if on_remote else repo.cache.local
        hashes = {str(out): out.hash_info for out in repo.index.outs if out.hash_info and out.hash_info.isdir}
        missing = [path for path, found in hashes.items() if not store.exists(found.value)]
    if missing:
        raise UserError(
            f"{', '.join(missing[:3])}: dvc.lock names {'it' if len(missing) == 1 else 'them'}, and DVC's "
            f"{'remote' if on_remote else 'cache'} does not hold that. Experiments start from it: run `dvc repro` "
            "first, or `dvc pull` where the data are shared."
        )
