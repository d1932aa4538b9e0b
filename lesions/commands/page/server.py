"""`lesions page`: what serves the page, to this computer alone unless told otherwise.

A picture comes as the body of a request, without its name, and stays in memory until it is answered. One thread asks
the network, so people wait for each other; who would have to wait too long is asked to come back.
"""

import lesions.models.common.determinism  # noqa: F401 - before all that imports Keras

# isort: split
import asyncio
import json
import logging
import socket
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Any, cast

from jinja2 import Environment, FileSystemLoader, StrictUndefined
from tornado.http1connection import HTTP1Connection
from tornado.httpserver import HTTPServer
from tornado.httputil import split_host_and_port
from tornado.netutil import bind_sockets
from tornado.web import Application, RequestHandler, stream_request_body

from lesions.classifier import Classifier
from lesions.commands.classify.formats import NOTICE, notes
from lesions.commands.page.looking_at import look_at
from lesions.core.errors import UserError
from lesions.inference.metadata_prior import FIELDS
from lesions.patient_input import read as read_patient
from lesions.patient_input import regions
from lesions.reporting.common.html import CSP as CARD_POLICY
from lesions.taxonomy import about

HERE = Path(__file__).parent
KINDS = {".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8"}

# The browser itself refuses whatever is not of this server, and turns no text into elements.
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src data:; connect-src 'self'; base-uri 'none'; "
    "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
)


@dataclass(frozen=True)
class Limits:
    """What may be sent.

    Attributes:
        picture_bytes: of one picture.
        held_bytes: of all pictures that are in memory.
        requests: pictures that are under way, from all people together.
        seconds: until a picture has arrived, or a connection has said what it wants.
        files: of one go; the page itself keeps to it.
    """

    picture_bytes: int = 50_000_000
    held_bytes: int = 250_000_000
    requests: int = 64
    seconds: float = 60
    files: int = 100


@dataclass
class Site:
    """What all requests share.

    Attributes:
        classifier: whom to ask.
        card: the page of the model's card, or b"".
        host: the name by which the server was told to listen.
        loopback: only this computer reaches it.
        limits: what may be sent.
        under_way: the bytes of each picture that is being received, waits or is looked at, by its handler.
    """

    classifier: Classifier
    card: bytes = b""
    host: str = "127.0.0.1"
    loopback: bool = True
    limits: Limits = field(default_factory=Limits)
    under_way: dict["Classify", int] = field(default_factory=dict)
    thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "network"))

    def has_room(self, length: int) -> bool:
        """Return whether one more picture of that many bytes may come."""
        fits = sum(self.under_way.values()) + length <= self.limits.held_bytes
        return fits and len(self.under_way) < self.limits.requests

    def knows(self, name: str) -> bool:
        """Return whether that is a name of this server.

        Whoever makes a browser believe that his own name leads here (DNS rebinding) has that name in each request. An
        address cannot be made to lead elsewhere.
        """
        if name in ("localhost", self.host.lower()):
            return True
        try:
            address = ip_address(name.strip("[]"))
        except ValueError:
            return False
        return address.is_loopback or not self.loopback


