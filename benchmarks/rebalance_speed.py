"""How fast does the stage rebalance make augmented images, beside Augmentor's own `Pipeline.sample` with its threads?

Images of 600×450, HAM10000's own size: some of the archives in HAM10000_FULL_SIZE_DIR, else drawn ones, repeated.

    PYTHONPATH=. python benchmarks/rebalance_speed.py [--rounds 3] [--image-size 64 96 128]
    PYTHONPATH=. python benchmarks/rebalance_speed.py --scale      time and memory from 1,000 to 100,000 images

Two set-ups, both at a quarter or a tenth of their size, so that both ways meet the same load of the machine: nine
classes of 2,239 images, of which each gets 500 augmented images by rotation, as published; and the 6,510 training
images of HAM10000's 10,015, brought to the largest class's number by the operations of params.yaml. Both ways carry out
the same operations on the same images; `sample` rounds its chances to tenths, so that 0.7 is 0.75 to it. "With
decoding" adds the stage prepare, for all images. Augmentor works on the files as they are, or, as another row, on files
that were brought to `px` before, which is not counted. It writes JPEG files, ours one array.
"""

import contextlib
import io
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from itertools import cycle, islice
from pathlib import Path
from typing import NamedTuple

import Augmentor
import numpy as np
import pandas as pd
from common import ROOT, Row, compared, measured, print_table
from PIL import Image
from prepare_speed import ARCHIVE, photographs, seconds
from ruamel.yaml import YAML

from lesions.core import image_array
from lesions.core.deterministic_zip import write_archive
from lesions.images.archive_images import decode_members
from lesions.images.preprocessing import Preprocessing, to_pixels
from lesions.params.rebalance import Rebalance
from lesions.sampling.oversampling import augment_all, index_table, plan_oversampling, read_rows

SAMPLED = 200
"""Images that Augmentor makes a round."""
ISIC_9 = {"mel": 438, "pbk": 462, "bcc": 376, "nv": 357, "scc": 181, "vasc": 139, "ak": 114, "df": 95, "sk": 77}
HAM10000 = {"nv": 6705, "mel": 1113, "bkl": 1099, "bcc": 514, "akiec": 327, "vasc": 142, "df": 115}


class SetUp(NamedTuple):
    """Which images are augmented, and how.

    Attributes:
        name: as in the table.
        classes: images of each, all of which are decoded.
        train: the fraction of them that may be augmented.
        params: the section of params.yaml.
    """

    name: str
    classes: dict[str, int]
    train: float
    params: Rebalance


