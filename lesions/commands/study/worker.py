"""Run the missing experiments of a study on a Dask cluster: one a worker, in a clone that is removed afterwards.

Experiments come back through Git's `origin` and the DVC remote. A worker takes their addresses, credentials and DVC's
cache from the clone of the project that it was started in, so that none of these travels with a task.
"""

import os
import re
import signal
import sys
import time
from collections.abc import Iterable
from functools import partial
from pathlib import Path
from subprocess import DEVNULL, PIPE, STDOUT, Popen
from tempfile import TemporaryDirectory

import dask
import psutil  # type: ignore[import-untyped]
from distributed import get_worker, wait
from dvc.config import Config
from dvc.repo import Repo

from lesions.commands.study.plan import git, list_experiments, plan
from lesions.commands.study.run import (
    call_dvc,
    keep_old,
    old_ref,
    one_study_at_a_time,
    refuse_uncommitted_code,
    signals_call,
)
from lesions.commands.study.study import Study
from lesions.core.errors import UserError
from lesions.images.dask_cluster import PACKAGES, SECONDS, compare_versions, connect, environment, wait_for_workers

DECIDES = (*PACKAGES, "keras", "tensorflow", "pandas", "scikit-learn", "matplotlib", "seaborn", "dvc")
"""The packages that decide an experiment's outputs."""
REPORT_FILES = ["metrics/train.json", "data/clean/classes.csv", "data/clean/images.csv", "data/split/split.csv"]


def run_on_cluster(study: Study, address: str) -> list[str]:
    """Run what is missing of a study on a cluster, and fetch it; return the names of the experiments that failed.

    Args:
        study: the study.
        address: the scheduler's, such as tcp://host:8786.

    Raises:
        UserError: as `plan`; or what workers need is not shared, a worker is unfit, or the cluster is lost.
    """
    refuse_uncommitted_code()
    share()
    fetch(study)
    due = [one for one in plan(study, on_cluster=True) if one.is_due]
    if not due:
        return []
    head = git("rev-parse", "HEAD").strip()
    versions = partial(environment, DECIDES)
    with (
        signals_call(signal.default_int_handler),
        one_study_at_a_time(),
        connect(address, "--cluster", versions) as client,
        client.as_current(),  # which `wait` needs
    ):
        if set(client.nthreads().values()) != {1}:
            raise UserError("a worker would train several networks at once: start each with `--nthreads 1`.")
        keep_old(due)
        for ref, commit in on_origin(one.name for one in due).items():
            lease = f"--force-with-lease={ref}:{commit}"  # what somebody pushed meanwhile stays
            git("push", "--quiet", "--atomic", lease, "origin", f"{commit}:{old_ref(ref, commit)}", f":{ref}")
        client.subscribe_topic("study", lambda event: print(event[1], flush=True))
        tasks = {client.submit(run_experiment, head, one.name, one.options(), versions()): one.name for one in due}
        while tasks:
            try:
                done = wait(list(tasks), SECONDS, return_when="FIRST_COMPLETED").done
            except TimeoutError:
                wait_for_workers(client, address)
                continue
            for task in done:
                error = task.exception()
                print(f"=== {tasks.pop(task)} " + (f"failed: {error}" if error else "is done") + " ===", flush=True)
    fetch(study)
    return [one.name for one in plan(study, on_cluster=True) if one.is_due]


def share() -> None:
    """Push to the DVC remote what dvc.lock names; raise a UserError where `origin` lacks what workers clone."""
    if changed := git("diff", "--name-only", "HEAD", "--", "params.yaml", "dvc.lock", ".dvc/config").split():
        raise UserError(f"{', '.join(changed)}: changed, and not committed. Workers get what Git has: commit it, push.")
    git("fetch", "--quiet", "origin")
    if not git("for-each-ref", "--contains", "HEAD", "refs/remotes/origin"):
        raise UserError("the present commit is not on `origin`, from where workers clone: `git push`.")
    call_dvc("push", "--run-cache")
    with Repo() as repo:
        store = repo.cloud.get_remote_odb()
        outs = [out for out in repo.index.outs if out.use_cache and out.hash_info]
        if missing := [str(out) for out in outs if not store.exists(out.hash_info.value)]:
            raise UserError(f"{', '.join(missing[:3])}: neither DVC's cache nor its remote holds it. Run `dvc repro`.")


def on_origin(names: Iterable[str]) -> dict[str, str]:
    """Return the refs and commits of the experiments of these names that `origin` has."""
    lines = git("ls-remote", "origin", *(f"refs/exps/*/{name}" for name in names)).splitlines()
    return {ref: commit for commit, ref in (line.split() for line in lines if "refs/exps/" in line)}


