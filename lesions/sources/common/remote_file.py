"""A file that somebody publishes, and whether what is on the disk is that file."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from tqdm import tqdm

from lesions.archives import open_archive
from lesions.core.errors import UserError

CHUNK = 1 << 20
"""Bytes handled at once, at most."""
LARGE = 100_000_000
"""Files of more bytes take long enough to hash or copy that progress is shown."""
PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype\s+html|html)\b", re.IGNORECASE)
"""How a web page begins."""


@dataclass(frozen=True)
class RemoteFile:
    """A file as its publisher describes it; what nobody publishes is None.

    Attributes:
        name: the file's name here.
        urls: where it can be had, in the order in which they are tried.
        n_bytes: its length.
        md5: hexadecimal.
        sha256: hexadecimal.

    Raises:
        UserError: the name is no plain file name; some come from a server.
    """

    name: str
    urls: tuple[str, ...]
    n_bytes: int | None = None
    md5: str | None = None
    sha256: str | None = None

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\w[\w .()+-]{0,199}", self.name):
            raise UserError(f"{self.name!r} cannot be a file's name here; expected letters, digits, '_', '-' and '.'")

    @property
    def hashes(self) -> dict[str, str]:
        """The hashes that are published, by name."""
        known = {"md5": self.md5, "sha256": self.sha256}
        return {name: value.lower() for name, value in known.items() if value}


def find_problem(path: Path, file: RemoteFile, n_bytes: int | None = None) -> str:
    """Return why a file is not the one that is expected, or "".

    Args:
        path: the file.
        file: what it should be.
        n_bytes: its length as the server says, used where none is published.
    """
    expected = n_bytes if file.n_bytes is None else file.n_bytes
    try:
        with path.open("rb") as opened:
            beginning = opened.read(512)
        length = path.stat().st_size
        if PAGE.match(beginning):
            return f"a web page of {length:,} bytes, perhaps one to log in"
        if expected is not None and length != expected:
            return f"{length:,} bytes; expected {expected:,}"
        if not length and file.n_bytes is None:
            return "an empty file"
        hashes = file_hashes(path, file.hashes)
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    for name, wanted in file.hashes.items():
        if hashes[name] != wanted:
            return f"a file of the right length whose {name.upper()} is {hashes[name]}; expected {wanted}"
    if not file.hashes and path.name.removesuffix(".part").lower().endswith(".zip"):
        try:
            with open_archive(path):
                pass
        except UserError:
            return f"{length:,} bytes that do not open as a zip archive"
    return ""


def file_hashes(path: Path, names: Iterable[str]) -> dict[str, str]:
    """Return hashes of a file, hexadecimal, by name.

    Args:
        path: the file.
        names: `md5`, `sha256` or any other that hashlib knows.
    """
    digests = {name: hashlib.new(name, usedforsecurity=False) for name in names}
    if digests:
        for chunk in read_chunks(path, "checking"):
            for digest in digests.values():
                digest.update(chunk)
    return {name: digest.hexdigest() for name, digest in digests.items()}


def read_chunks(path: Path, doing: str) -> Iterator[bytes]:
    """Yield a file's bytes, with a progress bar if it is large."""
    size = path.stat().st_size
    with path.open("rb") as file, progress_bar(f"{doing} {path.name}", size, quiet=size < LARGE) as bar:
        while chunk := file.read(CHUNK):
            yield chunk
            bar.update(len(chunk))


def progress_bar(desc: str, total: int | None, *, quiet: bool, initial: int = 0) -> "tqdm[NoReturn]":
    """Return a progress bar of bytes; it shows the rate and the time left."""
    return tqdm(desc=desc, total=total, initial=initial, unit="B", unit_scale=True, disable=True if quiet else None)