def set_ups() -> list[SetUp]:
    """Return the two that are measured."""
    default = YAML(typ="safe").load((ROOT / "params.yaml").read_text())["rebalance"]
    rotation = {"operation": "rotate", "probability": 0.7, "max_left_rotation": 10, "max_right_rotation": 10}
    published = Rebalance.check(default | {"target": "none", "copies_per_class": 500 // 4, "operations": [rotation]})
    balanced = Rebalance.check(default | {"target": "max", "copies_per_class": "none"})
    return [
        SetUp("published, 500 more a class", {name: count // 4 for name, count in ISIC_9.items()}, 1, published),
        SetUp("HAM10000 to its largest class", {name: count // 10 for name, count in HAM10000.items()}, 0.65, balanced),
    ]


def index_of(set_up: SetUp) -> pd.DataFrame:
    """Return the table of the set-up's images, as clean would have it."""
    labels = [label for label, count in set_up.classes.items() for _ in range(count)]
    names = [f"{number:06}.jpg" for number in range(len(labels))]
    return pd.DataFrame({"image_id": names, "label": labels, "archive": ARCHIVE, "member": names})


def prepare(folder: Path, index: pd.DataFrame, px: int) -> None:
    """Decode all images, as the stage does."""
    preprocessing = Preprocessing(
        image_size=(px, px), resize_mode="squash", crop_borders=False, colour_constancy="none"
    )
    image_array.write(
        folder / "prepared",
        index[["image_id", "label"]],
        decode_members(folder, index, partial(to_pixels, preprocessing=preprocessing)),
        preprocessing.image_size,
    )


def rebalance(folder: Path, set_up: SetUp) -> None:
    """Plan, make and write the augmented images, as the stage does."""
    pixels, index = image_array.read(folder / "prepared")
    originals = index.groupby("label").sample(frac=set_up.train, random_state=1)
    planned = plan_oversampling(originals, set_up.params.target, set_up.params.copies_per_class, set_up.params.seed)
    row_of = {image_id: row for row, image_id in enumerate(index["image_id"])}
    made = augment_all(planned, read_rows(pixels, (row_of[image.original] for image in planned)), set_up.params)
    image_array.write(folder / "rebalanced", index_table(planned, originals, set_up.params), made, pixels.shape[1:3])


def sample(folder: Path, set_up: SetUp) -> None:
    """Augment images with Augmentor's own pipeline, from a folder of files."""
    shutil.rmtree(folder / "output", ignore_errors=True)
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        pipeline = Augmentor.Pipeline(str(folder))
        for operation in set_up.params.operations:
            operation.add_to(pipeline)
        pipeline.sample(SAMPLED)


def put_files(folder: Path, contents: list[bytes], px: int | None = None) -> None:
    """Write a folder of JPEG files, as they are or brought to `px`."""
    folder.mkdir()
    for number, content in enumerate(contents):
        path = folder / f"{number:04}.jpg"
        if px is None:
            path.write_bytes(content)
        else:
            with Image.open(io.BytesIO(content)) as image:
                image.resize((px, px)).save(path, quality=95)


def measure(set_up: SetUp, contents: list[bytes], px: int, rounds: int) -> dict[str, list[float]]:
    """Return images a second of each way, a value a round."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        index = index_of(set_up)
        write_archive(folder / ARCHIVE, zip(index["member"], cycle(contents), strict=False))
        put_files(folder / "full", contents)
        put_files(folder / "small", contents, px)
        speeds: dict[str, list[float]] = {
            way: [] for way in ("from prepared pixels", "with decoding", "files as they are", f"files of {px} px")
        }
        for _ in range(rounds):
            decoding = seconds(lambda: prepare(folder, index, px))
            augmenting = seconds(lambda: rebalance(folder, set_up))
            count = len(image_array.read(folder / "rebalanced")[1])
            full = seconds(lambda: sample(folder / "full", set_up))
            small = seconds(lambda: sample(folder / "small", set_up))
            found = (count / augmenting, count / (decoding + augmenting), SAMPLED / full, SAMPLED / small)
            for way, speed in zip(speeds, found, strict=True):
                speeds[way].append(speed)
    return speeds


def rows(rounds: int = 3, image_size: Sequence[int] = (64, 96, 128)) -> list[Row]:
    """Return a row a claim: claim, ours, theirs, ratio (median of the rounds'), spread (least to most)."""
    table = []
    contents = list(islice(cycle(photographs()), 420))
    for set_up in set_ups():
        for px in image_size:
            speeds = measure(set_up, contents, px, rounds)
            ours, theirs = list(speeds)[:2], list(speeds)[2:]
            for our, their in ((ours[0], theirs[0]), (ours[1], theirs[0]), (ours[0], theirs[1])):
                claim = f"rebalance at {px} px ({set_up.name}), {our}, beside Augmentor's sample on {their}"
                table.append(compared(claim, speeds[our], speeds[their]))
    return table


def put_prepared(folder: Path, count: int, px: int) -> None:
    """Write what the stage reads: noise, all of it of one class and in train."""
    names = [f"{number:06}" for number in range(count)]
    random = np.random.default_rng(1)
    noise = (random.integers(0, 256, (px, px, 3), np.uint8) for _ in names)
    image_array.write(folder / "data/prepared", pd.DataFrame({"image_id": names, "label": "nv"}), noise, (px, px))
    (folder / "data/split").mkdir()
    (folder / "data/clean").mkdir()
    pd.DataFrame({"label": ["nv"]}).to_csv(folder / "data/clean/labels.csv", index=False)
    split = pd.DataFrame({"image_id": names, "split": "train", "leakage": "none"})
    split.to_csv(folder / "data/split/split.csv", index=False)


def scale(px: int = 64) -> list[Row]:
    """Return a row for each number of images, each augmented once: the stage's time and memory; on Linux alone."""
    code = "import runpy; runpy.run_module('stages.rebalance', run_name='__main__'); "
    code += "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    table = []
    for count in (1_000, 10_000, 100_000):
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            put_prepared(folder, count, px)
            yaml = YAML()
            params = yaml.load((ROOT / "params.yaml").read_text())
            params["rebalance"].update({"target": "none", "copies_per_class": count})
            yaml.dump(params, folder / "params.yaml")
            shutil.copyfile(ROOT / "dvc.yaml", folder / "dvc.yaml")
            run = [sys.executable, "-c", code]
            environment = os.environ | {"PYTHONPATH": str(ROOT)}
            started = time.perf_counter()
            done = subprocess.run(run, cwd=folder, env=environment, check=True, stdout=subprocess.PIPE, text=True)
            taken = time.perf_counter() - started
        peak = int(done.stdout.split()[-1]) / 1000
        claim = f"rebalance: {count:,} augmented images of as many images at {px} px"
        table.append(measured(claim, f"{taken:.1f} s, {peak:.0f} MB", "under 400 MB", f"{count / taken:,.0f} images/s"))
    return table


if __name__ == "__main__":
    print_table(rows, scale, rounds=3, image_size=(64, 96, 128))
