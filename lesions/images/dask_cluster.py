"""Connect to a Dask cluster, and run batches of images on the one that `LESIONS_CLUSTER` names (docs/cluster.md).

The images' bytes travel with the tasks. The scheduler repeats what a lost worker had on another.
"""

import asyncio
import hashlib
import logging
import pickle
import platform
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import FIRST_COMPLETED, CancelledError, Future, wait
from contextlib import contextmanager
from functools import cache
from importlib.metadata import distributions
from pathlib import Path
from typing import Any

import numpy as np
from distributed import Client, KilledWorker, Security
from distributed.comm.core import CommClosedError
from distributed.comm.core import connect as connect_to
from numpy.typing import NDArray

from lesions.core.errors import UserError

SECONDS = 10
"""How long the scheduler may take to answer, and how long a cluster may be without any worker."""
PACKAGES = ["numpy", "pillow", "scipy", "Augmentor", "keras", "tensorflow", "pandas", "scikit-learn"]
PACKAGES += ["matplotlib", "seaborn", "dvc"]
"""The packages that decide the results, beside this one."""
_one_batch_at_a_time = threading.Lock()


@contextmanager
def open_workers(address: str) -> Iterator[tuple[Callable[..., Callable[[], list[Any]]], int]]:
    """Yield what hands a function and a batch over, and returns what waits for the results; the number of threads."""
    with connect(address, "LESIONS_CLUSTER") as client:
        # An executor fetches each result as soon as it is there, and not only when it is waited for.
        executor = client.get_executor(pure=False)

        def submit(function: Callable[[Any], Any], batch: list[Any]) -> Callable[[], list[Any]]:
            task = executor.submit(_map_batch, function, _pack(batch), environment())
            return lambda: list(pickle.loads(next(completed(client, [task])).result()))  # noqa: S301 - of our workers

        yield submit, sum(client.nthreads().values())


@contextmanager
def connect(address: str, setting: str) -> Iterator[Client]:
    """Connect to a scheduler whose workers have the same versions as this process.

    Args:
        address: the scheduler's, such as tcp://host:8786.
        setting: the variable or option that holds the address, for messages.

    Raises:
        UserError: there is no such scheduler, it has no workers, one of them has another version, or it is lost.
    """
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what is lost is said below, in a sentence
    args = Security().get_connection_args("client")
    try:  # a client would wait for ever for what is no scheduler
        asyncio.run(asyncio.wait_for(connect_to(address, SECONDS, **args), SECONDS + 1))
    except Exception as error:  # from another kind of server anything may come
        raise UserError(
            f"No Dask scheduler answers at {address}, which {setting} names ({str(error) or 'no answer'}). Expected "
            f"an address as tcp://host:8786, where `dask scheduler` runs; without {setting} the work stays here."
        ) from None
    with Client(address, timeout=SECONDS, set_as_default=False) as client:
        try:
            _wait_for_workers(client)
            for worker, theirs in sorted(client.run(environment, on_error="return").items()):
                compare_versions(worker, theirs if isinstance(theirs, dict) else {}, environment())
            yield client
        except KilledWorker as error:
            raise UserError(f"{error} Most often memory ran out: give each worker more (--memory-limit).") from None
        except (CancelledError, CommClosedError, OSError):
            if client.status == "running":
                raise  # of the function itself, or of the items
            raise UserError(f"The Dask scheduler at {address} was lost. Start it and its workers again.") from None


def completed(client: Client, tasks: Iterable[Future[Any]]) -> Iterator[Future[Any]]:
    """Yield tasks as they end; raise a UserError where the cluster stays without any worker."""
    pending = set(tasks)
    while pending:
        done, pending = wait(pending, SECONDS, FIRST_COMPLETED)
        if not done:
            _wait_for_workers(client)
        yield from done


def _wait_for_workers(client: Client) -> None:
    try:
        client.wait_for_workers(1, timeout=SECONDS)
    except TimeoutError:
        address = client.scheduler_info()["address"]
        raise UserError(f"The scheduler at {address} has no workers: start some, `dask worker {address}`.") from None


def compare_versions(worker: str, theirs: dict[str, str], ours: dict[str, str]) -> None:
    """Raise a UserError that names the versions which differ: such a worker might give other results."""
    differ = [f"{name} {theirs.get(name)} instead of {ours[name]}" for name in ours if theirs.get(name) != ours[name]]
    if differ:
        raise UserError(
            f"The worker {worker} has {', '.join(differ)}, and its results might differ. Start all workers in the same "
            "commit, with the packages of its requirements.txt."
        )


@cache
def environment() -> dict[str, str]:
    """Return the versions of all that decides the results; once, as a worker keeps what it has loaded."""
    root = Path(__file__).parent.parent
    source = b"".join(str(file.relative_to(root)).encode() + file.read_bytes() for file in sorted(root.rglob("*.py")))
    # TensorFlow is one of two packages, which train to the same bits.
    names = {one.name.lower().replace("_", "-").removesuffix("-cpu"): one.version for one in distributions()}
    return {
        "lesions": hashlib.sha256(source).hexdigest()[:12],
        "Python": ".".join(platform.python_version_tuple()[:2]),
        "processor": platform.machine(),
        **{package: names.get(package.lower(), "missing") for package in PACKAGES},
    }


def _pack(batch: list[Any]) -> NDArray[np.uint8]:
    """Return a batch as one array of bytes: Dask copies lists of images several times, and an array never."""
    return np.frombuffer(pickle.dumps(batch), np.uint8)


def _map_batch(function: Callable[[Any], Any], batch: NDArray[np.uint8], versions: dict[str, str]) -> NDArray[np.uint8]:
    """Run a batch in a worker, which may have joined long after the others' versions were compared."""
    compare_versions(platform.node(), environment(), versions)
    with _one_batch_at_a_time:  # a function may use what all threads of a process share
        return _pack([function(item) for item in pickle.loads(batch.data)])  # noqa: S301 - of our own client
