"""Hostile archives, images and tables: set aside with a reason, in bounded time and memory, and nothing escapes."""

import io
import os
import struct
import subprocess
import sys
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lesions.archives import is_image, list_members, read_members
from lesions.audit.matching import REJECTS, find_members, set_aside
from lesions.core.csv_files import read_csv
from lesions.core.errors import UserError
from lesions.core.sanitize import sanitize, unsafe_reason
from lesions.images import decode
from lesions.sources.common import metadata_table
from lesions.sources.common.diagnosis_table import read_ham10000
from lesions.sources.common.metadata_table import check_table, read_header, read_table
from stages import clean, download, prepare
from tests.conftest import ROOT, edit_params

# Shared by all tests: files as an attacker writes them, and a process with limited time and memory.


def encoded(image: Image.Image, kind: str = "JPEG", **options: Any) -> bytes:
    file = io.BytesIO()
    image.save(file, kind, **options)
    return file.getvalue()


def noise(shade: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(shade).integers(0, 256, (30, 40, 3), np.uint8))


JPEG = encoded(noise(0))


def deflated(megabytes: int) -> bytes:
    """So many megabytes of zeros, a thousandth as long: one piece again and again."""
    packer = zlib.compressobj(9, zlib.DEFLATED, -15)
    piece = packer.compress(bytes(1_000_000)) + packer.flush(zlib.Z_FULL_FLUSH)
    return piece * megabytes + packer.flush()


def member(name: str | bytes, data: bytes = JPEG, **lies: Any) -> dict[str, Any]:
    """Describe a member of `write_zip`, correct but for the `lies`."""
    entry = {"packed": data, "method": 0, "flags": 0, "attributes": 0o100644 << 16, "offset": None, "volume": 0}
    return {**entry, "name": name, "size": len(data), "crc": zlib.crc32(data), **lies}


def write_zip(path: Path, members: Sequence[dict[str, Any]], *, directory: bytes = b"") -> Path:
    """Write a zip archive that may lie; `directory` is put after the members' own entries."""
    content = bytearray()
    entries = bytearray()
    for entry in members:
        name, flags = entry["name"], entry["flags"]
        if isinstance(name, str):
            name, flags = name.encode(), flags | 0x800
        offset = len(content) if entry["offset"] is None else entry["offset"]
        sizes = (entry["crc"], entry.get("packed_size", len(entry["packed"])), entry["size"])
        if entry["offset"] is None:
            content += struct.pack("<4s5H3L2H", b"PK\3\4", 20, flags, entry["method"], 0, 33, *sizes, len(name), 0)
            content += name + entry["packed"]
        head = (b"PK\1\2", 20, 3, 20, 0, flags, entry["method"], 0, 33, *sizes, len(name), 0, 0)
        entries += struct.pack("<4s4B4H3L3H", *head)
        entries += struct.pack("<2H2L", entry["volume"], 0, entry["attributes"], offset) + name
    entries += directory
    end = struct.pack("<4s4H2LH", b"PK\5\6", 0, 0, 0, 0, len(entries), len(content), 0)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content + entries + end)
    return path


