"""`lesions page`: the server of the page, for this computer alone.

An image is the body of a request, without its name, and stays in memory until it is classified. One thread runs the
network, so requests wait for each other.
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
from pathlib import Path
from typing import Any

from tornado.httpserver import HTTPServer
from tornado.httputil import split_host_and_port
from tornado.netutil import bind_sockets
from tornado.web import Application, HTTPError, RequestHandler

from lesions.classifier import Classifier
from lesions.commands.classify.formats import NOTICE, notes
from lesions.commands.page.response import respond
from lesions.core.errors import UserError
from lesions.models.calibration.metadata_prior import FIELDS
from lesions.models.calibration.patient_input import read as read_patient
from lesions.models.calibration.patient_input import regions
from lesions.reporting.common.html import CSP as CARD_POLICY
from lesions.reporting.common.templates import render
from lesions.taxonomy import about

HERE = Path(__file__).parent
HOST = "127.0.0.1"
NAMES = (HOST, "localhost")
"""Of this server. Who makes a browser believe that another name leads here (DNS rebinding) has that in each request."""

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


@dataclass
class Site:
    """What all requests share.

    Attributes:
        classifier: the model.
        card: the HTML page of the model's card, or b"".
        max_bytes: of one image.
        max_files: of one drop; the page itself keeps to it.
        timeout: seconds until an image has arrived, or an idle connection is closed.
    """

    classifier: Classifier
    card: bytes = b""
    max_bytes: int = 50_000_000
    max_files: int = 100
    timeout: float = 60
    thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "network"))


class Handler(RequestHandler):
    """What all addresses share; by itself, an address at which there is nothing."""

    def initialize(self, site: Site) -> None:
        """Keep what all requests share."""
        self.site = site

    def set_default_headers(self) -> None:
        """Forbid all that the page does not need."""
        self.clear_header("Server")
        for name, value in HEADERS.items():
            self.set_header(name, value)

    def prepare(self) -> None:
        """Refuse another site's requests, and methods and addresses that do not exist."""
        host = self.request.headers.get("Host", "").lower()
        if split_host_and_port(host)[0] not in NAMES:
            raise HTTPError(403, reason="this server has another name: open the address that `lesions page` prints")
        if self.request.headers.get("Origin", f"http://{host}").lower() != f"http://{host}":
            raise HTTPError(403, reason="the request comes from another site")
        if type(self) is Handler:
            raise HTTPError(404, reason="there is nothing at this address")

    def answer(self, status: int, content: dict[str, Any]) -> None:
        """End the request with JSON."""
        self.set_status(status)
        self.set_header("Content-Type", "application/json; charset=utf-8")
        self.finish(json.dumps(content, ensure_ascii=False))

    def write_error(self, status_code: int, **_: Any) -> None:
        """Write the reason, which holds nothing of the request."""
        self.answer(status_code, {"problem": self._reason})

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log a fault of ours, and nothing of the request."""
        if not isinstance(value, HTTPError):
            logging.getLogger("lesions.page").error("a request failed", exc_info=(typ, value, tb))


class Static(Handler):
    """The page, its style and script, and the card."""

    def initialize(self, site: Site, content: bytes, kind: str, policy: str = POLICY) -> None:  # type: ignore[override]
        """Keep what is served."""
        self.site, self.content, self.kind, self.policy = site, content, kind, policy

    def get(self) -> None:
        """Serve it."""
        self.set_header("Content-Type", f"text/{self.kind}; charset=utf-8")
        self.set_header("Content-Security-Policy", self.policy)
        self.finish(self.content)


class Classify(Handler):
    """An image's bytes in, JSON out."""

    async def post(self) -> None:
        """Classify the image."""
        classifier = self.site.classifier
        try:
            metadata = read_patient({field: self.get_query_argument(field, "") for field in FIELDS}, classifier.prior)
        except UserError as error:
            self.answer(422, {"problem": str(error)})
            return
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self.site.thread, respond, self.request.body, classifier, metadata)
        self.answer(422 if "problem" in found else 200, found)


