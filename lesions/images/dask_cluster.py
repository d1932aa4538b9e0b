"""Batches of work on the cores of several machines: the Dask cluster that `LESIONS_CLUSTER` names.

The pictures' bytes travel with the tasks, so no storage has to be shared, and the scheduler keeps a task until its
result has arrived, so what a lost worker had is done again elsewhere. docs/cluster.md shows how to start one.
"""

import asyncio
import hashlib
import logging
import pickle
import platform
import re
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import CancelledError, wait
from contextlib import contextmanager
from functools import cache
from importlib.metadata import PackageNotFoundError, version
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
PACKAGES = ("numpy", "pillow", "scipy", "Augmentor")
"""What makes pixels, beside this package."""

Batch = list[Any]
Submit = Callable[[Callable[[Any], Any], Batch], Callable[[], Batch]]
"""Hands a batch over; what it returns waits for the function's results, in order."""

_one_at_a_time = threading.Lock()


@contextmanager
def connect(address: str, *, alone: bool) -> Iterator[tuple[Submit, int]]:
    """Connect to a cluster whose workers have our own version of everything that decides the results.

    Args:
        address: the scheduler's, such as tcp://host:8786.
        alone: never two items at a time in one worker process, for functions that use a process's global state.

    Yields:
        What hands over a batch, and the number of the workers' threads.

    Raises:
        UserError: there is no such cluster, it has no workers, one of them has another version, or it is lost.
    """
    with client_of(address, "LESIONS_CLUSTER") as client:
        for worker, theirs in sorted(ask_all(client, environment).items()):
            refuse_other_version(worker, theirs, environment())
        try:
            yield _submit_to(client, address, alone=alone), sum(client.nthreads().values())
        except KilledWorker as error:
            raise UserError(
                f"The same pictures ended {error.allowed_failures + 1} workers one after the other, most often because "
                "their memory ran out: the workers' own output says more. Give each of them more (--memory-limit)."
            ) from None


@contextmanager
def client_of(address: str, named_by: str) -> Iterator[Client]:
    """Connect to a scheduler that has workers.

    Args:
        address: the scheduler's, such as tcp://host:8786.
        named_by: where the address stands, for messages.

    Raises:
        UserError: there is no such scheduler, it has no workers, or it is lost.
    """
    if not re.fullmatch(r"(tcp|tls)://\S+:\d+", address):
        raise UserError(f"{named_by} is {address!r}: expected the scheduler's address, as in tcp://host:8786.")
    for name in ("distributed", "distributed.client"):
        logging.getLogger(name).setLevel(logging.CRITICAL)  # what is lost is said below, in a sentence
    _refuse_what_is_no_scheduler(address, named_by)
    with Client(address, timeout=SECONDS, set_as_default=False) as client:
        try:
            wait_for_workers(client, address)
            yield client
        except (CancelledError, CommClosedError, OSError) as error:
            if isinstance(error, OSError) and client.status == "running":
                raise  # of the function itself, or of the items
            raise UserError(
                f"The Dask scheduler at {address} was lost in the middle of the work. Start it and its workers again."
            ) from None


def environment() -> dict[str, str]:
    """Name the version of all that decides the results: this package's source, Python, packages, processor."""
    return {
        "lesions": _source(),
        "Python": ".".join(platform.python_version_tuple()[:2]),
        "processor": platform.machine(),
        **{package: version_of(package) for package in PACKAGES},
    }


@cache
def _source() -> str:
    """Hash this package's modules, once: a worker keeps what it has loaded, whatever becomes of the files."""
    digest = hashlib.sha256()
    root = Path(__file__).parent.parent
    for file in sorted(root.rglob("*.py"), key=lambda file: file.relative_to(root).parts):
        content = file.read_bytes()
        digest.update(f"{file.relative_to(root).as_posix()} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:12]


def version_of(package: str) -> str:
    """Return the version of an installed package, or "missing"."""
    for name in (package, f"{package}-cpu"):  # TensorFlow is one of two packages, which train to the same bits
        try:
            return version(name)
        except PackageNotFoundError:
            pass
    return "missing"


def _refuse_what_is_no_scheduler(address: str, named_by: str) -> None:
    """Shake hands once; a client that fails to would leave half of itself behind."""

    async def shake_hands() -> None:
        async with asyncio.timeout(SECONDS + 1):  # which Dask does not count once a connection stands
            comm = await connect_to(address, timeout=SECONDS, **Security().get_connection_args("client"))
        comm.abort()

    try:
        asyncio.run(shake_hands())
    except Exception as error:  # from another kind of server anything may come
        raise UserError(
            f"No Dask scheduler answers at {address}, which {named_by} names ({str(error) or 'no answer'}). "
            f"Start one there with `dask scheduler`, or work on this machine, without {named_by}."
        ) from None


def wait_for_workers(client: Client, address: str) -> None:
    """Stop where a cluster stays without any worker.

    Raises:
        UserError: it does.
    """
    try:
        client.wait_for_workers(1, timeout=SECONDS)
    except TimeoutError:
        raise UserError(
            f"The Dask scheduler at {address} has no workers. Start some with `dask worker {address}`, on this machine "
            "or on others."
        ) from None


def ask_all(client: Client, function: Callable[..., Any], *arguments: object) -> dict[str, Any]:
    """Return what a function of this package returns in each worker, by the worker's address.

    Raises:
        UserError: a worker has no such function.
    """
    try:
        found: dict[str, Any] = client.run(function, *arguments)
    except Exception as error:  # Dask hands some on as they are, and some as text
        raise UserError(f"A worker lacks this package, or has another version of it ({error}). {_SAME}") from None
    return found


def refuse_other_version(worker: str, theirs: dict[str, str], ours: dict[str, str]) -> None:
    """Stop where a worker might give other results.

    Raises:
        UserError: names the versions that differ.
    """
    differ = [f"{name} {theirs.get(name)} instead of {ours[name]}" for name in ours if theirs.get(name) != ours[name]]
    if differ:
        raise UserError(f"The worker {worker} has {', '.join(differ)}, and its results might differ. {_SAME}")


_SAME = (
    "Bring all machines to the same commit and the environment of its requirements.txt, and start the workers anew "
    "from there."
)


def _submit_to(client: Client, address: str, *, alone: bool) -> Submit:
    # The executor fetches each result as soon as it is there, and not only when it is asked for.
    executor = client.get_executor(pure=False)
    ours = environment()

    def submit(function: Callable[[Any], Any], batch: Batch) -> Callable[[], Batch]:
        future = executor.submit(_work, function, _packed(batch), alone, ours)

        def results() -> Batch:
            while not wait([future], timeout=SECONDS).done:
                wait_for_workers(client, address)
            unpacked: Batch = pickle.loads(future.result())  # noqa: S301 - of our own workers
            return unpacked

        return results

    return submit


def _packed(batch: Batch) -> NDArray[np.uint8]:
    """Return a batch as one array of bytes: Dask copies lists of pictures several times, and an array never."""
    return np.frombuffer(pickle.dumps(batch), np.uint8)


def _work(
    function: Callable[[Any], Any], batch: NDArray[np.uint8], alone: bool, versions: dict[str, str]
) -> NDArray[np.uint8]:
    """Run a batch in a worker, which may have joined long after the others were looked at."""
    refuse_other_version(platform.node(), environment(), versions)
    items: Batch = pickle.loads(batch.data)  # noqa: S301 - of our own client
    if not alone:
        return _packed([function(item) for item in items])
    with _one_at_a_time:
        return _packed([function(item) for item in items])
