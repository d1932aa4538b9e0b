"""Does `lesions page` serve honest clients while others flood it, and does its memory stay flat?

    PYTHONPATH=. python benchmarks/page_load.py [--minutes 20] [--clients 30] [--models models]

Each honest client sends an image, and the next as soon as it has the answer. At the same time there are connections
that ask for nothing, uploads that are aborted or come a byte at a time, large bodies, also to addresses and with
methods that take none, broken requests, files that are no images, and images that take long to decode. The images are
drawn. Server, clients and attackers share this computer's cores.
"""

import argparse
import io
import json
import os
import random
import re
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import closing, suppress
from http.client import HTTPConnection, HTTPException
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psutil  # type: ignore[import-untyped]
from PIL import Image
from prepare_speed import photographs

MIB = 2**20
ATTACKERS = 6


def progressive(px: int) -> bytes:
    """Return a plain JPEG file of so many pixels in width and height, in the usual ten scans."""
    file = io.BytesIO()
    Image.new("RGB", (px, px)).save(file, "JPEG", progressive=True)
    return file.getvalue()


class Load(NamedTuple):
    """What a run of the load has found.

    Attributes:
        seconds: from request to answer, of each request of an honest client.
        refused: how many of these got no answer.
        hostile: how many hostile connections or floods there were.
        memory: MiB of the server, once a second.
        printed: bytes that the server has written.
        processor: of the server, the honest clients and the attackers, the share of one core that each took.
    """

    seconds: list[float]
    refused: int
    hostile: int
    memory: list[float]
    printed: int
    processor: list[float]


def run(minutes: float, clients: int, models: Path) -> Load:
    """Serve a model, put the load on it, and end the server.

    Args:
        minutes: of load.
        clients: honest ones at once.
        models: the model's folder.
    """
    with tempfile.TemporaryFile() as log:
        command = [str(Path(sys.executable).with_name("lesions")), "page", "--port", "0", "--models", str(models)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True) as server:
            assert server.stdout
            line = server.stdout.readline()
            port = int(re.findall(r":(\d+)/", line)[0])
            try:
                found = put_load(port, psutil.Process(server.pid), minutes, clients)
            finally:
                server.terminate()  # a shell lets what it runs in the background ignore Ctrl-C
                printed = len(line) + len(server.stdout.read())
            server.wait(60)
        return found._replace(printed=printed + log.seek(0, os.SEEK_END))


def put_load(port: int, server: psutil.Process, minutes: float, clients: int) -> Load:
    """Put the load on a server, the honest clients in one process and the attackers in another.

    Args:
        port: its port at this computer.
        server: its process.
        minutes: how long.
        clients: honest ones at once.
    """
    images, memory = photographs()[:10], []
    before, begun = sum(server.cpu_times()[:2]), time.monotonic()
    with ProcessPoolExecutor(2) as pool:
        served = pool.submit(ask, port, minutes, clients, images)
        attacks = pool.submit(attack, port, minutes, images)
        while not served.done():
            memory.append(server.memory_info().rss / MIB)
            time.sleep(1)
        seconds, refused, of_clients = served.result()
        hostile, of_attackers = attacks.result()
    used = [sum(server.cpu_times()[:2]) - before, of_clients, of_attackers]
    return Load(seconds, refused, hostile, memory, 0, [one / (time.monotonic() - begun) for one in used])


def ask(port: int, minutes: float, clients: int, images: list[bytes]) -> tuple[list[float], int, float]:
    """Be honest clients; each sends its next image as soon as it has an answer.

    Args:
        port: the server's.
        minutes: how long.
        clients: how many.
        images: which to send, in turn.

    Returns:
        The seconds of each request, how many got no answer, and the processor's seconds of all this.
    """
    end = time.monotonic() + 60 * minutes
    seconds: list[float] = []
    refused = []

    def client(number: int) -> None:
        while time.monotonic() < end:
            begun = time.monotonic()
            try:
                answer = json.loads(post(port, images[number % len(images)]))
                assert "diagnosis" in answer, answer
                seconds.append(time.monotonic() - begun)
            except (OSError, HTTPException, AssertionError) as error:
                refused.append(error)
            number += 1

    with ThreadPoolExecutor(clients) as threads:
        list(threads.map(client, range(clients)))
    return seconds, len(refused), time.process_time()


