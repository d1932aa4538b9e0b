"""How near does each class of the test set come to its share, beside scikit-learn's splitters for groups?

A fifth of every class should be in test. Printed is the largest miss among the classes, in percentage points of
the class: the median over the seeds, and the worst. Below it, where HAM10000 is there, what splitting by image
leaks. Two minutes on one core:

    HAM10000_DIR=… python benchmarks/split_balance.py
"""

import os
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.model_selection import GroupShuffleSplit, StratifiedGroupKFold

from lesions.sampling.split import shares_value_with, stratified_group_split

SEEDS = 50
SHARE = 0.2


def ours(images: pd.DataFrame, seed: int) -> pd.Series:
    """Split as the pipeline does."""
    return stratified_group_split(images, {"train": 1 - SHARE, "test": SHARE}, seed) == "test"


def group_shuffle(images: pd.DataFrame, seed: int) -> pd.Series:
    """Draw a fifth of the groups, whatever their size and class."""
    splitter = GroupShuffleSplit(n_splits=1, test_size=SHARE, random_state=seed)
    _, test = next(splitter.split(images, images["label"], images["group_id"]))
    return pd.Series(images.index.isin(images.index[test]), images.index)


def stratified_folds(images: pd.DataFrame, seed: int) -> pd.Series:
    """Take the first of five stratified folds."""
    splitter = StratifiedGroupKFold(round(1 / SHARE), shuffle=True, random_state=seed)
    _, test = next(splitter.split(images, images["label"], images["group_id"]))
    return pd.Series(images.index.isin(images.index[test]), images.index)


SPLITTERS: dict[str, Callable[[pd.DataFrame, int], pd.Series]] = {
    "this project": ours,
    "GroupShuffleSplit": group_shuffle,
    "StratifiedGroupKFold": stratified_folds,
}


def ham10000(folder: str) -> pd.DataFrame:
    """Return HAM10000's images, grouped by lesion."""
    table = pd.read_csv(Path(folder, "HAM10000_metadata"), dtype=str)
    return table.rename(columns={"dx": "label"}).assign(group_id=table["lesion_id"])


def patients(seed: int, *, mixed: bool) -> pd.DataFrame:
    """Return the images of 400 patients, most with one or two, some with up to 120.

    Args:
        seed: the random seed.
        mixed: whether a patient has several diagnoses.
    """
    random = np.random.default_rng(seed)
    labels, shares = ["nv", "bkl", "mel"], [0.7, 0.2, 0.1]
    sizes = np.minimum(random.zipf(1.72, 400), 120)
    group = np.repeat([f"P{number:03}" for number in range(len(sizes))], sizes)
    label = np.repeat(random.choice(labels, len(sizes), p=shares), sizes)
    if mixed:
        label = np.where(random.random(len(group)) < 0.7, label, random.choice(labels, len(group), p=shares))
    return pd.DataFrame({"group_id": group, "label": label})


def largest_miss(images: pd.DataFrame, test: pd.Series) -> float:
    """Return by how many percentage points the worst class misses its share of test."""
    return float((test.groupby(images["label"]).mean() - SHARE).abs().max() * 100)


def main() -> None:
    """Print the misses, then the leak."""
    folder = os.environ.get("HAM10000_DIR", "")
    tables: dict[str, Callable[[int], pd.DataFrame]] = {
        "patients, one diagnosis each": lambda seed: patients(seed, mixed=False),
        "patients, several diagnoses": lambda seed: patients(seed, mixed=True),
    }
    if folder:
        tables = {"HAM10000, lesions": lambda _: ham10000(folder), **tables}
    print(f"{'largest miss of a class, percentage points':52} {'median':>8} {'worst':>8} {'s/split':>8}")
    for name, table in tables.items():
        for splitter, split in SPLITTERS.items():
            misses = []
            seconds = 0.0
            for seed in range(SEEDS):
                images = table(seed)
                start = time.perf_counter()
                test = split(images, seed)
                seconds += time.perf_counter() - start
                misses.append(largest_miss(images, test))
            print(
                f"{name:30} {splitter:21} {np.median(misses):8.2f} {max(misses):8.2f} {seconds / SEEDS:8.2f}",
                flush=True,
            )
    if folder:
        leak(ham10000(folder))


def leak(images: pd.DataFrame, seeds: int = 20) -> None:
    """Print how many test images of a split by image have their lesion in train."""
    print("\nHAM10000 split by image: test images whose lesion is in train, mean of", seeds, "seeds")
    single = images.assign(group_id=images["image_id"])
    for train, val in ((0.65, 0.15), (0.8, 0.0)):
        splits = {"train": train, "test": SHARE} | ({"val": val} if val else {})
        found = []
        for seed in range(seeds):
            split = images.assign(split=stratified_group_split(single, splits, seed))
            test = split[split["split"] == "test"].assign(seen=shares_value_with(split, "train", ["lesion_id"]))
            found.append({"all": test["seen"].mean(), **test.groupby("label")["seen"].mean()})
        means = pd.DataFrame(found).mean()
        print(f"{train:.0%} train: " + ", ".join(f"{label} {share:.1%}" for label, share in means.items()))


if __name__ == "__main__":
    main()
