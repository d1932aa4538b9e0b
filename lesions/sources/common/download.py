"""Fetching files so that what stands under a file's name is that file, whole, or nothing.

What is on its way is `NAME.part`, with a note of its origin beside it, `NAME.part.json`. Both survive an interruption
of any kind, and the next run goes on from there. Only what has the right length and the right hashes is called NAME.
"""

import hashlib
import os
import re
import shutil
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from http import HTTPStatus
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import NoReturn

import requests
from dvc_objects.fs.system import reflink
from filelock import FileLock, Timeout
from pydantic import BaseModel, ValidationError
from tqdm import tqdm
from urllib3.exceptions import HTTPError, ReadTimeoutError

from lesions.archives import open_archive
from lesions.core.errors import NO_ROOM, UserError
from lesions.sources.common import http as web
from lesions.sources.common.http import WebError


def downloads(here: Path) -> Path:
    """Return the folder of downloads; in an experiment's copy of the project (`--temp`, `--queue`), the project's own.

    Args:
        here: the folder that the stage runs in.
    """
    for folder in here.parents:
        if folder.parts[-3:] == (".dvc", "tmp", "exps"):
            return folder.parents[2] / "data/downloads"
    return Path("data/downloads")


DOWNLOADS = downloads(Path.cwd())
"""What was fetched, or put there by hand. DVC does not track it: a stage that runs again fetches nothing again."""

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
        urls: where it can be had, in the order in which they are asked.
        bytes: its length.
        md5: hexadecimal.
        sha256: hexadecimal.

    Raises:
        UserError: the name is no plain file name; some come from a server.
    """

    name: str
    urls: tuple[str, ...]
    bytes: int | None = None
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


class NoRoomError(UserError):
    """The disk is full, or would be."""


def transfer(file: RemoteFile, folder: Path = DOWNLOADS) -> Path:
    """Return a verified file, fetched if it is not in the folder yet.

    What is there under its name is verified and used; it is never fetched again, changed or removed. Another run
    that fetches into the same folder is waited for.

    The length and each hash are compared where they are published. Where none is, the length is what the server
    says, a web page in place of the file is refused, and a zip archive must open.

    Raises:
        UserError: what is there under that name is another file; the disk is full; or no address gives the file
            (a `WebError`, with the status of the last one).
    """
    with nullcontext() if (folder / file.name).exists() else _alone(folder):
        return _obtain(file, folder, quiet=False)


def transfer_many(files: Sequence[RemoteFile], folder: Path, *, what: str, workers: int = 8) -> list[Path | UserError]:
    """Fetch many small files, several at a time, each as `transfer` does, under one progress bar.

    Args:
        files: their names must differ, in more than case.
        folder: where they go.
        what: what the progress bar says.
        workers: how many are fetched at once.

    Returns:
        For each file, in their order, its path, or why there is none.

    Raises:
        UserError: two have one name; the disk is full; or the server has gone, as the last 2 · `workers` files
            in a row got no answer or an overloaded server's. What was fetched by then stays.
    """
    if len({file.name.casefold() for file in files}) < len(files):
        raise UserError(f"{what}: two or more of {len(files):,} files have the same name; expected each once.")
    missing = [file for file in files if not (folder / file.name).exists()]
    results: list[Path | UserError] = []
    unanswered = 0
    with _alone(folder) if missing else nullcontext(), ThreadPool(workers) as pool:
        _require_room(folder, what, sum(file.bytes or 0 for file in missing))
        work = pool.imap(partial(_obtain_or_say, folder=folder), files)
        for result in tqdm(work, total=len(files), desc=what, unit=" files", disable=None):
            gone = isinstance(result, WebError) and web.may_pass(result.status)
            unanswered = unanswered + 1 if gone else 0
            if isinstance(result, NoRoomError):
                raise result
            if unanswered == 2 * workers:
                raise UserError(
                    f"{what}: {unanswered} files in a row could not be fetched, so the rest was not tried. The last "
                    f"error: {result}\nRun this again later: what was fetched stays in {folder}."
                )
            results.append(result)
    return results


def link(path: Path, folder: Path) -> Path:
    """Put a verified file into another folder too: as a clone where the file system can, else as a copy.

    Never as a hard link: where DVC's `cache.type` is hardlink, the cache would share the person's file, make it
    read-only, and hold, without a word, whatever is written into it later; DVC trusts its read-only files.

    Raises:
        UserError: it cannot be written.
    """
    target = folder / path.name
    with _writing(target, path.stat().st_size):
        folder.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)  # it may be a link into DVC's cache: replaced, never written through
        with suppress(OSError):
            reflink(path, target)  # type: ignore[no-untyped-call]
            return target
        with target.open("wb") as copy:
            for chunk in _read(path, "copying"):
                copy.write(chunk)
    return target


# One file


def _obtain(file: RemoteFile, folder: Path, *, quiet: bool) -> Path:
    """Verify the file that is there, or fetch it."""
    path = folder / file.name
    if not path.exists():
        _fetch(file, path, quiet=quiet)
    elif problem := _problem(path, file):
        raise UserError(
            f"{path} is not the file that is expected: {problem}. It was left as it is. Move it away and run "
            f"this again, and it is fetched from {' or '.join(file.urls)}; or put the right one there."
        )
    return path


def _obtain_or_say(file: RemoteFile, folder: Path) -> Path | UserError:
    try:
        return _obtain(file, folder, quiet=True)
    except UserError as error:
        return error


def _fetch(file: RemoteFile, path: Path, *, quiet: bool) -> None:
    """Fetch a file from the first of its addresses that gives it."""
    part = _Part(file, path)
    if file.bytes is not None:
        _require_room(path.parent, file.name, file.bytes - part.length)
    begun = part.origin.url if part.origin else None
    problems = []
    status = None
    with _bar(file.name, file.bytes, quiet=quiet, initial=part.length) as bar:
        for url in sorted(file.urls, key=lambda url: url != begun):  # first, the one that can go on
            try:
                _fetch_from(url, file, part, bar)
            except WebError as error:
                problems.append(f"  {error}")
                status = error.status
            else:
                part.finish(path)
                return
    kept = f"What has come so far, {part.length:,} bytes, is kept, and the next run goes on.\n" if part.length else ""
    raise WebError(
        "\n".join([f"{file.name} could not be fetched:", *problems])
        + f"\n{kept}Run this again later, or fetch the file with a browser and put it into {path.parent} under the "
        f"name {path.name}: it is verified and used.",
        status,
    )


def _fetch_from(url: str, file: RemoteFile, part: "_Part", bar: "tqdm[NoReturn]") -> None:
    """Fetch from one address until the part is the whole file, and right.

    Raises:
        WebError: it does not give it.
    """
    for again in (True, False):
        in_one_piece = _receive(url, file, part, bar)
        problem = _problem(part.path, file, part)
        if not problem:
            return
        part.discard()
        if in_one_piece or not again:
            raise WebError(f"{url}: gave {problem}", HTTPStatus.OK)
        # The pieces may be of two versions of the file, or one was damaged on the disk: all of it, once more.


def _receive(url: str, file: RemoteFile, part: "_Part", bar: "tqdm[NoReturn]") -> bool:
    """Add to the part what an address gives, asking for the rest where an answer breaks off, until it is complete.

    Returns:
        Whether all of it came in one answer.

    Raises:
        WebError: the address gives nothing that can be used, or breaks off at the same place again and again.
    """
    furthest = part.length
    failures = 0
    while True:
        validator = part.validator(url)
        if validator is not None and part.length == part.total:
            return False  # an earlier run ended between the last byte and the new name
        try:
            answer = _ask(url, part.length, validator)
        except WebError as error:
            if error.status != HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE or validator is None:
                raise
            part.discard()
            continue
        with answer:
            goes_on = validator is not None and answer.status_code == HTTPStatus.PARTIAL_CONTENT
            if not goes_on:
                part.restart(_origin(url, file, answer))
            elif not part.is_continued_by(answer):
                part.discard()
                continue
            total = bar.total = part.total
            bar.update(part.length - bar.n)
            _require_room(part.path.parent, file.name, (total or 0) - part.length)
            try:
                part.append(_chunks(answer), total, bar)
                ended = answer.raw.chunked and not goes_on  # as the server says itself
                if ended or total is None or part.length >= total:
                    return not goes_on
                raise _BrokenOffError("ended early")
            except _BrokenOffError as error:
                failures = 1 if part.length > furthest else failures + 1
                furthest = max(furthest, part.length)
                problem = f"{url}: {error} after {part.length:,} bytes"
        if failures == web.ATTEMPTS:
            raise WebError(f"{problem}, {failures} times without getting further")
        web.wait(failures, problem)


def _ask(url: str, start: int, validator: str | None) -> requests.Response:
    """Ask for a file, or for the rest of the version that the validator names, from byte `start` on."""
    headers = {"Accept-Encoding": "identity"}
    if validator is not None:
        headers["Range"] = f"bytes={start}-"
    if validator:
        headers["If-Range"] = validator
    answer = web.get(url, headers=headers, stream=True)
    if (encoding := answer.headers.get("Content-Encoding", "identity")) != "identity":
        answer.close()
        raise WebError(f"{url}: answered in the encoding {encoding!r}, where the file as it is was asked for")
    return answer


def _origin(url: str, file: RemoteFile, answer: requests.Response) -> "_Origin":
    """Return what an answer says of the file that it begins.

    Raises:
        WebError: it cannot be that file.
    """
    kind = answer.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    length: int | None = answer.raw.length_remaining
    if answer.status_code != HTTPStatus.OK:
        problem = f"answered {answer.status_code}, where the whole file was asked for"
    elif kind in ("text/html", "application/xhtml+xml") and not _is_page_by_name(file.name):
        problem = "answered with a web page, perhaps one to log in, in place of the file"
    elif length is not None and file.bytes not in (None, length):
        problem = f"gives a file of {length:,} bytes; expected {file.bytes:,}"
    elif length is None and not answer.raw.chunked and file.bytes is None and not file.hashes:
        problem = "does not say where the file ends, so that half of it could be taken for all of it"
    else:
        return _Origin(
            url=url,
            etag=answer.headers.get("ETag"),
            last_modified=answer.headers.get("Last-Modified"),
            total=length if file.bytes is None else file.bytes,
        )
    raise WebError(f"{url}: {problem}", answer.status_code)


class _BrokenOffError(Exception):
    """An answer ended before it was complete."""


def _chunks(answer: requests.Response) -> Iterator[bytes]:
    """Yield the body as it arrives, with nothing waited for that a break would lose."""
    while True:
        try:
            chunk: bytes = answer.raw.read1(CHUNK, decode_content=False)
        except HTTPError as error:
            silent = isinstance(error, ReadTimeoutError)
            raise _BrokenOffError(f"silent for {web.SILENCE_SECONDS:g} s" if silent else "broke off") from None
        if not chunk:
            return
        yield chunk


# What is on its way


class _Origin(BaseModel):
    """Where a part comes from: the address that was asked, never one it led to, since such links expire."""

    url: str
    etag: str | None
    last_modified: str | None
    total: int | None


class _Part:
    """What has come of a file, hashed as it comes.

    Attributes:
        path: where it is.
        length: bytes so far.
        origin: where they are from; None where that is not known, and what is there is of no use then.
        hashes: theirs, for each hash that is published of the whole file.
    """

    def __init__(self, file: RemoteFile, path: Path) -> None:
        self.path = path.with_name(f"{path.name}.part")
        self._note = path.with_name(f"{path.name}.part.json")
        self._file = file
        self.origin: _Origin | None = None
        with suppress(OSError, ValidationError):
            self.origin = _Origin.model_validate_json(self._note.read_bytes())
        self.length = self.path.stat().st_size if self.origin and self.path.exists() else 0
        self.hashes = _hash(self.path, file) if self.length else _Hashes(file)

    @property
    def total(self) -> int | None:
        """How many bytes the whole file has, as far as that is known."""
        return self.origin.total if self.origin else None

    def validator(self, url: str) -> str | None:
        """Return what tells an address which version of its file this is: the ETag, or the date of change.

        "" means that only the hash will tell; None, that the part cannot be gone on with there.
        """
        if not self.origin or self.origin.url != url or not self.length:
            return None
        etag = self.origin.etag
        if etag and not etag.startswith("W/"):  # weak ones must not be used for this: RFC 9110, 13.1.5
            return etag
        return self.origin.last_modified or ("" if self._file.hashes else None)

    def is_continued_by(self, answer: requests.Response) -> bool:
        """Whether a partial answer begins where this ends, and is of the same version of the file."""
        found = re.fullmatch(r"bytes (\d{1,18})-\d{1,18}/(\d{1,18}|\*)", answer.headers.get("Content-Range", ""))
        if not found or not self.origin or int(found[1]) != self.length:
            return False
        said_and_known = (
            (found[2].strip("*"), str(self.total or "")),
            (answer.headers.get("ETag"), self.origin.etag),
            (answer.headers.get("Last-Modified"), self.origin.last_modified),
        )
        return all(not said or not known or said == known for said, known in said_and_known)

    def discard(self) -> None:
        """Remove it."""
        with _writing(self.path):
            self._note.unlink(missing_ok=True)
            self.path.unlink(missing_ok=True)
        self.origin = None
        self.length = 0
        self.hashes = _Hashes(self._file)

    def restart(self, origin: _Origin) -> None:
        """Begin anew, with a file of that origin."""
        self.discard()
        with _writing(self.path, origin.total):
            self._note.write_text(origin.model_dump_json(), encoding="utf-8")
        self.origin = origin

    def append(self, chunks: Iterator[bytes], total: int | None, bar: "tqdm[NoReturn]") -> None:
        """Add chunks to the file and to the hashes; stop where there is more than the total."""
        with _writing(self.path, total), self.path.open("ab", buffering=0) as out:
            for chunk in chunks:
                rest = memoryview(chunk)
                while rest:
                    written = out.write(rest)
                    self.hashes.update(rest[:written])
                    self.length += written
                    rest = rest[written:]
                bar.update(len(chunk))
                if total is not None and self.length > total:
                    return

    def finish(self, path: Path) -> None:
        """Give the whole file its name, once it is safe on the disk."""
        with _writing(self.path):
            with self.path.open("ab") as file:
                os.fsync(file.fileno())
            self.path.replace(path)
            self._note.unlink(missing_ok=True)


# Is it the file?


def _problem(path: Path, file: RemoteFile, part: _Part | None = None) -> str:
    """Return why a file is not the one that is expected, or "".

    Args:
        path: the file.
        file: what it should be.
        part: what is known of it, if it has just come.
    """
    try:
        with path.open("rb") as opened:
            beginning = opened.read(512)
        length = path.stat().st_size
        expected = part.total if part and file.bytes is None else file.bytes
        if PAGE.match(beginning) and not _is_page_by_name(file.name):
            return f"a web page of {length:,} bytes, perhaps one to log in"
        if expected is not None and length != expected:
            return f"{length:,} bytes; expected {expected:,}"
        if not length and file.bytes is None:
            return "an empty file"
        hashes = (part.hashes if part else _hash(path, file)).found()
    except OSError as error:
        raise UserError(f"{path} cannot be read: {error.strerror}.") from None
    for name, wanted in file.hashes.items():
        if hashes[name] != wanted:
            return f"a file of the right length whose {name.upper()} is {hashes[name]}; expected {wanted}"
    if not file.hashes and path.name.removesuffix(".part").lower().endswith(".zip"):
        try:
            open_archive(path).close()
        except UserError:
            return f"{length:,} bytes that do not open as a zip archive"
    return ""


def _is_page_by_name(name: str) -> bool:
    return name.lower().endswith((".html", ".htm", ".xhtml"))


class _Hashes:
    """The hashes of a stream, each taken in a thread of its own: hashlib lets go of Python's lock."""

    def __init__(self, file: RemoteFile) -> None:
        self._digests = {name: hashlib.new(name, usedforsecurity=False) for name in file.hashes}
        self._pool = ThreadPoolExecutor(len(self._digests) or 1)
        self._running: list[Future[None]] = []

    def update(self, chunk: bytes | memoryview) -> None:
        """Add a chunk, once the one before it is done."""
        wait(self._running)
        self._running = [self._pool.submit(digest.update, chunk) for digest in self._digests.values()]

    def found(self) -> dict[str, str]:
        """Return them by name, hexadecimal."""
        wait(self._running)
        return {name: digest.hexdigest() for name, digest in self._digests.items()}


