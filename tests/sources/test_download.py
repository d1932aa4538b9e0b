"""The downloader, over real sockets, against a server that misbehaves."""

import hashlib
import io
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
import zipfile
from collections.abc import Callable, Iterator
from dataclasses import replace
from email.utils import formatdate
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
import requests
from hypothesis import given, settings
from hypothesis import strategies as st

from lesions.core.errors import UserError
from lesions.sources.common import http as web
from lesions.sources.common.download import copy_to, download, download_many
from lesions.sources.common.http import WebError, get_json
from lesions.sources.common.partial_download import NoRoomError
from lesions.sources.common.remote_file import RemoteFile
from tests.conftest import ROOT
from tests.sources.misbehaving_server import (
    Act,
    Server,
    drop,
    fall_silent,
    give,
    redirect_to_signed,
    refuse_foreign_agents,
    say,
    say_nothing,
    serving,
)

SIZE = 300_000
CONTENT = np.random.default_rng(1).bytes(SIZE)
CHANGED = np.random.default_rng(2).bytes(SIZE)
PAGE = b"\n <!DOCTYPE html><title>Log in</title>" + b"x" * 500
DEAD = "http://127.0.0.1:9"
"""Where nobody listens."""
WAITS: list[float] = []
"""The seconds that the downloader would have waited."""
Describe = Callable[[Server], RemoteFile]


@pytest.fixture(scope="module", autouse=True)
def _in_a_hurry() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(web, "sleep", WAITS.append)
        patch.setattr(web, "SILENCE_SECONDS", 0.25)
        yield


@pytest.fixture(scope="module")
def one_server() -> Iterator[Server]:
    with serving() as server:
        yield server


@pytest.fixture
def server(one_server: Server) -> Server:
    WAITS.clear()
    one_server.reset(CONTENT)
    return one_server


def published(server: Server, content: bytes = CONTENT, name: str = "a.bin", *urls: str) -> RemoteFile:
    """Describe a file by its length and both hashes."""
    sha256 = hashlib.sha256(content).hexdigest()
    return RemoteFile(name, urls or (server.url + "/a",), len(content), md5(content), sha256)


def md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()


def bare(server: Server, name: str = "a.bin") -> RemoteFile:
    """Describe a file of which nothing is published."""
    return RemoteFile(name, (server.url + "/a",))


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name != ".lock")


def refused(file: RemoteFile, folder: Path, *words: str) -> UserError:
    with pytest.raises(UserError) as error:
        download(file, folder)
    missing = [word for word in words if word not in str(error.value)]
    assert not missing, f"{missing} not in: {error.value}"
    return error.value


def ranges(server: Server) -> list[str | None]:
    return [request.headers.get("range") for request in server.requests]


# Trouble that passes


PASSING: dict[str, list[Act]] = {
    "none": [],
    "a drop": [drop(100_000)],
    "a drop before the first byte": [drop(0)],
    "drops": [drop(100_000), drop(50_000), drop(1), drop(0), drop(0), drop(0), drop(1), drop(0), drop(0), drop(0)],
    "silence": [fall_silent(120_000)],
    "500, three times": [say(500), say(503), say(502)],
    "a drop, then 500": [drop(100_000), say(500), drop(10)],
}


@pytest.mark.parametrize("trouble", PASSING)
@pytest.mark.parametrize("describe", [published, bare])
def test_each_byte_is_fetched_once(server: Server, tmp_path: Path, trouble: str, describe: Describe) -> None:
    server.script.extend(PASSING[trouble])
    assert download(describe(server), tmp_path).read_bytes() == CONTENT
    assert names(tmp_path) == ["a.bin"]
    assert server.served == SIZE
    assert len(server.requests) == 1 + len(PASSING[trouble])


def test_reset_loses_only_the_last_chunk(server: Server, tmp_path: Path) -> None:
    server.script.append(drop(200_000, reset=True))
    assert download(published(server), tmp_path).read_bytes() == CONTENT
    assert server.served <= SIZE + 200_000


class Change(NamedTuple):
    """What a server answers when the rest of `CONTENT` is requested, and which file comes of it."""

    act: Act
    result: bytes = CHANGED


