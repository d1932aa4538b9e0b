"""How long does classifying 1,000 images take, beside decoding them and then running the bare network?

    PYTHONPATH=. python benchmarks/classify_speed.py [--rounds 3] [--models models]

The model is that of `dvc repro`. The images are at most a hundred of HAM10000_FULL_SIZE_DIR, again and again, else
drawn, as large as HAM10000's own. Both decode on all cores. `--scale` measures the memory of a process that classifies
more and more of them, and how long one image takes from the start of Python.
"""

import lesions.models.common.determinism  # noqa: F401 - before all that imports Keras

# isort: split
import argparse
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from functools import partial
from itertools import cycle, islice
from pathlib import Path

import numpy as np
import pandas as pd
from common import Row, compared, measured
from numpy.typing import NDArray
from prepare_speed import heavy, photographs

from lesions.classifier import Classifier
from lesions.images.parallel_map import parallel_map
from lesions.images.preprocessing import to_pixels
from lesions.inference.predict import BATCH_SIZE

IMAGES = 1_000
MODELS = Path("models")

Images = list[tuple[str, Callable[[], bytes]]]


def make_images(count: int) -> Images:
    """Return so many images, as a classifier takes them."""
    contents = [heavy(content) for content in photographs()[: min(100, count)]]
    return [("", partial(bytes, content)) for content in islice(cycle(contents), count)]


def time_classify(classifier: Classifier, images: Images) -> float:
    """Return the seconds until all are classified."""
    started = time.perf_counter()
    for found in classifier.classify_all(images, len(images)):
        assert not found.problem, found.problem
    return time.perf_counter() - started


def time_bare(classifier: Classifier, images: Images) -> float:
    """Return the seconds of decoding all, and then of the network alone on the finished batches."""
    started = time.perf_counter()
    decode = partial(decoded, classifier)
    pixels = np.stack(list(parallel_map(decode, images, len(images), desc="decoding", use_cluster=False)))
    for start in range(0, len(pixels), BATCH_SIZE):
        classifier.model.predict_on_batch(pixels[start : start + BATCH_SIZE])
    return time.perf_counter() - started


def decoded(classifier: Classifier, image: tuple[str, Callable[[], bytes]]) -> NDArray[np.uint8]:
    """Return the pixels of one image."""
    return to_pixels(image[1](), classifier.preprocessing)


def rows(rounds: int = 3, models: Path = MODELS) -> list[Row]:
    """Return one row per claim; see `collect`."""
    classifier = Classifier.of_folder(models)
    images = make_images(IMAGES)
    time_classify(classifier, images[:BATCH_SIZE])
    time_bare(classifier, images[:BATCH_SIZE])
    classify = [(time_classify(classifier, images), time_bare(classifier, images)) for _ in range(rounds)]
    size = statistics.mean(len(read()) for _, read in images) / 1000
    what = f"classifying {IMAGES:,} images (files of {size:.0f} kB)"
    return [
        compared(f"{what}, beside decoding them and then the bare network", *pairs(classify), form="{:.2f} s"),
    ]


def pairs(rounds: list[tuple[float, float]]) -> tuple[list[float], list[float]]:
    """Return our seconds and theirs, of all rounds."""
    return [ours for ours, _ in rounds], [theirs for _, theirs in rounds]


def scale(models: Path = MODELS) -> list[Row]:
    """Return the memory of processes that classify more and more images, and the time until the first prediction."""
    table = []
    for count in (1, 1_000, 10_000):
        command = [sys.executable, __file__, "--one-process", str(count), "--models", str(models)]
        started = time.perf_counter()
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds = time.perf_counter() - started
        what = f"a process that classifies {count:,} images" if count > 1 else "a process that classifies one image"
        table.append(measured(f"{what}: memory", f"{int(done.stdout) / 1000:.0f} MB"))
        if count == 1:
            table.append(measured(f"{what}: all its time", f"{seconds:.1f} s"))
    return table


def peak(models: Path, count: int) -> None:
    """Print the most memory in kB of a process that classifies so many."""
    import resource

    time_classify(Classifier.of_folder(models), make_images(count))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--models", type=Path, default=MODELS)
    parser.add_argument("--scale", action="store_true")
    parser.add_argument("--one-process", type=int)
    given = parser.parse_args()
    if given.one_process:
        peak(given.models, given.one_process)
        return
    table = scale(given.models) if given.scale else rows(given.rounds, given.models)
    print(pd.DataFrame(table).to_string(index=False))


if __name__ == "__main__":
    main()
