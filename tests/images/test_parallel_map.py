"""Work on many cores and machines: the same results in the same order, memory that stays flat, and clean ends."""

import hashlib
import http.server
import io
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from shutil import copyfile, copytree
from typing import Any

import joblib
import numpy as np
import pytest
from distributed import LocalCluster
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from lesions.core import image_array
from lesions.core.errors import UserError
from lesions.images import dask_cluster
from lesions.images import parallel_map as module
from lesions.images.parallel_map import parallel_map
from lesions.images.progress import progress_bar
from stages import clean, download, prepare, rebalance, split
from tests.conftest import ROOT, edit_params
from tests.images.parallel_work import digest, fail_at_a_hundred, killed_always, killed_once, late, no_disk

ITEMS = [f"image {number}".encode() * (number % 7) for number in range(500)]
EXPECTED = [digest(item) for item in ITEMS]


def work(function: Any, items: Any, workers: int = 2) -> list[Any]:
    """Run it quietly."""
    items = list(items)
    return list(parallel_map(function, items, len(items), desc="working", workers=workers))


@pytest.fixture(autouse=True)
def _on_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("LESIONS_CLUSTER", raising=False)


@pytest.fixture(scope="module")
def two_workers() -> Iterator[LocalCluster]:
    """A Dask cluster of two worker processes."""
    with LocalCluster(n_workers=2, threads_per_worker=1, dashboard_address=":0") as started:
        yield started