def attack(port: int, minutes: float, images: list[bytes]) -> tuple[int, float]:
    """Be the attackers.

    Args:
        port: the server's.
        minutes: how long.
        images: which to send, or parts of them.

    Returns:
        How many attacks there were, and the processor's seconds that they took here.
    """
    end = time.monotonic() + 60 * minutes

    def attacker(seed: int) -> int:
        chance, done = random.Random(seed), 0  # noqa: S311 - no secret
        while time.monotonic() < end:
            with suppress(OSError, HTTPException):
                chance.choice(HOSTILE)(port, chance, images)
            done += 1
            time.sleep(chance.uniform(0, 0.2))
        return done

    with ThreadPoolExecutor(ATTACKERS) as threads:
        return sum(threads.map(attacker, range(ATTACKERS))), time.process_time()


def post(port: int, content: bytes) -> bytes:
    """Send an image, and return the answer."""
    with closing(HTTPConnection("127.0.0.1", port, timeout=60)) as connection:
        connection.request("POST", "/classify", content)
        return connection.getresponse().read()


def connect(port: int) -> socket.socket:
    """Return a connection to the server."""
    return socket.create_connection(("127.0.0.1", port), 30)


def head(port: int, method: str, path: str, *lines: str) -> bytes:
    """Return the first lines of a request."""
    return "\r\n".join([f"{method} {path} HTTP/1.1", f"Host: 127.0.0.1:{port}", *lines, "", ""]).encode()


def flood(port: int, chance: random.Random, _: list[bytes]) -> None:
    """Open connections, and ask for nothing."""
    opened = [connect(port) for _ in range(chance.randrange(150))]
    time.sleep(chance.uniform(0, 2))
    for connection in opened:
        connection.close()


def abort(port: int, chance: random.Random, images: list[bytes]) -> None:
    """Send a part of an image."""
    image = chance.choice(images)
    with connect(port) as connection:
        connection.sendall(head(port, "POST", "/classify", f"Content-Length: {len(image)}"))
        connection.sendall(image[: chance.randrange(len(image))])


def drip(port: int, chance: random.Random, images: list[bytes]) -> None:
    """Send an image a byte at a time."""
    with connect(port) as connection:
        connection.sendall(head(port, "POST", "/classify", "Content-Length: 100000"))
        for byte in chance.choice(images)[:20]:
            connection.sendall(bytes([byte]))
            time.sleep(0.2)


def chunks(port: int, chance: random.Random, _images: list[bytes]) -> None:
    """Send 40 MB in chunks where nothing is expected, or as an image."""
    method = chance.choice(("PUT", "DELETE", "POST", "PATCH", "OPTIONS"))
    with connect(port) as connection:
        connection.sendall(head(port, method, chance.choice(("/", "/classify", "/no")), "Transfer-Encoding: chunked"))
        for _ in range(40):
            connection.sendall(b"%x\r\n" % 10**6 + bytes(10**6) + b"\r\n")
        connection.sendall(b"0\r\n\r\n")
        connection.recv(1000)


def garble(port: int, chance: random.Random, _: list[bytes]) -> None:
    """Send no HTTP."""
    with connect(port) as connection:
        connection.sendall(chance.randbytes(chance.randrange(1, 5000)) + b"\r\n\r\n")
        connection.recv(1000)


def no_image(port: int, chance: random.Random, images: list[bytes]) -> None:
    """Send an image with wrong bytes, or cut short."""
    content = bytearray(chance.choice(images))
    for _ in range(20):
        content[chance.randrange(len(content))] = chance.randrange(256)
    post(port, bytes(content[: chance.randrange(len(content))]))


def stuff(port: int, _chance: random.Random, _images: list[bytes]) -> None:
    """Send 40 MB that are no image."""
    post(port, bytes(40 * 10**6))


def bomb(port: int, _chance: random.Random, _images: list[bytes]) -> None:
    """Send an image of few bytes that takes as long to decode as any that is not refused."""
    post(port, BOMB)


BOMB = progressive(7000)
HOSTILE: tuple[Callable[[int, random.Random, list[bytes]], None], ...] = (
    *(flood, abort, drip, chunks, garble, no_image),
    *(stuff, bomb),
)


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--clients", type=int, default=30)
    parser.add_argument("--models", type=Path, default=Path("models"))
    load = run(**vars(parser.parse_args()))
    tenth = max(1, len(load.memory) // 10)
    print(f"{len(load.seconds)} images answered, {load.refused} not; {load.hostile} hostile connections or floods")
    print(
        "seconds, median, 99 % and longest: " + ", ".join(f"{s:.2f}" for s in np.quantile(load.seconds, (0.5, 0.99, 1)))
    )
    print(f"MiB in the first and last tenth: {max(load.memory[:tenth]):.0f}, {max(load.memory[-tenth:]):.0f}")
    print(f"bytes printed: {load.printed}")
    of = ", ".join(f"{share:.0%}" for share in load.processor)
    print(f"of one core, of {os.cpu_count()}: server, honest clients, attackers: {of}")