CHANGES = {
    "200 in place of 206": Change(give(ranges=False), CONTENT),
    "another version": Change(give(content=CHANGED, etag='"2"')),
    "another ETag, If-Range ignored": Change(give(content=CHANGED, etag='"2"', heeds_if_range=False)),
    "another date, If-Range ignored": Change(
        give(content=CHANGED, heeds_if_range=False, Last_Modified="Tue, 02 Jan 2024 00:00:00 GMT")
    ),
    "another length, If-Range ignored": Change(give(content=CHANGED + b"x", heeds_if_range=False), CHANGED + b"x"),
    "416, as it is shorter now": Change(give(content=CHANGED[:9], heeds_if_range=False), CHANGED[:9]),
    "a rest that begins too early": Change(give(shift=-7), CONTENT),
    "a rest that begins too late": Change(give(shift=7), CONTENT),
    "a rest that says not where it begins": Change(say(206, CONTENT[100_000:]), CONTENT),
}


@pytest.mark.parametrize("change", CHANGES)
@pytest.mark.parametrize("hashed", [True, False])
def test_other_version_is_fetched_anew(server: Server, tmp_path: Path, change: str, *, hashed: bool) -> None:
    act, result = CHANGES[change]
    server.script.extend([drop(100_000), act])
    file = RemoteFile("a.bin", (server.url,), sha256=hashlib.sha256(result).hexdigest() if hashed else None)
    assert download(file, tmp_path).read_bytes() == result
    assert names(tmp_path) == ["a.bin"]
    assert ranges(server)[1] == "bytes=100000-"
    assert server.requests[1].headers["if-range"] == '"1"'
    assert len(server.requests) <= 3


def test_versions_that_differ_by_hash_alone(server: Server, tmp_path: Path) -> None:
    server.script.extend([drop(100_000), give(content=CHANGED)])
    assert download(published(server, CHANGED), tmp_path).read_bytes() == CHANGED
    assert ranges(server) == [None, "bytes=100000-", None]


@pytest.mark.parametrize(
    ("etag", "date", "hashed", "validator"),
    [
        ('W/"1"', "Mon, 01 Jan 2024 00:00:00 GMT", False, "Mon, 01 Jan 2024 00:00:00 GMT"),
        (None, None, True, None),
        (None, None, False, "begins anew"),
    ],
)
def test_version_header(
    server: Server, tmp_path: Path, etag: str | None, date: str | None, validator: str | None, *, hashed: bool
) -> None:
    server.etag = etag
    server.script.append(give(stop_after=100_000, then=lambda handler: handler.hang_up(), Last_Modified=date))
    download(published(server) if hashed else bare(server), tmp_path)
    if validator == "begins anew":
        assert ranges(server) == [None, None]
    else:
        assert ranges(server) == [None, "bytes=100000-"]
        assert server.requests[1].headers.get("if-range") == validator


def test_next_run_goes_on(server: Server, tmp_path: Path) -> None:
    server.script.extend([drop(100_000), say(403)])
    refused(published(server), tmp_path, "403 (Forbidden)", "100,000 bytes", "next run goes on")
    assert names(tmp_path) == ["a.bin.part", "a.bin.part.json"]
    assert download(published(server), tmp_path).read_bytes() == CONTENT
    assert server.served == SIZE
    assert names(tmp_path) == ["a.bin"]


def test_complete_part_is_only_renamed(server: Server, tmp_path: Path) -> None:
    server.script.extend([drop(100_000), say(403)])
    refused(published(server), tmp_path)
    (tmp_path / "a.bin.part").write_bytes(CONTENT)
    assert download(published(server), tmp_path).read_bytes() == CONTENT
    assert len(server.requests) == 2


@pytest.mark.parametrize("damage", ["part", "note", "no note"])
def test_damaged_part_is_fetched_anew(server: Server, tmp_path: Path, damage: str) -> None:
    server.script.extend([drop(100_000), say(403)])
    refused(published(server), tmp_path)
    part, note = tmp_path / "a.bin.part", tmp_path / "a.bin.part.json"
    if damage == "part":
        part.write_bytes(bytes(100_000))
    elif damage == "note":
        note.write_text('{"url": ')
    else:
        note.unlink()
    assert download(published(server), tmp_path).read_bytes() == CONTENT
    assert names(tmp_path) == ["a.bin"]


