"""`lesions page`: the server of the page, for this computer alone unless told otherwise.

An image comes as the body of a request, without its name, and stays in memory until it is answered. One thread runs
the network, so requests wait for each other.
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
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined
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
from lesions.taxonomy import about

HERE = Path(__file__).parent

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
        host: the name by which the server was told to listen.
        loopback: only this computer reaches it.
        max_bytes: of one image.
        max_files: of one drop; the page itself keeps to it.
        timeout: seconds until an image has arrived, or an idle connection is closed.
    """

    classifier: Classifier
    card: bytes = b""
    host: str = "127.0.0.1"
    loopback: bool = True
    max_bytes: int = 50_000_000
    max_files: int = 100
    timeout: float = 60
    thread: ThreadPoolExecutor = field(default_factory=lambda: ThreadPoolExecutor(1, "network"))

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
    """What all addresses have in common; by itself, that of an address at which there is nothing."""

    def initialize(self, site: Site) -> None:
        """Take what is shared."""
        self.site = site

    def set_default_headers(self) -> None:
        """Forbid all that the page does not need."""
        self.clear_header("Server")
        for name, value in HEADERS.items():
            self.set_header(name, value)

    def prepare(self) -> None:
        """Refuse another site's requests, and methods and addresses that do not exist."""
        host = self.request.headers.get("Host", "").lower()
        if not self.site.knows(split_host_and_port(host)[0]):
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
        """Say what is wrong, in words none of which are from the request."""
        self.answer(status_code, {"problem": self._reason})

    def log_exception(self, typ: Any, value: Any, tb: Any) -> None:
        """Log a fault of ours, and nothing of the request."""
        if not isinstance(value, HTTPError):
            logging.getLogger("lesions.page").error("a request failed", exc_info=(typ, value, tb))


class Static(Handler):
    """The page, its style and script, and the card."""

    def initialize(self, site: Site, content: bytes, kind: str, policy: str = POLICY) -> None:  # type: ignore[override]
        """Take what is served."""
        self.site, self.content, self.kind, self.policy = site, content, kind, policy

    def get(self) -> None:
        """Serve it."""
        self.set_header("Content-Type", f"text/{self.kind}; charset=utf-8")
        self.set_header("Content-Security-Policy", self.policy)
        self.finish(self.content)


class Classify(Handler):
    """An image's bytes in, JSON out."""

    async def post(self) -> None:
        """Answer."""
        classifier = self.site.classifier
        try:
            patient = read_patient({field: self.get_query_argument(field, "") for field in FIELDS}, classifier.prior)
        except UserError as error:
            self.answer(422, {"problem": str(error)})
            return
        loop = asyncio.get_running_loop()
        found = await loop.run_in_executor(self.site.thread, respond, self.request.body, classifier, patient)
        self.answer(422 if "problem" in found else 200, found)


def application(site: Site) -> Application:
    """Return what answers requests; nothing of them is logged."""
    files = {"/": (page(site), "html"), "/page.css": (b"", "css"), "/page.js": (b"", "javascript")}
    rules: list[Any] = [("/classify", Classify, {"site": site})]
    for path, (content, kind) in files.items():
        served = {"site": site, "content": content or (HERE / path[1:]).read_bytes(), "kind": kind}
        rules.append((path, Static, served))
    if site.card:
        # Its own policy also stands in it; who changed the file does not change this one.
        policy = f"{CARD_POLICY}; frame-ancestors 'none'"
        rules.append(("/card", Static, {"site": site, "content": site.card, "kind": "html", "policy": policy}))
    rules.append((".*", Handler, {"site": site}))
    return Application(rules, log_function=lambda _: None)


def page(site: Site) -> bytes:
    """Return the page itself; what is put into it is text."""
    environment = Environment(
        autoescape=True, loader=FileSystemLoader(HERE), undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    classifier, thresholds = site.classifier, site.classifier.thresholds
    settings = {
        "names": {code: about(code).name for code in thresholds.classes},
        "malignant": thresholds.tasks["malignant"].positive if "malignant" in thresholds.tasks else [],
        "calibrated": classifier.calibration.temperature is not None,
        "files": site.max_files,
        "bytes": site.max_bytes,
    }
    text = environment.get_template("page.html").render(
        settings=json.dumps(settings, ensure_ascii=False),
        site=site,
        missed=round(100 * (1 - classifier.sensitivity)),
        notice=NOTICE,
        notes=notes(classifier)[:-1],
        regions=regions() if classifier.prior.is_active else [],
    )
    return text.encode()


def serve(models: Path, sensitivity: int, host: str, port: int) -> None:
    """Serve the page until Ctrl-C.

    Args:
        models: the model's folder.
        sensitivity: see `Classifier.of_folder`.
        host: a name or address of this computer; only who reaches that reaches the page.
        port: to listen at; 0 for a free one.

    Raises:
        UserError: there is no model, or no listening there.
    """
    sockets = listening(host, port)
    addresses = [ip_address(found.getsockname()[0].partition("%")[0]) for found in sockets]
    classifier = Classifier.of_folder(models, sensitivity)
    site = Site(classifier, card_of(models, classifier), host, all(address.is_loopback for address in addresses))
    for warning in classifier.warnings:
        print(f"WARNING: {warning}", file=sys.stderr)
    if not site.loopback:
        print(
            f"WARNING: whoever reaches {host} over the network can use the page, and images travel unencrypted. Do "
            "this only in a network whose every user you trust.",
            file=sys.stderr,
        )
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
    return card if classifier.thresholds.model.sha256["model.keras"].encode() in card else b""
