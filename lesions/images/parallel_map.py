"""Map a function over many small items on all cores of this machine, or of a cluster, with the results in order.

Batches of items go to threads, or to the Dask cluster that `LESIONS_CLUSTER` names. `joblib.Parallel` is not used:
as a generator it does not wait for whoever takes the results, so that they pile up in memory (docs/cluster.md).
"""

import os
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any, TypeVar

import joblib
import numpy as np

from lesions.core.errors import needs_extra
from lesions.images.progress import progress_bar

Item = TypeVar("Item")
Result = TypeVar("Result")

BATCH, BATCH_BYTES = 32, 4_000_000
"""A batch ends at so many items, or at so many bytes: enough that handing over costs little, few enough for images of
twenty megapixels."""
CLUSTER_BATCH, CLUSTER_BATCH_BYTES = 256, 8_000_000
"""The same on a cluster, where handing over a task costs milliseconds; `benchmarks/cluster.py` measures it."""
AHEAD = 2
"""Batches under way for each worker: one that it works on, and the next, so that it need not wait."""


def parallel_map(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    total: int,
    *,
    desc: str,
    workers: int = -1,
    unit: str = " images",
    use_cluster: bool = True,
) -> Iterator[Result]:
    """Yield `function(item)` for each item, in the order of the items.

    At most `AHEAD` batches a worker are read and not yet yielded, so that memory stays flat. An exception of the
    function, or of the items, ends the work and is raised unchanged.

    Args:
        function: its result must depend on the item alone, and it should release the GIL, as decoding does. For a
            cluster it is pickled, and so are items and results.
        items: read lazily, in the caller's thread.
        total: the number of items.
        desc: description of the progress bar.
        workers: number of threads; -1 for one a core. With 1 all runs in the caller's thread. A cluster has its own
            number, except that with 1 the work stays here.
        unit: what the progress bar counts.
        use_cluster: whether the work may go to the cluster that `LESIONS_CLUSTER` names; not where the function
            needs much that lies in this process's memory.

    Raises:
        UserError: the cluster cannot be reached, or is lost.
    """
    yield from progress_bar(_results(function, items, total, workers, use_cluster=use_cluster), total, desc, unit)


def _results(
    function: Callable[[Item], Result], items: Iterable[Item], total: int, workers: int, *, use_cluster: bool
) -> Iterator[Result]:
    address = os.environ.get("LESIONS_CLUSTER", "") if use_cluster and workers != 1 else ""
    workers = joblib.cpu_count() if workers < 0 else workers
    if workers == 1 and not address:
        yield from map(function, items)
        return
    length, weight = (CLUSTER_BATCH, CLUSTER_BATCH_BYTES) if address else (BATCH, BATCH_BYTES)
    with _workers(address, workers) as (submit, count):
        length = min(length, max(1, total // (AHEAD * count)))  # of little work, each worker gets its share
        pending: deque[Callable[[], list[Result]]] = deque()
        for batch in _batches(items, length, weight):
            pending.append(submit(function, batch))
            if len(pending) == AHEAD * count:
                yield from pending.popleft()()
        while pending:
            yield from pending.popleft()()


@contextmanager
def _workers(address: str, count: int) -> Iterator[tuple[Callable[..., Callable[[], list[Any]]], int]]:
    """Open the workers; yield what hands a batch to them, and their number."""
    if address:
        # Dask takes half a second to import, and is of no use on one machine.
        with needs_extra("cluster"):
            from lesions.images.dask_cluster import open_workers

        with open_workers(address) as cluster:
            yield cluster
        return
    pool = ThreadPoolExecutor(count)
    try:
        yield lambda function, batch: pool.submit(_map_batch, function, batch).result, count
    finally:
        pool.shutdown(cancel_futures=True)


def _map_batch(function: Callable[[Item], Result], batch: list[Item]) -> list[Result]:
    return [function(item) for item in batch]


def _batches(items: Iterable[Item], length: int, weight: int) -> Iterator[list[Item]]:
    """Yield lists of items, each of `length` items or of `weight` bytes."""
    batch: list[Item] = []
    n_bytes = 0
    for item in items:
        batch.append(item)
        n_bytes += _n_bytes(item)
        if len(batch) == length or n_bytes >= weight:
            yield batch
            batch, n_bytes = [], 0
    if batch:
        yield batch


def _n_bytes(item: object) -> int:
    """Return how many bytes of images an item carries, itself or as parts of a tuple."""
    parts = item if isinstance(item, tuple) else (item,)
    return sum(
        part.nbytes if isinstance(part, np.ndarray) else len(part)
        for part in parts
        if isinstance(part, (bytes, np.ndarray))
    )