def test_first_address_is_requested_again(server: Server, tmp_path: Path) -> None:
    server.usual = redirect_to_signed(drop(100_000), drop(100_000), say(404), give())
    refused(published(server), tmp_path, "404")
    assert "signed" not in (tmp_path / "a.bin.part.json").read_text()
    assert download(published(server), tmp_path).read_bytes() == CONTENT
    assert [request.path for request in server.requests[::2]] == ["/a"] * 4
    assert server.served == SIZE


@pytest.mark.parametrize("act", [say(404), say(200, PAGE, Content_Type="text/html"), say(200, b"short")])
def test_second_address(server: Server, tmp_path: Path, act: Act) -> None:
    server.script.append(act)
    file = published(server, CONTENT, "a.bin", server.url + "/first", server.url + "/second")
    assert download(file, tmp_path).read_bytes() == CONTENT
    assert [request.path for request in server.requests] == ["/first", "/second"]


def test_second_address_begins_anew(server: Server, tmp_path: Path) -> None:
    server.script.extend([drop(100_000), say(404), give(content=CHANGED)])
    file = RemoteFile("a.bin", (server.url + "/first", server.url + "/second"))
    assert download(file, tmp_path).read_bytes() == CHANGED
    assert ranges(server) == [None, "bytes=100000-", None]


def test_dead_address_beside_a_live_one(server: Server, tmp_path: Path) -> None:
    file = published(server, CONTENT, "a.bin", DEAD, server.url)
    server.script.extend([drop(100_000), say(403)])
    refused(file, tmp_path, DEAD, "Connection refused", "5 times", "403")
    WAITS.clear()
    assert download(file, tmp_path).read_bytes() == CONTENT
    assert server.served == SIZE
    assert not WAITS, "the address that had begun goes on before the dead one is tried"


# Trouble that stays


LASTING: dict[str, tuple[Act, list[str]]] = {
    "403": (say(403), ["403 (Forbidden)", "browser", "a.bin"]),
    "500": (say(500), ["500 (Internal Server Error)", "5 times"]),
    "a web page": (say(200, PAGE, Content_Type="text/html; charset=utf-8"), ["web page", "log in"]),
    "a web page that is said to be a file": (give(content=PAGE), ["538 bytes; expected 300,000"]),
    "one of unknown length": (give(content=PAGE, chunked=True), ["web page", "log in"]),
    "too short": (give(content=CONTENT[:-1]), ["299,999 bytes; expected 300,000"]),
    "too short, of unknown length": (give(content=CONTENT[:-1], chunked=True), ["299,999 bytes"]),
    "too long": (give(content=CONTENT + b"x"), ["300,001 bytes; expected 300,000"]),
    "another file": (
        give(content=CHANGED),
        ["MD5", md5(CHANGED), md5(CONTENT)],
    ),
    "compressed": (give(Content_Encoding="gzip"), ["encoding 'gzip'"]),
    "a part that nobody requested": (say(206, CONTENT, Content_Range="bytes 0-299999/300000"), ["206"]),
    "a redirect to nowhere": (say(302, Location="http://a..b/"), ["a..b"]),
    "a redirect to itself": (say(302, Location="/a"), ["redirects"]),
    "a redirect to a file here": (say(302, Location="file:///etc/passwd"), ["file:///etc/passwd"]),
}


@pytest.mark.parametrize("trouble", LASTING)
def test_wrong_file_is_refused_and_removed(server: Server, tmp_path: Path, trouble: str) -> None:
    server.usual, words = LASTING[trouble]
    refused(published(server), tmp_path, server.url, *words)
    assert names(tmp_path) == []


NOTHING_PUBLISHED: dict[str, tuple[str, Act, str]] = {
    "a web page": ("a.bin", give(content=PAGE), "web page"),
    "an empty file": ("a.bin", give(content=b""), "empty"),
    "no length": ("a.bin", give(says_length=False), "where the file ends"),
    "half a zip archive": ("a.zip", give(content=b"PK\x03\x04" + CONTENT), "zip archive"),
}