def _hash(path: Path, file: RemoteFile) -> _Hashes:
    """Hash what is on the disk."""
    hashes = _Hashes(file)
    if file.hashes:
        for chunk in _read(path, "checking"):
            hashes.update(chunk)
    return hashes


# The disk


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Make the folder, and be the only run that writes into it; the lock ends with the process, however it ends."""
    lock = FileLock(folder / ".lock")
    with _writing(folder):
        folder.mkdir(parents=True, exist_ok=True)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            print(f"Another run is fetching into {folder}: waiting for it.", flush=True)
            lock.acquire()
    try:
        yield
    finally:
        lock.release()


@contextmanager
def _writing(path: Path, total: int | None = None) -> Iterator[None]:
    """Turn what the system says about a write into what a person can do about it.

    Args:
        path: what is written.
        total: how many bytes it is to have, where that is known.
    """
    try:
        yield
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise UserError(f"{path} cannot be written: {error.strerror}.") from None
        written = path.stat().st_size if path.exists() else 0
        missing = "more" if total is None else f"{total - written:,} more"
        raise NoRoomError(
            f"{path} cannot grow ({error.strerror}): it has {written:,} bytes and needs {missing}, with "
            f"{shutil.disk_usage(path.parent).free:,} free. Make room, then run this again."
        ) from None


def _require_room(folder: Path, what: str, needed: int) -> None:
    """Stop where the disk has not as many free bytes as are needed."""
    free = shutil.disk_usage(folder).free
    if needed > free:
        raise NoRoomError(
            f"{what} needs {needed:,} bytes in {folder}, and {free:,} are free: {needed - free:,} are missing. "
            f"Make room, or make {folder} a link to a folder on a larger disk; then run this again."
        )


def _read(path: Path, doing: str) -> Iterator[bytes]:
    """Yield a file's bytes, with a progress bar if it is large."""
    size = path.stat().st_size
    with path.open("rb") as file, _bar(f"{doing} {path.name}", size, quiet=size < LARGE) as bar:
        while chunk := file.read(CHUNK):
            yield chunk
            bar.update(len(chunk))


def _bar(what: str, total: int | None, *, quiet: bool, initial: int = 0) -> "tqdm[NoReturn]":
    """Return a progress bar of bytes; it shows the rate and the time left."""
    return tqdm(desc=what, total=total, initial=initial, unit="B", unit_scale=True, disable=True if quiet else None)
