"""How long does a bootstrap of every metric take, beside a loop over scikit-learn's functions, and the whole stage?

On drawn predictions in HAM10000's numbers: 10,015 images of 7,470 lesions, a fifth of them test.

    python benchmarks/evaluate_speed.py [--rounds 3]

Both bootstraps are of the same values, accuracy to log loss and each class's area, on test. The loop runs through a
few resamples, and its time is scaled to 1,000. Of the stage, all is timed, from starting Python.
"""

import os
import subprocess
import sys
import tempfile
import time
from functools import partial
from pathlib import Path
from shutil import copyfile

import numpy as np
import pandas as pd
from common import ROOT, Row, compared, print_table
from sklearn import metrics

from lesions.core.csv_files import read_csv
from lesions.core.json_files import write_json
from lesions.evaluation import metrics as values
from lesions.evaluation.bootstrap import Bootstrap
from lesions.evaluation.common import predictions
from lesions.evaluation.common.predictions import Split
from lesions.inference.corruptions import CORRUPTIONS, STRENGTHS
from lesions.taxonomy import about

IMAGES = {"mel": 1113, "bcc": 514, "akiec": 327, "bkl": 1099, "nv": 6705, "df": 115, "vasc": 142}
RESAMPLES = 1000
LOOPED = 10


def put(folder: Path) -> None:
    """Write what evaluate reads."""
    random = np.random.default_rng(1)
    classes = list(IMAGES)
    label = np.repeat(np.arange(len(classes)), list(IMAGES.values()))
    # Numbered through the classes, so that a lesion has one: 10,015 images of about 7,470.
    lesion = np.cumsum(random.random(len(label)) < 0.746) + 10_000 * label
    images = pd.DataFrame({"label": np.array(classes)[label], "group_id": lesion, "lesion_id": lesion})
    images.insert(0, "image_id", [f"P_{number:05}" for number in range(len(label))])
    images = images.assign(age=random.integers(5, 86, len(label)), age_status="given")
    for column, groups in (("sex", 2), ("site", 14), ("source", 4), ("dx_type", 4)):
        images[column] = [f"{column} {number}" for number in random.integers(groups, size=len(label))]
    dealt = random.choice(["train", "val", "test"], lesion.max() + 1, p=[0.65, 0.15, 0.2])
    split = images[["image_id"]].assign(split=dealt[lesion], leakage="none")
    logits = random.normal(size=(len(label), len(classes))) + 2 * np.eye(len(classes))[label]
    table = split.assign(label=images["label"])[["image_id", "split", "label", "leakage"]]
    table[classes] = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    test = table[table["split"] == "test"]
    ways = [(name, strength) for name in CORRUPTIONS for strength in STRENGTHS]
    unlike = table[table["split"] != "train"][["image_id", "split", "label", "leakage"]]
    described = [(name, about(name).name, about(name).nature, name) for name in classes]
    for name, content in {
        "clean/images": images,
        "clean/classes": pd.DataFrame(described, columns=["label", "name", "nature", "of"]),
        "split/split": split,
        "predictions/predictions": table[table["split"] != "train"],
        "predictions/corrupted": pd.concat([test.assign(corruption=name, strength=s) for name, s in ways]),
        "predictions/ood_score": unlike.assign(ood_score=random.random(len(unlike))),
    }.items():
        (folder / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        content.to_csv(folder / f"data/{name}.csv", index=False, float_format="%.7g")
    write_json(folder / "data/predictions/model.json", {"sha256": {}, "dihedral": False})
    for file in ("params.yaml", "dvc.yaml"):
        copyfile(ROOT / file, folder / file)


def read_test(folder: Path) -> Split:
    """Return the test images."""
    images = read_csv(folder / "data/clean/images.csv").merge(read_csv(folder / "data/split/split.csv"))
    table = predictions.read(folder / "data/predictions/predictions.csv", images, list(IMAGES))
    return predictions.split(table[table["split"] == "test"], images)


def time_ours(split: Split) -> float:
    """Return the seconds of 1,000 resamples."""
    started = time.perf_counter()
    Bootstrap(RESAMPLES, 1).estimates(partial(values.headline, split.label, split.probability), split.groups)
    return time.perf_counter() - started


def time_loop(split: Split) -> float:
    """Return the seconds of as many by scikit-learn's functions, one resample after the other."""
    random = np.random.default_rng(1)
    members = pd.Series(np.arange(len(split.groups))).groupby(split.groups).apply(np.asarray).to_list()
    every = range(len(split.classes))
    started = time.perf_counter()
    for _ in range(LOOPED):
        rows = np.concatenate([members[group] for group in random.integers(len(members), size=len(members))])
        label, probability = split.label[rows], split.probability[rows]
        answer = probability.argmax(axis=1)
        metrics.accuracy_score(label, answer)
        metrics.balanced_accuracy_score(label, answer)
        metrics.f1_score(label, answer, average="macro")
        metrics.f1_score(label, answer, average="weighted")
        metrics.matthews_corrcoef(label, answer)
        metrics.cohen_kappa_score(label, answer)
        metrics.log_loss(label, probability, labels=list(every))
        for number in every:
            metrics.roc_auc_score(label == number, probability[:, number])
    return (time.perf_counter() - started) * RESAMPLES / LOOPED


def time_stage(folder: Path) -> float:
    """Return the seconds of the stage."""
    started = time.perf_counter()
    command = [sys.executable, "-m", "stages.evaluate"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def rows(rounds: int = 3) -> list[Row]:
    """Return a row a claim; see `collect`."""
    with tempfile.TemporaryDirectory() as name:
        put(Path(name))
        split = read_test(Path(name))
        times = [(time_ours(split), time_loop(split), time_stage(Path(name))) for _ in range(rounds)]
    table = []
    for place, what in ((0, "headline of test"), (2, "whole of evaluate, val and test, all values,")):
        claim = (
            f"{what} with {RESAMPLES:,} resamples of {split.lesions:,} lesions, beside a loop over scikit-learn for "
        )
        claim += "the headline of test"
        ours, loop = [each[place] for each in times], [each[1] for each in times]
        table.append(compared(claim, ours, loop, "{:.1f} s", "{:.3f}"))
    return table


if __name__ == "__main__":
    print_table(rows, rounds=3)