def fetch(study: Study) -> None:
    """Fetch the study's experiments that only `origin` has, and what a report reads of them."""
    ours = {ref for refs in list_experiments().values() for ref, _ in refs}
    theirs = on_origin(f"{study.name}-{entry.name}" for entry in study.experiments)
    if new := {ref: commit for ref, commit in theirs.items() if ref not in ours}:
        git("fetch", "--quiet", "--no-write-fetch-head", "origin", *(f"{ref}:{ref}" for ref in new))
        with Repo() as repo:
            repo.fetch(targets=REPORT_FILES, revs=list(new.values()), workspace=False)


# In a worker


def run_experiment(commit: str, name: str, options: list[str], expected: dict[str, str]) -> None:
    """Run an experiment in a clone, and push it; raise a UserError with what it printed last where it fails.

    Args:
        commit: of the project.
        name: of the experiment.
        options: of `dvc exp run`.
        expected: the versions that the worker must have.
    """
    compare_versions(get_worker().address, environment(DECIDES), expected)
    dvc, ref = (sys.executable, "-m", "dvc"), f"refs/exps/{commit[:2]}/{commit[2:]}/{name}"
    if git("ls-remote", "origin", ref):  # by a worker that was lost after it had pushed
        return
    _tell(name, "started")
    folder = Path(get_worker().local_directory)
    with TemporaryDirectory(prefix="experiment-", dir=folder, ignore_cleanup_errors=True) as scratch:
        # Where DVC has its own copies, and by which stages.check knows one: it may lack a folder of images.
        clone = Path(scratch) / ".dvc/tmp/exps/clone"
        origin = git("remote", "get-url", "origin").strip()
        _call(name, Path.cwd(), "git", "clone", "--quiet", "--no-checkout", origin, str(clone))
        _call(name, clone, "git", "checkout", "--quiet", "--detach", commit)
        _share_settings(clone)
        _call(name, clone, *dvc, "exp", "run", "--pull", "--allow-missing", *options)
        _call(name, clone, *dvc, "push", "--run-cache")  # first: an experiment that is on `origin` is whole
        _call(name, clone, "git", "push", "--quiet", "origin", f"{ref}:{ref}")


def _share_settings(clone: Path) -> None:
    """Give a clone this project's settings of DVC, its cache, and what it has downloaded."""
    with Repo() as ours, Config(str(clone / ".dvc")).edit("local") as settings:
        # All of them: a relative path in .dvc/config is relative to this project, and not to the clone.
        settings["core"]["remote"] = ours.config["core"]["remote"]
        settings["remote"] = ours.config["remote"]
        settings["cache"] = {**ours.config["cache"], "dir": str(Path(ours.cache.local.path).parents[1])}
    downloads = Path("data/downloads").absolute()
    downloads.mkdir(parents=True, exist_ok=True)
    (clone / "data/downloads").symlink_to(downloads)


def _call(name: str, folder: Path, *words: str) -> None:
    """Run a command, and tell the client of its stages; Ctrl-C ends it as soon as nobody waits for the task."""
    worker, key, lines, wanted = get_worker(), get_worker().get_current_task(), [""], True
    with Popen(  # noqa: S603
        words,
        cwd=folder,
        env=environment_variables(),
        stdin=DEVNULL,
        stdout=PIPE,
        stderr=STDOUT,
        text=True,
        errors="replace",
    ) as process:
        for line in process.stdout or []:
            lines.append(re.sub(r"://[^/\s]+@", "://…@", line))  # without a password
            if stage := re.match(r"Running stage '(\w+)'", line):
                _tell(name, stage[1])
            if wanted and (key not in worker.state.tasks or worker.state.tasks[key].state != "executing"):
                wanted = False
                for one in psutil.Process(process.pid).children(recursive=True):
                    one.send_signal(signal.SIGINT)
    if process.returncode:
        raise UserError(f"on {worker.address}, {' '.join(words[:2])} last said:\n{''.join(lines[-15:])}")


def _tell(name: str, what: str) -> None:
    """Have the client print what becomes of an experiment."""
    where = get_worker().address.rpartition("/")[2]
    get_worker().log_event("study", f"{time.strftime('%H:%M:%S')} {where}: {name}: {what}")


def environment_variables() -> dict[str, str]:
    """Return the worker's environment without what Dask has set for itself, as one thread for linear algebra."""
    dask_sets = dask.config.get("distributed.nanny.pre-spawn-environ")
    ours = {key: value for key, value in os.environ.items() if str(dask_sets.get(key)) != value}
    path = f"{Path(sys.executable).parent}{os.pathsep}{ours.get('PATH', '')}"
    return ours | {"PATH": path, "LESIONS_CLUSTER": "", "GIT_TERMINAL_PROMPT": "0", "PYTHONUNBUFFERED": "1"}