class Handler(RequestHandler):
    """What all addresses of the page have in common."""

    site: Site

    def initialize(self, site: Site) -> None:
        """Take what is shared."""
        self.site = site

    def set_default_headers(self) -> None:
        """Forbid all that the page does not need."""
        self.clear_header("Server")
        self.set_header("Content-Security-Policy", POLICY)
        self.set_header("Cache-Control", "no-store")
        self.set_header("X-Content-Type-Options", "nosniff")
        self.set_header("Referrer-Policy", "no-referrer")
        self.set_header("Cross-Origin-Resource-Policy", "same-origin")
        self.set_header("Cross-Origin-Opener-Policy", "same-origin")

    def prepare(self) -> None:
        """Refuse who was led here by a name that is not ours."""
        if why := self.foreign():
            self.answer(403, {"problem": why})

    def foreign(self) -> str:
        """Say why the request is another site's, or ""."""
        host = self.request.headers.get("Host", "").lower()
        if not self.site.knows(split_host_and_port(host)[0]):
            return "this server has another name: open the page by the address that `lesions page` prints"
        if self.request.headers.get("Origin", f"http://{host}").lower() != f"http://{host}":
            return "the request comes from another site"
        return ""

    def answer(self, status: int, content: dict[str, Any]) -> None:
        """End the request with JSON."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(json.dumps(content, ensure_ascii=False))

    def write_error(self, status_code: int, **_: Any) -> None:
        """Say what Tornado found wrong, in as few words as it has, none of them from the request."""
        self.answer(status_code, {"problem": self._reason})

    def log_exception(
        self, typ: type[BaseException] | None, value: BaseException | None, tb: TracebackType | None
    ) -> None:
        """Log a fault of ours, and nothing of the request."""
        if not hasattr(value, "status_code"):
            logging.getLogger("lesions.page").error("a request failed", exc_info=(typ, value, tb))  # type: ignore[arg-type]


class Bytes(Handler):
    """What is the same for everyone: the page, its style and script, the card."""

    def initialize(self, site: Site, content: bytes, kind: str, policy: str = POLICY) -> None:  # type: ignore[override]
        """Take what is served."""
        self.site, self.content, self.kind, self.policy = site, content, kind, policy

    def get(self) -> None:
        """Serve it."""
        self.set_header("Content-Type", self.kind)
        self.set_header("Content-Security-Policy", self.policy)
        self.finish(self.content)


class Nothing(Handler):
    """Any other address."""

    def prepare(self) -> None:
        """Say that there is nothing."""
        super().prepare()
        if not self._finished:
            self.answer(404, {"problem": "there is nothing at this address"})


@stream_request_body
class Classify(Handler):
    """A picture's bytes in, what there is to say of it out."""

    def prepare(self) -> None:
        """Decide by the headers whether the body is kept.

        A refusal waits for the end of the body, of which nothing is kept: who still sends would not see it. Only what
        is too large is refused at once.
        """
        self.parts: list[bytes] = []
        self.refusal: tuple[int, str] | None = None
        self.asked: asyncio.Future[dict[str, Any]] | None = None
        limits = self.site.limits
        cast(HTTP1Connection, self.request.connection).set_max_body_size(limits.picture_bytes)
        declared = self.request.headers.get("Content-Length", "")
        length = int(declared) if declared.isascii() and declared.isdigit() else -1
        if why := self.foreign():
            self.refusal = 403, why
        elif self.request.method == "POST" and length < 0:
            self.refusal = 411, "the request does not say how long the picture is"
        elif length > limits.picture_bytes:
            self.set_header("Connection", "close")
            self.answer(413, {"problem": f"more than {limits.picture_bytes:,} bytes"})
        elif not self.site.has_room(length):
            self.refusal = 503, "too many pictures are waiting"
        else:
            self.site.under_way[self] = length

    def data_received(self, chunk: bytes) -> None:
        """Keep a part of the picture."""
        if self.refusal is None:
            self.parts.append(chunk)

    async def post(self) -> None:
        """Answer."""
        if self.refusal is not None:
            status, why = self.refusal
            if status == 503:
                self.set_header("Retry-After", "1")
            self.answer(status, {"problem": why})
            return
        content = b"".join(self.parts)
        self.parts.clear()
        classifier = self.site.classifier
        try:
            patient = read_patient({field: self.get_query_argument(field, "") for field in FIELDS}, classifier.patient)
        except UserError as error:
            self.answer(422, {"problem": str(error)})
            return
        loop = asyncio.get_running_loop()
        self.asked = loop.run_in_executor(self.site.thread, look_at, content, classifier, patient)
        try:
            found = await self.asked
        except asyncio.CancelledError:
            return  # who asked is gone
        self.answer(422 if "problem" in found else 200, found)

    def on_finish(self) -> None:
        """Make room."""
        self.site.under_way.pop(self, None)

    def on_connection_close(self) -> None:
        """Make room: nobody waits for the answer any more."""
        super().on_connection_close()
        self.parts.clear()
        self.site.under_way.pop(self, None)
        if self.asked is not None:
            self.asked.cancel()


def application(site: Site) -> Application:
    """Return what answers requests; nothing of them is logged."""
    common: dict[str, Any] = {"site": site}
    html = {"content": page(site), "kind": "text/html; charset=utf-8"}
    rules: list[Any] = [("/", Bytes, common | html), ("/classify", Classify, common)]
    for suffix, kind in KINDS.items():
        content = (HERE / f"page{suffix}").read_bytes()
        rules.append((f"/page{suffix}", Bytes, common | {"content": content, "kind": kind}))
    if site.card:
        # Its own policy also stands in it; who changed the file does not change this one.
        policy = f"{CARD_POLICY}; frame-ancestors 'none'"
        rules.append(("/card", Bytes, common | html | {"content": site.card, "policy": policy}))
    return Application(rules, default_handler_class=Nothing, default_handler_args=common, log_function=_no_log)


