"""How fast is the downloader, hashes and flush to the disk included, and does its memory stay flat?

From a server on the same machine, in turn with `curl` and then `sha256sum` (and `openssl`, which may be the faster
one). Needs 1.4 GB of free disk, and leaves nothing there:

    python benchmarks/download_throughput.py
"""

import hashlib
import multiprocessing
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from multiprocessing.connection import Connection
from pathlib import Path

from common import ROOT, Row, compared, measured, print_table

LARGE, SMALL = 1_400_000_000, 100_000_000
ROUNDS = 5
OURS = """
import resource, sys, time
from pathlib import Path
from lesions.sources.common.download import download
from lesions.sources.common.remote_file import RemoteFile
url, folder, length, md5, sha256 = sys.argv[1:]
start = time.perf_counter()
download(RemoteFile("file", (url,), int(length), md5 or None, sha256 or None), Path(folder))
print(time.perf_counter() - start, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""


class Handler(BaseHTTPRequestHandler):
    """Gives as many zeros as its path says, as fast as the system can."""

    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """Send a file with holes, which no disk has to be read for."""
        with tempfile.TemporaryFile() as zeros:
            length = int(self.path[1:])
            zeros.truncate(length)
            self.send_response(200)
            self.send_header("Content-Length", str(length))
            self.end_headers()
            self.connection.sendfile(zeros)

    def log_message(self, *_: object) -> None:
        """Log nothing."""


def serve(pipe: Connection) -> None:
    """Send the port, and serve."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    pipe.send(server.server_port)
    server.serve_forever()


def hashes_of_zeros(length: int) -> tuple[str, str]:
    """Return MD5 and SHA-256."""
    digests = hashlib.md5(usedforsecurity=False), hashlib.sha256()
    block = bytes(1_000_000)
    for _ in range(length // len(block)):
        for digest in digests:
            digest.update(block)
    return digests[0].hexdigest(), digests[1].hexdigest()


def ours(url: str, folder: Path, length: int, md5: str = "", sha256: str = "") -> tuple[float, int]:
    """Return the seconds that the downloader takes, and the most memory that its process had, in kB (Linux)."""
    command = [sys.executable, "-c", OURS, url, str(folder), str(length), md5, sha256]
    done = subprocess.run(command, check=True, cwd=ROOT, capture_output=True, text=True)
    (folder / "file").unlink()
    seconds, memory = done.stdout.split()
    return float(seconds), int(memory)


def theirs(url: str, folder: Path, *hasher: str) -> float:
    """Return the seconds that curl, and then a program that hashes the file, take."""
    file = str(folder / "file")
    start = time.perf_counter()
    for command in (["curl", "--silent", "--fail", "--output", file, url], [*hasher, file]):
        subprocess.run(command, check=True, capture_output=True)
    taken = time.perf_counter() - start
    Path(file).unlink()
    return taken


def rows() -> list[Row]:
    """Return a row a claim; see `collect`."""
    pipe, far_end = multiprocessing.Pipe()
    multiprocessing.Process(target=serve, args=(far_end,), daemon=True).start()
    url = f"http://127.0.0.1:{pipe.recv()}/"
    md5, sha256 = hashes_of_zeros(LARGE)
    reference = "curl, then sha256sum"
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        large = f"{url}{LARGE}", folder
        ways: dict[str, Callable[[], float]] = {
            reference: lambda: theirs(*large, "sha256sum"),
            "ours, SHA-256": lambda: ours(*large, LARGE, sha256=sha256)[0],
            "ours, MD5 and SHA-256": lambda: ours(*large, LARGE, md5, sha256)[0],
        }
        if shutil.which("openssl"):
            ways["curl, then openssl dgst -sha256"] = lambda: theirs(*large, "openssl", "dgst", "-sha256")
        rounds = [{way: seconds() for way, seconds in ways.items()} for _ in range(ROUNDS)]
        peaks = {n: ours(f"{url}{n}", folder, n, *hashes_of_zeros(n))[1] for n in (SMALL, LARGE)}
    table = []
    for way in ways:
        speed, usual = ([LARGE / one[each] / 1e6 for one in rounds] for each in (way, reference))
        table.append(compared(f"1.4 GB from loopback: {way}, beside {reference}", speed, usual, "{:,.0f} MB/s"))
    for length, peak in peaks.items():
        table.append(measured(f"memory of a download of {length / 1e6:,.0f} MB", f"{peak / 1000:.0f} MB"))
    return [row for row in table if not row["claim"].endswith(f"{reference}, beside {reference}")]


if __name__ == "__main__":
    print_table(rows)
