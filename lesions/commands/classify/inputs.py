"""Find the images named by a command's arguments: files, folders, or standard input."""

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

from lesions.archives import MAX_BYTES, is_image
from lesions.core.errors import UserError

STANDARD_INPUT = "-"


class ImageFile(NamedTuple):
    """An image file, not read yet.

    Attributes:
        name: as on the command line; of an image in a folder, its path.
        read: returns the file's bytes; raises `OSError`, or `ValueError` with the reason why not.
    """

    name: str
    read: Callable[[], bytes]


def find(names: list[str]) -> list[ImageFile]:
    """Return the images, those of a folder and of the folders in it by name.

    Files named are taken whatever their suffix; of folders, those that a suffix says are images.

    Raises:
        UserError: a folder has no image, or must not be read; or standard input is named and there is none.
    """
    found = []
    for name in names:
        path = Path(name)
        if name == STANDARD_INPUT:
            found.append(ImageFile("standard input", partial(_bounded, _standard_input())))
        elif path.is_dir():
            found += [ImageFile(str(file), _reader(file)) for file in _images_below(path)]
        else:
            found.append(ImageFile(name, _reader(path)))
    return found


def _images_below(folder: Path) -> list[Path]:
    def refuse(error: OSError) -> None:
        raise UserError(f"{error.filename} cannot be read: {error.strerror}.")

    walked = os.walk(folder, onerror=refuse)
    files = [Path(where, name) for where, _, names in walked for name in names if is_image(name)]
    if not files:
        raise UserError(f"{folder} has no image: no file in it has a suffix such as .jpg, .png, .tif or .webp.")
    return sorted(files)


def _reader(path: Path) -> Callable[[], bytes]:
    def read() -> bytes:
        if path.exists() and not path.is_file():
            raise ValueError("no regular file")
        with path.open("rb") as file:
            return _bounded(file.read(MAX_BYTES + 1))

    return read


def _standard_input() -> bytes:
    if sys.stdin is None or sys.stdin.closed:
        raise UserError("standard input is closed; expected an image's bytes, as in `lesions classify - < FILE`.")
    try:
        return sys.stdin.buffer.read(MAX_BYTES + 1)
    except OSError as error:
        raise UserError(f"standard input cannot be read: {error.strerror}.") from None


def _bounded(content: bytes) -> bytes:
    if len(content) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES:,} bytes")
    return content
