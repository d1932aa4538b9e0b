"""What was computed of an image's bytes, kept for the next run: of grown data, the new images alone are decoded.

A cache is one file in `.dvc/tmp`, so that the images stay in the project: records of one length, of the SHA-256 of an
image's bytes and what was made of them. Its name is a hash of the code, the parameters and the packages that make it:
a change of these begins a new file. The result of a stage is the same with and without it.
"""

import hashlib
import os
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import IO, Any, TypeAlias, TypeVar

import numpy as np
import PIL
from filelock import FileLock, Timeout
from numpy.typing import DTypeLike

from lesions.images.parallel_map import parallel_map

Result = TypeVar("Result")
Value: TypeAlias = Any  # an array or, of a compound type, a record
FOLDER = Path(".dvc/tmp/images")

KEPT_DAYS = 30
"""Caches that nobody reads are removed after so many days."""
MAX_BYTES = 4 * 2**30
"""Largest size of one cache: 28,000 images of 224×224 pixels."""


class ContentCache:
    """Values by the SHA-256 of an image's bytes.

    Args:
        path: of the file; None keeps nothing.
        value: the type of a value.
    """

    def __init__(self, path: Path | None, value: DTypeLike) -> None:
        self._record = np.dtype([("sha256", "V32"), ("crc", "<u4"), ("value", value)])
        self._records = np.empty(0, self._record)
        self._file: IO[bytes] | None = None
        self._row: dict[bytes, int] = {}
        if path is None:
            return
        self._file = path.open("ab")
        number = self._file.tell() // self._record.itemsize
        self._file.truncate(number * self._record.itemsize)  # what a killed run left of a record
        os.utime(path)
        if number:
            self._records = np.memmap(path, self._record, "r", shape=(number,))
        self._row = {bytes(sha256): row for row, sha256 in enumerate(self._records["sha256"])}

    def get(self, sha256: bytes) -> Value | None:
        """Return the value of an image, or None where there is none, or a damaged one."""
        row = self._row.get(sha256)
        if row is None:
            return None
        value = self._records["value"][row].copy()
        return value if zlib.crc32(value.tobytes()) == self._records["crc"][row] else None

    def add(self, sha256: bytes, value: Value) -> None:
        """Keep a value for the next run; where there is no room, nothing more is kept."""
        if self._file is None or self._file.tell() + self._record.itemsize > MAX_BYTES:
            return
        content = value.tobytes()
        try:
            self._file.write(sha256 + np.uint32(zlib.crc32(content)).astype("<u4").tobytes() + content)
        except OSError:
            self.close()

    def close(self) -> None:
        """Finish the file."""
        file, self._file = self._file, None
        if file is not None:
            try:
                file.close()
            except OSError:
                return


@contextmanager
def open_cache(name: str, value: DTypeLike, code: Sequence[Path], params: object) -> Iterator[ContentCache]:
    """Open the cache of one way to compute; where there is none to be had, of nothing.

    Args:
        name: what is kept.
        value: the type of a value.
        code: the modules that compute it, beside those of `lesions.images`.
        params: what else decides it; its `repr` counts.
    """
    digest = hashlib.sha256(repr((params, np.dtype(value), PIL.__version__, np.__version__)).encode())
    for file in (*sorted(Path(__file__).parent.glob("*.py")), *code):
        digest.update(file.read_bytes())
    path = FOLDER / f"{name}-{digest.hexdigest()[:32]}"
    with ExitStack() as stack:
        cache = ContentCache(None, value)
        # On a cluster, the images would not come by here.
        if FOLDER.parents[1].is_dir() and not os.environ.get("LESIONS_CLUSTER"):
            with suppress(OSError, Timeout):  # another run writes it, or nobody may
                FOLDER.mkdir(parents=True, exist_ok=True)
                _remove_old()
                stack.enter_context(FileLock(f"{path}.lock", timeout=0))
                cache = ContentCache(path, value)
        try:
            yield cache
        finally:
            cache.close()


def _remove_old() -> None:
    for file in FOLDER.iterdir():
        if file.stat().st_mtime < time.time() - KEPT_DAYS * 24 * 3600:
            file.unlink(missing_ok=True)


def cached_map(
    function: Callable[[bytes | ValueError], Result],
    contents: Iterable[bytes | ValueError],
    total: int,
    cache: ContentCache | None,
    pack: Callable[[Result], Value | None],
    unpack: Callable[[bytes, Value], Result],
    *,
    desc: str,
    workers: int = -1,
) -> Iterator[Result]:
    """Yield `function(content)` of each image's bytes, in order; what the cache has is not computed again.

    Args:
        function: see `parallel_map`.
        contents: the bytes, or why there are none.
        total: the number of images.
        cache: of `open_cache`; None keeps nothing.
        pack: makes a result into a value of the cache; None where it is not kept.
        unpack: makes the SHA-256 of the bytes, and the value, into the result again.
        desc: see `parallel_map`.
        workers: see `parallel_map`.
    """
    if cache is None or os.environ.get("LESIONS_CLUSTER"):
        yield from parallel_map(function, contents, total, desc=desc, workers=workers)
        return

    def one(content: bytes | ValueError) -> tuple[bytes, Result]:
        if isinstance(content, ValueError):
            return b"", function(content)
        sha256 = hashlib.sha256(content).digest()
        value = cache.get(sha256)
        return (sha256, function(content)) if value is None else (b"", unpack(sha256, value))

    for sha256, result in parallel_map(one, contents, total, desc=desc, workers=workers):
        if sha256 and (value := pack(result)) is not None:
            cache.add(sha256, value)
        yield result
