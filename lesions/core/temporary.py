"""A folder, or an array on the disk, for what is needed for a moment."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile, gettempdir
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from lesions.core.errors import UserError, is_no_room

_FULL = "There is no room in {}, the folder for temporary files. Make room, or name another: `export TMPDIR=FOLDER`."


@contextmanager
def temporary_folder() -> Iterator[Path]:
    """Make a folder that is removed behind the block, in which nothing else is written.

    Raises:
        UserError: there is no place for one, or no room there.
    """
    try:
        made = TemporaryDirectory()
    except OSError as error:
        raise UserError(f"{error.strerror}. Name a folder for temporary files: `export TMPDIR=FOLDER`.") from None
    try:
        with made as folder:
            yield Path(folder)
    except Exception as error:  # whatever a library makes of the system's
        if not is_no_room(error):
            raise
        raise UserError(_FULL.format(gettempdir())) from None


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


def temporary_array(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array of zeros that lies in a file without a name, so that memory holds what is in use.

    Raises:
        UserError: there is no room.
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if not size:
        return np.zeros(shape, dtype)
    with TemporaryFile() as file:
        try:
            # Else a full disk would end the process where it writes, without a word.
            os.posix_fallocate(file.fileno(), 0, size)
        except OSError as error:
            raise UserError(_FULL.format(gettempdir())) from error
        return np.asarray(np.memmap(file, dtype, mode="r+", shape=shape))