def within_bounds(code: str, files: Sequence[Path], *, megabytes: int) -> str:
    """Run code on `paths` in a process of its own, and return what it prints.

    It may compute for a minute, and grow by so many megabytes after the imports and a first image.
    """
    whole = f"""
import re, resource, sys
from pathlib import Path
import pandas as pd
from lesions import archives
from lesions.audit import matching
from lesions.core import errors
from lesions.images import decode
from lesions.sources.common import metadata_table

def used():
    if sys.platform == "darwin":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1_000_000
    # Not ru_maxrss, which on Linux begins with what the parent used.
    return int(re.search("VmHWM: +(.+) kB", Path("/proc/self/status").read_text().replace("\\t", " "))[1]) // 1_000

decode.decode_image(bytes.fromhex("{JPEG.hex()}"), 8, 8)
paths = [Path(name) for name in sys.argv[1:]]
resource.setrlimit(resource.RLIMIT_CPU, (60, 60))
before = used()
{code}
print("grew by", used() - before)
"""
    command = [sys.executable, "-c", whole, *map(str, files)]
    done = subprocess.run(command, check=False, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    printed, _, grown = done.stdout.rpartition("grew by ")
    assert int(grown) < megabytes
    return printed


def refused(function: Callable[[], object], *words: str) -> None:
    """See that it ends with a message that holds these words, is short, and can be printed."""
    with pytest.raises(UserError) as error:
        function()
    message = str(error.value)
    assert all(word in message for word in words), message
    assert len(message) < 1500
    assert not any(unsafe_reason(line).startswith("holds") for line in message.splitlines())


# Names and values


@pytest.mark.parametrize(
    ("text", "reason", "sanitized"),
    [
        ("", "", ""),
        ("-", "", "-"),
        ("-12.5", "", "-12.5"),
        ("a-b", "", "a-b"),
        ("a;b; -3", "", "a;b; -3"),
        ("naïve 痣 می\u200cخواهم", "", "naïve 痣 می\u200cخواهم"),
        ("=1+1", "begins like a formula", "'=1+1"),
        ("+1", "begins like a formula", "'+1"),
        ("-1+cmd|' /C calc'!A0", "begins like a formula", "'-1+cmd|' /C calc'!A0"),
        ("@SUM(A1)", "begins like a formula", "'@SUM(A1)"),
        ("＝1", "begins like a formula", "'＝1"),
        ("  =1", "begins like a formula", "  '=1"),
        ("a;=1", "begins like a formula", "a;'=1"),
        ("\t=1", "holds the invisible character U+0009", "\\t=1"),
        ("a\rb\nc", "holds the invisible character U+000D", "a\\rb\\nc"),
        ("\x1b[2Ja", "holds the invisible character U+001B", "\\x1b[2Ja"),
        ("a\u202egpj", "holds the invisible character U+202E", "a\\u202egpj"),
        ("\ud800", "holds the invisible character U+D800", "\\ud800"),
        ("a" * 301, "is longer than 300 characters", "a" * 199 + "…"),
    ],
)
def test_unsafe_text(text: str, reason: str, sanitized: str) -> None:
    assert (unsafe_reason(text), sanitize(text)) == (reason, sanitized)


@given(st.text(st.characters() | st.sampled_from("=+-@; \t\r1.\u202e\ud800"), max_size=40))
def test_sanitized_text_is_safe(text: str) -> None:
    assert unsafe_reason(sanitize(text)) == ""
    assert sanitize(text) == text or unsafe_reason(text)


# Archives

LISTED = pd.DataFrame({"image_id": ["good", "a", "b"], "dx": ["nv", "mel", "nv"]})


def matched(raw: Path, table: pd.DataFrame = LISTED) -> tuple[dict[str, bytes | str], pd.DataFrame]:
    """Return what each usable image's bytes are, or why there are none; and what was set aside."""
    found, rejects = find_members(raw, table)
    read = read_members(raw, zip(found["archive"], found["member"], strict=True))
    contents = [content if isinstance(content, bytes) else str(content) for content in read]
    assert not any(unsafe_reason(value) for column in rejects for value in rejects[column])
    assert not any(unsafe_reason(content) for content in contents if isinstance(content, str))
    return dict(zip(found["image_id"], contents, strict=True)), rejects


ZEROS = deflated(99)
SET_ASIDE: dict[str, tuple[dict[str, Any], str]] = {
    "parent": (member("../a.jpg"), "unsafe path"),
    "parent inside": (member("x/../../a.jpg"), "unsafe path"),
    "parent, backslashes": (member("..\\a.jpg"), "unsafe path"),
    "parent, both": (member("x/..\\a.jpg"), "unsafe path"),
    "absolute": (member("/etc/a.jpg"), "unsafe path"),
    "share": (member("\\\\host\\share\\a.jpg"), "unsafe path"),
    "drive": (member("C:\\a.jpg"), "unsafe path"),
    "drive alone": (member("c:a.jpg"), "unsafe path"),
    "address": (member("file:///a.jpg"), "unsafe path"),
    "link": (member("a.jpg", b"/etc/passwd", attributes=0o120777 << 16), "a link or device"),
    "link that is an image": (member("a.jpg", attributes=0o120777 << 16), "a link or device"),
    "pipe": (member("a.jpg", attributes=0o010644 << 16), "a link or device"),
    "escape": (member("a\x1b[31m.jpg"), "invisible character U+001B"),
    "line end": (member("a\n.jpg"), "invisible character U+000A"),
    "line of its own": (member("x\n=1+1,a.jpg"), "invisible character U+000A"),
    "right to left": (member("a\u202e.jpg"), "invisible character U+202E"),
    "hidden end": (member(b"a.jpg\0.exe"), "invisible character U+0000"),
    "formula": (member("=cmd|' /C calc'!A0/a.jpg"), "begins like a formula"),
    "long": (member("b/" * 30_000 + "a.jpg"), "longer than 300"),
    "encrypted": (member("a.jpg", flags=1), "encrypted"),
    "encrypted strongly": (member("a.jpg", flags=0x41), "encrypted"),
    "encrypted with AES": (member("a.jpg", flags=1, method=99), "not read safely"),
    "empty": (member("a.jpg", b""), "empty file"),
    "bomb": (member("a.jpg", method=8, packed=ZEROS, size=99_000_000), "more than 100 times"),
    "large": (member("a.jpg", size=2**32 - 2), "declares more than 100,000,000 bytes"),
    "large inside": (member("a.jpg", packed_size=2**32 - 2), "declares more than 100,000,000 bytes"),
}


@pytest.mark.parametrize("what", SET_ASIDE)
def test_unsafe_members_are_set_aside(tmp_path: Path, what: str) -> None:
    entry, words = SET_ASIDE[what]
    write_zip(tmp_path / "x.zip", [entry, member("deeper/good.jpg")])
    contents, rejects = matched(tmp_path)
    assert contents == {"good": JPEG}
    assert words in rejects["reason"][0]
    # Not listed again as missing, where the name gives the id.
    assert list(rejects["image_id"]).count("a") == 1
    assert [path.name for path in tmp_path.iterdir()] == ["x.zip"]


READ_IN_VAIN: dict[str, tuple[dict[str, Any], str]] = {
    "patched data": (member("a.jpg", flags=0x20), "patched data"),
    "another disk's place": (member("a.jpg", volume=3, offset=2**31), "damaged in the archive"),
    "the list's own place": (member("a.jpg", offset=10_000), "damaged in the archive"),
    "other bytes": (member("a.jpg", crc=1), "Bad CRC-32"),
    "too short": (member("a.jpg", size=5_000), "damaged in the archive"),
    "no deflate": (member("a.jpg", method=8), "damaged in the archive"),
}


@pytest.mark.parametrize("what", READ_IN_VAIN)
def test_unreadable_members_get_a_reason(tmp_path: Path, what: str) -> None:
    entry, words = READ_IN_VAIN[what]
    write_zip(tmp_path / "x.zip", [member("good.jpg"), entry])
    contents, _ = matched(tmp_path)
    assert contents["good"] == JPEG
    assert words in str(contents["a"])


def test_first_of_doubled_names_is_read(tmp_path: Path) -> None:
    second = encoded(noise(1))
    write_zip(tmp_path / "x.zip", [member("a.jpg"), member("a.jpg", second), member("other/good.jpg")])
    write_zip(tmp_path / "y.zip", [member("good.jpg", second)])
    contents, rejects = matched(tmp_path)
    assert contents == {"a": JPEG, "good": JPEG}
    reasons = ["name occurs twice in the archive", "a second image of this id; the first is other/good.jpg"]
    assert list(rejects["reason"])[:2] == reasons


def test_differing_inner_name_is_sanitized(tmp_path: Path) -> None:
    path = write_zip(tmp_path / "x.zip", [member("a.jpg")])
    path.write_bytes(path.read_bytes().replace(b"a.jpg", b"\x1b.jpg", 1))
    contents, _ = matched(tmp_path)
    assert "differ" in str(contents["a"])


def test_folders_and_other_files_are_ignored(tmp_path: Path) -> None:
    inner = write_zip(tmp_path / "deep" / "inner.zip", [member("a.jpg")]).read_bytes()
    folder = member("b.jpg/", b"", attributes=0o040755 << 16)
    write_zip(tmp_path / "x.zip", [member("inner.zip", inner), member("a.html", b"<p>"), folder, member("good.jpg")])
    contents, rejects = matched(tmp_path)
    assert contents == {"good": JPEG}
    assert set(rejects["reason"]) == {"listed, but not in any archive"}
    assert not is_image("b.jpg/")


def test_overlapping_members_are_refused(tmp_path: Path) -> None:
    # Each of these would unpack the same bytes again; and one lies inside another.
    packed = deflated(1)
    begin = 30 + len("good.jpg") + len(JPEG)
    first = member("0.jpg", method=8, packed=packed, size=50_000)
    same = [first | {"name": f"{number}.jpg", "offset": begin} for number in range(1, 50)]
    inside = member("inside.jpg", offset=begin + 35)
    path = write_zip(tmp_path / "x.zip", [member("good.jpg"), first, *same, inside])
    problems = {listed.name: listed.problem for listed in list_members(path)}
    assert problems.pop("good.jpg") == ""
    assert problems.pop("inside.jpg") == ""  # nothing else reads its bytes any more
    assert set(problems.values()) == {"shares its bytes with another member of the archive"}


@given(st.lists(st.text(st.characters() | st.sampled_from("=.;/\\:\n\x1b\u202e"), max_size=12), max_size=4))
def test_any_name_is_safe_or_set_aside(tmp_path_factory: pytest.TempPathFactory, names: list[str]) -> None:
    raw = tmp_path_factory.mktemp("raw")
    clean_names = [name.encode("utf-8", "replace").decode() for name in names]
    path = write_zip(raw / "x.zip", [member(f"{name}.jpg") for name in clean_names])
    good = [listed for listed in list_members(path) if not listed.problem]
    table = pd.DataFrame({"image_id": sorted({listed.image_id for listed in good} | {"a"})})
    contents, rejects = matched(raw, table)
    assert all(content == JPEG for content in contents.values())
    assert not any(unsafe_reason(image_id) for image_id in contents)
    assert len(contents) + len(rejects) >= len({listed.name for listed in list_members(path)})


def test_unsafe_archives_are_refused(tmp_path: Path) -> None:
    utf8 = write_zip(tmp_path / "utf8.zip", [member(b"\xff\xfe.jpg", flags=0x800)])
    refused(partial(list_members, utf8), "utf8.zip", "cannot be opened", "again")
    new = write_zip(tmp_path / "new.zip", [member("a.jpg")])
    content = new.read_bytes()
    at = content.index(b"PK\1\2")
    new.write_bytes(content[: at + 6] + b"\x5a" + content[at + 7 :])
    refused(partial(list_members, new), "new.zip", "version 9.0")
    far = write_zip(tmp_path / "far.zip", [member("a.jpg")])
    content = far.read_bytes()
    far.write_bytes(content[:-10] + struct.pack("<L", 2**32 - 2) + content[-6:])
    refused(partial(list_members, far), "far.zip", "cannot be opened")
    for name in ("=1+1.zip", "a\x1b[2J.zip", "a\u202e.zip"):
        named = write_zip(tmp_path / name, [member("a.jpg")])
        refused(partial(list_members, named), "name of the archive", "Rename")


def test_archives_stay_within_bounds(tmp_path: Path) -> None:
    """Two that unpack to more than they declare, and one that lists more than a million members."""
    lie = deflated(400)
    bomb = write_zip(tmp_path / "lie/x.zip", [member("a.jpg", bytes(1000), packed=lie, method=8)])
    padded = member("a.jpg", bytes(1000), packed=bytes(80_000_000))
    stored = write_zip(tmp_path / "stored/x.zip", [padded])
    entry = struct.pack("<4s4B4H3L3H", b"PK\1\2", 20, 3, 20, 0, 0, 0, 0, 33, 0, 0, 0, 60, 0, 0)
    entry += struct.pack("<2H2L", 0, 0, 0o100644 << 16, 0) + b"a" * 56 + b".jpg"
    million = write_zip(tmp_path / "million/x.zip", [], directory=entry * 1_000_000)
    code = """
for path in paths:
    try:
        found, rejects = matching.find_members(path.parent, pd.DataFrame({"image_id": ["a"]}))
        contents = archives.read_members(path.parent, zip(found.archive, found.member))
        print(*(len(content) for content in contents))
    except errors.UserError as error:
        print(error)
"""
    printed = within_bounds(code, [bomb, stored, million], megabytes=60).splitlines()
    assert printed[:2] == ["1000", "1000"]
    assert "106,000,000 bytes for the list of its members" in printed[2]


def test_archive_extension_in_capitals(tmp_path: Path) -> None:
    write_zip(tmp_path / "one.zip", [member("a.jpg")])
    write_zip(tmp_path / "two.ZIP", [member("good.jpg")])
    contents, _ = matched(tmp_path)
    assert contents == {"a": JPEG, "good": JPEG}


# Images


def png(width: int, height: int, chunks: Sequence[tuple[bytes, bytes]] = ()) -> bytes:
    """A PNG of black RGB pixels, a few of them, with more chunks before them."""
    head = struct.pack(">2L5B", width, height, 8, 2, 0, 0, 0)
    rows = zlib.compress(bytes((3 * width + 1) * height if height < 100 else 100))
    parts = [(b"IHDR", head), *chunks, (b"IDAT", rows), (b"IEND", b"")]
    made = (
        struct.pack(">L", len(data)) + kind + data + struct.pack(">L", zlib.crc32(kind + data)) for kind, data in parts
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(made)


def tiff(*changes: tuple[int, int, int, int], tail: bytes = b"") -> bytes:
    """A grey TIFF of 10 by 10 pixels, some of its tags (tag, type, count, value) changed."""
    tags = [(256, 4, 1, 10), (257, 4, 1, 10), (258, 3, 1, 8), (259, 3, 1, 1), (262, 3, 1, 1), (273, 4, 1, 8)]
    tags += [(277, 3, 1, 1), (278, 4, 1, 10), (279, 4, 1, 100)]
    values = {tag[0]: tag for tag in [*tags, *changes]}
    entries = b"".join(struct.pack("<2H2L", *values[tag]) for tag in sorted(values))
    return b"II*\0" + struct.pack("<LH", 8, len(values)) + entries + bytes(4) + tail + bytes(200)


def patched(content: bytes, at: int, form: str, *values: int) -> bytes:
    """Put other numbers into a file."""
    new = struct.pack(form, *values)
    return content[:at] + new + content[at + len(new) :]


def with_segments(segment: bytes, times: int) -> bytes:
    """A JPEG with more segments at its beginning."""
    return JPEG[:2] + segment * times + JPEG[2:]


def many_scans(times: int) -> bytes:
    """A progressive JPEG of 36 million pixels, one of whose scans, some bytes long, comes again and again."""
    content = encoded(Image.new("L", (6000, 6000), 77), progressive=True)
    scan = content[content.rindex(b"\xff\xda") : -2]
    return content[:-2] + scan * times + content[-2:]


def scans_of(channels: int) -> bytes:
    """A JPEG of 24 million pixels that is not progressive, and names scans of so many of its three channels."""
    content = encoded(Image.new("RGB", (6000, 4000)))
    of_each = b"".join(bytes([1 + number, 0]) for number in range(channels))
    scan = b"\xff\xda\0" + bytes([6 + 2 * channels, channels]) + of_each + b"\0\x3f\0"
    return content[: content.index(b"\xff\xda")] + (scan + bytes(10)) * 200_000 + content[-2:]


def offsets(number: int) -> bytes:
    """A TIFF that says it has so many strips, and names the place of each."""
    where = 8 + 2 + 9 * 12 + 4
    return tiff((273, 4, number, where), (279, 4, number, where), (278, 4, 1, 1), tail=bytes(4 * number))


BLACK = Image.new("RGB", (7000, 7000))
JPEG_SIZE = JPEG.index(b"\xff\xc0") + 5
BOMBS: dict[str, tuple[Callable[[], bytes], str]] = {
    "PNG, 60,000 wide": (lambda: png(60_000, 60_000), "too large"),
    "PNG, two thousand million wide": (lambda: png(2**31 - 1, 2**31 - 1), "too large"),
    "PNG, one pixel wide": (lambda: encoded(Image.new("1", (1, 70_000)), "PNG"), "too large: 1×70000"),
    "PNG, one colour": (lambda: encoded(BLACK, "PNG"), "not read safely: 7000×7000 pixels in"),
    "PNG, text": (
        lambda: png(9, 9, [(b"zTXt", b"a\0\0" + zlib.compress(bytes(10**8)))]),
        "broken image: Decompressed",
    ),
    "PNG, long text": (lambda: png(9, 9, [(b"iTXt", b"a\0\1\0\0\0" + zlib.compress(bytes(10**8)))]), "broken image"),
    "PNG, colour profile": (lambda: png(9, 9, [(b"iCCP", b"a\0\0" + zlib.compress(bytes(10**8)))]), "broken image"),
    "PNG, chunks": (lambda: png(9, 9, [(b"prVt", b"")] * 200_000), "more than 100,000 chunks"),
    "BMP": (lambda: patched(encoded(noise(1), "BMP"), 18, "<2l", 2**31 - 1, 2**31 - 1), "too large"),
    "BMP, upside down": (lambda: patched(encoded(noise(1), "BMP"), 18, "<2l", -(2**31), -(2**31)), "too large"),
    "BMP, rather large": (lambda: patched(encoded(noise(1), "BMP"), 18, "<2l", 7000, 7000), "pixels in 3,654 bytes"),
    "WEBP, 50 bytes": (
        lambda: encoded(BLACK.crop((0, 0, 3000, 3000)), "WEBP", lossless=True, method=0),
        "not read safely",
    ),
    "JPEG": (lambda: patched(JPEG, JPEG_SIZE, ">2H", 65_500, 65_500), "too large"),
    "JPEG, rather large": (lambda: patched(JPEG, JPEG_SIZE, ">2H", 7000, 7000), "not read safely"),
    "JPEG, scans": (lambda: many_scans(5_000), "more than 100 scans"),
    "JPEG, scans of a large image": (lambda: many_scans(60), "scans of 6000×6000 pixels"),
    "JPEG, scans of one channel": (lambda: scans_of(1), "more than 100 scans"),
    "JPEG, scans of all channels": (lambda: scans_of(3), "broken image"),
    "JPEG, EXIF": (lambda: with_segments(b"\xff\xe1\0\x09Exif\0\0a", 1_000_000), "more than 500 segments"),
    "JPEG, comments": (lambda: with_segments(b"\xff\xfe\0\2", 5_000_000), "more than 500 segments"),
    "JPEG, padding": (lambda: with_segments(b"\xff", 50_000_000), "no JPEG marker"),
    "TIFF": (lambda: tiff((256, 4, 1, 2**31), (257, 4, 1, 2**31)), "too large"),
    "TIFF, tiles": (lambda: tiff((322, 4, 1, 2**20), (323, 4, 1, 2**20), (324, 4, 1, 8), (325, 4, 1, 9)), "tiles of"),
    "TIFF, strips": (lambda: offsets(10_000_000), "more than 262,140"),
    "TIFF, four thousand million strips": (lambda: tiff((273, 4, 2**32 - 1, 8)), "more than 262,140"),
    "TIFF, bits": (lambda: tiff((258, 3, 10**7, 200), tail=b"\x08\0" * 10**7), "more than 262,140"),
    "SVG": (lambda: b"<svg xmlns='http://www.w3.org/2000/svg'><script>1</script></svg>", "no image"),
    "HTML": (lambda: b"<!DOCTYPE html><title>Log in</title>", "no image"),
    "GIF": (lambda: encoded(noise(1), "GIF", save_all=True, append_images=[noise(2)]), "no image"),
    "cut short": (lambda: JPEG[:700], "broken image"),
    "cut in the middle of TIFF's head": (lambda: b"II*\0\x08", "broken image"),
}


def test_refused_images_stay_within_bounds(tmp_path: Path) -> None:
    files = []
    for number, (make, _) in enumerate(BOMBS.values()):
        files.append(tmp_path / str(number))
        files[-1].write_bytes(make())
    code = """
for path in paths:
    content = path.read_bytes()
    try:
        print("pixels", decode.decode_image(content, 8, 8).shape)
    except ValueError as error:
        print(error)
"""
    printed = within_bounds(code, files, megabytes=150).splitlines()
    for (what, (_, words)), line in zip(BOMBS.items(), printed, strict=True):
        assert words in line, f"{what}: {line}"


def cyclic() -> bytes:
    """A TIFF whose directory names itself as the next."""
    content = encoded(noise(0), "TIFF")
    (begin,) = struct.unpack_from("<L", content, 4)
    (tags,) = struct.unpack_from("<H", content, begin)
    return patched(content, begin + 2 + 12 * tags, "<L", begin)


def exif_loop() -> bytes:
    """A JPEG whose EXIF names itself as a part of itself."""
    directory = struct.pack("<H2H2LL", 1, 0x8769, 4, 1, 8, 8)
    body = b"Exif\0\0II*\0\x08\0\0\0" + directory
    return with_segments(b"\xff\xe1" + struct.pack(">H", len(body) + 2) + body, 1)


FRAMES: dict[str, Any] = {"save_all": True, "append_images": [noise(1), noise(2)]}
ODD: dict[str, tuple[bytes, bytes]] = {
    "animated PNG": (encoded(noise(0), "PNG", **FRAMES), encoded(noise(0), "PNG")),
    "animated WEBP": (encoded(noise(0), "WEBP", lossless=True, **FRAMES), encoded(noise(0), "PNG")),
    "TIFF of many pages": (encoded(noise(0), "TIFF", **FRAMES), encoded(noise(0), "PNG")),
    "TIFF that goes in circles": (cyclic(), encoded(noise(0), "PNG")),
    "several JPEGs in one": (encoded(noise(0), "MPO", **FRAMES), JPEG),
    "EXIF that goes in circles": (exif_loop(), JPEG),
    "bytes behind the end": (JPEG + b"<script>" * 1000, JPEG),
    "padding before segments": (with_segments(b"\xff" * 100, 1), JPEG),
    "CMYK, where nothing is inverted": (
        encoded(Image.new("CMYK", (40, 30)), "TIFF"),
        encoded(Image.new("RGB", (40, 30), "white"), "PNG"),
    ),
}


@pytest.mark.parametrize("what", ODD)
def test_first_frame_of_odd_images(what: str) -> None:
    content, plain = ODD[what]
    assert (decode.decode_image(content, 30, 40) == decode.decode_image(plain, 30, 40)).all()


@pytest.mark.parametrize("shape", [(1, 1), (1, 60_000), (60_000, 1)])
def test_extreme_shapes_are_squashed(shape: tuple[int, int]) -> None:
    assert (decode.decode_image(encoded(Image.new("RGB", shape, "red"), "PNG"), 8, 8) == [255, 0, 0]).all()


def test_two_large_images_at_a_time(monkeypatch: pytest.MonkeyPatch) -> None:
    lock = threading.Lock()
    under_way, most = 0, 0

    def slowly(image: Image.Image) -> Image.Image:
        nonlocal under_way, most
        with lock:
            under_way += 1
            most = max(most, under_way)
        time.sleep(0.02)
        with lock:
            under_way -= 1
        return image

    monkeypatch.setattr(decode, "LARGE", 100)
    monkeypatch.setattr(decode, "to_rgb", slowly)
    with ThreadPoolExecutor(6) as threads:
        list(threads.map(lambda _: decode.decode_image(JPEG, 8, 8), range(12)))
    assert most == 2


def test_large_counts_pixels_and_scans() -> None:
    found = {}
    for px, progressive in ((500, False), (1500, False), (1500, True), (3500, False)):
        file = io.BytesIO()
        Image.new("RGB", (px, px)).save(file, "JPEG", progressive=progressive)
        found[px, progressive] = decode.is_large(file.getvalue())
    assert found == {(500, False): False, (1500, False): False, (1500, True): True, (3500, False): True}
    assert not any(map(decode.is_large, (b"", b"no image", JPEG[:50], b"II*\0")))


# Tables


def table_of(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


HEAD = "image_id,dx\n"
STOPS: dict[str, tuple[bytes | str, tuple[str, ...]]] = {
    "UTF-16": ((HEAD + "a,nv\n").encode("utf-16"), ("line 1", "UTF-8")),
    "UTF-16 without mark": ((HEAD + "a,nv\n").encode("utf-16-le"), ("NUL", "UTF-8")),
    "Latin-1": ((HEAD + "a,nævus\n").encode("latin-1"), ("line 2", "UTF-8")),
    "NUL": (HEAD + "a,n\0v\n", ("NUL", "line 2")),
    "a long value": (HEAD + "a," + "n" * 200_000 + "\n", ("line 2", "field larger")),
    "a quotation mark left open": (HEAD + 'a,"nv\n' + "b,nv\n" * 50_000, ("quotation mark",)),
    "too many values": (HEAD + "a,nv" + ",x" * 100_000, ("line 2", "100002 values")),
    "doubled column": ("image_id,dx,Image_ID \na,nv,b\n", ("more than one column called image_id",)),
    "100,000 columns": (",".join(f"c{number}" for number in range(100_000)), ("more than 1,000 columns",)),
    "escapes in the header": ("image_\x1b[2Jid,dx\na,nv\n", ("no column image_id", "image_\\x1b[2jid")),
    "a long column": ("x" * 100_000 + ",dx\na,nv\n", ("no column image_id",)),
    "escapes in a row": (HEAD + "a\x1b[2J\n", ("line 2", '"a\\x1b[2J"')),
    "long ids twice": (HEAD + ("i" * 100_000 + ",nv\n") * 2, ("in more than one row",)),
    "ids of one form once tidied": (HEAD + "a,nv\n a\t,nv\n", ("a (2 times)",)),
    "a formula for a diagnosis": (HEAD + "a,=cmd|' /C calc'!A0\n", ("diagnosis '=cmd", "begins like a formula")),
    "an escape for a diagnosis": (HEAD + "a,\x1b[2J\n", ("diagnosis \\x1b[2J", "U+001B")),
    "a novel for a diagnosis": (HEAD + "a," + "m" * 1000 + "\n", ("longer than 300",)),
    "a diagnosis an image": (HEAD + "".join(f"{n},d{n}\n" for n in range(2000)), ("2,000 diagnoses", "called dx")),
}


@pytest.mark.parametrize("what", STOPS)
def test_unsafe_tables_are_refused(tmp_path: Path, what: str) -> None:
    content, words = STOPS[what]
    refused(partial(read_ham10000, table_of(tmp_path / "t.csv", content)), "t.csv", *words)


def test_tables_stay_within_bounds(tmp_path: Path) -> None:
    """A gigabyte without a line end, a quotation mark that is never closed, and columns without end."""
    line = tmp_path / "line.csv"
    with line.open("wb") as file:
        file.truncate(1_000_000_000)
    quote = table_of(tmp_path / "quote.csv", HEAD + 'a,"nv\n' + "b,nv\n" * 6_000_000)
    header = table_of(tmp_path / "header.csv", "c," * 5_000_000 + "\n")
    code = """
for path in paths:
    metadata_table.read_header(path)
    try:
        metadata_table.read_table(path)
    except errors.UserError as error:
        print(error)
"""
    printed = within_bounds(code, [line, quote, header], megabytes=600).splitlines()
    for words, message in zip(["300,000,000 bytes", "quotation mark", "1,000 columns"], printed, strict=True):
        assert words in message


@pytest.mark.parametrize(("limit", "words"), [("MAX_ROWS", "more than 9 rows"), ("MAX_VALUES", "more than 4 rows")])
def test_too_large_tables_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, limit: str, words: str) -> None:
    monkeypatch.setattr(metadata_table, limit, 9)
    refused(partial(read_table, table_of(tmp_path / "t.csv", HEAD + "a,nv\n" * 10)), "t.csv", words)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig"])
def test_line_ends_and_byte_order_mark(tmp_path: Path, end: str, encoding: str) -> None:
    path = table_of(tmp_path / "t.csv", end.join(["image_id;dx", "a;nævus", "b;mel", ""]).encode(encoding))
    assert read_header(path) == ["image_id", "dx"]
    assert read_ham10000(path).to_numpy().tolist() == [["a", "nævus"], ["b", "mel"]]


UNSAFE = ["=cmd|' /C calc'!A0", "+1", "-1+1", "@a", "x;=1", "a\u202eb", "\x1b[31m", "x" * 301]


@pytest.mark.parametrize("value", UNSAFE)
@pytest.mark.parametrize("column", ["image_id", "lesion_id", "sex"])
def test_rows_with_unsafe_values_are_set_aside(tmp_path: Path, column: str, value: str) -> None:
    write_zip(tmp_path / "x.zip", [member("a.jpg"), member("good.jpg")])
    table = LISTED.assign(lesion_id="", sex="-", age="-1")
    table.loc[1, column] = value
    contents, rejects = matched(tmp_path, table)
    assert contents == {"good": JPEG}
    reasons = dict(zip(rejects["image_id"], rejects["reason"], strict=True))
    assert reasons[sanitize(value) if column == "image_id" else "a"] in (
        f"{column} {unsafe_reason(value)}",
        "not listed in the table",
    )


def test_rejects_are_sanitized() -> None:
    rows = pd.DataFrame({"image_id": ["=1", "b", "c"], "archive": "x.zip", "member": ["a\x1b.jpg", "b", "c"]})
    aside = set_aside(rows, ["broken: \x1b[2J" + "x" * 1000, "", "other\n=1"])
    assert list(aside) == REJECTS
    assert list(aside["image_id"]) == ["'=1", "c"]
    assert not any(unsafe_reason(value) for column in aside for value in aside[column])
    assert set_aside(rows, ["", "", ""]).empty


def test_similar_ids_stay_different(tmp_path: Path) -> None:
    ids = ["p1", "P1", "\u00e9", "e", "../p2", "."]
    content = {image_id: encoded(noise(number)) for number, image_id in enumerate(ids)}
    write_zip(tmp_path / "x.zip", [member(f"{image_id}.jpg", content[image_id]) for image_id in ids[:4]])
    path = table_of(tmp_path / "t.csv", HEAD + "".join(f"{image_id},nv\n" for image_id in ids))
    table = read_ham10000(path)
    contents, rejects = matched(tmp_path, table)
    assert contents == {image_id: content[image_id] for image_id in ids[:4]}
    assert sorted(rejects["image_id"]) == [".", "p2"]
    assert set(rejects["reason"]) == {"listed, but not in any archive"}
    path.unlink()


@pytest.mark.parametrize("other", ["e\u0301", "x/\u00e9.jpg", "..\\\u00e9"])
def test_one_image_by_two_names(tmp_path: Path, other: str) -> None:
    path = table_of(tmp_path / "t.csv", HEAD + f"\u00e9,nv\n{other},nv\n")
    refused(partial(read_ham10000, path), "\u00e9 (2 times)")


def test_table_of_a_source_is_checked() -> None:
    refused(partial(check_table, pd.DataFrame({"image_id": ["a"], "dx": ["@x"]}), "the \x1b table"), "diagnosis '@x")
    check_table(pd.DataFrame({"image_id": ["a", "b"], "dx": ["", "- "]}), "t.csv")


# A person's folder


def drawn_folder(folder: Path) -> None:
    """Make a folder of 24 images of two classes and their table."""
    folder.mkdir()
    rows = []
    for number in range(24):
        (folder / f"p{number:02}.jpg").write_bytes(encoded(noise(number)))
        rows.append(f"p{number:02},{'mel' if number % 2 else 'nv'},<script>alert(1)</script>,$\\bad{{$")
    (folder / "table.csv").write_text("image_id,dx,sex,localization\n" + "\n".join(rows) + "\n")


def files_below(folder: Path) -> set[str]:
    return {path.relative_to(folder).as_posix() for path in folder.rglob("*") if not path.is_dir()}


def test_hostile_folder_through_the_stages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    mine = tmp_path / "mine"
    drawn_folder(mine)
    with (mine / "table.csv").open("a") as table:
        table.write('bomb,mel,,\n"=1+1",mel,,\nlink,nv,,\nformula,nv,@x,\n\x1b[2J,nv,,\nshell,nv,,-1+1\n')
    os.link(mine / "p00.jpg", mine / "hard link.jpg")
    hostile = [
        *(entry for entry, _ in SET_ASIDE.values()),
        *(entry for entry, _ in READ_IN_VAIN.values()),
        *(member(f"{image_id}.jpg") for image_id in ("=1+1", "formula", "shell", "../../../elsewhere")),
        member("bomb.png", encoded(BLACK, "PNG")),
        member("link.jpg", b"/etc/passwd", attributes=0o120777 << 16),
    ]
    write_zip(mine / "hostile.zip", hostile)
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    edit_params(
        tmp_path,
        download={"source": "folder", "folder": str(mine)},
        clean={"max_rejected": 0.9},
        prepare={"image_size": 16},
    )
    before = files_below(tmp_path)

    download.main()
    clean.main()
    prepare.main()

    images, rejects = read_csv(Path("data/clean/images.csv")), read_csv(Path("data/clean/rejects.csv"))
    assert list(images["image_id"]) == [f"p{number:02}" for number in range(24)]
    for table_written in (images, rejects):
        assert not any(unsafe_reason(value) for column in table_written for value in table_written[column])
    assert {"'=1+1", "formula", "shell", "bomb", "link"} <= set(rejects["image_id"])
    assert "hard link" in set(rejects["image_id"])  # an image as any other, not listed
    assert "<script>alert" not in Path("reports/data.html").read_text()
    outs = ("data/raw/", "data/clean/", "data/prepared/", "data/ood/", "metrics/", "plots/", "reports/")
    written = files_below(tmp_path) - before
    assert not [name for name in written if not name.startswith(outs)]
    printed = "".join(capfd.readouterr())
    assert not any(unsafe_reason(line).startswith("holds") for line in printed.splitlines())
