"""Which score best separates out-of-distribution images from those of validation?

    dvc repro predict
    python benchmarks/ood_scores.py

From the features that predict wrote of the training and the validation images; test is not read. An image is flagged
that scores above the 99th percentile of validation.
"""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.covariance import LedoitWolf

from lesions.core.csv_files import read_csv
from lesions.evaluation.roc import auc_and_average_precision
from lesions.models.calibration import ood

Array = NDArray[np.float64]
Score = Callable[[Array], Array]
DATA = Path("data")
OOD_SPLITS = ("generated", "shipped")
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
    ours = ood.fit_reference(train, label)
    return {
        "Mahalanobis, each class counting the same (ours)": lambda given: ood.score(ours, given).astype(np.float64),
        "Mahalanobis (Lee et al., 2018)": to_class,
        "relative Mahalanobis (Ren et al., 2021)": lambda given: to_class(given) - to_any(given),
        "nearest neighbour, the 10th (Sun et al., 2022)": neighbours(train, 10),
        "nearest neighbour, the 50th": neighbours(train, 50),
    }


def main() -> None:
    """Print a row a score."""
    classes = list(read_csv(DATA / "clean/classes.csv")["label"])
    index = read_csv(DATA / "network_outputs/features.csv")
    features = np.load(DATA / "network_outputs/features.npy", allow_pickle=False).astype(np.float64)
    of_split = {split: (index["split"] == split).to_numpy() for split in ("train", "val", *OOD_SPLITS)}
    label, of_val = (index["label"][of_split[s]].map(classes.index).to_numpy(np.int64) for s in ("train", "val"))
    rare = np.isin(of_val, np.flatnonzero(np.bincount(label, minlength=len(classes)) < RARE * len(label)))
    table = []
    for name, score in scores(features[of_split["train"]], label).items():
        val = score(features[of_split["val"]])
        ood_threshold = np.quantile(val, 0.99, method="higher")
        row: dict[str, object] = {"score": name}
        for split in OOD_SPLITS:
            found = score(features[of_split[split]])
            both = np.concatenate([found, val])
            is_ood = np.arange(len(both)) < len(found)
            auc = auc_and_average_precision(is_ood, both, np.ones((1, len(both))))[0][0]
            row |= {f"AUC, {split}": f"{auc:.4f}", f"flagged, {split}": f"{(found > ood_threshold).mean():.1%}"}
        for number in np.unique(of_val[rare]):
            row[f"flagged, {classes[number]}"] = f"{(val > ood_threshold)[of_val == number].mean():.1%}"
        table.append(row)
    print(pd.DataFrame(table).to_string(index=False))


if __name__ == "__main__":
    main()
