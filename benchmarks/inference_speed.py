"""How fast is the prediction in eight views, beside Keras's `predict` on the same views in memory?

    PYTHONPATH=. python benchmarks/inference_speed.py [--images 450] [--rounds 5]

Ours is what the stage `predict` does with `predict.tta`: views, padded batches, mean, features. Keras's gets all views
as one uint8 array, flipped and turned before its clock starts, in batches of its default, 32. The networks have random
weights, and the images are noise; of MobileNet at 224 pixels there is one image for twelve of the other.
"""

import lesions.models.common.determinism  # before all that imports Keras

# isort: split
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from architectures import Case, build
from common import Row, compared, print_table

from lesions.inference.features import feature_model
from lesions.inference.predict import dihedral_views, in_batches, predict_images

CASES = {
    "plain at 64 px": (Case("plain", (64, 64, 3), 7, ""), 1),
    "MobileNet alpha 0.25 at 224 px": (Case("pretrained", (224, 224, 3), 7, ""), 12),
}
"""Each with the divisor of the number of images."""


def speed(work: Callable[[], Any], n_images: int) -> float:
    """Return images a second."""
    started = time.perf_counter()
    work()
    return n_images / (time.perf_counter() - started)


def measure(case: Case, n_images: int, rounds: int) -> tuple[list[float], list[float]]:
    """Return images a second of ours and of Keras's, a value a round."""
    lesions.models.common.determinism.seed(1)
    model = build(case)
    features = feature_model(model)
    images = np.random.default_rng(1).integers(0, 256, (n_images, *case.shape), np.uint8)
    views = np.concatenate(dihedral_views(images))
    ours, theirs = [], []
    for number in range(rounds + 1):  # the first one compiles
        found = (
            speed(lambda: predict_images(features, in_batches(images), n_images, True, "predicting"), n_images),
            speed(lambda: model.predict(views, verbose=0), n_images),
        )
        if number:
            ours.append(found[0])
            theirs.append(found[1])
    return ours, theirs


def rows(images: int = 450, rounds: int = 5) -> list[Row]:
    """Return a row a network; see `collect`."""
    table = []
    for name, (case, divisor) in CASES.items():
        claim = f"predictions of {name}, each the mean of eight views, beside Keras's predict on views in memory"
        table.append(compared(claim, *measure(case, max(1, images // divisor), rounds)))
    return table


if __name__ == "__main__":
    print_table(rows, images=450, rounds=5)
