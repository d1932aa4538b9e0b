"""A server on the loopback interface that does, request by request, what a test prescribes."""

import re
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

Act = Callable[["Handler"], None]
PIECE = 16_384
"""Bytes sent at once."""


class Server(ThreadingHTTPServer):
    """Serves one file, well or badly, under every path.

    Attributes:
        content: the file.
        etag: its version.
        script: what is done with the next requests, one each; afterwards, and on its own, `usual`.
        requests: what was requested.
        served: bytes of bodies that were sent.
        pause: seconds between two pieces of a body.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.over = threading.Event()
        self.reset(b"")

    def reset(self, content: bytes, *script: Act) -> None:
        """Begin a test."""
        self.content = content
        self.etag: str | None = '"1"'
        self.script = deque(script)
        self.usual: Act = give()
        self.requests: list[Request] = []
        self.served = 0
        self.pause = 0.0

    def handle_error(self, *_: object) -> None:
        """Say nothing of clients that go away."""

    @property
    def url(self) -> str:
        """Where it is, without a path."""
        return f"http://127.0.0.1:{self.server_port}"


@dataclass
class Request:
    """A request."""

    path: str
    headers: dict[str, str] = field(repr=False)


@contextmanager
def serving() -> Iterator[Server]:
    """Start a server, and stop it in the end."""
    server = Server()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield server
    finally:
        server.over.set()
        server.shutdown()
        server.server_close()
        thread.join()


class Handler(BaseHTTPRequestHandler):
    """Answers one connection."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # else each answer takes 40 ms
    server: Server

    def do_GET(self) -> None:
        """Do what is next in the script."""
        self.server.requests.append(Request(self.path, {name.lower(): value for name, value in self.headers.items()}))
        act = self.server.script.popleft() if self.server.script else self.server.usual
        try:
            act(self)
        except ConnectionError:  # the client went away, as some tests want
            self.close_connection = True

    def log_message(self, *_: object) -> None:
        """Say nothing."""

    def answer(self, status: int, body: bytes = b"", **headers: object) -> None:
        """Send a whole answer."""
        self.begin(status, **{"Content_Length": len(body), **headers})
        self.send(body)

    def begin(self, status: int, **headers: object) -> None:
        """Send the head of an answer; None leaves a header out."""
        self.send_response(status)
        for name, value in headers.items():
            if value is not None:
                self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()

    def send(self, body: bytes) -> None:
        """Send a body, or a part of one, and count it."""
        for start in range(0, len(body), PIECE):
            piece = body[start : start + PIECE]
            self.wfile.write(piece)
            self.server.served += len(piece)
            time.sleep(self.server.pause)

    def hang_up(self, *, reset: bool = False) -> None:
        """Close the connection; with `reset`, as a router that forgets it would."""
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.close_connection = True


def give(
    *,
    ranges: bool = True,
    heeds_if_range: bool = True,
    content: bytes | None = None,
    etag: str | None = None,
    chunked: bool = False,
    says_length: bool = True,
    shift: int = 0,
    then: Callable[[Handler], None] = lambda _: None,
    stop_after: int | None = None,
    **headers: object,
) -> Act:
    """Give the file, or the rest of it that is requested.

    Args:
        ranges: whether it can give the rest alone.
        heeds_if_range: whether it gives the whole file where the version is another one.
        content: another file from now on.
        etag: of that one.
        chunked: in chunks, without saying how long it is.
        says_length: whether there is a Content-Length.
        shift: by how many bytes the rest begins elsewhere.
        then: what is done after `stop_after` bytes.
        stop_after: where it breaks off.
        headers: more of them; None leaves one out.
    """

    def act(handler: Handler) -> None:
        server = handler.server
        server.content = server.content if content is None else content
        server.etag = etag or server.etag
        header = handler.headers.get("Range", "")
        version = handler.headers.get("If-Range", server.etag)
        same = version == server.etag or not heeds_if_range
        start = int(re.sub(r"\D", "", header)) if header and ranges and same else 0
        all_of_it = {"ETag": server.etag, "Last_Modified": "Mon, 01 Jan 2024 00:00:00 GMT", **headers}
        if start >= len(server.content) > 0:
            handler.answer(416, Content_Range=f"bytes */{len(server.content)}")
            return
        start = max(start + shift, 0) if start else 0
        body = server.content[start:]
        if chunked:
            handler.begin(200, Transfer_Encoding="chunked", **all_of_it)
            for piece in (body[:1000], body[1000:]):
                handler.wfile.write(b"%x\r\n" % len(piece))
                handler.send(piece)
                handler.wfile.write(b"\r\n")
            handler.wfile.write(b"0\r\n\r\n")
            return
        if start:
            all_of_it["Content_Range"] = f"bytes {start}-{len(server.content) - 1}/{len(server.content)}"
        all_of_it["Content_Length"] = len(body) if says_length else None
        handler.begin(206 if start else 200, **all_of_it)
        handler.send(body if stop_after is None else body[:stop_after])
        then(handler)
        handler.close_connection = handler.close_connection or not says_length

    return act


def say(status: int, body: bytes = b"", **headers: object) -> Act:
    """Give an answer that is not the file."""
    return lambda handler: handler.answer(status, body, **headers)


def drop(after: int, *, reset: bool = False) -> Act:
    """Break off in the middle."""
    return give(stop_after=after, then=lambda handler: handler.hang_up(reset=reset))


def say_nothing(handler: Handler) -> None:
    """Keep the connection open, and do not answer until the test is over."""
    handler.server.over.wait(30)
    handler.hang_up()


def fall_silent(after: int) -> Act:
    """Stop in the middle, and keep the connection open until the test is over."""
    return give(stop_after=after, then=say_nothing)


def refuse_foreign_agents(handler: Handler) -> None:
    """As Dataverse does: 403 to the names that clients have by default."""
    agent = handler.headers.get("User-Agent", "")
    if not agent or re.search(r"python|urllib|requests|aiohttp|httpx|curl|wget|java|go-http", agent, re.IGNORECASE):
        handler.answer(403)
    else:
        give()(handler)


def redirect_to_signed(*acts: Act) -> Act:
    """Lead each request to a link that is good for one use, at which one act after the other is done."""
    at_links = deque(acts)
    links: set[str] = set()

    def act(handler: Handler) -> None:
        if handler.path in links:
            links.remove(handler.path)
            at_links.popleft()(handler)
        elif handler.path.startswith("/signed/"):
            handler.answer(403, b"expired", Content_Type="text/plain")
        else:
            links.add(link := f"/signed/{len(handler.server.requests)}")
            handler.answer(302, Location=link)

    return act
