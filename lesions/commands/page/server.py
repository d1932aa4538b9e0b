"""`lesions page`: the server of the page, for this computer alone.

An image is the body of a request, without its name, and stays in memory until it is classified, one at a time.
"""

import lesions.models.common.determinism  # noqa: F401 - before all that imports Keras

# isort: split
import asyncio
import json
import logging
import socket
import sys
from contextlib import suppress
from dataclasses import dataclass
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


@dataclass(frozen=True)
class Site:
    """What all requests share.

    Attributes:
        classifier: the model.
        card: the HTML page of the model's card, or b"".
        max_bytes: of one image.
        max_files: of one drop; the page itself keeps to it.
    """

    classifier: Classifier
    card: bytes = b""
    max_bytes: int = 50_000_000
    max_files: int = 100


class Handler(RequestHandler):
    """What all addresses share; by itself, an address at which there is nothing."""

    def initialize(self, site: Site, content: bytes = b"", kind: str = "html", policy: str = POLICY) -> None:
        """Keep what all requests share, and what is served at this address."""
        self.site, self.content, self.kind, self.policy = site, content, kind, policy

    def set_default_headers(self) -> None:
        """Forbid all that the page does not need."""
        self.clear_header("Server")
        for name, value in HEADERS.items():
            self.set_header(name, value)

    def prepare(self) -> None:
        """Refuse another site's requests, and addresses that do not exist."""
        host = self.request.headers.get("Host", "").lower()
        if split_host_and_port(host)[0] not in NAMES:
            raise HTTPError(403, reason="this server has another name: open the address that `lesions page` prints")
        if self.request.headers.get("Origin", f"http://{host}").lower() != f"http://{host}":
            raise HTTPError(403, reason="the request comes from another site")
        if type(self) is Handler:
            raise HTTPError(404, reason="there is nothing at this address")

    def write_error(self, *_: Any, **__: Any) -> None:
        """Write the reason, which holds nothing of the request."""
        self.finish({"problem": self._reason})

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log a fault of ours, and nothing of the request."""
        if not isinstance(value, HTTPError):
            logging.getLogger("lesions.page").error("a request failed", exc_info=(typ, value, tb))


class Static(Handler):
    """The page, its style and script, and the card."""

    def get(self) -> None:
        """Serve it."""
        self.set_header("Content-Type", f"text/{self.kind}; charset=utf-8")
        self.set_header("Content-Security-Policy", self.policy)
        self.finish(self.content)


class Classify(Handler):
    """An image's bytes in, JSON out; a request waits until those before it are done."""

    def post(self) -> None:
        """Classify the image."""
        classifier = self.site.classifier
        try:
            metadata = read_patient({field: self.get_query_argument(field, "") for field in FIELDS}, classifier.prior)
            found = respond(self.request.body, classifier, metadata)
        except UserError as error:
            found = {"problem": str(error)}
        self.set_status(422 if "problem" in found else 200)
        self.finish(found)


def application(site: Site) -> Application:
    """Return the application; no request is logged."""
    files = [("/", page(site), "html", POLICY)]
    for name, kind in (("page.css", "css"), ("page.js", "javascript")):
        files.append((f"/{name}", (HERE / name).read_bytes(), kind, POLICY))
    if site.card:
        # The card contains its policy too, but whoever can change the file cannot change this header.
        files.append(("/card", site.card, "html", f"{CARD_POLICY}; frame-ancestors 'none'"))
    rules: list[Any] = [
        (path, Static, {"site": site, "content": content, "kind": kind, "policy": policy})
        for path, content, kind, policy in files
    ]
    rules += [("/classify", Classify, {"site": site}), (".*", Handler, {"site": site})]
    return Application(rules, log_function=lambda _: None)


def page(site: Site) -> bytes:
    """Return the page itself; values become text, never elements."""
    classifier, thresholds = site.classifier, site.classifier.thresholds
    settings = {
        "names": {code: about(code).name for code in thresholds.classes},
        "malignant": thresholds.tasks["malignant"].positive if "malignant" in thresholds.tasks else [],
        "calibrated": classifier.calibration.temperature is not None,
        "coverage": f"{thresholds.prediction_sets.coverage:.0%}" if thresholds.prediction_sets else "",
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
    with suppress(KeyboardInterrupt):
        asyncio.run(serve_until_cancelled(site, sockets))


async def serve_until_cancelled(site: Site, sockets: list[socket.socket]) -> None:
    """Serve until cancelled, as `asyncio.run` does at Ctrl-C; then close all connections, so no reply is cut short.

    Args:
        site: what is served.
        sockets: of `listen`.
    """
    server = HTTPServer(application(site), max_body_size=site.max_bytes, max_header_size=16_384)
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
    card = file.read_bytes() if file.is_file() else b""
    return card if classifier.thresholds.model.sha256["model.keras"].encode() in card else b""