def application(site: Site) -> Application:
    """Return what answers requests; nothing of them is logged."""
    css, script = ((HERE / name).read_bytes() for name in ("page.css", "page.js"))
    rules: list[Any] = [
        ("/", Static, {"site": site, "content": page(site), "kind": "html"}),
        ("/page.css", Static, {"site": site, "content": css, "kind": "css"}),
        ("/page.js", Static, {"site": site, "content": script, "kind": "javascript"}),
        ("/classify", Classify, {"site": site}),
    ]
    if site.card:
        # The card contains its policy too, but whoever can change the file cannot change this header.
        policy = f"{CARD_POLICY}; frame-ancestors 'none'"
        rules.append(("/card", Static, {"site": site, "content": site.card, "kind": "html", "policy": policy}))
    rules.append((".*", Handler, {"site": site}))
    return Application(rules, log_function=lambda _: None)


def page(site: Site) -> bytes:
    """Return the page itself; values become text, never elements."""
    classifier, thresholds = site.classifier, site.classifier.thresholds
    settings = {
        "names": {code: about(code).name for code in thresholds.classes},
        "malignant": thresholds.tasks["malignant"].positive if "malignant" in thresholds.tasks else [],
        "calibrated": classifier.calibration.temperature is not None,
        "files": site.max_files,
        "bytes": site.max_bytes,
    }
    context = {
        "settings": json.dumps(settings, ensure_ascii=False),
        "site": site,
        "missed": round(100 * (1 - classifier.sensitivity)),
        "notice": NOTICE,
        "notes": notes(classifier)[:-1],
        "regions": regions() if classifier.prior.is_active else [],
    }
    return render("commands/page/page.html.jinja", context).encode()


def serve(models: Path, sensitivity: int, port: int) -> None:
    """Serve the page until Ctrl-C.

    Args:
        models: the model's folder.
        sensitivity: see `Classifier.of_folder`.
        port: to listen at; 0 for a free one.

    Raises:
        UserError: there is no model, or no listening there.
    """
    sockets = listen(port)
    classifier = Classifier.of_folder(models, sensitivity)
    site = Site(classifier, read_card(models, classifier))
    for warning in classifier.warnings:
        print(f"WARNING: {warning}", file=sys.stderr)
    print(f"The page is at http://{HOST}:{sockets[0].getsockname()[1]}/ until you press Ctrl-C.", flush=True)
    try:
        asyncio.run(serve_until_cancelled(site, sockets))
    except KeyboardInterrupt:
        pass
    finally:
        site.thread.shutdown(cancel_futures=True)


async def serve_until_cancelled(site: Site, sockets: list[socket.socket]) -> None:
    """Serve until cancelled, as `asyncio.run` does at Ctrl-C; then close all connections, so no reply is cut short.

    Args:
        site: what is served.
        sockets: of `listen`.
    """
    server = HTTPServer(
        application(site),
        max_body_size=site.max_bytes,
        max_header_size=16_384,
        body_timeout=site.timeout,
        idle_connection_timeout=site.timeout,
    )
    server.add_sockets(sockets)
    try:
        await asyncio.Event().wait()
    finally:
        server.stop()
        await server.close_all_connections()


def listen(port: int) -> list[socket.socket]:
    """Return sockets that listen on a port of this computer, which no other computer reaches.

    Raises:
        UserError: they cannot.
    """
    if not 0 <= port <= 65_535:
        raise UserError(f"{port} is no port; expected a number up to 65535, or 0 for any that is free.")
    try:
        return bind_sockets(port, HOST)
    except OSError as error:
        raise UserError(
            f"port {port} cannot be used: {error.strerror or error}. Choose another with --port; 0 takes any that is "
            "free."
        ) from None


def read_card(models: Path, classifier: Classifier) -> bytes:
    """Return the HTML of the model's card, or b"" where the one beside its folder is missing or of another model.

    Args:
        models: the model's folder.
        classifier: read from it.
    """
    file = models.absolute().parent / "reports/model_card.html"
    try:
        card = file.read_bytes()
    except OSError:
        return b""
    return card if classifier.thresholds.model.sha256["model.keras"].encode() in card else b""
