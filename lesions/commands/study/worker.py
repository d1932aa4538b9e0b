"""Run the missing experiments of a study on a Dask cluster: one a worker, in a clone that is removed afterwards.

Experiments come back through Git's `origin` and the DVC remote. A worker takes their addresses, credentials and DVC's
cache from the clone of the project that it was started in, so that none of these travels with a task.
"""

import os
import re
import time
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT, Popen
from tempfile import TemporaryDirectory

import dask
from distributed import get_worker
from dvc.config import Config
from dvc.repo import Repo

from lesions.commands.study import run
from lesions.commands.study.plan import PlannedExperiment, git, list_experiments
from lesions.commands.study.study import Study
from lesions.core.errors import UserError
from lesions.images.dask_cluster import compare_versions, completed, connect, environment


def run_on_workers(due: list[PlannedExperiment], address: str) -> None:
    """Run experiments on a cluster, and print what becomes of them.

    Args:
        due: the experiments.
        address: the scheduler's, such as tcp://host:8786.

    Raises:
        UserError: a worker is unfit, or the cluster is lost.
    """
    head = git("rev-parse", "HEAD").strip()
    with connect(address, "--cluster") as client:
        if set(client.nthreads().values()) != {1}:
            raise UserError("a worker would train several networks at once: start each with `--nthreads 1`.")
        run.keep_old(due)
        client.subscribe_topic("study", lambda event: print(event[1], flush=True))
        submit = client.get_executor(pure=False).submit
        tasks = {submit(_run_experiment, head, one.name, one.options(), environment()): one.name for one in due}
        for task in completed(client, tasks):
            outcome = f"failed: {error}" if (error := task.exception()) else "is done"
            print(f"=== {tasks[task]} {outcome} ===", flush=True)


def share() -> None:
    """Push to the DVC remote what dvc.lock names; raise a UserError where `origin` lacks what workers clone."""
    run.refuse_uncommitted("params.yaml", "dvc.lock", ".dvc/config", "presets", "studies")
    git("fetch", "--quiet", "origin")
    if not git("for-each-ref", "--contains", "HEAD", "refs/remotes/origin"):
        raise UserError("the present commit is not on `origin`, from where workers clone: `git push`.")
    run.call_dvc("push", "--run-cache")
    run.refuse_missing_data(on_remote=True)


def fetch(study: Study) -> None:
    """Fetch the study's experiments that only `origin` has; a report reads their outputs from the DVC remote."""
    ours = {ref for refs in list_experiments().values() for ref, _ in refs}
    names = [f"refs/exps/*/{study.name}-{entry.name}" for entry in study.experiments]
    theirs = [line.split() for line in git("ls-remote", "origin", *names).splitlines()]
    if new := [f"{ref}:{ref}" for commit, ref in theirs if not {ref, run.old_ref(ref, commit)} & ours]:
        git("fetch", "--quiet", "--no-write-fetch-head", "origin", *new)


def _run_experiment(commit: str, name: str, options: list[str], versions: dict[str, str]) -> None:
    """Clone the project's commit, run an experiment there, and push it: what a worker does."""
    worker = get_worker()
    compare_versions(worker.address, environment(), versions)
    origin, ref = git("remote", "get-url", "origin").strip(), f"refs/exps/{commit[:2]}/{commit[2:]}/{name}"
    if git("ls-remote", "origin", ref):  # by a worker that was lost after it had pushed
        return
    _tell(name, "started")
    with TemporaryDirectory(prefix="experiment-", dir=worker.local_directory, ignore_cleanup_errors=True) as scratch:
        # Where DVC has its own copies: stages find the downloads from there.
        clone = Path(scratch) / ".dvc/tmp/exps/clone"
        (Path(scratch) / "data").symlink_to(Path("data").absolute())
        _call(name, ".", "git", "clone", "--quiet", "--no-checkout", origin, str(clone))
        _call(name, clone, "git", "checkout", "--quiet", "--detach", commit)
        with Repo() as ours, Config(str(clone / ".dvc")).edit("local") as settings:  # no path is relative to the clone
            settings.update(ours.config | {"cache": ours.config["cache"] | {"dir": ours.cache.local_cache_dir}})
        # Stages pull single files of it. Where the cache has some from an experiment that was cut off, DVC takes the
        # others for fetched too: it keeps its list of what to fetch by folder, whichever file it was made for.
        _call(name, clone, "dvc", "fetch", "data/clean")
        _call(name, clone, "dvc", "exp", "run", "--pull", "--allow-missing", *options)
        _call(name, clone, "dvc", "push", "--run-cache")  # first: an experiment that is on `origin` is whole
        _call(name, clone, "git", "push", "--quiet", "origin", f"{ref}:{ref}")


def _call(name: str, folder: Path | str, *words: str) -> None:
    """Run a command, and tell the client of its stages; without a reader it ends, as soon as nobody waits for it."""
    worker, key, lines = get_worker(), get_worker().get_current_task(), [""]
    with Popen(words, cwd=folder, env=variables(), stdin=DEVNULL, stdout=PIPE, stderr=STDOUT, errors="replace") as done:  # noqa: S603
        for line in done.stdout or []:
            lines.append(re.sub(r"://[^/\s]+@", "://…@", line))  # without a password
            if stage := re.match(r"Running stage '(\w+)'", line):
                _tell(name, stage[1])
            if getattr(worker.state.tasks.get(key), "state", "") != "executing":
                break
    if done.returncode:
        raise UserError(f"on {worker.address}, {' '.join(words[:2])} last said:\n{''.join(lines[-15:])}")


def _tell(name: str, what: str) -> None:
    """Have the client print what becomes of an experiment."""
    get_worker().log_event("study", f"{time.strftime('%H:%M:%S')} {get_worker().address}: {name}: {what}")


def variables() -> dict[str, str]:
    """Return the worker's environment without what Dask has set for itself, as one thread for linear algebra."""
    dask_sets = dask.config.get("distributed.nanny.pre-spawn-environ")
    ours = {key: value for key, value in os.environ.items() if str(dask_sets.get(key)) != value}
    return run.with_our_path(ours | {"LESIONS_CLUSTER": "", "GIT_TERMINAL_PROMPT": "0", "PYTHONUNBUFFERED": "1"})
