"""Find the images named by a command's arguments: files, folders, or standard input."""

import os
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TypeAlias

from lesions.archives import MAX_BYTES, is_image
from lesions.core.errors import UserError

STANDARD_INPUT = "-"


ImageFile: TypeAlias = tuple[str, Callable[[], bytes]]
"""An image file, not read yet: its name as on the command line, or its path in a folder; and what returns its bytes, or
raises `OSError`, or `ValueError` with the reason why not."""


def find(names: list[str], heatmap: Path | None = None) -> list[ImageFile]:
    """Return the images, those of a folder and of the folders in it by name.

    Files named are taken whatever their suffix; of folders, those that a suffix says are images.

    Args:
        names: as on the command line.
        heatmap: the folder of heat maps.

    Returns:
        The images, in the order of the names.

    Raises:
        UserError: a folder has no image, must not be read, or would get the heat maps; or standard input is named and
            there is none.
    """
    found: list[ImageFile] = []
    for name in names:
        path = Path(name)
        if name == STANDARD_INPUT:
            found.append(("standard input", partial(_bounded, _standard_input())))
        elif path.is_dir():
            if heatmap is not None and heatmap.resolve().is_relative_to(path.resolve()):
                raise UserError(
                    f"--heatmap {heatmap} lies in the folder of images {path}, where the next call would classify the "
                    "heat maps; expected another place."
                )
            found += [(str(file), partial(_read, file)) for file in _images_below(path)]
        else:
            found.append((name, partial(_read, path)))
    return found


def _images_below(folder: Path) -> list[Path]:
    def refuse(error: OSError) -> None:
        raise UserError(f"{error.filename} cannot be read: {error.strerror}.")

    walked = os.walk(folder, onerror=refuse)
    files = [Path(where, name) for where, _, names in walked for name in names if is_image(name)]
    if not files:
        raise UserError(f"{folder} has no image: no file in it has a suffix such as .jpg, .png, .tif or .webp.")
    return sorted(files)


def _read(path: Path) -> bytes:
    if path.exists() and not path.is_file():
        raise ValueError("no regular file")
    with path.open("rb") as file:
        return _bounded(file.read(MAX_BYTES + 1))


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
