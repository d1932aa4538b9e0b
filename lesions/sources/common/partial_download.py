"""What has come of a file so far: `NAME.part`, and beside it `NAME.part.json`, where it is from.

Both survive an interruption of any kind, and the next run goes on from there.
"""

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

from pydantic import BaseModel, ValidationError

from lesions.core.errors import NO_ROOM, UserError

if TYPE_CHECKING:
    import requests
    from tqdm import tqdm


class NoRoomError(UserError):
    """The disk is full, or would be."""


class Origin(BaseModel):
    """Where a part is from: the address of the file, never one it led to, since such links expire."""

    url: str
    etag: str | None
    last_modified: str | None
    n_bytes: int | None


class PartialDownload:
    """What has come of a file.

    Args:
        path: of the whole file.
        hashed: whether its publisher gives a hash, which tells whether two pieces belong together.

    Attributes:
        path: of what has come.
        length: bytes so far.
        origin: where they are from; None where that is not known, and then they cannot be used.
        in_one_piece: whether all of them came in one answer.
    """

    def __init__(self, path: Path, *, hashed: bool) -> None:
        self.path = path.with_name(f"{path.name}.part")
        self._note = path.with_name(f"{path.name}.part.json")
        self._hashed = hashed
        self.in_one_piece = False
        self.origin: Origin | None = None
        with suppress(OSError, ValidationError):
            self.origin = Origin.model_validate_json(self._note.read_bytes())
        self.length = self.path.stat().st_size if self.origin and self.path.exists() else 0

    @property
    def n_bytes(self) -> int | None:
        """How many bytes the whole file has, as far as that is known."""
        return self.origin.n_bytes if self.origin else None

    def resume_headers(self, url: str) -> dict[str, str]:
        """Return the headers that request the rest of this version of the file; {} where it cannot be resumed there."""
        if not self.origin or self.origin.url != url or not self.length:
            return {}
        etag = self.origin.etag or ""
        # Weak ETags must not be used for this: RFC 9110, 13.1.5.
        version = etag if etag and not etag.startswith("W/") else self.origin.last_modified
        if not version and not self._hashed:
            return {}
        return {"Range": f"bytes={self.length}-"} | ({"If-Range": version} if version else {})

    def is_continued_by(self, response: "requests.Response") -> bool:
        """Whether a partial answer begins where this ends, and is of the same version of the file."""
        found = re.fullmatch(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)", response.headers.get("Content-Range", ""))
        if not found or not self.origin or int(found[1]) != self.length:
            return False
        given_and_known = (
            (found[2].strip("*"), str(self.n_bytes or "")),
            (response.headers.get("ETag"), self.origin.etag),
            (response.headers.get("Last-Modified"), self.origin.last_modified),
        )
        return all(not given or not known or given == known for given, known in given_and_known)

    def discard(self) -> None:
        """Remove it."""
        with writing(self.path):
            self._note.unlink(missing_ok=True)
            self.path.unlink(missing_ok=True)
        self.origin = None
        self.length = 0

    def restart(self, origin: Origin) -> None:
        """Begin again, with a file of that origin."""
        self.discard()
        with writing(self.path, origin.n_bytes):
            self._note.write_text(origin.model_dump_json(), encoding="utf-8")
        self.origin = origin
        self.in_one_piece = True

    def append(self, chunks: Iterable[bytes], bar: "tqdm[NoReturn]") -> None:
        """Add chunks; stop where there is more than the whole file has."""
        with writing(self.path, self.n_bytes), self.path.open("ab") as out:
            for chunk in chunks:
                out.write(chunk)
                out.flush()  # what has come survives a kill
                self.length += len(chunk)
                bar.update(len(chunk))
                if self.n_bytes is not None and self.length > self.n_bytes:
                    return

    def finish(self, path: Path) -> None:
        """Give the whole file its name, once it is safe on the disk."""
        with writing(self.path):
            with self.path.open("ab") as file:
                os.fsync(file.fileno())
            self.path.replace(path)
            self._note.unlink(missing_ok=True)


@contextmanager
def writing(path: Path, n_bytes: int | None = None) -> Iterator[None]:
    """Turn what the system says about a write into what a person can do about it.

    Args:
        path: what is written.
        n_bytes: its length once it is whole, where that is known.

    Raises:
        NoRoomError: the disk is full.
        UserError: it cannot be written.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise UserError(f"{path} cannot be written: {error.strerror}.") from None
        written = path.stat().st_size if path.exists() else 0
        missing = "more" if n_bytes is None else f"{n_bytes - written:,} more"
        raise NoRoomError(
            f"{path} cannot grow ({error.strerror}): it has {written:,} bytes and needs {missing}, with "
            f"{shutil.disk_usage(path.parent).free:,} free. Make room, then run this again."
        ) from None


def require_room(folder: Path, name: str, n_bytes: int) -> None:
    """Stop where the disk has not as many free bytes as are needed.

    Args:
        folder: where they go.
        name: what needs them, for the message.
        n_bytes: how many.

    Raises:
        NoRoomError: there are fewer.
    """
    free = shutil.disk_usage(folder).free
    if n_bytes > free:
        raise NoRoomError(
            f"{name} needs {n_bytes:,} bytes in {folder}, and {free:,} are free: {n_bytes - free:,} are missing. "
            f"Make room, or make {folder} a link to a folder on a larger disk; then run this again."
        )
