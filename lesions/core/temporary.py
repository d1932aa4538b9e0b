"""A folder for what is needed for a moment."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory, gettempdir

from lesions.core.errors import UserError, is_no_room

NO_ROOM = "There is no room in {}, the folder for temporary files. Make room, or name another: `export TMPDIR=FOLDER`."


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
        raise UserError(NO_ROOM.format(gettempdir())) from None