@pytest.fixture
def on_cluster(two_workers: LocalCluster, monkeypatch: pytest.MonkeyPatch) -> LocalCluster:
    """The same, and from here on all work goes there."""
    monkeypatch.setenv("LESIONS_CLUSTER", two_workers.scheduler_address)
    return two_workers


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.binary(max_size=50), max_size=70),
    st.sampled_from([1, 2, 3, 8]),
    st.integers(1, 40),
    st.integers(1, 200),
    st.integers(-60, 60),
)
def test_results_are_independent_of_workers(
    items: list[bytes], workers: int, length: int, weight: int, error: int
) -> None:
    """Nor on a wrong total, which a data set with unreadable images could cause."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "BATCH", length)
        patch.setattr(module, "BATCH_BYTES", weight)
        total = max(0, len(items) + error)
        found = list(parallel_map(digest, items, total, desc="working", workers=workers))
    assert found == [digest(item) for item in items]


@pytest.mark.parametrize(("length", "weight"), [(1, 1 << 20), (256, 300)])
@pytest.mark.usefixtures("on_cluster")
def test_cluster_gives_the_same(length: int, weight: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLUSTER_BATCH", length)
    monkeypatch.setattr(module, "CLUSTER_BATCH_BYTES", weight)
    assert work(digest, ITEMS) == EXPECTED


@pytest.mark.usefixtures("on_cluster")
def test_any_item_travels_unchanged() -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (40, 8, 9, 3), np.uint8)
    items = [(row, number) for number, row in enumerate(pixels)]
    for before, after in zip(items, work(tuple, items), strict=True):
        assert before[1] == after[1]
        np.testing.assert_array_equal(before[0], after[0])
    (error,) = work(type, [ValueError("no bytes")])
    assert error is ValueError


def test_items_are_read_lazily() -> None:
    """Neither where the results are taken slowly, nor where the first of them is late."""
    taken_items = []

    def items() -> Iterator[int]:
        for item in range(2000):
            taken_items.append(item)
            yield item

    results = parallel_map(late, items(), 2000, desc="working", workers=2)
    for taken, result in enumerate(results):
        assert result == taken
        assert len(taken_items) <= taken + 2 * module.AHEAD * module.BATCH
        if taken < 5:
            time.sleep(0.05)  # by when the workers would have done many more
    assert len(taken_items) == 2000


def test_large_images_make_small_batches() -> None:
    large, small = bytes(module.BATCH_BYTES), b"small"
    batches = list(module._batches([large, small, large, small, small], 3, module.BATCH_BYTES))
    assert [len(batch) for batch in batches] == [1, 2, 2]
    row = np.zeros((4, 100, 100, 3), np.uint8)[1]
    assert module._n_bytes((row, "its name")) == 30_000


@pytest.mark.parametrize("workers", [1, 2])
def test_exception_is_raised_unchanged(workers: int) -> None:
    with pytest.raises(UserError, match=r"^image 100 is bad$"):
        work(fail_at_a_hundred, range(2000), workers)


@pytest.mark.usefixtures("on_cluster")
def test_exception_of_a_cluster_is_raised_unchanged() -> None:
    with pytest.raises(UserError, match=r"^image 100 is bad$"):
        work(fail_at_a_hundred, range(2000))

    with pytest.raises(OSError, match="No space left"):
        work(no_disk, range(10))


@pytest.mark.usefixtures("on_cluster")
def test_exception_of_the_items_is_raised(monkeypatch: pytest.MonkeyPatch) -> None:
    def items() -> Iterator[int]:
        yield from range(100)
        raise UserError("the archive ends early")

    for _ in range(2):
        with pytest.raises(UserError, match="the archive ends early"):
            list(parallel_map(abs, items(), 1000, desc="working", workers=2))
        monkeypatch.delenv("LESIONS_CLUSTER", raising=False)


@pytest.mark.usefixtures("on_cluster")
def test_lost_worker_is_survived(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLUSTER_BATCH", 20)
    marker = tmp_path / "killed"
    found = work(killed_once, [(number, marker) for number in range(1000)])
    assert marker.exists()
    assert found == [number * number for number in range(1000)]


@pytest.mark.usefixtures("on_cluster")
def test_killing_image_ends_the_work(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CLUSTER_BATCH", 20)
    with pytest.raises(UserError, match="on 4 different workers"):
        work(killed_always, range(1000))


def test_worker_runs_one_batch_at_a_time() -> None:
    """Augmentor uses random generators that all threads of a process share."""
    draws = random.Random()  # noqa: S311 - no secret

    def draw(seed: int) -> float:
        draws.seed(seed)
        time.sleep(0.001)
        return draws.random()

    def run(seeds: list[int]) -> NDArray[np.uint8]:
        return dask_cluster._map_batch(draw, dask_cluster._pack(seeds), dask_cluster.environment())

    alone = [run([seed]).tobytes() for seed in range(60)]
    with ThreadPoolExecutor(8) as pool:
        assert [found.tobytes() for found in pool.map(run, [[seed] for seed in range(60)])] == alone


def test_missing_scheduler(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_cluster, "SECONDS", 1)
    with http.server.HTTPServer(("127.0.0.1", 0), http.server.BaseHTTPRequestHandler) as other:
        threading.Thread(target=other.serve_forever, daemon=True).start()
        for address in ("tcp://127.0.0.1:1", f"tcp://127.0.0.1:{other.server_port}", "udp://head:8786"):
            monkeypatch.setenv("LESIONS_CLUSTER", address)
            with pytest.raises(UserError, match=f"No Dask scheduler answers at {address}"):
                work(abs, range(10))
        other.shutdown()


def test_cluster_without_workers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(dask_cluster, "SECONDS", 1)
    with LocalCluster(n_workers=0, dashboard_address=":0") as empty:
        monkeypatch.setenv("LESIONS_CLUSTER", empty.scheduler_address)
        with pytest.raises(UserError, match=r"has no workers: start some, `dask worker tcp://"):
            work(abs, range(10))


def test_worker_of_another_version_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    ours = dask_cluster.environment()
    with pytest.raises(UserError, match=rf"The worker tcp://head:1 has pillow 5\.0 instead of {ours['pillow']}, and"):
        dask_cluster.compare_versions("tcp://head:1", ours | {"pillow": "5.0"}, ours)
    # One that joins in the middle of the work looks itself.
    monkeypatch.setattr(dask_cluster, "environment", lambda: ours | {"processor": "aarch64"})
    with pytest.raises(UserError, match="has processor aarch64 instead of"):
        dask_cluster._map_batch(abs, dask_cluster._pack([1]), ours)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port: int = free.getsockname()[1]
        return port


def start_dask(folder: Path, *arguments: str) -> "subprocess.Popen[bytes]":
    """Start Dask's command with the package that lies in `folder`."""
    command = [sys.executable, "-m", "dask", *arguments]
    environment = os.environ | {"PYTHONPATH": str(folder)}
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.DEVNULL)


