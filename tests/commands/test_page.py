"""The page: the server's replies, to hostile requests too, and what a person sees in a browser."""

import asyncio
import base64
import dataclasses
import io
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import requests
from PIL import Image

from lesions.classifier import Classifier, Prediction
from lesions.commands.classify.formats import NOTICE, as_object
from lesions.commands.page import batches, server
from lesions.commands.page.handlers import Site
from lesions.commands.page.response import heat_map_alt, respond
from lesions.core.errors import UserError
from lesions.evaluation.common.thresholds import OOD
from lesions.explain.overlay import overlay
from lesions.inference.predict import BATCH_SIZE
from lesions.models.calibration.metadata_prior import FIELDS, MetadataPrior
from lesions.taxonomy import about
from tests.browser import SECONDS, assert_accessible, assert_fits, look
from tests.conftest import ROOT, run


def image(seed: int, kind: str = "JPEG", px: int = 60) -> bytes:
    """A dark spot on skin, each at another place."""
    chance = np.random.default_rng(seed)
    y, x = np.mgrid[-1 : 1 : px * 1j, -1 : 1 : px * 1j]
    centre, size = chance.uniform(-0.4, 0.4, 2), chance.uniform(0.1, 0.5)
    inside = np.hypot(x - centre[0], y - centre[1]) < size
    pixels = np.where(inside[..., None], chance.integers(30, 120, 3), [210, 160, 140])
    file = io.BytesIO()
    Image.fromarray(pixels.astype(np.uint8)).save(file, kind)
    return file.getvalue()


def huge() -> bytes:
    """200 megapixels in a few kilobytes."""
    file = io.BytesIO()
    Image.new("1", (20_000, 10_000)).save(file, "PNG")
    return file.getvalue()


SVG = b"""<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><script>top.harm = 1; alert(1)</script></svg>"""
NO_IMAGES = {"empty": b"", "broken": image(0)[:-400], "huge": huge(), "svg": SVG}
WORDS = {"empty": "empty file", "broken": "broken image", "huge": "too large", "svg": "no image: not one of JPEG"}


@pytest.fixture(scope="module")
def classifier(workspace: Path) -> Classifier:
    return Classifier.of_folder(workspace / "models")


@contextmanager
def served(site: Site) -> Iterator[str]:
    """Serve a site as `lesions page` does, from another thread; give the address."""
    found = server.listen(0)
    port = found.getsockname()[1]
    loop = asyncio.new_event_loop()
    task = loop.create_task(server.serve_until_cancelled(site, found))

    def run() -> None:
        with suppress(asyncio.CancelledError):
            loop.run_until_complete(task)

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        loop.call_soon_threadsafe(task.cancel)
        thread.join()
        loop.close()


@pytest.fixture
def serve(classifier: Classifier) -> Iterator[Callable[..., tuple[str, Site]]]:
    """Serve sites with other limits, or a card, until the test ends."""
    running = []

    def start(card: bytes = b"", **limits: Any) -> tuple[str, Site]:
        site = Site(classifier, card, **limits)
        context = served(site)
        address = context.__enter__()
        running.append(context)
        return address, site

    yield start
    for context in running:
        context.__exit__(None, None, None)


@pytest.fixture(scope="module")
def address(classifier: Classifier) -> Iterator[str]:
    with served(Site(classifier, b"<!DOCTYPE html><html lang='en'><title>Card</title><h1>Card</h1>")) as found:
        yield found


def post(address: str, content: bytes, **headers: str) -> requests.Response:
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return requests.post(f"{address}/classify", data=content, headers=names, timeout=SECONDS)


def begin(address: str, length: int, sent: bytes, path: str = "/classify", method: str = "POST") -> socket.socket:
    """Begin to send an image of that length."""
    host, port = address.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), SECONDS)
    head = f"{method} {path} HTTP/1.1\r\nHost: {host}:{port}\r\nContent-Length: {length}\r\n\r\n"
    connection.sendall(head.encode() + sent)
    return connection


def until(true: Callable[[], object]) -> None:
    """Wait until something is true."""
    end = time.monotonic() + SECONDS
    while not true():
        assert time.monotonic() < end
        time.sleep(0.02)


