"""Which score tells images of no lesion from those of the validation set best?

    dvc repro predict
    python benchmarks/ood_scores.py

Of the model, the training and the validation images of this folder; test is not looked at. An image is flagged
that scores above the 99th percentile of validation.
"""

import lesions.models.common.determinism  # noqa: F401 - before all that imports Keras

# isort: split
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf

from lesions.core.json_files import read_json
from lesions.evaluation import roc as ranking
from lesions.images import ood_images as other_images
from lesions.images.preprocessing import Recipe, to_pixels
from lesions.inference.features import feature_model
from lesions.models.common import dataset as parts
from lesions.models.common import saving as model_file
from stages.predict import as_png, batches_of, features, originals

Array = NDArray[np.float64]
Score = Callable[[Array], Array]
RARE = 0.05
"""A diagnosis with a smaller share of the training images; of these as many may be flagged as of others."""


def distance(means: Array, precision: Array) -> Score:
    """Return the squared Mahalanobis distance to the nearest of the means."""
    return lambda given: np.min([np.einsum("nd,de,ne->n", given - m, precision, given - m) for m in means], axis=0)


def neighbours(train: Array, number: int) -> Score:
    """Return the distance to the so-manieth nearest training image, of unit features (Sun et al., ICML 2022)."""

    def unit(given: Array) -> Array:
        length: Array = np.linalg.norm(given, axis=1, keepdims=True)
        return np.asarray(given / np.maximum(length, 1e-12))

    return lambda given: np.sort(1 - unit(given) @ unit(train).T, axis=1)[:, number - 1]


def scores(train: Array, label: NDArray[np.int64]) -> dict[str, Score]:
    """Return the scores by name, fitted to the training images."""
    classes, whose = np.unique(label, return_inverse=True)
    means = np.stack([train[label == number].mean(axis=0) for number in classes])
    within = LedoitWolf(assume_centered=True).fit(train - means[whose]).precision_
    to_class = distance(means, within)
    to_any = distance(train.mean(axis=0, keepdims=True), LedoitWolf().fit(train).precision_)
    ours = likeness.fit(train, label)
    return {
        "Mahalanobis, each class counting the same (ours)": lambda given: likeness.score(ours, given),
        "Mahalanobis (Lee et al., 2018)": to_class,
        "relative Mahalanobis (Ren et al., 2021)": lambda given: to_class(given) - to_any(given),
        "nearest neighbour, the 10th (Sun et al., 2022)": neighbours(train, 10),
        "nearest neighbour, the 50th": neighbours(train, 50),
    }


def main() -> None:
    """Print a row a score."""
    data = parts.load(Path("data"))
    recipe = Recipe.from_json(read_json(Path("models/preprocessing.json")), Path("models/preprocessing.json"))
    looking = feature_model(model_file.load(Path("models/model.keras")))
    images = {
        "generated": np.stack([pixels for *_, pixels in other_images.generated(*recipe.image_size, 1)]),
        "shipped": np.stack([to_pixels(as_png(image), recipe) for *_, image in other_images.shipped()]),
    }
    rows = {split: originals(data, split) for split in ("train", "val")}
    seen = {split: features(looking, batches_of(data, ours), len(ours), split) for split, ours in rows.items()}
    for name, others in images.items():
        batches = (others[start : start + BATCH] for start in range(0, len(others), BATCH))
        seen[name] = features(looking, batches, len(others), name)
    known = {name: found.astype(np.float64) for name, found in seen.items()}
    label, of_val = data.labels(rows["train"]), data.labels(rows["val"])
    rare = np.isin(of_val, np.flatnonzero(np.bincount(label, minlength=len(data.classes)) < RARE * len(label)))
    table = []
    for name, score in scores(known["train"], label).items():
        val = score(known["val"])
        limit = np.quantile(val, 0.99, method="higher")
        row: dict[str, object] = {"score": name}
        for kind in images:
            found = score(known[kind])
            both = np.concatenate([found, val])
            area = ranking.areas(np.arange(len(both)) < len(found), both, np.ones((1, len(both))))[0][0]
            row |= {f"AUC, {kind}": f"{area:.4f}", f"flagged, {kind}": f"{(found > limit).mean():.1%}"}
        for number in np.unique(of_val[rare]):
            row[f"flagged, {data.classes[number]}"] = f"{(val > limit)[of_val == number].mean():.1%}"
        table.append(row)
    print(pd.DataFrame(table).to_string(index=False))


if __name__ == "__main__":
    main()