def test_other_code_and_lost_scheduler(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With the commands of docs/cluster.md."""
    port = free_port()
    address = f"tcp://127.0.0.1:{port}"
    changed, older = tmp_path / "changed", tmp_path / "older"
    for folder in (changed, older):
        copytree(ROOT / "lesions", folder / "lesions")
    with (changed / "lesions/images/decode.py").open("a") as code:
        code.write("# another version\n")
    (older / "lesions/images/dask_cluster.py").write_text("")
    monkeypatch.setenv("LESIONS_CLUSTER", address)
    options = ["--nworkers", "1", "--nthreads", "1", "--no-dashboard", "--no-nanny", "--local-directory", str(tmp_path)]
    started = [start_dask(ROOT, "scheduler", "--host", "127.0.0.1", "--port", str(port), "--no-dashboard")]
    monkeypatch.setattr(dask_cluster, "SECONDS", 60)
    monkeypatch.setattr(module, "CLUSTER_BATCH", 5)
    try:
        for folder, message in ((changed, "lesions [0-9a-f]{12} instead of"), (older, "has lesions None instead of")):
            worker = start_dask(folder, "worker", address, *options)
            started.append(worker)
            with pytest.raises(UserError, match=message):
                work(digest, ITEMS)
            worker.terminate()
            worker.wait(30)
        started.append(start_dask(ROOT, "worker", address, *options))
        results = parallel_map(time.sleep, [0.1] * 1000, 1000, desc="sleeping")
        next(results)
        started[0].kill()
        with pytest.raises(UserError, match=f"The Dask scheduler at {address} was lost"):
            list(results)
    finally:
        for process in started:
            process.kill()
            process.wait(30)


def test_dask_is_imported_lazily() -> None:
    """And the address is read when the work begins."""
    script = (
        "import sys, os; from lesions.images.parallel_map import parallel_map\n"
        "list(parallel_map(abs, range(9), 9, desc=''))\n"
        "assert not {'distributed', 'dask'} & set(sys.modules)\n"
        "os.environ['LESIONS_CLUSTER'] = 'nowhere'\n"
        "try: list(parallel_map(abs, range(9), 9, desc=''))\n"
        "except Exception as error: print(error)"
    )
    environment = {name: value for name, value in os.environ.items() if name != "LESIONS_CLUSTER"}
    done = subprocess.run(
        [sys.executable, "-c", script], cwd=ROOT, env=environment, check=True, capture_output=True, text=True
    )
    assert "No Dask scheduler answers at nowhere" in done.stdout


STAGE = """
import time
from pathlib import Path
from lesions.images.parallel_map import parallel_map
from lesions.core.stage import run_stage

def slow(item):
    time.sleep(0.02)
    return bytes(200_000)

def main():
    results = parallel_map(slow, range(10_000), 10_000, desc="working", workers=2)
    Path("out").mkdir()
    with open("out/half", "wb") as file:
        for result in results:
            file.write(result)

run_stage(main)
"""


def test_ctrl_c_ends_a_stage(tmp_path: Path) -> None:
    (tmp_path / "stage.py").write_text(STAGE)
    (tmp_path / "dvc.yaml").write_text("stages: {stage: {cmd: none, outs: [out]}}")
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "stage.py"]
    with subprocess.Popen(command, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True) as stage:
        wait_for((tmp_path / "out/half").exists)
        stage.send_signal(signal.SIGINT)
        _, printed = stage.communicate(timeout=30)
    assert "\nInterrupted.\n" in printed
    assert "Traceback" not in printed
    assert not (tmp_path / "out").exists()


def alive(pid: int) -> bool:
    """Whether a process runs, and is not only waiting for somebody to take note of its end."""
    state = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], check=False, capture_output=True, text=True).stdout
    return bool(state.strip()) and not state.startswith("Z")


def wait_for(what: Any) -> None:
    for _ in range(300):
        if what():
            return
        time.sleep(0.1)
    pytest.fail("waited for 30 s in vain")


def test_progress_in_a_log(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    clock = iter(range(10_000))
    monkeypatch.setattr(time, "monotonic", lambda: float(next(clock)))
    assert list(progress_bar(range(100), 100, "decoding")) == list(range(100))
    lines = capsys.readouterr().err.splitlines()
    assert lines == [
        "decoding: 4 of 100 images, 1.0/s",
        "decoding: 34 of 100 images, 1.0/s",
        "decoding: 64 of 100 images, 1.0/s",
        "decoding: 94 of 100 images, 1.0/s",
        "decoding: all 100 images in 101 s, 1.0/s",
    ]
    monkeypatch.undo()
    list(progress_bar(range(100), 100, "decoding"))
    assert capsys.readouterr().err == ""


def test_progress_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    terminal = Terminal()
    monkeypatch.setattr(sys, "stderr", terminal)
    assert work(abs, range(40)) == list(range(40))
    assert "working: 100%" in terminal.getvalue()
    assert "images/s" in terminal.getvalue()


STAGES = (clean, prepare, rebalance)


def run_stages(raw: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Run the heavy stages on some images, and return the SHA-256 of every file that they wrote."""
    copytree(raw, folder)
    monkeypatch.chdir(folder)
    for stage in STAGES:
        stage.main()
    files = [file for file in sorted(folder.rglob("*")) if file.is_file() and "raw" not in file.parts]
    return {str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest() for file in files}


@pytest.mark.long
def test_stages_give_the_same_bytes(two_workers: LocalCluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With any number of workers and chunks of any length, on a cluster, and where a worker of it is killed."""
    raw = tmp_path / "raw"
    raw.mkdir()
    copyfile(ROOT / "params.yaml", raw / "params.yaml")
    edit_params(raw, download={"n_images": 150}, prepare={"image_size": 24}, rebalance={"target": 0.5})
    monkeypatch.chdir(raw)
    download.main()
    clean.main()
    split.main()
    first = run_stages(raw, tmp_path / "first", monkeypatch)
    assert {"data/clean/images.csv", "data/prepared/pixels.npy", "data/rebalanced/pixels.npy"} <= set(first)

    for count, length in ((1, 5), (3, 1), (8, 1000)):
        monkeypatch.setattr(joblib, "cpu_count", lambda count=count: count)
        monkeypatch.setattr(module, "BATCH", length)
        assert run_stages(raw, tmp_path / f"{count}", monkeypatch) == first

    def connect(*arguments: Any) -> Any:
        connected.append(arguments)
        return connect_to(*arguments)

    connected: list[Any] = []
    connect_to = dask_cluster.connect
    monkeypatch.setattr(dask_cluster, "connect", connect)
    monkeypatch.setenv("LESIONS_CLUSTER", two_workers.scheduler_address)
    assert run_stages(raw, tmp_path / "cluster", monkeypatch) == first
    assert len(connected) == len(STAGES)

    def write(folder: Path, index: Any, images: Iterator[Any], shape: Any) -> None:
        # Out-of-distribution images are made without workers.
        write_array(folder, index, images if folder.name == "ood" else kill_a_worker_after(20, images), shape)

    def kill_a_worker_after(number: int, images: Iterator[Any]) -> Iterator[Any]:
        for done, image in enumerate(images, 1):
            yield image
            if done == number:
                killed.append(two_workers.workers[0].process.pid)
                os.kill(killed[-1], signal.SIGKILL)

    killed: list[int] = []
    write_array = image_array.write
    monkeypatch.setattr(image_array, "write", write)
    monkeypatch.setattr(module, "CLUSTER_BATCH", 4)
    assert run_stages(raw, tmp_path / "killed", monkeypatch) == first
    assert len(set(killed)) == 2