@pytest.mark.parametrize("trouble", NOTHING_PUBLISHED)
def test_wrong_file_without_hash_is_refused(server: Server, tmp_path: Path, trouble: str) -> None:
    name, server.usual, word = NOTHING_PUBLISHED[trouble]
    refused(bare(server, name), tmp_path, word)
    assert names(tmp_path) == []


def test_file_without_hash_is_accepted(server: Server, tmp_path: Path) -> None:
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w") as opened:
        opened.writestr("a.jpg", CONTENT)
    server.script.append(give(content=archive.getvalue()))
    assert download(bare(server, "a.zip"), tmp_path).read_bytes() == archive.getvalue()
    server.usual = give(content=CONTENT, chunked=True)
    assert download(bare(server), tmp_path).read_bytes() == CONTENT


@pytest.mark.parametrize("after", [0, 100_000])
def test_gives_up_without_progress(server: Server, tmp_path: Path, after: int) -> None:
    server.script.append(drop(200_000))
    server.usual = give(ranges=False, stop_after=after, then=lambda handler: handler.hang_up())
    refused(published(server), tmp_path, "broke off", "5 times without getting further")
    assert len(server.requests) == 1 + web.ATTEMPTS - 1
    assert names(tmp_path) == ["a.bin.part", "a.bin.part.json"]


@pytest.mark.parametrize("act", [say_nothing, fall_silent(0)])
def test_silence_ends(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, act: Act) -> None:
    monkeypatch.setattr(web, "ATTEMPTS", 2)
    server.usual = act
    refused(published(server), tmp_path, "silent for 0.25 s")


def test_stops_at_too_many_bytes(server: Server, tmp_path: Path) -> None:
    server.reset(bytes(50_000_000))
    server.usual = give(chunked=True)
    refused(published(server), tmp_path, "expected 300,000")
    assert server.served < 25_000_000
    assert names(tmp_path) == []


ACTS = [
    *[act for acts in PASSING.values() for act in acts if act is not PASSING["silence"][0]],
    *[change.act for change in CHANGES.values()],
    *[act for act, _ in LASTING.values()],
    give(content=CONTENT, etag='"1"'),
]


@settings(max_examples=60)
@given(script=st.lists(st.sampled_from(ACTS), max_size=8))
def test_right_file_or_none(one_server: Server, tmp_path_factory: pytest.TempPathFactory, script: list[Act]) -> None:
    folder = tmp_path_factory.mktemp("any")
    one_server.reset(CONTENT, *script)
    path = folder / "a.bin"
    try:
        assert download(published(one_server), folder) == path
    except WebError:
        assert not path.exists()
        one_server.script.clear()
        one_server.usual = give(content=CONTENT, etag='"3"')
        download(published(one_server), folder)
    assert path.read_bytes() == CONTENT
    assert names(folder) == ["a.bin"]
    shutil.rmtree(folder)


# What is there already


def test_present_file_is_not_fetched(server: Server, tmp_path: Path) -> None:
    (tmp_path / "a.bin").write_bytes(CONTENT)
    assert download(published(server), tmp_path) == tmp_path / "a.bin"
    assert download_many([published(server)], tmp_path, desc="all") == [tmp_path / "a.bin"]
    assert not server.requests
    assert names(tmp_path) == ["a.bin"]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (CONTENT[:-1], ["299,999 bytes", "expected 300,000"]),
        (CHANGED, ["MD5", md5(CHANGED), md5(CONTENT)]),
        (PAGE, ["web page"]),
        (None, ["cannot be read"]),
    ],
)
def test_wrong_present_file_is_kept(server: Server, tmp_path: Path, content: bytes | None, words: list[str]) -> None:
    path = tmp_path / "a.bin"
    path.mkdir() if content is None else path.write_bytes(content)
    refused(published(server), tmp_path, str(path), *words)
    assert content is None or path.read_bytes() == content
    assert not server.requests


def test_each_hash_is_compared(server: Server, tmp_path: Path) -> None:
    right = RemoteFile("a.bin", (server.url,), SIZE, md5(CONTENT).upper(), hashlib.sha256(CONTENT).hexdigest().upper())
    download(right, tmp_path)
    refused(replace(right, md5="0" * 32), tmp_path, "MD5")
    refused(replace(right, sha256="0" * 64), tmp_path, "SHA256")
    assert len(server.requests) == 1


