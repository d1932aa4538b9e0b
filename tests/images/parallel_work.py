"""What the workers of tests/images/test_parallel_map.py do: a module of its own, which a worker loads in no time."""

import hashlib
import os
import signal
import time
from pathlib import Path

from lesions.core.errors import UserError


def digest(item: bytes) -> bytes:
    """Stand for the work on an image."""
    return hashlib.sha256(item).digest()


def fail_at_a_hundred(item: int) -> int:
    if item == 100:
        raise UserError("image 100 is bad")
    return item


def late(item: int) -> int:
    """Take long over the first item."""
    time.sleep(0.2 if item == 0 else 0)
    return item


def no_disk(_: int) -> int:
    raise OSError(28, "No space left on device")


def killed_once(item: tuple[int, Path]) -> int:
    """Kill the worker that meets item 300 first."""
    number, marker = item
    if number == 300 and not marker.exists():
        marker.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return number * number


def killed_always(item: int) -> int:
    if item == 300:
        os.kill(os.getpid(), signal.SIGKILL)
    return item
