"""Running what is missing of a study on a Dask cluster, an experiment a worker at a time.

Nothing but names, parameters and a few lines about what happens goes through Dask. Experiments come back through Git's
`origin` and DVC's store, in which each is whole as soon as it is there: what is lost is what was under way.
"""

import time
import uuid
from typing import Any

from distributed import Client, Future, KilledWorker, wait

from lesions.commands.study import experiments, sharing
from lesions.commands.study.experiments import git
from lesions.commands.study.on_worker import MORE_THREADS, Ended, Task, look, run_experiment, versions
from lesions.commands.study.running import Planned, alone, ending_alike, options, plan, refuse_uncommitted_code
from lesions.commands.study.study import Study
from lesions.core.errors import UserError
from lesions.images import dask_cluster as cluster


def run(study: Study, address: str) -> list[str]:
    """Run what is missing of a study on a cluster, and fetch it.

    Args:
        study: the study.
        address: the scheduler's, such as tcp://host:8786.

    Returns:
        The names of the experiments that failed.

    Raises:
        UserError: as `plan`; or something that workers need is not shared, a worker is unfit, or the cluster is lost.
        KeyboardInterrupt: once the cluster was told to stop.
    """
    refuse_uncommitted_code()
    sharing.refuse_what_others_cannot_get()
    with alone(), ending_alike():
        fetch_what_is_there(study)
        due = [one for one in plan(study, shared=True) if one.commit is None and not one.without]
        failed: list[str] = []
        if due:
            with cluster.client_of(address, "--cluster") as client, client.as_current():
                refuse_unfit_workers(client)
                make_room(due)
                failed = follow(client, address, due)
        now = plan(study, shared=True)
        sharing.fetch_for_report([one.commit for one in now if one.commit])
    missing = [one.name for one in now if one.name in {run.name for run in due} and not one.commit]
    return failed + [name for name in missing if name not in failed]


def fetch_what_is_there(study: Study) -> None:
    """Fetch the study's experiments that `origin` has, and we do not: of a colleague, or of a call that was stopped."""
    there = sharing.on_origin(f"{study.name}-{entry.name}" for entry in study.experiments)
    ours = {ref: commit for refs in experiments.experiments().values() for ref, commit in refs}
    # Where both have one of a name, theirs comes under the name that it would have as an old one.
    sharing.fetch(
        {
            ref: experiments.old_ref(ref, commit) if ref in ours else ref
            for ref, commit in there.items()
            if ours.get(ref) != commit
        }
    )


def refuse_unfit_workers(client: Client) -> None:
    """Stop where a worker could not do its part.

    Raises:
        UserError: names the worker, and what it lacks.
    """
    try:
        client.run_on_scheduler(versions)
    except Exception as error:  # Dask hands some on as they are, and some as text
        raise UserError(
            f"The scheduler runs without this package, or with another version of it ({error}). Start it anew, in the "
            "same environment as the workers."
        ) from None
    store, heads, head = sharing.store(), sharing.heads(), git("rev-parse", "HEAD").strip()
    threads = client.nthreads()
    for worker, found in sorted(cluster.ask_all(client, look).items()):
        where = f"The worker {worker}, in {found['folder']},"
        cluster.refuse_other_version(worker, found["versions"], versions())
        if found["wrong"]:
            raise UserError(
                f"{where} cannot take part: {found['wrong'].rstrip('.')}. Start workers in a clone of the project from "
                "which `git ls-remote origin` and `dvc status --cloud` work without a question."
            )
        if found["store"] != store:
            raise UserError(f"{where} has another store than this machine; see `dvc remote list` there and here.")
        if found["heads"] != heads:
            raise UserError(f"{where} has another `origin` than this machine: its branches are others.")
        if threads[worker] != 1:
            raise UserError(f"{where} cannot take part: {MORE_THREADS}. Each training uses the cores by itself.")
    print(f"{len(threads)} workers have the same versions, and reach `origin` and the store. Commit {head[:7]}.")


def make_room(due: list[Planned]) -> None:
    """Rename what is no longer current, here and on `origin`."""
    taken = set(experiments.experiments())
    for one in due:
        for ref, commit in one.old:
            kept = experiments.keep_old(ref, commit, taken)
            print(f"{one.name}: the one of other code, parameters or pictures is kept as {kept}.")
    for ref, commit in sharing.on_origin(one.name for one in due).items():
        if ref == experiments.ref_of(git("rev-parse", "HEAD").strip(), ref.rpartition("/")[2]):
            sharing.keep_old_on_origin(ref, commit)


def follow(client: Client, address: str, due: list[Planned]) -> list[str]:
    """Hand experiments over, say what becomes of them, and fetch each that is done.

    Returns:
        The names of those that failed.
    """
    topic = f"study-{uuid.uuid4()}"
    client.subscribe_topic(topic, say)
    head, store = git("rev-parse", "HEAD").strip(), sharing.store()
    pending: dict[Future[Ended], Planned] = {}
    for one in due:
        task = Task(head, one.name, options(one), versions(), store, topic)
        pending[client.submit(run_experiment, task, key=f"{one.name}-{uuid.uuid4()}")] = one
    failed: list[str] = []
    try:
        while pending:
            try:
                finished = wait(list(pending), cluster.SECONDS, return_when="FIRST_COMPLETED").done
            except TimeoutError:
                cluster.wait_for_workers(client, address)
                continue
            for future in finished:
                one = pending.pop(future)
                if wrong := what_became_of(experiments.ref_of(head, one.name), one.name, future):
                    failed.append(one.name)
                    print(f"=== {one.name} failed{wrong} ===", flush=True)
                print(f"{len(due) - len(pending)} of {len(due)} have ended, {len(failed)} of them failed.", flush=True)
    except BaseException:
        client.cancel(list(pending))
        raise
    return failed


def what_became_of(ref: str, name: str, future: Future[Ended]) -> str:
    """Fetch an experiment that is done; return what went wrong with another, or ""."""
    try:
        ended: Ended = future.result()
    except KilledWorker as error:
        return f": {error.allowed_failures + 1} workers ended one after the other in the middle of it."
    if ended.wrong:
        return f" on {ended.where}, and last said:\n{ended.wrong.rstrip()}\n"
    try:
        sharing.fetch({ref: ref})
    except UserError as error:
        return f": it is done on {ended.where}, and was not fetched; the next call tries. {error}"
    print(f"=== {name}: done in {ended.seconds / 60:.1f} minutes on {ended.where} ===", flush=True)
    return ""


def say(event: tuple[float, Any]) -> None:
    """Print what a worker does."""
    when, message = event
    clock = time.strftime("%H:%M:%S", time.localtime(when))
    print(f"{clock} {message['where']}: {message['name']}: {message['what']}", flush=True)
