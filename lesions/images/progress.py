"""How far a long piece of work is: a bar on a terminal, now and then a line where there is none."""

import sys
import time
from collections.abc import Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")

FIRST, EVERY = 4.0, 30.0
"""Seconds until the first line, and then between lines: a log of an hour's work stays a page or two."""


def progress_bar(items: Iterable[Item], total: int, desc: str, unit: str = " images") -> Iterator[Item]:
    """Yield the items, and show on stderr how many of them came, and how fast.

    On a terminal that is tqdm's bar. Elsewhere, as in the log of a server, it is a line such as
    "decoding: 12,000 of 100,000 images, 810/s", and nothing at all about what takes less than four seconds.

    Args:
        items: what is worked through.
        total: how many there are.
        desc: what is being done, such as "decoding".
        unit: what is counted.
    """
    if sys.stderr.isatty():
        yield from tqdm(items, total=total, desc=desc, unit=unit)
        return
    started = time.monotonic()
    due = started + FIRST
    done = 0
    for done, item in enumerate(items, 1):
        yield item
        now = time.monotonic()
        if now >= due and done < total:
            _say(f"{desc}: {done:,} of {total:,}{unit}", done, now - started)
            due = now + EVERY
    seconds = time.monotonic() - started
    if seconds >= FIRST:
        _say(f"{desc}: all {done:,}{unit} in {seconds:,.0f} s", done, seconds)


def _say(so_far: str, done: int, seconds: float) -> None:
    rate = done / seconds
    print(f"{so_far}, {rate:,.0f}/s" if rate >= 10 else f"{so_far}, {rate:.1f}/s", file=sys.stderr, flush=True)
