"""The errors that a person can mend."""

import errno
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
"""The disk is full, the person's share of it is used up, or the file is longer than allowed."""


class UserError(Exception):
    """Something in the data or the parameters is wrong, and the reader of the message can mend it.

    The message names the file, row or key, what was found, what was expected, and what to do.
    """


def system_error(error: OSError, nameless: str = "") -> str:
    """Return a sentence on an error of the system: of which file, what, and what to do.

    Args:
        error: the system's.
        nameless: what it is of, where it names no file.

    Raises:
        OSError: the error itself, where it has no number, and so is a library's own.
    """
    if error.errno is None:
        raise error
    where = f"{error.filename or nameless}: ".removeprefix(": ")
    mend = (
        "Make room on the disk"
        if error.errno in NO_ROOM
        else "Choose a shorter name"
        if error.errno == errno.ENAMETOOLONG
        else "See to the rights of the file and its folder"
        if error.errno in (errno.EACCES, errno.EPERM, errno.EROFS)
        else "See to the file, or to the disk and the network that hold it"
    )
    return f"{where}{os.strerror(error.errno)}. {mend}, then run it again."


def is_no_room(error: Exception) -> bool:
    """Whether an error is of a full disk, or what a library in C made of one."""
    return (isinstance(error, OSError) and error.errno in NO_ROOM) or os.strerror(errno.ENOSPC) in str(error)


@contextmanager
def reading(path: Path) -> Iterator[None]:
    """Name the file of our own, in any format, whose reading fails inside.

    Raises:
        UserError: it is missing, or is not what the pipeline wrote.
    """
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path} is missing. `dvc checkout` brings it back, or `dvc repro` makes it.") from None
    except (ValueError, EOFError) as error:  # of JSON, of pandas, of NumPy, of text that is no UTF-8
        reason = (str(error).strip() or "it is empty").partition("\n")[0][:200]
        raise UserError(
            f"{path} is damaged ({reason}). Remove it: `dvc checkout` then brings it back, or `dvc repro` makes it."
        ) from None


@contextmanager
def writing(path: Path) -> Iterator[None]:
    """Name the file whose writing fails inside, where the system's error names none, as once the disk is full.

    Raises:
        UserError: it cannot be written.
    """
    try:
        yield
    except OSError as error:
        raise UserError(system_error(error, str(path))) from None


@contextmanager
def needs_extra(name: str) -> Iterator[None]:
    """Say which command installs what an import needs, for use around imports alone.

    Args:
        name: of an extra in pyproject.toml.

    Raises:
        UserError: another package than ours is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "lesions"):
            raise
        raise UserError(f"The package {package} is not installed: `make extra-{name}` installs it.") from None
