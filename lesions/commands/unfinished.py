"""A folder for files that are not whole yet, beside those that they replace."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def unfinished(folder: Path) -> Iterator[Path]:
    """Make a folder for files that are not whole yet, and remove it behind the block, whatever happens there.

    Nothing is left where Ctrl-C comes while it is made, as would be of `tempfile`'s; what a killed run left goes first.
    """
    shutil.rmtree(folder, ignore_errors=True)
    try:
        folder.mkdir()
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
