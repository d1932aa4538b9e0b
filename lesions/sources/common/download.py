"""Download files: under a file's name there is that file, complete and verified, or nothing.

Until it has the right length and the right hashes, it is a `PartialDownload`.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from functools import partial
from http import HTTPStatus
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import NoReturn

import requests
from dvc_objects.fs.system import reflink
from filelock import FileLock, Timeout
from tqdm import tqdm

from lesions.core.errors import UserError
from lesions.sources.common import http as web
from lesions.sources.common.http import WebError
from lesions.sources.common.partial_download import NoRoomError, Origin, PartialDownload, require_room, writing
from lesions.sources.common.remote_file import RemoteFile, find_problem, progress_bar, read_chunks


def downloads(here: Path) -> Path:
    """Return the folder of downloads of a stage that runs here; of DVC's workspaces for experiments, the project's."""
    for folder in here.parents:
        if folder.parts[-3:] == (".dvc", "tmp", "exps"):
            return folder.parents[2] / "data/downloads"
    return Path("data/downloads")


RESUMED = (HTTPStatus.PARTIAL_CONTENT, HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
"""What is answered where the rest of a file is requested: the rest, or that there is none."""
DOWNLOADS = downloads(Path.cwd())
"""What was fetched, or put there by hand. DVC does not track it: a stage that runs again fetches nothing again."""


def download(file: RemoteFile, folder: Path = DOWNLOADS) -> Path:
    """Return a verified file, fetched if it is not in the folder yet.

    What is there under its name is verified and used; it is never fetched again, changed or removed. Another run
    that fetches into the same folder is waited for.

    Args:
        file: its length and each hash are compared where they are published. Where none is, the length is what the
            server says, a web page in place of the file is refused, and a zip archive must open.
        folder: where it goes.

    Raises:
        UserError: what is there under that name is another file; the disk is full; or no address gives the file
            (a `WebError`, with the status of the last one).
    """
    with nullcontext() if (folder / file.name).exists() else folder_lock(folder):
        return _obtain(file, folder, quiet=False)


def download_many(files: Sequence[RemoteFile], folder: Path, *, desc: str, workers: int = 8) -> list[Path | UserError]:
    """Fetch many small files, several at a time, each as `download` does, under one progress bar.

    Args:
        files: their names must differ, in more than case.
        folder: where they go.
        desc: of the progress bar.
        workers: how many are fetched at once.

    Returns:
        For each file, in their order, its path, or why there is none.

    Raises:
        UserError: two have one name; the disk is full; or the server has gone, as the last 2 · `workers` files
            in a row got no answer or an overloaded server's. What was fetched by then stays.
    """
    if len({file.name.casefold() for file in files}) < len(files):
        raise UserError(f"{desc}: two or more of {len(files):,} files have the same name; expected each once.")
    missing = [file for file in files if not (folder / file.name).exists()]
    results: list[Path | UserError] = []
    unanswered = 0
    with folder_lock(folder) if missing else nullcontext(), ThreadPool(workers) as pool:
        require_room(folder, desc, sum(file.n_bytes or 0 for file in missing))
        work = pool.imap(partial(_obtain_or_error, folder=folder), files)
        for result in tqdm(work, total=len(files), desc=desc, unit=" files", disable=None):
            unanswered = unanswered + 1 if isinstance(result, WebError) and result.transient else 0
            if isinstance(result, NoRoomError):
                raise result
            if unanswered == 2 * workers:
                raise UserError(
                    f"{desc}: {unanswered} files in a row could not be fetched, so the rest was not tried. The last "
                    f"error: {result}\nRun this again later: what was fetched stays in {folder}."
                )
            results.append(result)
    return results


def copy_to(path: Path, folder: Path) -> Path:
    """Put a verified file into another folder too, and return its path there.

    It is a clone where the file system can make one, else a copy. Never a hard link: with `cache.type = hardlink`
    DVC's cache would share the person's file, and hold whatever is written into it later.

    Args:
        path: the file.
        folder: where it goes, made if it is missing.

    Raises:
        UserError: it cannot be written.
    """
    target = folder / path.name
    with writing(target, path.stat().st_size):
        folder.mkdir(parents=True, exist_ok=True)
        target.unlink(missing_ok=True)  # it may be a link into DVC's cache: replaced, never written through
        with suppress(OSError):
            reflink(path, target)  # type: ignore[no-untyped-call]
            return target
        with target.open("wb") as out:
            for chunk in read_chunks(path, "copying"):
                out.write(chunk)
    return target


@contextmanager
def folder_lock(folder: Path) -> Iterator[None]:
    """Make the folder, and be the only run that writes into it; the lock ends with the process, however it ends."""
    lock = FileLock(folder / ".lock")
    with writing(folder):
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


def _obtain(file: RemoteFile, folder: Path, *, quiet: bool) -> Path:
    """Verify the file that is there, or fetch it."""
    path = folder / file.name
    if not path.exists():
        _fetch(file, path, quiet=quiet)
    elif problem := find_problem(path, file):
        raise UserError(
            f"{path} is not the file that is expected: {problem}. It was left as it is. Move it away and run "
            f"this again, and it is fetched from {' or '.join(file.urls)}; or put the right one there."
        )
    return path


def _obtain_or_error(file: RemoteFile, folder: Path) -> Path | UserError:
    try:
        return _obtain(file, folder, quiet=True)
    except UserError as error:
        return error


def _fetch(file: RemoteFile, path: Path, *, quiet: bool) -> None:
    """Fetch a file from the first of its addresses that gives it."""
    part = PartialDownload(path, hashed=bool(file.hashes))
    if file.n_bytes is not None:
        require_room(path.parent, file.name, file.n_bytes - part.length)
    begun = part.origin.url if part.origin else None
    errors: list[WebError] = []
    with progress_bar(file.name, file.n_bytes, quiet=quiet, initial=part.length) as bar:
        for url in sorted(file.urls, key=lambda url: url != begun):  # first, the one that can go on
            try:
                _fetch_from(url, file, part, bar)
            except WebError as error:
                errors.append(error)
            else:
                part.finish(path)
                return
    kept = f"What has come so far, {part.length:,} bytes, is kept, and the next run goes on.\n" if part.length else ""
    raise WebError(
        "\n  ".join([f"{file.name} could not be fetched:", *map(str, errors)])
        + f"\n{kept}Run this again later, or fetch the file with a browser and put it into {path.parent} under the "
        f"name {path.name}: it is verified and used.",
        errors[-1].status,
        transient=errors[-1].transient,
    )


def _fetch_from(url: str, file: RemoteFile, part: PartialDownload, bar: "tqdm[NoReturn]") -> None:
    """Fetch from one address until the part is the whole file, and right."""
    for last in (False, True):
        web.retry(partial(_receive, url, file, part, bar), lambda: part.length)
        problem = find_problem(part.path, file, part.n_bytes)
        if not problem:
            return
        part.discard()
        if part.in_one_piece or last:
            raise WebError(f"{url}: gave {problem}", HTTPStatus.OK)
        # The pieces may be of two versions of the file, or one was damaged on the disk: all of it, once more.


def _receive(url: str, file: RemoteFile, part: PartialDownload, bar: "tqdm[NoReturn]") -> None:
    """Request what is missing of the part, and append it."""
    resume = part.resume_headers(url)
    if resume and part.length == part.n_bytes:
        return  # an earlier run ended between the last byte and the new name
    with web.request(url, {"Accept-Encoding": "identity", **resume}, stream=True) as response:
        if (encoding := response.headers.get("Content-Encoding", "identity")) != "identity":
            raise WebError(f"{url}: answered in the encoding {encoding!r}, where the file as it is was requested")
        if not resume or response.status_code not in RESUMED:
            part.restart(_origin(url, file, response))
        elif part.is_continued_by(response):
            part.in_one_piece = False
        else:
            part.discard()
            _receive(url, file, part, bar)
            return
        total = bar.total = part.n_bytes
        bar.update(part.length - bar.n)
        require_room(part.path.parent, file.name, (total or 0) - part.length)
        try:
            part.append(web.body(response), bar)
            ended = response.raw.chunked and part.in_one_piece  # as the server says itself
            if not ended and total is not None and part.length < total:
                raise WebError("ended early")
        except WebError as error:
            raise WebError(f"{url}: {error} after {part.length:,} bytes", transient=True) from None


def _origin(url: str, file: RemoteFile, response: requests.Response) -> Origin:
    """Return what an answer says of the file that it begins; a WebError where it cannot be that file."""
    kind = response.headers.get("Content-Type", "").partition(";")[0].strip().lower()
    length: int | None = response.raw.length_remaining
    if response.status_code != HTTPStatus.OK:
        problem = f"answered {response.status_code}, where the whole file was requested"
    elif kind in ("text/html", "application/xhtml+xml"):
        problem = "answered with a web page, perhaps one to log in, in place of the file"
    elif length is not None and file.n_bytes not in (None, length):
        problem = f"gives a file of {length:,} bytes; expected {file.n_bytes:,}"
    elif length is None and not response.raw.chunked and file.n_bytes is None and not file.hashes:
        problem = "does not say where the file ends, so that half of it could be taken for all of it"
    else:
        return Origin(
            url=url,
            etag=response.headers.get("ETag"),
            last_modified=response.headers.get("Last-Modified"),
            n_bytes=length if file.n_bytes is None else file.n_bytes,
        )
    raise WebError(f"{url}: {problem}", response.status_code)
