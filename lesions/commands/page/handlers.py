"""What the page's server does with a request: whom it answers, what it keeps, and for how long."""

import asyncio
import logging
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, cast

from tornado.http1connection import HTTP1Connection
from tornado.httputil import split_host_and_port
from tornado.iostream import IOStream
from tornado.web import HTTPError, RequestHandler, stream_request_body

from lesions.classifier import Classifier
from lesions.commands.page.batches import Batches
from lesions.core.errors import UserError
from lesions.models.calibration.metadata_prior import FIELDS
from lesions.models.calibration.patient_input import read as read_patient

HOST = "127.0.0.1"
NAMES = (HOST, "localhost")
"""Host names of this server. Who makes a browser believe that another name leads here (DNS rebinding) has that in each
request."""

# The browser itself refuses whatever is not of this server, and turns no text into elements.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)
HEADERS = {
    "Content-Security-Policy": POLICY,
    "Cache-Control": "no-store",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cross-Origin-Opener-Policy": "same-origin",
}


@dataclass(frozen=True)
class Site:
    """What all requests share.

    Attributes:
        classifier: the model.
        card: the HTML page of the model's card, or b"".
        max_bytes: of one image.
        max_files: of one drop; the page itself keeps to it.
        max_held_bytes: of all images that are being received.
        held: how many bytes of these are in memory, a single number.
        silent: the connections that have not asked for anything yet, and since when, in the event loop's seconds.
    """

    classifier: Classifier
    card: bytes = b""
    max_bytes: int = 50_000_000
    max_files: int = 100
    max_held_bytes: int = 200_000_000
    held: list[int] = field(default_factory=lambda: [0])
    silent: dict[IOStream, float] = field(default_factory=dict)

    @cached_property
    def batches(self) -> Batches:
        """Return what classifies the images."""
        return Batches(self.classifier)


@stream_request_body
class Handler(RequestHandler):
    """What all addresses share; by itself, an address at which there is nothing.

    A method that an address does not know, and a body where none is expected, are refused before the body is read.
    """

    max_body_bytes = 0

    def initialize(self, site: Site, content: bytes = b"", kind: str = "html", policy: str = POLICY) -> None:
        """Keep what all requests share, and what is served at this address."""
        self.site, self.content, self.kind, self.policy = site, content, kind, policy

    def set_default_headers(self) -> None:
        """Forbid all that the page does not need."""
        self.clear_header("Server")
        for name, value in HEADERS.items():
            self.set_header(name, value)

    def prepare(self) -> None:
        """Refuse another site's requests, addresses that do not exist, and bodies where none is expected."""
        connection = cast("HTTP1Connection", self.request.connection)
        self.site.silent.pop(connection.stream, None)
        host = self.request.headers.get("Host", "").lower()
        if split_host_and_port(host)[0] not in NAMES:
            raise HTTPError(403, reason="this server has another name: open the address that `lesions page` prints")
        if self.request.headers.get("Origin", f"http://{host}").lower() != f"http://{host}":
            raise HTTPError(403, reason="the request comes from another site")
        if type(self) is Handler:
            raise HTTPError(404, reason="there is nothing at this address")
        connection.set_max_body_size(self.max_body_bytes)

    def data_received(self, chunk: bytes) -> None:
        """Never called, without an image's body."""

    def write_error(self, *_: Any, **__: Any) -> None:
        """Write the reason, which holds nothing of the request."""
        self.finish({"problem": self._reason})

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log a fault of ours, and nothing of the request."""
        if not isinstance(value, HTTPError | asyncio.CancelledError):
            logging.getLogger("lesions.page").error("a request failed", exc_info=(typ, value, tb))


class Static(Handler):
    """The page, its style and script, and the card."""

    SUPPORTED_METHODS = ("GET",)

    def get(self) -> None:
        """Serve it."""
        self.set_header("Content-Type", f"text/{self.kind}; charset=utf-8")
        self.set_header("Content-Security-Policy", self.policy)
        self.finish(self.content)


class Classify(Handler):
    """An image's bytes in, JSON out."""

    SUPPORTED_METHODS = ("POST",)

    def initialize(self, site: Site, content: bytes = b"", kind: str = "html", policy: str = POLICY) -> None:
        """Begin without any part of an image."""
        super().initialize(site, content, kind, policy)
        self.max_body_bytes = site.max_bytes
        self.chunks: list[bytes] = []

    def data_received(self, chunk: bytes) -> None:
        """Keep a part of the image, or refuse it where too many others are on their way."""
        if self.site.held[0] + len(chunk) > self.site.max_held_bytes:
            self._release()
            self.set_status(503)
            self.finish({"problem": "too many images are on their way: send this one again later"})
            return
        self.chunks.append(chunk)
        self.site.held[0] += len(chunk)

    def on_connection_close(self) -> None:
        """Forget what came of the image."""
        super().on_connection_close()
        self._release()

    def _release(self) -> None:
        self.site.held[0] -= sum(map(len, self.chunks))
        self.chunks = []

    async def post(self) -> None:
        """Classify the image, which counts as held until then, even where nobody waits for the answer any more."""
        content, self.chunks = b"".join(self.chunks), []
        try:
            given = {field: self.get_query_argument(field, "") for field in FIELDS}
            found = await self.site.batches.respond(content, read_patient(given, self.site.classifier.prior))
        except UserError as error:
            found = {"problem": str(error)}
        finally:
            self.site.held[0] -= len(content)
        self.set_status(422 if "problem" in found else 200)
        self.finish(found)
