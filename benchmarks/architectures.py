"""How large is each network, and how fast does it train here? Writes the table of docs/architectures.md.

Weights and multiply-adds are facts, and a test holds the table against the code; the speed is this machine's, of
training steps alone, on images that lie in memory. Two minutes on two cores:

    PYTHONPATH=. python benchmarks/architectures.py
"""

import lesions.models.common.determinism  # before all that imports Keras

# isort: split
import importlib
import re
import statistics
import tempfile
import time
from pathlib import Path
from typing import NamedTuple

import keras
import numpy as np
from tqdm import tqdm

from lesions.core.json_files import write_json
from lesions.models.architectures import pretrained
from lesions.models.training.flops import multiply_adds

DOCUMENT = Path(__file__).parent.parent / "docs/architectures.md"
BEGIN = "<!-- written by benchmarks/architectures.py -->\n"
END = "<!-- end -->\n"
BATCH = 32
STEPS = 12
"""Measured, after two that are not."""


class Case(NamedTuple):
    """A network where it is used.

    Attributes:
        architecture: its name in params.yaml.
        shape: of an image: height, width, 3.
        classes: number of classes.
        what: what the table says of it.
    """

    architecture: str
    shape: tuple[int, int, int]
    classes: int
    what: str


CASES = [
    Case("plain", (96, 96, 3), 7, "the default: four stages of two 3×3 convolutions, batch normalisation"),
    Case("residual", (96, 96, 3), 7, "a small ResNet, for real data from scratch"),
    Case(
        "pretrained",
        (128, 128, 3),
        7,
        "any network of Keras Applications, or EfficientNet-Lite; here MobileNet with alpha 0.25",
    ),
    Case("notebook_basic", (180, 180, 3), 9, "published: three convolutions 16-32-64, Dense 128"),
    Case("notebook_dropout", (180, 180, 3), 9, "published: the same with Dropout"),
    Case("notebook_5x5", (180, 180, 3), 9, "published: four 5×5 convolutions 32-32-64-64, no hidden dense layer"),
    Case("notebook_generator", (180, 180, 3), 9, "published: convolutions 32-64-128, Dense 128, Dropout"),
    Case("lifecycle", (75, 100, 3), 7, "published: two blocks of two convolutions 32-64, Dense 128, Dropout"),
]
HEAD = [
    "`train.architecture`",
    "what it is",
    "px",
    "classes",
    "weights",
    "multiply-adds",
    "images/s, trained",
]


def build(case: Case) -> keras.Model:
    """Return the network with random weights."""
    if case.architecture == "pretrained":
        with tempfile.TemporaryDirectory() as name:
            write_json(Path(name, "weights.json"), {"model": "MobileNet", "alpha": 0.25, "file": None})
            return pretrained.build(case.shape, case.classes, Path(name))
    model: keras.Model = importlib.import_module(f"lesions.models.architectures.{case.architecture}").build(
        case.shape, case.classes
    )
    return model


def facts(case: Case, model: keras.Model) -> list[str]:
    """Return the cells of a network's row, but for the speed."""
    height, width, _ = case.shape
    return [
        f"`{case.architecture}`",
        case.what,
        f"{height}×{width}",
        str(case.classes),
        f"{model.count_params():,}",
        f"{multiply_adds(model) / 1e6:.1f} M",
    ]


def speed(model: keras.Model, case: Case) -> float:
    """Return images a second: of the median training step."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (BATCH, *case.shape), np.uint8)
    labels = random.integers(0, case.classes, BATCH)
    model.compile("adam", "sparse_categorical_crossentropy", jit_compile=False)
    seconds = []
    for _ in range(2 + STEPS):
        start = time.perf_counter()
        model.train_on_batch(images, labels)
        seconds.append(time.perf_counter() - start)
    return BATCH / statistics.median(seconds[2:])


def main() -> None:
    """Measure, print the table, and write it into the document."""
    lines = [f"| {' | '.join(HEAD)} |", "|" + "---|" * len(HEAD)]
    for case in tqdm(CASES, unit=" networks", disable=None):
        lesions.models.common.determinism.seed(1)
        model = build(case)
        lines.append(f"| {' | '.join([*facts(case, model), f'{speed(model, case):,.0f}'])} |")
    table = "\n".join(lines) + "\n"
    print(table)
    text = DOCUMENT.read_text(encoding="utf-8")
    found = re.search(f"{re.escape(BEGIN)}.*?{re.escape(END)}", text, re.DOTALL)
    assert found, f"{DOCUMENT} has no place for the table"
    DOCUMENT.write_text(text.replace(found[0], f"{BEGIN}{table}{END}"), encoding="utf-8")


if __name__ == "__main__":
    main()
