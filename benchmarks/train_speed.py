"""Training's speed, and whether its input keeps it waiting; this machine's matrix product beside it.

    PYTHONPATH=. python benchmarks/train_speed.py [--steps 60] [--rounds 3]

HAM10000_FULL_SIZE_DIR names a folder of real images; else they are drawn.

Beside the default network with the pipeline's own batches, a process of its own with TensorFlow's own settings, as
in a notebook (`notebook_training.py`): the same network fed from JPEG files by Keras's `image_dataset_from_directory`,
without a cache; and the network of the published notebooks, at their 180 pixels and with a cache. The ways take turns
within each round. MobileNet with alpha 0.25 at 224 pixels, with random weights and all layers trained, is beside one
batch again and again. The last rows count multiply-adds, forward once and backward twice, and compare them with those
of a product of large matrices in float32.
"""

import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import lesions.models.common.determinism  # before all that imports Keras

# isort: split
import numpy as np
import tensorflow as tf
from architectures import Case, build
from common import Row, compared, print_table
from notebook_training import BATCH, compiled, step_seconds
from numpy.typing import NDArray
from prepare_speed import heavy, photographs

from lesions.models.common.batches import train_batches
from lesions.models.training.augmentation import augmentation
from lesions.models.training.flops import multiply_adds
from lesions.params.train import Augment

CLASSES = 7
FILES = 320
LIGHT, HEAVY = "files as they are", "files as large as HAM10000's own"
SIZES = (64, 96)
MOBILENET = Case("pretrained", (224, 224, 3), CLASSES, "")
AUGMENT = Augment(flip="all", transpose=True, rotate=180, shift=0.1, zoom=0.1, brightness=0.1, contrast=0.1, colour=0.1)


class Other:
    """The process that trains as notebooks do."""

    def __init__(self, folder: Path) -> None:
        script = str(Path(__file__).with_name("notebook_training.py"))
        self._process = subprocess.Popen(
            [sys.executable, script, str(folder)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def seconds(self, way: str, px: int, steps: int) -> float:
        """Return the seconds of a training step; see notebook_training.py."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{way} {px} {steps}\n")
        self._process.stdin.flush()
        return float(self._process.stdout.readline())

    def end(self) -> None:
        """Wait until it has ended."""
        self._process.communicate()


def write_files(folder: Path, contents: list[bytes]) -> None:
    """Write JPEG files of 600×450, a folder a class."""
    for number in range(FILES):
        file = folder / str(number % CLASSES) / f"{number:06}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(contents[number % len(contents)])


def arrays(folder: Path, px: int) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Return pixels mapped from a file, as the train stage has them, and labels."""
    random, count = np.random.default_rng(0), 3200 if px in SIZES else 320
    file = folder / f"{px}.npy"
    np.save(file, random.integers(0, 256, (count, px, px, 3), np.uint8))
    return np.load(file, mmap_mode="r"), random.integers(0, CLASSES, count)


def streams(folder: Path, px: int) -> dict[str, tf.data.Dataset]:
    """Return the pipeline's own batches, with and without augmentation, and one batch again and again."""
    pixels, labels = arrays(folder, px)
    rows = np.arange(len(pixels))
    augment = augmentation(AUGMENT, pixels.shape[1:], len(pixels), 1)
    return {
        "one batch": tf.data.Dataset.from_tensors((tf.constant(pixels[:BATCH]), labels[:BATCH])).repeat(),
        "stream": train_batches([pixels], rows, labels, BATCH, 1),
        "augmented": train_batches([pixels], rows, labels, BATCH, 1, augment),
    }


def matrix_speed(rows_and_columns: int = 2048, repeats: int = 8) -> float:
    """Return multiply-adds a second of a product of two square matrices in float32."""
    one = tf.random.stateless_normal((rows_and_columns, rows_and_columns), (1, 1))
    product = tf.function(partial(tf.linalg.matmul, one))
    product(one).numpy()
    started = time.perf_counter()
    for _ in range(repeats):
        product(one)
    product(one).numpy()
    return (repeats + 1) * rows_and_columns**3 / (time.perf_counter() - started)


def measure(folder: Path, steps: int, rounds: int) -> dict[str, list[float]]:
    """Return images a second of each way, a value a round; of `matrix`, multiply-adds a second."""
    lesions.models.common.determinism.seed(1)
    light = photographs()[:FILES]
    others = {}
    for weight, contents in ((LIGHT, light), (HEAVY, [heavy(content) for content in light])):
        write_files(folder / weight, contents)
        others[weight] = Other(folder / weight)
    ways: dict[str, Callable[[], float]] = {}
    for px in SIZES:
        model = compiled(build(Case("plain", (px, px, 3), CLASSES, "")))
        for name, batches in streams(folder, px).items():
            ways[f"{name} {px}"] = partial(step_seconds, model, batches, steps)
        for weight, other in others.items():
            ways[f"{weight} {px}"] = partial(other.seconds, "plain", px, max(5, steps // 2))
    model = compiled(build(MOBILENET))
    for name, batches in streams(folder, MOBILENET.shape[0]).items():
        if name != "augmented":
            ways[f"{name} MobileNet"] = partial(step_seconds, model, batches, max(5, steps // 6))
    ways["notebook"] = partial(others[LIGHT].seconds, "notebook", 180, max(5, steps // 4))

    speeds: dict[str, list[float]] = {name: [] for name in [*ways, "matrix"]}
    for number in range(rounds + 1):  # the first one compiles, and fills the notebook's cache
        for name, way in ways.items():
            seconds = way()
            if number:
                speeds[name].append(BATCH / seconds)
        if number:
            speeds["matrix"].append(matrix_speed())
    for other in others.values():
        other.end()
    return speeds


def rows(steps: int = 60, rounds: int = 3) -> list[Row]:
    """Return a row a claim: claim, ours, theirs, ratio (median of the rounds'), spread (least to most)."""
    with tempfile.TemporaryDirectory() as name:
        speeds = measure(Path(name), steps, rounds)
    table = []
    for px in SIZES:
        for weight in (HEAVY, LIGHT):
            claim = f"training of plain at {px} px beside image_dataset_from_directory without a cache, {weight}"
            table.append(compared(claim, speeds[f"stream {px}"], speeds[f"{weight} {px}"]))
        claim = f"training of plain at {px} px beside the published notebook's network at 180 px"
        table.append(compared(claim, speeds[f"stream {px}"], speeds["notebook"]))
        claim = f"training of plain at {px} px beside one batch again and again"
        table.append(compared(claim, speeds[f"stream {px}"], speeds[f"one batch {px}"]))
        claim = f"training of plain at {px} px with all augmentation beside without"
        table.append(compared(claim, speeds[f"augmented {px}"], speeds[f"stream {px}"]))
    network = "MobileNet alpha 0.25 at 224 px"
    claim = f"training of {network} beside one batch again and again"
    table.append(compared(claim, speeds["stream MobileNet"], speeds["one batch MobileNet"]))
    cases = {"plain at 96 px": (Case("plain", (96, 96, 3), CLASSES, ""), "96"), network: (MOBILENET, "MobileNet")}
    for name, (case, way) in cases.items():
        work = 3 * multiply_adds(build(case))
        done = [speed * work / 1e9 for speed in speeds[f"stream {way}"]]
        claim = f"multiply-adds of training {name} ({work / 1e6:.0f} M an image) beside a matrix product's"
        table.append(compared(claim, done, [x / 1e9 for x in speeds["matrix"]], "{:,.0f} G multiply-adds/s"))
    return table


if __name__ == "__main__":
    print_table(rows, steps=60, rounds=3)
