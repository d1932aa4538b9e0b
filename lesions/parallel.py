"""Many small pieces of work on all cores, with the results in order and progress on a terminal."""

from collections.abc import Callable, Iterable, Iterator
from typing import Literal, TypeVar

from joblib import Parallel, delayed
from tqdm import tqdm

Item = TypeVar("Item")
Result = TypeVar("Result")

BATCH = 16
"""Items handed to a worker at once: enough that handing over costs little, few enough for large pictures."""


def in_order(
    function: Callable[[Item], Result],
    items: Iterable[Item],
    total: int,
    *,
    what: str,
    prefer: Literal["threads", "processes"],
    workers: int = -1,
    unit: str = " pictures",
) -> Iterator[Result]:
    """Yield `function(item)` for each item, in the order of the items.

    Both sides are lazy: a few batches are under way at a time, so memory stays flat.

    Args:
        function: its result must depend on the item alone, so that the number of workers changes nothing.
        items: the work.
        total: how many items there are.
        what: what the progress bar says.
        prefer: threads where the work releases the GIL (decoding), else processes.
        workers: how many; -1 for one a core.
        unit: what the progress bar counts.
    """
    results = Parallel(
        n_jobs=workers,
        prefer=prefer,
        batch_size=BATCH,
        pre_dispatch=f"{2 * BATCH}*n_jobs",
        return_as="generator",
    )(delayed(function)(item) for item in items)
    yield from tqdm(results, total=total, desc=what, unit=unit, disable=None)