def _no_log(handler: RequestHandler) -> None:
    pass


def page(site: Site) -> bytes:
    """Return the page itself; what is put into it is text."""
    environment = Environment(
        autoescape=True, loader=FileSystemLoader(HERE), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    decision, limits = site.classifier.decision, site.limits
    malignant = decision.thresholds["malignant"].positive if "malignant" in decision.thresholds else []
    settings = {
        "names": {code: about(code).name for code in decision.classes},
        "malignant": malignant,
        "calibrated": decision.temperature is not None,
        "files": limits.files,
        "bytes": limits.picture_bytes,
    }
    return (
        environment.get_template("page.html")
        .render(
            settings=json.dumps(settings, ensure_ascii=False),
            limits=limits,
            missed=100 - site.classifier.sensitivity,
            notice=NOTICE,
            notes=notes(site.classifier)[:-1],
            warnings=site.classifier.warnings,
            card=bool(site.card),
            regions=regions() if site.classifier.patient.weighs else [],
            loopback=site.loopback,
        )
        .encode()
    )


def http_server(site: Site) -> HTTPServer:
    """Return the server, bounded in what it reads."""
    limits = site.limits
    return HTTPServer(
        application(site),
        max_body_size=1000,  # of all but pictures: nothing else needs any
        body_timeout=limits.seconds,
        idle_connection_timeout=limits.seconds,
        max_header_size=16_384,
    )


def serve(models: Path, sensitivity: int, host: str, port: int) -> None:
    """Serve the page until Ctrl-C.

    Args:
        models: the model's folder.
        sensitivity: see `Classifier.of_folder`.
        host: a name or address of this computer; only who reaches that reaches the page.
        port: to listen at; 0 for a free one.

    Raises:
        UserError: there is no model to ask, or no listening there.
    """
    sockets = listening(host, port)
    addresses = [ip_address(found.getsockname()[0].partition("%")[0]) for found in sockets]
    loopback = all(address.is_loopback for address in addresses)
    classifier = Classifier.of_folder(models, sensitivity)
    for warning in classifier.warnings:
        print(f"WARNING: {warning}", file=sys.stderr)
    if not loopback:
        print(
            f"WARNING: whoever reaches {host} over the network can use the page, and pictures travel unencrypted. Do "
            "this only in a network whose every user you trust.",
            file=sys.stderr,
        )
    site = Site(classifier, card_of(models, classifier), host, loopback)
    everywhere = addresses[0].is_unspecified
    name = "localhost" if everywhere else f"[{host}]" if ":" in host else host
    print(f"The page is at http://{name}:{sockets[0].getsockname()[1]}/ until you press Ctrl-C.", flush=True)
    if everywhere:
        print("From another computer or a phone, put this computer's address in the place of localhost.", flush=True)
    try:
        asyncio.run(_serving(site, sockets))
    except KeyboardInterrupt:
        pass
    finally:
        site.thread.shutdown(cancel_futures=True)


async def _serving(site: Site, sockets: list[socket.socket]) -> None:
    """Serve until cancelled, as `asyncio.run` does at Ctrl-C; then hang up, so that nothing is half answered."""
    running = http_server(site)
    running.add_sockets(sockets)
    try:
        await asyncio.Event().wait()
    finally:
        running.stop()
        await running.close_all_connections()


def listening(host: str, port: int) -> list[socket.socket]:
    """Return sockets that listen there.

    Raises:
        UserError: they cannot.
    """
    if not 0 <= port <= 65_535:
        raise UserError(f"{port} is no port; expected a number up to 65535, or 0 for any that is free.")
    try:
        return bind_sockets(port, host)
    except (socket.gaierror, UnicodeError):
        raise UserError(f"{host!r} is no name or address of this computer; expected one, such as 127.0.0.1.") from None
    except OSError as error:
        raise UserError(
            f"the page cannot be at {host}, port {port}: {error.strerror or error}. Choose another with --port; 0 "
            "takes any that is free."
        ) from None


def card_of(models: Path, classifier: Classifier) -> bytes:
    """Return the page of the model's card, or b"" where the one beside its folder is missing or of another model."""
    file = models.absolute().parent / "reports/model_card.html"
    try:
        card = file.read_bytes()
    except OSError:
        return b""
    return card if classifier.decision.model.sha256["model.keras"].encode() in card else b""