def pixels_of(part: dict[str, str]) -> np.ndarray[Any, Any]:
    encoded = part["src"].removeprefix("data:image/png;base64,")
    return np.asarray(Image.open(io.BytesIO(base64.b64decode(encoded)), formats=["PNG"]))


# Predictions.


def expected(due: Prediction, classifier: Classifier) -> dict[str, Any]:
    found = as_object(due, classifier)
    del found["image"]
    return found


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "BMP", "TIFF", "WEBP"])
def test_reply_equals_the_classifiers(address: str, classifier: Classifier, kind: str) -> None:
    content = image(1, kind)
    reply = post(address, content)
    due = classifier.classify(content)
    found = reply.json()
    assert reply.status_code == 200
    assert {name: found[name] for name in expected(due, classifier)} == expected(due, classifier)
    assert (pixels_of(found["input"]) == due.pixels).all()
    heat = classifier.heat_maps([due])[0]
    assert (pixels_of(found["heat_map"]) == np.asarray(overlay(due.pixels, heat, (24, 24))[1])).all()
    assert found["heat_map"]["alt"] == heat_map_alt(about(due.diagnosis).name, heat)
    assert found["notice"] == NOTICE


def test_metadata_changes_the_prediction(address: str, classifier: Classifier) -> None:
    known = {"age": "72", "sex": "male", "site": "head and neck"}
    content = image(1)
    reply = requests.post(f"{address}/classify", data=content, params=known, timeout=SECONDS).json()
    due = classifier.classify(content, metadata=known)
    assert reply["metadata"] == known
    assert reply["probabilities"] == due.probabilities != classifier.classify(content).probabilities
    wrong = requests.post(f"{address}/classify", data=content, params={"sex": "x"}, timeout=SECONDS)
    assert (wrong.status_code, wrong.json()) == (422, {"problem": "sex x is not known; known: female, male."})


def test_metadata_fields_need_a_prior(classifier: Classifier) -> None:
    fields = b'<fieldset id="patient">'
    assert fields in server.page(Site(classifier))
    image_only = dataclasses.replace(classifier, prior=MetadataPrior(classes=classifier.thresholds.classes))
    assert fields not in server.page(Site(image_only))


@pytest.mark.parametrize("name", NO_IMAGES)
def test_unusable_image_names_the_problem(address: str, name: str) -> None:
    reply = post(address, NO_IMAGES[name])
    assert reply.status_code == 422
    assert list(reply.json()) == ["problem"]
    assert WORDS[name] in reply.json()["problem"]


def test_fifty_requests_at_once(address: str, classifier: Classifier) -> None:
    images = [image(number) for number in range(50)]
    with ThreadPoolExecutor(50) as people:
        found = list(people.map(lambda content: post(address, content).json(), images))
    for one, content in zip(found, images, strict=True):
        due = classifier.classify(content)
        assert {name: one[name] for name in expected(due, classifier)} == expected(due, classifier)
        assert (pixels_of(one["input"]) == due.pixels).all()


