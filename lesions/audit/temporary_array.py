"""An array that lies on the disk, for what is larger than the memory and needed for a moment."""

import os
from tempfile import TemporaryFile, gettempdir
from typing import Any

import numpy as np
from numpy.typing import DTypeLike, NDArray

from lesions.core.errors import UserError
from lesions.core.temporary import NO_ROOM

BLOCK = 2**24
"""Bytes written at once."""


def temporary_array(shape: tuple[int, ...], dtype: DTypeLike) -> NDArray[Any]:
    """Return an array of zeros that lies in a file without a name, so that memory holds what is in use.

    Raises:
        UserError: there is no room.
    """
    size = int(np.prod(shape)) * np.dtype(dtype).itemsize
    if not size:
        return np.zeros(shape, dtype)
    with TemporaryFile() as file:
        try:  # else a full disk would end the process where it writes, without a word
            if hasattr(os, "posix_fallocate"):
                os.posix_fallocate(file.fileno(), 0, size)
            else:  # on a Mac and on Windows
                file.writelines(bytes(min(BLOCK, size - start)) for start in range(0, size, BLOCK))
                file.flush()
        except OSError as error:
            raise UserError(NO_ROOM.format(gettempdir())) from error
        return np.asarray(np.memmap(file, dtype, mode="r+", shape=shape))