@pytest.mark.parametrize("name", ["", ".", "..", "../a", "a/b", "/a", "a\\b", "C:a", ".a", "a\0", "a" * 201])
def test_names_that_are_paths(name: str) -> None:
    with pytest.raises(UserError, match="file's name"):
        RemoteFile(name, ())


# Manners


def test_user_agent(server: Server, tmp_path: Path) -> None:
    server.usual = refuse_foreign_agents
    assert requests.get(server.url, timeout=5).status_code == 403
    assert download(published(server), tmp_path).read_bytes() == CONTENT
    assert server.requests[-1].headers["user-agent"].startswith("lesion-pipeline/0.1 (")
    assert server.requests[-1].headers["accept-encoding"] == "identity"


@pytest.mark.parametrize(
    ("retry_after", "least", "most"),
    [
        ("17", 17, 17),
        ("a date in 200 s", 100, 200),
        ("86400", web.LONGEST_WAIT, web.LONGEST_WAIT),
        ("9" * 5000, 0.5, web.LONGEST_WAIT),
        ("soon", 0.5, 1.5),
        ("-1", 0.5, 1.5),
        ("0", 0.5, 1.5),
    ],
)
def test_retry_after(server: Server, tmp_path: Path, retry_after: str, least: float, most: float) -> None:
    retry_after = formatdate(time.time() + 200, usegmt=True) if retry_after.startswith("a date") else retry_after
    server.script.append(say(429, Retry_After=retry_after))
    download(published(server), tmp_path)
    assert len(WAITS) == 1
    assert least <= WAITS[0] <= most


def test_waits_longer_each_time(server: Server, tmp_path: Path) -> None:
    server.usual = say(503)
    error = refused(published(server), tmp_path, "503")
    assert isinstance(error, WebError)
    assert error.status == 503
    assert len(server.requests) == web.ATTEMPTS
    assert all(0.5 <= wait / 2**attempt <= 1.5 for attempt, wait in enumerate(WAITS))
    assert len(WAITS) == web.ATTEMPTS - 1


def test_json(server: Server) -> None:
    server.usual = say(200, json.dumps({"results": ["é"]}).encode(), Content_Type="application/json")
    server.script.append(give(stop_after=10, then=lambda handler: handler.hang_up()))
    assert get_json(server.url) == {"results": ["é"]}
    for body in (PAGE, b"", b"\xff\xfe\0", b"[" * 100_000):
        server.usual = say(200, body, Content_Type="text/html")
        with pytest.raises(WebError, match=r"expected JSON.*text/html"):
            get_json(server.url)
    with pytest.raises(WebError, match="Connection refused"):
        get_json(DEAD)


# The disk


class Usage(NamedTuple):
    """What the system says of a disk."""

    total: int
    used: int
    free: int


@pytest.mark.parametrize("describe", [published, bare])
def test_free_disk_is_checked_first(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, describe: Describe
) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(10**6, 10**6 - 1000, 1000))
    error = refused(describe(server), tmp_path, "300,000 bytes", "1,000 are free", "299,000 are missing", "Make room")
    assert isinstance(error, NoRoomError)
    assert (len(server.requests) == 0) == (describe is published)
    with pytest.raises(NoRoomError):
        download_many([describe(server)], tmp_path, desc="all")


SCRIPT = """
import resource, sys
from pathlib import Path
from lesions.core.errors import UserError
from lesions.sources.common.download import download
from lesions.sources.common.remote_file import RemoteFile
url, length, md5, folder, largest = sys.argv[1:]
resource.setrlimit(resource.RLIMIT_FSIZE, (int(largest), int(largest)))
try:
    download(RemoteFile("a.bin", (url,), int(length), md5), Path(folder))
except UserError as error:
    sys.exit(str(error))
"""


def start(file: RemoteFile, folder: Path, largest: int = 10**9) -> "subprocess.Popen[str]":
    """Start a process that fetches a file, and can write none larger than that."""
    arguments = [file.urls[0], str(file.n_bytes), str(file.md5), str(folder), str(largest)]
    return subprocess.Popen([sys.executable, "-c", SCRIPT, *arguments], cwd=ROOT, stderr=subprocess.PIPE, text=True)


