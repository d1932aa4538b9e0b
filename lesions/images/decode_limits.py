"""Image files made to keep a decoder busy for minutes, or to fill the memory, before it knows the image's size.

A good image stays far below each limit. What an image declares as its size is checked where it is decoded.
"""

import re
import struct

from PIL import JpegImagePlugin, TiffImagePlugin

MAX_SCANS = 100
"""Passes over all pixels that a JPEG file may have, each of which can be a few bytes long; libtiff has the same
limit. Progressive images have some ten."""
MAX_SEGMENTS = 500
"""Segments of a JPEG file before its first scan: colour profile, EXIF and the like, in pieces of 64 kB. Pillow copies
all EXIF that it has read for each further piece."""
MAX_GAP = 10_000
"""Meaningless bytes between two segments, which Pillow passes over one by one."""
MAX_CHUNKS = 100_000
"""Chunks of a PNG file: 50 million pixels in the usual chunks of 8 kB are fewer."""
MAX_NUMBERS = 4 * 65_535
"""In one tag of a TIFF file, and tags. The longest lists say where each strip begins, one a row and channel; Pillow
makes an object of each."""

_SEGMENT = re.compile(rb"\xff[\x01-\xfe]")
_SCAN = 0xDA
_FRAMES = {*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC}
"""Markers that tell the image's size and channels. 0xC4 and 0xCC are tables, and 0xC8 is nothing."""
_SEQUENTIAL = (0xC0, 0xC1)
_TEXT_OR_BYTES = {1, 2, 6, 7}
"""Types of TIFF tags that are no lists of numbers."""


class ImageError(ValueError):
    """Why an image is not used, in our own words."""


def refuse_bomb(content: bytes) -> None:
    """Look through an image file's outer structure, without decoding it.

    Raises:
        ImageError: some part is there more often than in any good image; says which.
        struct.error: it says that it is TIFF and ends before its first directory.
    """
    if content.startswith(b"\xff\xd8"):
        _refuse_more(len(_segments(content)) - 1, MAX_SEGMENTS, "segments before the first scan")
        _refuse_more(count_scans(content), MAX_SCANS, "scans")
    elif content.startswith(b"\x89PNG"):
        _refuse_more(_count_chunks(content), MAX_CHUNKS, "chunks")
    elif content.startswith(tuple(TiffImagePlugin.PREFIXES)):
        _refuse_more(_longest_list(content), MAX_NUMBERS, "tags, or numbers in one")


def count_scans(content: bytes) -> int:
    """Count how often a file's decoder goes over all pixels: 1 but for some JPEG files."""
    if not content.startswith(b"\xff\xd8") or _has_one_scan(content, _segments(content)):
        return 1
    # Within compressed data 0xff is followed by zero; elsewhere these three bytes hardly ever meet by chance.
    return content.count(b"\xff\xda\x00")


def _refuse_more(found: int, limit: int, what: str) -> None:
    if found > limit:
        raise ImageError(f"not read safely: more than {limit:,} {what}")


def _segments(content: bytes) -> list[tuple[int, int]]:
    """Return kind and place of a JPEG file's segments, as Pillow and libjpeg find them, with the first scan's as last.

    They are at most two over the limit. Kind is the marker's second byte; the place, that after it.
    """
    at = 2
    segments: list[tuple[int, int]] = []
    while len(segments) <= MAX_SEGMENTS + 1:
        marker = _SEGMENT.search(content, at, at + MAX_GAP)
        if marker is None:
            raise ImageError("broken image: no JPEG marker where one must be")
        kind, at = content[marker.start() + 1], marker.end()
        segments.append((kind, at))
        if kind == _SCAN:
            break
        _, _, read = JpegImagePlugin.MARKER.get(0xFF00 | kind, ("", "", None))
        if read is not None:  # the others have no length
            at += int.from_bytes(content[at : at + 2], "big")
    return segments


def _has_one_scan(content: bytes, segments: list[tuple[int, int]]) -> bool:
    """Whether further scans are an error: the image is not progressive, and its first scan has all channels."""
    frames = [(kind, at) for kind, at in segments if kind in _FRAMES]
    if len(frames) != 1 or frames[0][0] not in _SEQUENTIAL:
        return False
    channels, in_scan = frames[0][1] + 7, segments[-1][1] + 2
    return content[channels : channels + 1] == content[in_scan : in_scan + 1] != b""


def _count_chunks(content: bytes) -> int:
    """Count a PNG file's chunks, up to one over the limit."""
    at, found = 8, 0
    while at < len(content) and found <= MAX_CHUNKS:
        at += 12 + int.from_bytes(content[at : at + 4], "big")
        found += 1
    return found


def _longest_list(content: bytes) -> int:
    """Return how many tags a TIFF file's first image says it has, or numbers its longest one, if these are more."""
    order = "<" if content.startswith(b"II") else ">"
    big = content[2] == 43  # BigTIFF
    (at,) = struct.unpack_from(order + ("Q" if big else "L"), content, 8 if big else 4)
    (entries,) = struct.unpack_from(order + ("Q" if big else "H"), content, at)
    at += 8 if big else 2
    entry = struct.Struct(order + ("HHQQ" if big else "HHLL"))
    directory = content[at : at + entries * entry.size]
    tags = entry.iter_unpack(directory[: len(directory) // entry.size * entry.size])
    longest: int = max(entries, *(count for _, kind, count, _ in tags if kind not in _TEXT_OR_BYTES), 0)
    return longest
