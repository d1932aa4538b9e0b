"""How fast does the stage prepare decode, beside a notebook's loop and beside what libjpeg itself allows?

Images of 600×450, HAM10000's own size: some of the archives in HAM10000_FULL_SIZE_DIR, else drawn ones, repeated.

    PYTHONPATH=. python benchmarks/prepare_speed.py [--images 840] [--rounds 3] [--image-size 96 128]
    PYTHONPATH=. python benchmarks/prepare_speed.py --scale          time and memory from 1,000 to 100,000 drawn images

The plain loop is what most notebooks have: one process, over files. libjpeg's limit decodes from memory, on all
cores, at the scale that prepare chooses, and does nothing with the image; of threads and processes, the faster.
With Pillow's resize alone, in threads, that is what the libraries leave: what prepare is slower is its own.
"""

import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from functools import partial
from itertools import cycle, islice
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
from common import ROOT, Row, compared, measured, print_table
from numpy.typing import NDArray
from PIL import Image

from lesions.archives import list_members, read_members
from lesions.core import image_array
from lesions.core.deterministic_zip import write_archive
from lesions.images.archive_images import decode_members
from lesions.images.parallel_map import parallel_map
from lesions.images.preprocessing import Preprocessing, to_pixels

ARCHIVE = "images.zip"
SIZE = (600, 450)
STORED = 420
"""Images that are read of the archives."""


def photographs() -> list[bytes]:
    """Return JPEG files of 600×450: real ones where there are any, else drawn ones."""
    if folder := os.environ.get("HAM10000_FULL_SIZE_DIR"):
        members = [(m.archive, m.name) for path in sorted(Path(folder).glob("*.zip")) for m in list_members(path)]
        contents = read_members(Path(folder), members[:STORED])
        return [content for content in contents if isinstance(content, bytes)]
    return [drawn(number, SIZE) for number in range(60)]


def drawn(number: int, size: tuple[int, int]) -> bytes:
    """Return a JPEG file that is as hard to decode as skin: smooth, with some grain."""
    random = np.random.default_rng(number)
    coarse = Image.fromarray(random.integers(90, 220, (9, 12, 3), np.uint8)).resize(size, Image.Resampling.BICUBIC)
    grain = random.normal(0, 4, (size[1], size[0], 1))
    file = io.BytesIO()
    Image.fromarray(np.clip(np.asarray(coarse) + grain, 0, 255).astype(np.uint8)).save(file, "JPEG", quality=85)
    return file.getvalue()


def heavy(content: bytes) -> bytes:
    """Return the same image in as large a JPEG file as HAM10000's own, some 280 kB: there is more to decode."""
    file = io.BytesIO()
    with Image.open(io.BytesIO(content)) as image:
        grain = np.random.default_rng(1).normal(0, 4, (image.height, image.width, 3))
        grained = np.clip(np.asarray(image) + grain, 0, 255).astype(np.uint8)
    Image.fromarray(grained).save(file, "JPEG", quality=98, subsampling=0)
    return file.getvalue()


def plain_loop(files: list[Path], px: int) -> NDArray[np.uint8]:
    """Do what notebooks do."""
    images = []
    for path in files:
        image = Image.open(path).convert("RGB").resize((px, px))
        images.append(np.asarray(image))
    return np.array(images)


def decode_alone(px: int, contents: list[bytes]) -> None:
    """Decode at libjpeg's scale, and nothing else."""
    for content in contents:
        with Image.open(io.BytesIO(content)) as image:
            image.draft("RGB", (px, px))
            image.load()


def resize_alone(px: int, contents: list[bytes]) -> None:
    """Decode at libjpeg's scale and resize, and nothing else."""
    for content in contents:
        with Image.open(io.BytesIO(content)) as image:
            image.draft("RGB", (px, px))
            image.resize((px, px), Image.Resampling.BILINEAR)


def on_all_cores(pool: Executor, work: Callable[[list[bytes]], None], contents: list[bytes]) -> None:
    """Do work on parts of the files."""
    list(pool.map(work, [contents[start : start + 16] for start in range(0, len(contents), 16)]))