def test_full_disk(server: Server, tmp_path: Path) -> None:
    process = start(published(server), tmp_path, 123_456)
    _, said = process.communicate()
    assert process.returncode == 1
    assert all(word in said for word in ["a.bin.part", "123,456 bytes", "176,544 more", "Make room"]), said
    assert "Traceback" not in said
    assert download(published(server), tmp_path).read_bytes() == CONTENT
    assert ranges(server) == [None, "bytes=123456-"]


def test_killed_at_ten_moments(server: Server, tmp_path: Path) -> None:
    content = np.random.default_rng(3).bytes(6_000_000)
    server.reset(content)
    server.pause = 0.003
    moments = np.random.default_rng(4)
    for number in range(11):
        process = start(published(server, content), tmp_path)
        while len(server.requests) == number and process.poll() is None:
            time.sleep(0.005)
        if number < 10:
            time.sleep(moments.uniform(0, 0.12))
            process.send_signal(signal.SIGINT if number == 5 else signal.SIGKILL)
        process.communicate()
        assert (process.returncode == 0) == (number == 10)
    assert (tmp_path / "a.bin").read_bytes() == content
    assert names(tmp_path) == ["a.bin"]
    assert server.served < len(content) + 10 * 100_000


def test_two_runs_at_once(server: Server, tmp_path: Path) -> None:
    server.pause = 0.005
    threads = [threading.Thread(target=download, args=(published(server), tmp_path)) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (tmp_path / "a.bin").read_bytes() == CONTENT
    assert server.served == SIZE
    assert names(tmp_path) == ["a.bin"]


def test_linking_shares_nothing(tmp_path: Path) -> None:
    path = tmp_path / "a.bin"
    path.write_bytes(CONTENT)
    raw = tmp_path / "data" / "raw"
    target = copy_to(path, raw)
    assert target == raw / "a.bin"
    with path.open("r+b") as file:
        file.write(b"changed in place")
    assert target.read_bytes() == CONTENT
    cached = tmp_path / "cached"
    os.link(target, cached)
    copy_to(path, raw)
    assert target.read_bytes() == path.read_bytes()
    assert cached.read_bytes() == CONTENT


# Many


def test_many(server: Server, tmp_path: Path) -> None:
    answers = {f"/{number}": give(content=CONTENT[: 100 + number]) for number in range(100)}
    answers |= {"/7": say(404), "/8": say(200, PAGE, Content_Type="text/html"), "/9": give(content=CHANGED[:109])}
    server.usual = lambda handler: answers[handler.path](handler)
    files = [published(server, CONTENT[: 100 + n], f"{n}.jpg", f"{server.url}/{n}") for n in range(100)]
    results = download_many(files, tmp_path, desc="images", workers=4)
    right = [number for number in range(100) if number not in (7, 8, 9)]
    assert [results[number] for number in right] == [tmp_path / f"{number}.jpg" for number in right]
    assert all((tmp_path / f"{number}.jpg").read_bytes() == CONTENT[: 100 + number] for number in right)
    for number, word in ((7, "404"), (8, "web page"), (9, "MD5")):
        assert isinstance(results[number], UserError)
        assert word in str(results[number])
    assert isinstance(results[7], WebError)
    assert results[7].status == 404
    assert len(names(tmp_path)) == 97
    with pytest.raises(UserError, match="same name"):
        download_many([RemoteFile("A.jpg", ()), RemoteFile("a.jpg", ())], tmp_path, desc="images")


def test_many_from_a_vanishing_server(server: Server, tmp_path: Path) -> None:
    server.script.extend([give()] * 3)
    server.usual = say(503)
    files = [published(server, CONTENT, f"{number}.jpg", f"{server.url}/{number}") for number in range(1000)]
    threads = threading.active_count()
    with pytest.raises(UserError, match=r"4 files in a row(.|\n)*503(.|\n)*Run this again later"):
        download_many(files, tmp_path, desc="images", workers=2)
    while threading.active_count() > threads:
        time.sleep(0.01)  # what is under way ends with the process, or soon
    assert len(names(tmp_path)) == 3
    assert len(server.requests) < 100
