"""What does a Dask cluster cost: the scheduler, the program itself, and images that travel?

A scheduler and two workers are started as processes of their own on this machine, so that nothing is measured but
the handing over; docs/cluster.md reckons from these metrics how far a cluster carries.

    PYTHONPATH=. python benchmarks/cluster.py [--images 1680] [--rounds 3]

Images of 600×450: some of the archives in HAM10000_FULL_SIZE_DIR, else drawn ones, repeated; on one core also in files
as large as HAM10000's own.
"""

import hashlib
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import Any, NamedTuple

from common import ROOT, Row, compared, measured, print_table
from distributed import Client
from prepare_speed import heavy, photographs

from lesions.archives import read_members
from lesions.audit.near_duplicates import SIZE, fingerprint
from lesions.audit.skin_tone import estimate_ita
from lesions.images import parallel_map as parallel
from lesions.images.decode import decode_image
from lesions.images.parallel_map import parallel_map
from lesions.images.preprocessing import Preprocessing, to_pixels
from lesions.params.rebalance import Rebalance
from lesions.sampling.augmentor import AugmentedImage, augment

PORT = 18786
PX = 96
MEGABYTE = 1_000_000
TASKS = 100
BATCHES = (1, 16)
"""Images a task, beside as many as the project gives."""


class Cost(NamedTuple):
    """What some work took, in seconds: of the clock, and of the processors of each part of the cluster."""

    wall: float
    scheduler: float
    program: float


@contextmanager
def two_workers() -> Iterator[Client]:
    """Start the cluster as docs/cluster.md does."""
    address = f"tcp://127.0.0.1:{PORT}"
    environment = os.environ | {"PYTHONPATH": f"{ROOT}:{ROOT / 'benchmarks'}"}
    dask = [sys.executable, "-m", "dask"]
    with tempfile.TemporaryDirectory() as scratch, ExitStack() as stack:
        for command in (
            ["scheduler", "--host", "127.0.0.1", "--port", str(PORT), "--no-dashboard"],
            ["worker", address, "--nworkers", "2", "--nthreads", "1", "--no-dashboard", "--local-directory", scratch],
        ):
            started = subprocess.Popen([*dask, *command], env=environment, stderr=subprocess.DEVNULL)
            stack.callback(started.wait)
            stack.callback(started.terminate)
        client = stack.enter_context(Client(address, timeout=60, set_as_default=False))
        client.wait_for_workers(2, timeout=60)
        yield client


def decode(content: bytes) -> Any:
    """Do what prepare does to an image."""
    return to_pixels(
        content,
        Preprocessing(image_size=(PX, PX), resize_mode="squash", crop_borders=False, colour_constancy="none"),
    )


def scan(content: bytes) -> None:
    """Do the most of what clean does to an image: hash, decode, estimate the skin tone, make the fingerprint."""
    hashlib.sha256(content).digest()
    pixels = decode_image(content, SIZE, SIZE)
    estimate_ita(pixels[::2, ::2])
    fingerprint(pixels)


def nothing(_: object) -> None:
    """Take a task, and do nothing."""


def give(length: int) -> bytes:
    """Return so many bytes."""
    return bytes(length)


def cost(client: Client, work: Callable[[], Any]) -> Cost:
    """Do some work, and say what it took."""
    before = time.perf_counter(), client.run_on_scheduler(time.process_time), time.process_time()
    work()
    after = time.perf_counter(), client.run_on_scheduler(time.process_time), time.process_time()
    return Cost(*(end - start for start, end in zip(before, after, strict=True)))


def run(function: Callable[[Any], Any], items: list[Any], client: Client | None, batch: int | None = None) -> None:
    """Do a function's work on the cluster or, without one, on this machine."""
    usual = parallel.CLUSTER_BATCH
    try:
        if client:
            os.environ["LESIONS_CLUSTER"] = f"tcp://127.0.0.1:{PORT}"
            parallel.CLUSTER_BATCH = batch or usual
        for _ in parallel_map(function, items, len(items), desc="working"):
            pass
    finally:
        parallel.CLUSTER_BATCH = usual
        os.environ.pop("LESIONS_CLUSTER", None)


