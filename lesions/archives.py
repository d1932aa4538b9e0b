"""Images inside archives, zip or HDF5: found and read in place, with nothing in an archive trusted.

No member's name is ever used as a path. What cannot be read safely gets a reason instead of bytes. An HDF5 file is an
archive where each dataset at its top is the bytes of an image's file, as ISIC's of 2024 is.
"""

import io
import re
import stat
import unicodedata
import zipfile
import zlib
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import pairwise
from pathlib import Path
from posixpath import splitext
from typing import TYPE_CHECKING, NamedTuple

from lesions.core.errors import UserError
from lesions.core.sanitize import sanitize, unsafe_reason

if TYPE_CHECKING:
    import h5py

ARCHIVES = {".zip", ".hdf5", ".h5"}
"""How archives' names end."""
EXTENSIONS = {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".tif", ".tiff", ".webp"),
    *(".gif", ".heic", ".heif", ".avif", ".jp2"),
}
"""What is read; those of the second line are set aside with a reason, instead of passed over."""
MASK = re.compile(r"_(superpixels|segmentation|attribute_\w+)$", re.IGNORECASE)
"""How the names of what the ISIC challenges draw over an image end: maps of its regions, no images of a lesion."""
MAX_BYTES = 100_000_000
"""A member that unpacks to more is no dermoscopy image but a bomb."""
MAX_RATIO = 100
"""So is one of over a million bytes that unpacks to so many times its own; an uncompressed image shrinks to a
fifth or so, and others hardly at all."""
MAX_DIRECTORY = 100_000_000
"""Bytes of the list of members that an archive ends with, some 100 a member: all of ISIC's half a million images
need half of it. zipfile reads the list whole, into ten times the memory."""


class Member(NamedTuple):
    """An image in an archive.

    Attributes:
        archive: the archive's file name.
        name: the member's name in the archive; a key, never a path.
        image_id: the name's last part without its extension.
        crc: the CRC-32 of its bytes, as the archive says; 0 in HDF5.
        problem: why it cannot be read, or "".
    """

    archive: str
    name: str
    image_id: str
    crc: int
    problem: str


class _File(io.BufferedReader):
    """An archive's bytes. What zipfile reads in one piece, the list of members above all, is bounded."""

    def read(self, size: int | None = -1, /) -> bytes:
        if size is not None and size > MAX_DIRECTORY:
            raise zipfile.BadZipFile(
                f"{size:,} bytes for the list of its members, and at most {MAX_DIRECTORY:,} are read"
            )
        return super().read(size)


@contextmanager
def open_archive(path: Path) -> Iterator[zipfile.ZipFile]:
    """Open a zip archive.

    Raises:
        UserError: it is truncated, no zip archive, or lists more members than any collection of images has;
            or its own name is unsafe in our tables.
    """
    if reason := unsafe_reason(path.name):
        raise UserError(f"The name of the archive {sanitize(path.name)} {reason}; expected a plain one. Rename it.")
    with _File(io.FileIO(path)) as file:
        try:
            archive = zipfile.ZipFile(file)
        # zipfile's NotImplementedError is of an archive that asks for a later version of the format than it reads.
        except (zipfile.BadZipFile, EOFError, NotImplementedError, ValueError) as error:
            raise UserError(
                f"{sanitize(str(path))} cannot be opened as a zip archive ({sanitize(str(error))}): it is truncated or "
                "damaged, or of a later zip format than Python reads. Copy or download it again, or pack it anew; "
                "`unzip -t` tests it."
            ) from None
        yield archive


@contextmanager
def open_hdf5(path: Path) -> "Iterator[h5py.File]":
    """Open an HDF5 file.

    Raises:
        UserError: it is truncated or no HDF5 file; or its own name is unsafe in our tables.
    """
    import h5py  # only where there is such a file

    if reason := unsafe_reason(path.name):
        raise UserError(f"The name of the archive {sanitize(path.name)} {reason}; expected a plain one. Rename it.")
    try:
        file = h5py.File(path, "r")
    except OSError as error:
        raise UserError(
            f"{sanitize(str(path))} cannot be opened as an HDF5 file ({sanitize(str(error))}): it is truncated or "
            "damaged. Copy or download it again."
        ) from None
    with file:
        yield file


def list_archives(folder: Path) -> list[Path]:
    """Return the archives that lie in a folder, sorted by name."""
    return [path for path in sorted(folder.iterdir()) if path.suffix.lower() in ARCHIVES]


def list_members(path: Path) -> list[Member]:
    """List the images of one archive, in its own order; other files and folders are passed over."""
    if path.suffix.lower() != ".zip":
        with open_hdf5(path) as file:
            return [Member(path.name, name, image_name(name), 0, _hdf5_problem(file, name)) for name in file]
    with open_archive(path) as archive:
        infos = archive.infolist()
    overlapping = _overlapping(infos)
    seen: set[str] = set()
    members = []
    for info in (info for info in infos if is_image(info.filename)):
        problem = "name occurs twice in the archive" if info.filename in seen else _problem(info)
        if not problem and info.header_offset in overlapping:
            problem = "shares its bytes with another member of the archive"
        members.append(Member(path.name, info.filename, image_name(info.filename), info.CRC, problem))
        seen.add(info.filename)
    return members


