"""A folder that a command is to write into, tried before the work that fills it."""

from pathlib import Path

from lesions.core.errors import UserError


def make_writable(folder: Path, what: str) -> None:
    """Make a folder where there is none.

    Args:
        folder: to write into.
        what: that is written.

    Raises:
        UserError: nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / ".writable").touch()
        (folder / ".writable").unlink()
    except OSError as error:
        raise UserError(f"{folder} is no folder to write {what} into: {error.strerror}.") from None