def test_images_that_wait_share_the_network(
    serve: Callable[..., tuple[str, Site]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, _ = serve()
    predict, sizes, begun = Classifier.predict, [], threading.Event()

    def count(self: Classifier, batch: list[Prediction]) -> list[Prediction]:
        sizes.append(len(batch))
        if len(sizes) == 1:
            begun.wait(SECONDS)
        return list(predict(self, batch))

    monkeypatch.setattr(Classifier, "predict", count)
    with ThreadPoolExecutor(21) as people:
        found = [people.submit(post, address, image(0))]
        until(lambda: sizes == [1])
        found += [people.submit(post, address, image(number)) for number in range(20)]
        time.sleep(1)
        begun.set()
        assert {one.result().status_code for one in found} == {200}
    assert sizes == [1, BATCH_SIZE, 20 - BATCH_SIZE]


def test_large_images_delay_no_small_one(
    serve: Callable[..., tuple[str, Site]], monkeypatch: pytest.MonkeyPatch
) -> None:
    address, _ = serve()
    decode, large, release = Classifier.decode, image(1, px=3200), threading.Event()

    def wait(self: Classifier, given: Any) -> Prediction:
        if given[1]() == large:
            release.wait(SECONDS)
        return decode(self, given)

    monkeypatch.setattr(Classifier, "decode", wait)
    with ThreadPoolExecutor(5) as people:
        waiting = [people.submit(post, address, large) for _ in range(5)]
        assert post(address, image(1)).status_code == 200
        assert not any(one.done() for one in waiting)
        release.set()
        assert {one.result().status_code for one in waiting} == {200}


def test_heat_map_has_alt_text() -> None:
    heat = np.zeros((30, 60), np.float32)
    assert heat_map_alt("melanoma", heat) == "Heat map: no place of the image raises the score of melanoma."
    heat[25, :15] = 1
    assert "the lower left raises the score of melanoma most; 1% of the image" in heat_map_alt("melanoma", heat)
    heat[15, 30] = 2
    assert "the middle raises the score" in heat_map_alt("melanoma", heat)


def test_prediction_without_heat_map(classifier: Classifier, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: Any) -> None:
        raise UserError("no dense layer")

    monkeypatch.setattr(Classifier, "heat_maps", refuse)
    found = respond(classifier.classify(image(1)), classifier)
    assert found["no_heat_map"] == "no dense layer"
    assert "heat_map" not in found
    assert found["input"]["alt"] == "The image as the network gets it, 24×24 pixels."


# Refusals.


def test_large_body_is_refused(serve: Callable[..., tuple[str, Site]]) -> None:
    address, _ = serve(max_bytes=10_000)
    with begin(address, 10_001, b"") as connection:
        assert connection.recv(12) == b"HTTP/1.1 400"
        while connection.recv(10_000):
            pass
    assert post(address, image(1).ljust(10_000, b"\0")).status_code == 200


def chunked(address: str, method: str, path: str) -> socket.socket:
    """Begin a request of no stated length."""
    host, port = address.removeprefix("http://").split(":")
    connection = socket.create_connection((host, int(port)), SECONDS)
    connection.sendall(
        f"{method} {path} HTTP/1.1\r\nHost: {host}:{port}\r\nTransfer-Encoding: chunked\r\n\r\n".encode()
    )
    return connection


@pytest.mark.parametrize(("method", "path"), [("PUT", "/classify"), ("POST", "/"), ("DELETE", "/nothing")])
def test_body_that_nobody_reads_is_not_kept(serve: Callable[..., tuple[str, Site]], method: str, path: str) -> None:
    address, site = serve()
    with chunked(address, method, path) as connection:
        with suppress(OSError):  # it may be answered before the end
            for _ in range(20):
                connection.sendall(b"%x\r\n" % 100_000 + bytes(100_000) + b"\r\n")
            connection.sendall(b"0\r\n\r\n")
        assert connection.recv(12) in (b"HTTP/1.1 405", b"HTTP/1.1 404")
        assert site.held == [0]


@pytest.mark.parametrize(
    ("method", "path", "status"), [("PUT", "/classify", 405), ("GET", "/", 400), ("POST", "/nothing", 404)]
)
def test_body_that_nobody_reads_is_refused_on_its_head(address: str, method: str, path: str, status: int) -> None:
    with begin(address, 45_000_000, b"", path, method) as connection:
        assert connection.recv(12) == f"HTTP/1.1 {status}".encode()
        while connection.recv(10_000):
            pass


def test_client_that_is_gone_leaves_nothing(
    serve: Callable[..., tuple[str, Site]], caplog: pytest.LogCaptureFixture
) -> None:
    address, site = serve()
    for number in range(20):
        content = image(number)
        begin(address, len(content), content).close()
    assert post(address, image(1)).status_code == 200
    until(lambda: site.held == [0])
    assert not site.silent
    assert not caplog.records


def test_images_on_their_way_have_a_limit(serve: Callable[..., tuple[str, Site]]) -> None:
    address, site = serve(max_held_bytes=1_000_000)
    held = [begin(address, 400_000, bytes(390_000)) for _ in range(2)]
    until(lambda: site.held == [780_000])
    assert post(address, bytes(400_000)).status_code == 503
    for connection in held:
        connection.close()
    until(lambda: site.held == [0])
    assert post(address, image(1)).status_code == 200


def test_connections_have_a_limit(serve: Callable[..., tuple[str, Site]], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_CONNECTIONS", 10)
    address, _ = serve()
    host, port = address.removeprefix("http://").split(":")
    begun = [begin(address, 100, b"") for _ in range(10)]
    with pytest.raises(requests.Timeout):
        requests.get(address, timeout=1)
    for connection in begun:
        connection.close()
    assert requests.get(address, timeout=SECONDS).status_code == 200
    silent = [socket.create_connection((host, int(port)), SECONDS) for _ in range(30)]
    assert requests.get(address, timeout=server.IDLE_S).status_code == 200
    for connection in silent:
        connection.close()


def test_other_origins_are_refused(address: str) -> None:
    port = address.rpartition(":")[2]
    for host in (
        f"evil.example:{port}",
        "evil.example",
        f"127.0.0.1.evil.example:{port}",
        "192.0.2.7",
        "[::1]",
        "[",
        "",
    ):
        for path in ("/", "/page.js", "/card", "/nothing"):
            reply = requests.get(f"{address}{path}", headers={"Host": host}, timeout=SECONDS)
            assert reply.status_code in (400, 403)
            assert "lesion" not in reply.text.replace("`lesions page`", "")
        assert post(address, image(1), Host=host).status_code in (400, 403)
    for origin in ("http://evil.example", "null", f"https://127.0.0.1:{port}", "http://127.0.0.1:1", f"{address}.x"):
        assert post(address, image(1), Origin=origin).status_code == 403
    assert post(address, image(1), Origin=address).status_code == 200
    for name in ("localhost", "LOCALHOST", "127.0.0.1"):
        assert post(address, image(1), Host=f"{name}:{port}", Origin=f"http://{name}:{port}").status_code == 200


@pytest.mark.parametrize("path", ["/", "/page.css", "/page.js", "/card", "/classify", "/nothing", "/%00", "/page.html"])
def test_replies_have_security_headers(address: str, path: str) -> None:
    reply = requests.get(address + path, timeout=SECONDS)
    assert reply.status_code == {"/classify": 405, "/nothing": 404, "/%00": 404, "/page.html": 404}.get(path, 200)
    policy = reply.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "script-src 'self'" in policy or path == "/card"
    assert "unsafe-inline" not in policy or path == "/card"
    assert reply.headers["Cache-Control"] == "no-store"
    assert reply.headers["X-Content-Type-Options"] == "nosniff"
    assert reply.headers["Referrer-Policy"] == "no-referrer"
    assert not {"Server", "Set-Cookie", "Access-Control-Allow-Origin"} & set(reply.headers)


def test_only_the_models_card_is_served(workspace: Path, classifier: Classifier, tmp_path: Path) -> None:
    card = (workspace / "reports/model_card.html").read_bytes()
    assert server.read_card(workspace / "models", classifier) == card
    (tmp_path / "reports").mkdir()
    assert server.read_card(tmp_path / "models", classifier) == b""
    sha256 = classifier.thresholds.model.sha256["model.keras"].encode()
    (tmp_path / "reports/model_card.html").write_bytes(card.replace(sha256, b"0" * 64))
    assert server.read_card(tmp_path / "models", classifier) == b""
    again = dataclasses.replace(classifier, thresholds=classifier.thresholds.model_copy(update={"recalibrated": True}))
    assert server.read_card(workspace / "models", again) == b""
    assert b'href="card"' in server.page(Site(classifier, card))
    assert b'href="card"' not in server.page(Site(classifier))


# The command.


def states(folder: Path) -> dict[str, tuple[int, int]]:
    found = {}
    for path in sorted(folder.rglob("*")):
        about_it = path.lstat()
        found[str(path)] = (about_it.st_size, about_it.st_mtime_ns)
    return found


def test_command_writes_no_file(workspace: Path, tmp_path: Path) -> None:
    command = [str(Path(sys.executable).with_name("lesions")), "page", "--port", "0", "--sensitivity", "80"]
    environment = os.environ | {"TMPDIR": str(tmp_path), "PYTHONDONTWRITEBYTECODE": "1", "TF_CPP_MIN_LOG_LEVEL": "3"}
    before = states(workspace)
    process = subprocess.Popen(
        command, cwd=workspace, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        assert process.stdout
        words = process.stdout.readline()
        address = words.removeprefix("The page is at ").partition("/ until you press Ctrl-C.")[0]
        assert address.startswith("http://127.0.0.1:"), words
        assert "up to 20 %" in requests.get(address, timeout=SECONDS).text
        assert "Model card" in requests.get(f"{address}/card", timeout=SECONDS).text
        for content, status in ((image(1), 200), (SVG, 422), (image(1).ljust(3_000_000, b"\0"), 200)):
            reply = requests.post(f"{address}/classify?name=Anna_Example.jpg", data=content, timeout=SECONDS)
            assert reply.status_code == status
        assert requests.get(f"{address}/Anna_Example.jpg", timeout=SECONDS).status_code == 404
        assert post(address, image(1), Origin="http://evil.example").status_code == 403
        with ThreadPoolExecutor(40) as people:  # with a whole reply or none
            waiting = [people.submit(post, address, image(number)) for number in range(40)]
            until(lambda: any(one.done() for one in waiting))
            process.send_signal(signal.SIGINT)
            out, err = process.communicate(timeout=SECONDS)
        assert all(one.exception() or "diagnosis" in one.result().json() for one in waiting)
    finally:
        process.kill()
    assert (process.returncode, out) == (0, "")
    ours = [line for line in err.splitlines() if line and "oneDNN" not in line and "cuda" not in line.lower()]
    assert [line.partition(",")[0] for line in ours] == [
        "Loading TensorFlow ...",
        "Loading models/model.keras ...",
        "WARNING: the model was trained on drawings that the project makes itself",
    ]
    assert states(workspace) == before
    assert not list(tmp_path.iterdir())


def test_server_error_logs_no_request(
    address: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def fail(*_: Any) -> None:
        raise RuntimeError("disk of the moon")

    monkeypatch.setattr(batches, "respond", fail)
    reply = requests.post(f"{address}/classify?Anna_Example", data=image(1), timeout=SECONDS)
    assert (reply.status_code, reply.json()) == (500, {"problem": "Internal Server Error"})
    assert "disk of the moon" in caplog.text
    assert "Anna" not in caplog.text


def test_unusable_port_is_an_error() -> None:
    taken = server.listen(0)
    with taken, pytest.raises(UserError, match="already in use"):
        server.listen(taken.getsockname()[1])
    with pytest.raises(UserError, match="70000 is no port"):
        server.listen(70_000)


# The browser.


def send(browser: Any, *files: Path) -> None:
    """Choose files and wait until all are done."""
    browser.find_element("id", "files").send_keys("\n".join(map(str, files)))
    finish(browser)


def finish(browser: Any) -> None:
    until(lambda: browser.find_element("id", "status").text.startswith("All "))


def cards(browser: Any) -> list[str]:
    return [card.text for card in browser.find_elements("css selector", "#cards > li")]


def written(folder: Path, name: str, content: bytes) -> Path:
    (folder / name).write_bytes(content)
    return folder / name


HOSTILE = "<img src=x onerror='harm=1'> &amp; \u202egpj.exe.jpg"


def test_browser_shows_the_prediction(browser: Any, address: str, classifier: Classifier, tmp_path: Path) -> None:
    browser.get(address)
    assert NOTICE in browser.find_element("tag name", "header").text
    assert not browser.find_element("id", "found").is_displayed()
    content = image(3)
    send(browser, written(tmp_path, HOSTILE, content))
    (shown,) = cards(browser)
    due = classifier.classify(content)
    assert shown.startswith(HOSTILE)
    assert about(due.diagnosis).name.capitalize() in shown
    rows = dict(row.text.split("\n") for row in browser.find_elements("css selector", "article tr"))
    for code, probability in due.probabilities.items():
        name = about(code).name + (" (malignant)" if about(code).malignancy == "malignant" else "")
        assert rows[name] == ("< 0.1 %" if probability < 0.001 else f"{100 * probability:.1f} %")
    assert ("ALERT: melanoma" in shown) == (due.alerts["melanoma"] is True)
    assert ("No alert for melanoma" in shown) == (due.alerts["melanoma"] is False)
    assert (f"Malignant: {'yes' if due.alerts['malignant'] else 'no'}" in shown) == (
        due.alerts["malignant"] is not None
    )
    assert ("Out of distribution" in shown) == (due.is_ood is True)
    photo = browser.find_element("css selector", "article img")
    assert photo.get_property("naturalWidth") == 24
    assert photo.get_attribute("alt") == heat_map_alt(about(due.diagnosis).name, classifier.heat_maps([due])[0])
    heat = photo.get_attribute("src")
    button = browser.find_element("css selector", "figure button")
    button.click()
    assert (pixels_of({"src": photo.get_attribute("src")}) == due.pixels).all()
    assert photo.get_attribute("alt").startswith("The image as the network gets it")
    assert button.text == "Show heat map"
    button.click()
    assert photo.get_attribute("src") == heat
    loaded = browser.execute_script("return performance.getEntriesByType('resource').map((entry) => entry.name)")
    assert loaded
    assert all(name.startswith((address, "data:")) for name in loaded)
    assert browser.execute_script("return window.harm") is None


def test_browser_goes_on_after_images_out_of_distribution(browser: Any, classifier: Classifier, tmp_path: Path) -> None:
    """More of them than are sent at a time."""
    of_none = [
        one.model_copy(update={"value": 0.0}) if one.task == OOD else one for one in classifier.thresholds.thresholds
    ]
    strict = dataclasses.replace(
        classifier, thresholds=classifier.thresholds.model_copy(update={"thresholds": of_none})
    )
    with served(Site(strict)) as address:
        browser.get(address)
        send(browser, *[written(tmp_path, f"{number}.jpg", image(number)) for number in range(5)])
        assert "All 5 done, none with an alert, 5 out of distribution" in browser.find_element("id", "status").text


def test_browser_refuses_an_age_that_is_no_number(browser: Any, address: str, tmp_path: Path) -> None:
    browser.get(address)
    browser.find_element("name", "age").send_keys("55-60")
    browser.find_element("id", "files").send_keys(str(written(tmp_path, "a.jpg", image(3))))
    assert cards(browser) == []
    assert not browser.find_element("id", "found").is_displayed()


def test_browser_sends_the_metadata(browser: Any, address: str, classifier: Classifier, tmp_path: Path) -> None:
    browser.get(address)
    content = image(3)
    browser.find_element("name", "age").send_keys("72")
    browser.find_element("name", "site").send_keys("head")
    send(browser, written(tmp_path, "a.jpg", content))
    assert "Used: age 72, site head and neck." in cards(browser)[0]
    due = classifier.classify(content, metadata={"age": "72", "site": "head and neck"})
    rows = dict(row.text.split("\n") for row in browser.find_elements("css selector", "article tr"))
    shown = {name.removesuffix(" (malignant)"): value for name, value in rows.items()}
    for code, probability in due.probabilities.items():
        assert shown[about(code).name] == ("< 0.1 %" if probability < 0.001 else f"{100 * probability:.1f} %")


def test_browser_shows_the_problems(browser: Any, address: str, tmp_path: Path) -> None:
    browser.get(address)
    send(browser, *[written(tmp_path, f"{name}.png", content) for name, content in NO_IMAGES.items()])
    for name, shown in zip(NO_IMAGES, cards(browser), strict=True):
        assert shown.startswith(f"{name}.png\nNo prediction: ")
        assert WORDS[name] in shown
    assert "none with an alert, 4 not classified" in browser.find_element("id", "status").text
    assert browser.execute_script("return window.harm") is None
    assert not browser.find_elements("css selector", "#cards img, #cards svg, #cards iframe")


def test_browser_sends_up_to_the_limit(
    browser: Any, serve: Callable[..., tuple[str, Site]], classifier: Classifier, tmp_path: Path
) -> None:
    address, _ = serve(max_files=50, max_bytes=20_000)
    browser.get(address)
    files = [written(tmp_path, f"{number}.jpg", image(number)) for number in range(52)]
    files[7].write_bytes(bytes(20_001))
    send(browser, *files)
    shown = cards(browser)
    assert len(shown) == 51
    for number, text in enumerate(shown[:50]):
        assert text.startswith(f"{number}.jpg\n")
        assert ("No prediction: larger than 0 MB; not sent" in text) == (number == 7)
        is_ood = classifier.classify(image(number)).is_ood
        assert ("out of distribution" in text.lower()) == (number != 7 and is_ood)
        assert ("probabilities" in text.lower()) == (number != 7 and not is_ood)
    assert shown[50].startswith("2 more than 50 in one go")
    browser.find_elements("tag name", "summary")[-1].click()
    assert "50.jpg\n51.jpg" in cards(browser)[50]
    assert "All 52 done" in browser.find_element("id", "status").text
    assert "3 not classified" in browser.find_element("id", "status").text


DROP = """
const files = new DataTransfer();
files.items.add(new File([Uint8Array.from(arguments[0])], "dropped.jpg"));
const drop = new DragEvent("drop", {dataTransfer: files, bubbles: true, cancelable: true});
document.body.dispatchEvent(drop);
return drop.defaultPrevented;
"""


def test_drop_and_keyboard(browser: Any, address: str) -> None:
    webdriver = pytest.importorskip("selenium.webdriver")
    keys = webdriver.Keys
    browser.get(address)
    assert browser.execute_script(DROP, list(image(1)))
    finish(browser)
    assert cards(browser)[0].startswith("dropped.jpg")

    def press(key: str) -> Any:
        webdriver.ActionChains(browser).send_keys(key).perform()
        return browser.switch_to.active_element

    browser.execute_script("document.activeElement.blur()")
    assert [press(keys.TAB).get_attribute("name") for _ in FIELDS] == list(FIELDS)
    assert press(keys.TAB).get_attribute("id") == "files"
    outline = "return getComputedStyle(document.querySelector('#files + label')).outlineStyle"
    assert browser.execute_script(outline) == "solid"
    assert press(keys.TAB).text == "Remove all"
    assert press(keys.TAB).text == "Hide heat map"
    assert press(keys.SPACE).text == "Show heat map"
    assert press(keys.TAB).text == "the model’s card"
    back = webdriver.ActionChains(browser).key_down(keys.SHIFT).send_keys(keys.TAB, keys.TAB).key_up(keys.SHIFT)
    back.perform()
    assert browser.switch_to.active_element.text == "Remove all"
    assert press(keys.ENTER).get_attribute("id") == "files"
    assert not cards(browser)
    assert not browser.find_element("id", "found").is_displayed()


def test_browser_names_a_stopped_server(browser: Any, classifier: Classifier, tmp_path: Path) -> None:
    with served(Site(classifier)) as address:
        browser.get(address)
    send(browser, written(tmp_path, "a.jpg", image(1)))
    assert "No prediction: the server is gone" in cards(browser)[0]


def test_without_javascript_the_command_is_named(browser: Any, address: str) -> None:
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    browser.get(address)
    shown = browser.find_element("tag name", "main").text
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": False})
    assert "lesions classify IMAGE" in shown


@pytest.mark.parametrize("width", [390, 1280])
def test_layout_fits_and_axe_passes(browser: Any, address: str, tmp_path: Path, width: int) -> None:
    look(browser, width)
    browser.get(address)
    files = [written(tmp_path, f"{'a long name ' * 15}{n}{'x' * 60}.jpg", image(n)) for n in range(3)]
    send(browser, *files, written(tmp_path, "no.jpg", SVG))
    for scheme in ("light", "dark"):
        look(browser, width, scheme)
        assert_fits(browser)
        assert_accessible(browser)
    look(browser, 1280)


@pytest.mark.long
def test_page_under_load(workspace: Path) -> None:
    command = f"python benchmarks/page_load.py --minutes 0.5 --clients 10 --models {workspace}/models"
    printed = run(f"env PYTHONPATH={ROOT} {command}", ROOT)
    patterns = (r"(\d+) images answered", r", (\d+) not", r"tenth: (\d+)", r"tenth: \d+, (\d+)", r"printed: (\d+)")
    answered, refused, first, last, written = (int(re.findall(pattern, printed)[0]) for pattern in patterns)
    assert answered > 0
    assert refused == 0
    assert last < first + 300
    assert written < 2_000
