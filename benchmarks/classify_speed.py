"""How long do answers on 1,000 pictures take, beside decoding them and then asking the bare network?

    PYTHONPATH=. python benchmarks/classify_speed.py [--rounds 5] [--models models]

The model is that of `dvc repro`. The pictures are a hundred of HAM10000_FULL_SIZE_DIR, again and again, else drawn,
as large as HAM10000's own. Both decode on all cores. `--scale` measures the memory of a process that classifies more
and more of them, and how long one picture takes from the start of Python.
"""

import lesions.deterministic  # noqa: F401 - before all that imports Keras

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
from numpy.typing import NDArray
from prepare_speed import heavy, pictures

from lesions.asking import BATCH
from lesions.classifying.classifier import Classifier
from lesions.parallel.in_order import in_order
from lesions.preparing.recipe import to_pixels

PICTURES = 1_000
MODELS = Path("models")

Pictures = list[tuple[str, Callable[[], bytes]]]


def asked_about(count: int) -> Pictures:
    """Return so many pictures in the form in which a classifier is asked."""
    contents = [heavy(content) for content in pictures()[: min(100, count)]]
    return [("", partial(bytes, content)) for content in islice(cycle(contents), count)]


def time_answers(classifier: Classifier, asked: Pictures) -> float:
    """Return the seconds until all are answered."""
    started = time.perf_counter()
    for answer in classifier.answers(asked, len(asked)):
        assert not answer.problem, answer.problem
    return time.perf_counter() - started


def time_bare(classifier: Classifier, asked: Pictures) -> float:
    """Return the seconds of decoding all, and then of the network alone on the finished batches."""
    started = time.perf_counter()
    decode = partial(decoded, classifier)
    pixels = np.stack(list(in_order(decode, asked, len(asked), what="decoding", prefer="threads", local=True)))
    for start in range(0, len(pixels), BATCH):
        classifier.model(pixels[start : start + BATCH], training=False).numpy()
    return time.perf_counter() - started


def decoded(classifier: Classifier, picture: tuple[str, Callable[[], bytes]]) -> NDArray[np.uint8]:
    """Return the pixels of one picture."""
    return to_pixels(picture[1](), classifier.recipe)


def rows(rounds: int = 5, models: Path = MODELS) -> list[dict[str, str]]:
    """Return a row a claim; see `collect`."""
    classifier = Classifier.of_folder(models)
    asked = asked_about(PICTURES)
    time_answers(classifier, asked[:BATCH])
    times = [(time_answers(classifier, asked), time_bare(classifier, asked)) for _ in range(rounds)]
    ratios = sorted(ours / theirs for ours, theirs in times)
    size = statistics.mean(len(read()) for _, read in asked) / 1000
    return [
        {
            "claim": f"answers on {PICTURES:,} pictures (files of {size:.0f} kB), beside decoding them and then the "
            "bare network",
            "ours": f"{statistics.median(ours for ours, _ in times):.2f} s",
            "theirs": f"{statistics.median(theirs for _, theirs in times):.2f} s",
            "ratio": f"{statistics.median(ratios):.2f}",
            "spread": f"{ratios[0]:.2f} to {ratios[-1]:.2f}",
        }
    ]


def scale(models: Path = MODELS) -> list[dict[str, str]]:
    """Return the memory of processes that classify more and more pictures, and the time until the first answer."""
    table = []
    for count in (1, 1_000, 10_000):
        command = [sys.executable, __file__, "--one-process", str(count), "--models", str(models)]
        started = time.perf_counter()
        done = subprocess.run(command, check=True, capture_output=True, text=True)
        seconds = time.perf_counter() - started
        what = f"a process that classifies {count:,} pictures" if count > 1 else "a process that classifies one picture"
        nothing = {"theirs": "", "ratio": "", "spread": ""}
        table.append({"claim": f"{what}: memory", "ours": f"{int(done.stdout) / 1000:.0f} MB", **nothing})
        if count == 1:
            table.append({"claim": f"{what}: all its time", "ours": f"{seconds:.1f} s", **nothing})
    return table


def peak(models: Path, count: int) -> None:
    """Print the most memory in kB of a process that classifies so many."""
    import resource

    time_answers(Classifier.of_folder(models), asked_about(count))
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--models", type=Path, default=MODELS)
    parser.add_argument("--scale", action="store_true")
    parser.add_argument("--one-process", type=int)
    asked = parser.parse_args()
    if asked.one_process:
        peak(asked.models, asked.one_process)
        return
    table = scale(asked.models) if asked.scale else rows(asked.rounds, asked.models)
    print(pd.DataFrame(table).to_string(index=False))


if __name__ == "__main__":
    main()