def rows(images: int = 1680, rounds: int = 3) -> list[Row]:
    """Return a row a claim: claim, ours, theirs, ratio (median of the rounds'), spread (least to most)."""
    contents = list(islice(cycle(photographs()), images))
    weight = statistics.mean(map(len, contents)) / 1000
    table = []
    with two_workers() as client:
        run(decode, contents[:200], client)  # so that the workers have loaded everything
        speeds: dict[str, list[float]] = {}
        costs: dict[str, list[Cost]] = {}
        ways: dict[str, Callable[[], None]] = {
            "alone": lambda: run(decode, contents, None),
            "cluster": lambda: run(decode, contents, client),
            **{f"{batch}": partial(run, decode, contents, client, batch) for batch in BATCHES},
        }
        probes: dict[str, Callable[[], None]] = {
            "a task": lambda: run(nothing, [0] * TASKS, client, 1),
            "a megabyte sent": lambda: run(nothing, [bytes(8 * MEGABYTE)] * TASKS, client, 1),
            "a megabyte returned": lambda: run(give, [8 * MEGABYTE] * TASKS, client, 1),
        }
        for _ in range(rounds):
            for way, work in ways.items():
                speeds.setdefault(way, []).append(images / cost(client, work).wall)
            for probe, work in probes.items():
                costs.setdefault(probe, []).append(cost(client, work))
    files = f"(files of {weight:.0f} kB)"
    claim = f"prepare at {PX} px on a cluster of two workers, beside this machine without one {files}"
    table.append(compared(claim, speeds["cluster"], speeds["alone"]))
    for batch in BATCHES:
        claim = f"the same with at most {parallel.CLUSTER_BATCH} images a task, beside {batch} {files}"
        table.append(compared(claim, speeds["cluster"], speeds[f"{batch}"]))
    for part, name in (("scheduler", "the scheduler"), ("program", "the program that sends the work")):
        of_tasks = [1000 * getattr(each, part) / TASKS for each in costs["a task"]]
        for probe, taken in costs.items():
            for_tasks = statistics.median(of_tasks) * TASKS
            of_megabytes = [(1000 * getattr(each, part) - for_tasks) / (8 * TASKS) for each in taken]
            times = sorted(of_tasks if probe == "a task" else of_megabytes)
            value, spread = f"{statistics.median(times):.2f} ms", f"{times[0]:.2f} to {times[-1]:.2f} ms"
            table.append(measured(f"processor time of {name} for {probe}", value, spread=spread))
    return table + one_core(contents)


def one_core(contents: list[bytes]) -> list[Row]:
    """Return what one core does in a second, without any handing over.

    Args:
        contents: files of images; the first 200 of them are made heavy.
    """
    large = list(map(heavy, contents[:200]))
    size = statistics.mean(map(len, large)) / 1000
    operations = Rebalance.read(ROOT / "params.yaml").operations_of_augmentor()
    image = decode(contents[0])
    augmented = [(image, AugmentedImage("original", number)) for number in range(2000)]
    works: dict[str, tuple[Callable[[Any], Any], list[Any]]] = {
        f"prepare at {PX} px": (decode, contents),
        f"prepare at {PX} px (files of {size:.0f} kB)": (decode, large),
        f"the scan of clean (files of {size:.0f} kB)": (scan, large),
        f"rebalance at {PX} px": (partial(augment, operations=operations, seed=1), augmented),
    }
    table = []
    for claim, (function, items) in works.items():
        started = time.perf_counter()
        for item in items:
            function(item)
        speed = len(items) / (time.perf_counter() - started)
        table.append(measured(f"{claim}, on one core", f"{speed:,.0f} images/s"))
    return table + reading(contents)


def reading(contents: list[bytes]) -> list[Row]:
    """Return what reading from archives takes, which one thread does for all workers."""
    megabytes = sum(map(len, contents)) / MEGABYTE
    table = []
    with tempfile.TemporaryDirectory() as folder:
        for claim, method in (("stores", zipfile.ZIP_STORED), ("compresses", zipfile.ZIP_DEFLATED)):
            members = [(f"{claim}.zip", f"{number}.jpg") for number in range(len(contents))]
            with zipfile.ZipFile(Path(folder, f"{claim}.zip"), "w", method) as archive:
                for (_, name), content in zip(members, contents, strict=True):
                    archive.writestr(name, content)
            started = time.process_time()
            for _ in read_members(Path(folder), members):
                pass
            taken = 1000 * (time.process_time() - started) / megabytes
            table.append(
                measured(f"processor time of reading a megabyte from an archive that {claim}", f"{taken:.2f} ms")
            )
    return table


if __name__ == "__main__":
    print_table(rows, images=1680, rounds=3)
