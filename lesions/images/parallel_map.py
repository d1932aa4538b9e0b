"""Many small pieces of work on all cores of this machine, or on a cluster's, with the results in order.

Batches of items are handed to joblib's processes, to threads, or to the Dask cluster that `LESIONS_CLUSTER` names,
and waited for in their order. Of the batches only a few are under way at a time, whoever is slow: the reader of the
items, a worker, or whoever takes the results. `joblib.Parallel` is not used, since as a generator it does not wait
for the one who takes the results: they pile up in memory (docs/cluster.md says more).
"""

import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, Literal, TypeVar

import joblib
import numpy as np
from joblib.externals.loky.process_executor import ProcessPoolExecutor, TerminatedWorkerError

from lesions.core.errors import UserError, needs_extra
from lesions.images.progress import shown

Item = TypeVar("Item")
Result = TypeVar("Result")

BATCH, BATCH_BYTES = 32, 4_000_000
"""A batch ends with so many items, or as soon as they weigh so much: enough that handing over costs little, few
enough for pictures of twenty megapixels."""
CLUSTER_BATCH, CLUSTER_BATCH_BYTES = 256, 8_000_000
"""The same on a cluster, where handing over a task costs milliseconds; `benchmarks/cluster.py` measures it."""
AHEAD = 2
"""Batches under way for each worker: one that it works on, and the next, so that it need not wait."""


def in_order(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    total: int,
    *,
    what: str,
    prefer: Literal["threads", "processes"],
    workers: int = -1,
    unit: str = " pictures",
    local: bool = False,
) -> Iterator[Result]:
    """Yield `function(item)` for each item, in the order of the items.

    Both sides are lazy: at most `AHEAD` batches a worker are drawn and not yet yielded, so memory stays flat. An
    exception of the function, or of the items, ends the work and comes out as it is.

    Args:
        function: its result must depend on the item alone, so that the number of workers changes nothing. For
            processes and on a cluster it is pickled, and so are items and results.
        items: the work; drawn in the caller's thread.
        total: how many items there are.
        what: what the progress says.
        prefer: threads where the work releases the GIL (decoding), else processes, each of which works on one item
            at a time.
        workers: how many; -1 for one a core. Where it is one, the caller's thread does all. A cluster has its own
            number, except that with 1 the work stays here.
        unit: what the progress counts.
        local: never on a cluster, since the function needs much that lies in this process's memory.

    Raises:
        UserError: the cluster cannot be reached or is lost, or a worker process was killed.
    """
    results = _results(function, items, total, prefer, workers, local=local)
    yield from shown(results, total, what, unit)


def _results(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    total: int,
    prefer: Literal["threads", "processes"],
    workers: int,
    *,
    local: bool,
) -> Iterator[Result]:
    address = "" if local or workers == 1 else os.environ.get("LESIONS_CLUSTER", "")
    workers = joblib.cpu_count() if workers < 0 else workers
    if workers == 1 and not address:
        yield from map(function, items)
        return
    length, weight = (CLUSTER_BATCH, CLUSTER_BATCH_BYTES) if address else (BATCH, BATCH_BYTES)
    with _workers(address, prefer, workers) as (submit, count):
        # Of little work, each worker gets its share.
        length = min(length, max(1, total // (AHEAD * count)))
        under_way: deque[Callable[[], list[Result]]] = deque()
        for batch in _batches(items, length, weight):
            under_way.append(submit(function, batch))
            if len(under_way) == AHEAD * count:
                yield from under_way.popleft()()
        while under_way:
            yield from under_way.popleft()()


def _each(function: Callable[[Item], Result], batch: list[Item]) -> list[Result]:
    return [function(item) for item in batch]


def _batches(items: Iterable[Item], length: int, weight: int) -> Iterator[list[Item]]:
    """Cut the items into batches, each of that many or of that weight in bytes."""
    batch: list[Item] = []
    weighs = 0
    for item in items:
        batch.append(item)
        weighs += _bytes_of(item)
        if len(batch) == length or weighs >= weight:
            yield batch
            batch, weighs = [], 0
    if batch:
        yield batch


def _bytes_of(item: object) -> int:
    """Return how many bytes of pictures an item carries, itself or as parts of a tuple."""
    parts = item if isinstance(item, tuple) else (item,)
    return sum(
        part.nbytes if isinstance(part, np.ndarray) else len(part)
        for part in parts
        if isinstance(part, (bytes, np.ndarray))
    )


@contextmanager
def _workers(
    address: str, prefer: Literal["threads", "processes"], count: int
) -> Iterator[tuple[Callable[[Callable[[Any], Any], list[Any]], Callable[[], list[Any]]], int]]:
    """Open the workers; yield what hands a batch to them, and how many they are. None stays behind."""
    if address:
        # Dask takes half a second to import, and is of no use on one machine.
        with needs_extra("cluster"):
            from lesions.images.dask_cluster import connect

        with connect(address, alone=prefer == "processes") as cluster:
            yield cluster
        return
    with _threads(count) if prefer == "threads" else _processes(count) as pool:
        yield lambda function, batch: pool.submit(_each, function, batch).result, count


@contextmanager
def _threads(count: int) -> Iterator[Executor]:
    pool = ThreadPoolExecutor(count)
    try:
        yield pool
    finally:
        pool.shutdown(cancel_futures=True)


@contextmanager
def _processes(count: int) -> Iterator[Executor]:
    pool = ProcessPoolExecutor(count, initializer=_end_with, initargs=(os.getpid(),))
    try:
        yield pool
    except TerminatedWorkerError:
        raise UserError(
            "A worker process was killed, most often by the system because memory ran out. Close other programs, "
            "or work where there is more memory a core."
        ) from None
    finally:
        # Not by force, which loky answers with a traceback; what is still under way is little.
        pool.shutdown()


def _end_with(parent: int) -> None:
    """End this process when its parent does, even by SIGKILL, and leave Ctrl-C to it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