def seconds(work: Callable[[], Any]) -> float:
    """Return how long work takes."""
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def measure(contents: list[bytes], px: int, rounds: int) -> dict[str, list[float]]:
    """Return images a second of each way, a value a round."""
    preprocessing = Preprocessing(
        image_size=(px, px), resize_mode="squash", crop_borders=False, colour_constancy="none"
    )
    names = [f"{number:06}.jpg" for number in range(len(contents))]
    index = pd.DataFrame({"image_id": names, "label": "nv", "archive": ARCHIVE, "member": names})
    cores = joblib.cpu_count()
    with (
        tempfile.TemporaryDirectory() as name,
        ThreadPoolExecutor(cores) as threads,
        ProcessPoolExecutor(cores, mp_context=get_context("spawn")) as processes,
    ):
        folder = Path(name)
        write_archive(folder / ARCHIVE, zip(names, contents, strict=True))
        for member, content in zip(names, contents, strict=True):
            (folder / member).write_bytes(content)
        alone = partial(decode_alone, px)

        def stage() -> None:
            image_array.write(
                folder / "out",
                index[["image_id", "label"]],
                decode_members(folder, index, partial(to_pixels, preprocessing=preprocessing)),
                preprocessing.image_size,
            )

        def in_processes() -> None:
            content = read_members(folder, zip(index["archive"], index["member"], strict=True))
            one = partial(to_pixels, preprocessing=preprocessing)
            done = parallel_map(one, content, len(index), desc="decoding")
            image_array.write(folder / "out", index[["image_id", "label"]], done, preprocessing.image_size)

        ways: dict[str, Callable[[], Any]] = {
            "prepare": stage,
            "plain loop": lambda: plain_loop([folder / member for member in names], px),
            "libjpeg, threads": lambda: on_all_cores(threads, alone, contents),
            "libjpeg, processes": lambda: on_all_cores(processes, alone, contents),
            "libjpeg and resize, threads": lambda: on_all_cores(threads, partial(resize_alone, px), contents),
            "prepare, in processes": in_processes,
        }
        on_all_cores(processes, alone, contents[:64])  # so that they are started
        speeds: dict[str, list[float]] = {way: [] for way in ways}
        for _ in range(rounds):
            for way, work in ways.items():
                speeds[way].append(len(contents) / seconds(work))
    return speeds


def rows(images: int = 840, rounds: int = 3, image_size: Sequence[int] = (96, 128)) -> list[Row]:
    """Return a row a claim: claim, ours, theirs, ratio (median of the rounds'), spread (least to most)."""
    table = []
    stored = photographs()
    for px in image_size:
        for files in (stored, list(map(heavy, stored))):
            kind = f"{statistics.mean(map(len, files)) / 1000:.0f} kB"
            speeds = measure(list(islice(cycle(files), images)), px, rounds)
            limit = max(("libjpeg, threads", "libjpeg, processes"), key=lambda way: statistics.median(speeds[way]))
            for claim, other in (
                ("a plain Pillow loop", "plain loop"),
                (f"{limit}, no resize", limit),
                ("libjpeg and Pillow's resize alone, threads, nothing else", "libjpeg and resize, threads"),
                ("itself in processes", "prepare, in processes"),
            ):
                text = f"prepare at {px} px beside {claim} (files of {kind})"
                table.append(compared(text, speeds["prepare"], speeds[other]))
    return table


def scale() -> list[Row]:
    """Return a row for each number of images: the stage's time and its largest process; on Linux alone."""
    sample = [drawn(number, (200, 150)) for number in range(50)]
    table = []
    for count in (1_000, 10_000, 100_000):
        with tempfile.TemporaryDirectory() as name:
            clone = Path(name)
            (clone / "data/raw").mkdir(parents=True)
            (clone / "data/clean").mkdir()
            for file in ("params.yaml", "dvc.yaml"):
                (clone / file).write_bytes((ROOT / file).read_bytes())
            names = [f"{number:06}.jpg" for number in range(count)]
            write_archive(clone / "data/raw" / ARCHIVE, zip(names, cycle(sample), strict=False))
            index = pd.DataFrame({"image_id": names, "label": "nv", "archive": ARCHIVE, "member": names})
            index.to_csv(clone / "data/clean/images.csv", index=False)
            # Linux's own record; ru_maxrss would count what the process was before it became Python.
            code = "import runpy; runpy.run_module('stages.prepare', run_name='__main__'); "
            code += "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
            environment = os.environ | {"PYTHONPATH": str(ROOT)}
            started = time.perf_counter()
            run = [sys.executable, "-c", code]
            done = subprocess.run(run, cwd=clone, env=environment, check=True, stdout=subprocess.PIPE, text=True)
            taken = time.perf_counter() - started
        peak = int(done.stdout.split()[-1]) / 1000
        speed = f"{count / taken:,.0f} images/s"
        table.append(measured(f"prepare of {count:,} images", f"{taken:.1f} s, {peak:.0f} MB", "under 400 MB", speed))
    return table


if __name__ == "__main__":
    print_table(rows, scale, images=840, rounds=3, image_size=(96, 128))
