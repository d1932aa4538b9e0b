"""A loopback server that gives files and, for the ISIC archive, pages of a search, as the real one does."""

import base64
import json
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

SEARCH = "/api/v2/images/search/"


class Server(ThreadingHTTPServer):
    """Files by their path, and pages of `records`.

    Attributes:
        files: what to answer, by path.
        records: the images of the archive, as its pages give them.
        page: how many a page holds.
        requested: the paths requested so far, with their queries.
        ranges: the parts of files requested so far.
        troubles: statuses to answer instead, once each, by what a path begins with.
        change: what is done to each page before it is given.
        signature: what links must carry to be of use, or "".
        stall_after: bytes after which an answer stays silent until `released`, once; None for never.
        released: see `stall_after`.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.files: dict[str, bytes] = {}
        self.records: list[dict[str, Any]] = []
        self.page = 100
        self.requested: list[str] = []
        self.ranges: list[str] = []
        self.troubles: dict[str, list[int]] = {}
        self.change: Callable[[dict[str, Any]], object] = lambda page: page
        self.signature = ""
        self.stall_after: int | None = None
        self.stalled = Event()
        self.released = Event()

    @property
    def address(self) -> str:
        """Where it is, without a slash at the end."""
        return f"http://127.0.0.1:{self.server_port}"

    def requests_for(self, start: str) -> list[str]:
        """Return the requested paths that begin so."""
        return [path for path in self.requested if path.startswith(start)]


class Handler(BaseHTTPRequestHandler):
    """Answers one request."""

    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        """Answer with a page, a file, or the trouble that is wanted."""
        server = self.server
        server.requested.append(self.path)
        parts = urlsplit(self.path)
        for start, statuses in server.troubles.items():
            if self.path.startswith(start) and statuses:
                self.answer(statuses.pop(0), b"{}", {"Retry-After": "0"})
                return
        if parts.path == SEARCH:
            self.answer(200, json.dumps(server.change(self.give_page(parse_qs(parts.query)))).encode())
        elif server.signature and parts.path.startswith("/images/") and parts.query != f"Signature={server.signature}":
            self.answer(403, b"")
        elif parts.path in server.files:
            self.give_file(server.files[parts.path])
        else:
            self.answer(404, b"")

    def give_page(self, query: dict[str, list[str]]) -> dict[str, Any]:
        """Return a page of the records, and where the next one is."""
        start = int(base64.b64decode(query["cursor"][0])) if "cursor" in query else 0
        end = start + min(self.server.page, int(query["limit"][0]))
        cursor = base64.b64encode(str(end).encode()).decode()
        following = {name: values[0] for name, values in query.items()} | {"cursor": cursor}
        more = end < len(self.server.records)
        return {
            "results": self.server.records[start:end],
            "count": None if start else len(self.server.records),
            "next": f"{self.server.address}{SEARCH}?{urlencode(following)}" if more else None,
            "previous": None,
        }

    def give_file(self, content: bytes) -> None:
        """Answer with a file, or with the rest of it that the header Range names."""
        header = self.headers.get("Range", "")
        self.server.ranges += [header] if header else []
        wanted = re.fullmatch(r"bytes=(\d+)-", header)
        headers = {"ETag": '"1"', "Accept-Ranges": "bytes", "Content-Type": "application/octet-stream"}
        if wanted and int(wanted[1]) < len(content):
            start = int(wanted[1])
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
            self.answer(206, content[start:], headers)
        else:
            self.answer(200, content, headers)

    def answer(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        """Send an answer; in the middle of it stay silent for a while, if that is wanted."""
        self.send_response(status)
        for name, value in ({"Content-Type": "application/json"} | (headers or {})).items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        pause = self.server.stall_after
        with suppress(ConnectionError):  # the client may be gone
            if pause is not None and len(body) > pause:
                self.server.stall_after = None
                self.wfile.write(body[:pause])
                self.server.stalled.set()
                self.server.released.wait(60)
                body = body[pause:]
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@contextmanager
def serving() -> Iterator[Server]:
    """Run a server while the block runs."""
    with Server() as server:
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
        thread.start()
        try:
            yield server
        finally:
            server.released.set()
            server.shutdown()
            thread.join()


def record(server: Server, number: int, diagnosis: str = "Nevus", **clinical: object) -> dict[str, Any]:
    """Return what the archive says of an image, and put its files on the server."""
    name = f"ISIC_{number:07d}"
    files = {}
    for resolution in ("full", "thumbnail_256"):
        path = f"/images/{name}_{resolution}.jpg"
        content = f"{name} {resolution} ".encode() * (1 + number % 5)
        server.files[path] = content
        signed = f"?Signature={server.signature}" if server.signature else ""
        files[resolution] = {"url": server.address + path + signed, "size": len(content)}
    return {
        "isic_id": name,
        "public": True,
        "copyright_license": "CC-BY-NC" if number % 2 else "CC-0",
        "attribution": "ViDIR Group, Department of Dermatology, Medical University of Vienna",
        "files": files,
        "metadata": {
            "acquisition": {"pixels_x": 600, "pixels_y": 450, "image_type": "dermoscopic"},
            "clinical": {
                "diagnosis_1": "Benign",
                "diagnosis_2": "Benign melanocytic proliferations",
                "diagnosis_3": diagnosis,
                **clinical,
            },
        },
    }
