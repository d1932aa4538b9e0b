"""`lesions page`: the server of the page, for this computer alone.

An image is the body of a request, without its name, and stays in memory until it is classified.
"""

import lesions.models.common.determinism  # noqa: F401 - before all that imports Keras

# isort: split
import asyncio
import json
import socket
import sys
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from tornado.httpserver import HTTPServer
from tornado.iostream import IOStream
from tornado.netutil import add_accept_handler, bind_sockets
from tornado.web import Application

from lesions.classifier import Classifier
from lesions.commands.classify.formats import NOTICE, notes
from lesions.commands.page.handlers import HOST, POLICY, Classify, Handler, Site, Static
from lesions.commands.page.response import respond
from lesions.core.errors import UserError
from lesions.models.calibration.patient_input import regions
from lesions.reporting.common.html import CSP as CARD_POLICY
from lesions.reporting.common.templates import render
from lesions.taxonomy import about

HERE = Path(__file__).parent
MAX_CONNECTIONS = 100
"""At once, well below the number of files that a system lets a process open."""
MAX_WAITING = 1000
"""Connections that the system keeps until there is room; a client that it drops tries again after a second or three."""
IDLE_S, BODY_S = 3, 120
"""Seconds after which a connection is closed that sends no request, and one that does not end its body."""
SILENT_S = 0.25
"""The same of a connection that has never sent one, where others wait."""


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
        "coverage": f"{thresholds.prediction_sets.coverage:.0%}",
        "files": site.max_files,
        "bytes": site.max_bytes,
    }
    context = {
        "settings": json.dumps(settings, ensure_ascii=False),
        "site": site,
        "missed": round(100 * (1 - classifier.sensitivity)),
        "fitted_on": classifier.thresholds.fitted_on,
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
    listening = listen(port)
    classifier = Classifier.of_folder(models, sensitivity)
    site = Site(classifier, read_card(models, classifier))
    # The first image takes seconds, in which the network is compiled: not while somebody waits.
    respond(classifier.classify(np.zeros((*classifier.preprocessing.image_size, 3), np.uint8)), classifier)
    for warning in classifier.warnings:
        print(f"WARNING: {warning}", file=sys.stderr)
    print(f"The page is at http://{HOST}:{listening.getsockname()[1]}/ until you press Ctrl-C.", flush=True)
    with suppress(KeyboardInterrupt):
        asyncio.run(serve_until_cancelled(site, listening))


class Server(HTTPServer):
    """A server that accepts no connection while it has `MAX_CONNECTIONS`: further ones wait until one ends."""

    def accept_from(self, listening: socket.socket, silent: dict[IOStream, float]) -> None:
        """Accept connections.

        Args:
            listening: where.
            silent: see `Site`.
        """
        self.listening, self.silent, self.n_open = listening, silent, 0
        self.pause = add_accept_handler(listening, self.open)

    def open(self, connection: socket.socket, address: Any) -> None:
        """Serve a connection."""
        loop = asyncio.get_running_loop()
        stream = IOStream(connection, max_buffer_size=self.max_buffer_size, read_chunk_size=self.read_chunk_size)
        self.silent[stream] = loop.time()
        self.handle_stream(stream, address)
        self.n_open += 1
        if self.n_open == MAX_CONNECTIONS:
            self.pause()
            loop.call_later(SILENT_S, self.make_room)

    def make_room(self) -> None:
        """Close the connections that have asked for nothing for `SILENT_S`."""
        now = asyncio.get_running_loop().time()
        for stream, since in list(self.silent.items()):
            if now - since >= SILENT_S:
                stream.close()

    def on_close(self, server_conn: Any) -> None:
        """Accept again where it was one too many."""
        super().on_close(server_conn)
        self.silent.pop(server_conn.stream, None)
        if self.n_open == MAX_CONNECTIONS and self.listening.fileno() != -1:
            self.pause = add_accept_handler(self.listening, self.open)
        self.n_open -= 1

    def stop(self) -> None:
        """Accept no more."""
        self.pause()
        self.listening.close()


async def serve_until_cancelled(site: Site, listening: socket.socket) -> None:
    """Serve until cancelled, as `asyncio.run` does at Ctrl-C; then close all connections, so no reply is cut short.

    Args:
        site: what is served.
        listening: see `listen`.
    """
    server = Server(
        application(site),
        max_body_size=site.max_bytes,
        max_header_size=16_384,
        idle_connection_timeout=IDLE_S,
        body_timeout=BODY_S,
    )
    server.accept_from(listening, site.silent)
    try:
        await site.batches.run()
    finally:
        server.stop()
        await server.close_all_connections()
        site.batches.close()


def listen(port: int) -> socket.socket:
    """Return a socket that listens on a port of this computer, which no other computer reaches.

    Raises:
        UserError: it cannot.
    """
    if not 0 <= port <= 65_535:
        raise UserError(f"{port} is no port; expected a number up to 65535, or 0 for any that is free.")
    try:
        return bind_sockets(port, HOST, backlog=MAX_WAITING)[0]
    except OSError as error:
        raise UserError(
            f"port {port} cannot be used: {error.strerror or error}. Choose another with --port; 0 takes any that is "
            "free."
        ) from None


def read_card(models: Path, classifier: Classifier) -> bytes:
    """Return the HTML of the model's card, or b"" where the one beside its folder is missing or of another model.

    A recalibrated model has none: the one of its network has other thresholds.

    Args:
        models: the model's folder.
        classifier: read from it.
    """
    file = models.absolute().parent / "reports/model_card.html"
    card = file.read_bytes() if file.is_file() and not classifier.thresholds.recalibrated else b""
    return card if classifier.thresholds.model.sha256["model.keras"].encode() in card else b""