def read_member(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> bytes:
    """Return a member's bytes, and never unpack more of them than the archive's list of members declares.

    Raises:
        ValueError: says what is wrong with it.
    """
    try:
        with archive.open(info) as file:
            # Not `archive.read`, which unpacks all that there is before it looks at the length. zipfile
            # compares the CRC once the declared length is reached.
            content = file.read(info.file_size)
    except (zipfile.BadZipFile, EOFError, OSError, RuntimeError, ValueError, zlib.error) as error:
        raise ValueError(f"damaged in the archive: {sanitize(str(error))}") from None
    if len(content) < info.file_size:
        raise ValueError(f"damaged in the archive: {len(content):,} of {info.file_size:,} bytes")
    return content


def read_members(folder: Path, members: Iterable[tuple[str, str]]) -> Iterator[bytes | ValueError]:
    """Yield the bytes of each (archive, member name), or a `ValueError` that says why there are none."""
    readers: dict[str, Callable[[str], bytes]] = {}
    with ExitStack() as stack:
        for archive, name in members:
            if archive not in readers:
                path = folder / archive
                readers[archive] = (
                    _zip_reader(stack.enter_context(open_archive(path)))
                    if path.suffix.lower() == ".zip"
                    else partial(_read_hdf5, stack.enter_context(open_hdf5(path)))
                )
            try:
                yield readers[archive](name)
            except ValueError as error:
                yield error


def _zip_reader(archive: zipfile.ZipFile) -> Callable[[str], bytes]:
    """Return what reads a member by its name."""
    # Of a doubled name the first, which is the one that was checked; zipfile takes the last.
    infos = {info.filename: info for info in reversed(archive.infolist())}
    return lambda name: read_member(archive, infos[name])


def _read_hdf5(file: "h5py.File", name: str) -> bytes:
    try:
        content = file[name][()]
    except (OSError, RuntimeError, KeyError) as error:
        raise ValueError(f"damaged in the archive: {sanitize(str(error))}") from None
    return content if isinstance(content, bytes) else content.tobytes()


def image_name(name: str) -> str:
    """Return what an image is called by its file's name: the last part without its extension, in Unicode's NFC.

    A Mac writes an accent as a character of its own, and most tables do not.
    """
    last = unicodedata.normalize("NFC", _parts(name)[-1])
    return splitext(last)[0] if splitext(last)[1].lower() in EXTENSIONS else last


def is_image(name: str) -> bool:
    """Whether a file's name is an image's; folders, masks, hidden files and what macOS adds to archives are not."""
    *folders, last = _parts(name)
    stem, extension = splitext(last)
    hidden = last.startswith(".") or "__MACOSX" in folders
    return extension.lower() in EXTENSIONS and not hidden and not MASK.search(stem)


def _parts(name: str) -> list[str]:
    return name.replace("\\", "/").split("/")  # some archives have backslashes


def _problem(info: zipfile.ZipInfo) -> str:
    parts = _parts(info.filename)
    if parts[0] == "" or ":" in parts[0] or ".." in parts:
        return "unsafe path in the archive"
    # zipfile cuts a name at its first NUL.
    if reason := unsafe_reason(info.orig_filename):
        return f"name {reason}"
    if stat.S_IFMT(info.external_attr >> 16) not in (0, stat.S_IFREG):
        return "a link or device, no file"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "compressed in a way that is not read safely"  # zipfile does not bound what bzip2 and LZMA give
    if info.flag_bits & 0x1:
        return "encrypted"
    if info.file_size == 0:
        return "empty file"
    if max(info.file_size, info.compress_size) > MAX_BYTES:
        return f"declares more than {MAX_BYTES:,} bytes"
    if info.file_size > max(1_000_000, MAX_RATIO * info.compress_size):
        return f"unpacks to more than {MAX_RATIO} times its bytes"
    return ""


def _hdf5_problem(file: "h5py.File", name: str) -> str:
    """Say why a member cannot be read safely: a link leads to another file, and so may a dataset kept outside."""
    import h5py

    if reason := unsafe_reason(name):
        return f"name {reason}"
    if not isinstance(file.get(name, getlink=True), h5py.HardLink):
        return "a link, no image"
    try:
        item = file[name]
    except (OSError, RuntimeError, KeyError) as error:
        return f"damaged in the archive: {sanitize(str(error))}"
    if not isinstance(item, h5py.Dataset) or item.is_virtual or item.external:
        return "no dataset of its own"
    is_text = h5py.check_string_dtype(item.dtype) is not None  # of other objects, h5py makes no bytes
    if item.dtype.kind != "V" and item.dtype.itemsize != 1 and not is_text:
        return "not the bytes of an image's file"
    n_bytes = (item.size or 0) * item.dtype.itemsize
    if n_bytes > MAX_BYTES:
        return f"declares more than {MAX_BYTES:,} bytes"
    return "" if n_bytes else "empty file"


def _overlapping(infos: list[zipfile.ZipInfo]) -> set[int]:
    """Return where members begin whose bytes run into another's: thousands of bombs can share one."""
    spans = sorted((info.header_offset, 30 + len(info.orig_filename) + info.compress_size) for info in infos)
    return {begin for (begin, length), (following, _) in pairwise(spans) if begin + length > following}
