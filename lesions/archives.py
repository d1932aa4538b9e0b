"""Pictures inside zip archives: found and read in place, with nothing in an archive trusted.

No member's name is ever used as a path. What cannot be read safely gets a reason instead of bytes.
"""

import zipfile
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from lesions.errors import UserError

EXTENSIONS = {
    *(".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".bmp", ".tif", ".tiff", ".webp"),
    *(".gif", ".heic", ".heif", ".avif", ".jp2"),
}
"""What is looked at; those of the second line are set aside with a reason, instead of passed over."""
MAX_BYTES = 100_000_000
"""A member that unpacks to more is no dermoscopy picture but a bomb."""


class Member(NamedTuple):
    """A picture in an archive.

    Attributes:
        archive: the archive's file name.
        name: the member's name in the archive; a key, never a path.
        image_id: the name's last part without its extension.
        problem: why it cannot be read, or "".
    """

    archive: str
    name: str
    image_id: str
    problem: str


def open_archive(path: Path) -> zipfile.ZipFile:
    """Open a zip archive.

    Raises:
        UserError: it is truncated or no zip archive.
    """
    try:
        return zipfile.ZipFile(path)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, ValueError) as error:
        raise UserError(
            f"{path} cannot be opened as a zip archive ({error}): it is truncated or damaged. "
            "Copy or download it again; `unzip -t` tests it."
        ) from None


def list_members(path: Path) -> list[Member]:
    """List the pictures of one archive, in its own order; other files and folders are passed over."""
    seen: set[str] = set()
    members = []
    with open_archive(path) as archive:
        for info in archive.infolist():
            if is_picture(info.filename):
                problem = "name occurs twice in the archive" if info.filename in seen else _problem(info)
                members.append(Member(path.name, info.filename, stem(info.filename), problem))
                seen.add(info.filename)
    return members


def read_members(folder: Path, members: Iterable[tuple[str, str]]) -> Iterator[bytes | ValueError]:
    """Yield the bytes of each (archive, member name), or a `ValueError` that says why there are none."""
    archives: dict[str, zipfile.ZipFile] = {}
    infos: dict[tuple[str, str], zipfile.ZipInfo] = {}
    try:
        for archive, name in members:
            if archive not in archives:
                archives[archive] = open_archive(folder / archive)
                for info in archives[archive].infolist():
                    # Of a doubled name the first, which is the one that was checked; zipfile takes the last.
                    infos.setdefault((archive, info.filename), info)
            try:
                # zipfile stops at the length that the directory declares, and compares the CRC.
                yield archives[archive].read(infos[archive, name])
            except (zipfile.BadZipFile, EOFError, OSError, RuntimeError, ValueError, zlib.error) as error:
                yield ValueError(f"damaged in the archive: {error}")
    finally:
        for opened in archives.values():
            opened.close()


def is_picture(name: str) -> bool:
    """Whether a file's name is a picture's; hidden files and what macOS adds to archives are not."""
    path = PurePosixPath(name)
    return path.suffix.lower() in EXTENSIONS and "__MACOSX" not in path.parts and not path.name.startswith(".")


def stem(name: str) -> str:
    """Return a picture's id: the last part of its name without the extension; some archives have backslashes."""
    return PurePosixPath(name.replace("\\", "/")).stem


def _problem(info: zipfile.ZipInfo) -> str:
    path = PurePosixPath(info.filename.replace("\\", "/"))
    if path.is_absolute() or ".." in path.parts or ":" in path.parts[0]:
        return "unsafe path in the archive"
    if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        return "compressed in a way that is not read safely"  # zipfile does not bound what bzip2 and LZMA give
    if info.flag_bits & 0x1:
        return "encrypted"
    if info.file_size == 0:
        return "empty file"
    if info.file_size > MAX_BYTES:
        return f"declares more than {MAX_BYTES:,} bytes"
    return ""
