"""How long does a bootstrap of every metric take, beside a loop over scikit-learn's functions, and the whole stage?

On random predictions in HAM10000's numbers: 10,015 images of 7,470 lesions, a fifth of them test.

    python benchmarks/evaluate_speed.py [--rounds 3]

Both bootstraps are of the same metrics, accuracy to log loss and each class's AUC, on test. The loop runs through a
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

from lesions.core.json_files import write_json
from lesions.evaluation.bootstrap import Bootstrap
from lesions.evaluation.common import predictions
from lesions.evaluation.common.predictions import SplitPredictions
from lesions.evaluation.metrics import overall_metrics
from lesions.inference.corruptions import CORRUPTIONS, STRENGTHS
from lesions.taxonomy import about

IMAGES = {"mel": 1113, "bcc": 514, "akiec": 327, "bkl": 1099, "nv": 6705, "df": 115, "vasc": 142}
RESAMPLES = 1000
LOOPED = 10
FEATURES = 128


def put(folder: Path) -> None:
    """Write what evaluate reads: what predict would write, and what calibrate makes of it."""
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
    of_lesion = random.choice(["train", "val", "test"], lesion.max() + 1, p=[0.65, 0.15, 0.2])
    split = images[["image_id"]].assign(split=of_lesion[lesion], leakage="none")
    logits = random.normal(size=(len(label), len(classes))) + 2 * np.eye(len(classes))[label]
    table = split.assign(label=images["label"])[["image_id", "split", "label", "leakage"]]
    table[classes] = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    test = table[table["split"] == "test"]
    kinds = [(name, strength) for name in CORRUPTIONS for strength in STRENGTHS]
    index = table[["image_id", "split", "label", "leakage"]]
    described = [(name, about(name).name, about(name).malignancy, name) for name in classes]
    for name, content in {
        "clean/images": images,
        "clean/classes": pd.DataFrame(described, columns=["label", "name", "malignancy", "diagnoses"]),
        "split/split": split,
        "network_outputs/predictions": table[table["split"] != "train"],
        "network_outputs/corrupted": pd.concat([test.assign(corruption=name, strength=s) for name, s in kinds]),
        "network_outputs/features": index,
    }.items():
        (folder / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        content.to_csv(folder / f"data/{name}.csv", index=False, float_format="%.7g")
    outputs = folder / "data/network_outputs"
    np.save(outputs / "features.npy", random.normal(size=(len(index), FEATURES)).astype(np.float32))
    write_json(outputs / "model.json", {"sha256": {}, "tta": False})
    for file in ("params.yaml", "dvc.yaml"):
        copyfile(ROOT / file, folder / file)
    run_stage("calibrate", folder)


def read_test(folder: Path) -> SplitPredictions:
    """Return the test images."""
    images = predictions.read_images(folder / "data")
    table = predictions.read(folder / "data/predictions/predictions.csv", images, list(IMAGES))
    return predictions.split_predictions(table[table["split"] == "test"], images)


def time_ours(split: SplitPredictions) -> float:
    """Return the seconds of 1,000 resamples."""
    started = time.perf_counter()
    Bootstrap(RESAMPLES, 1).estimates(
        partial(overall_metrics, split.label, split.diagnosis, split.probability), split.groups
    )
    return time.perf_counter() - started


def time_loop(split: SplitPredictions) -> float:
    """Return the seconds of as many by scikit-learn's functions, one resample after the other."""
    random = np.random.default_rng(1)
    members = pd.Series(np.arange(len(split.groups))).groupby(split.groups).apply(np.asarray).to_list()
    every = range(len(split.classes))
    started = time.perf_counter()
    for _ in range(LOOPED):
        rows = np.concatenate([members[group] for group in random.integers(len(members), size=len(members))])
        label, probability = split.label[rows], split.probability[rows]
        predicted = probability.argmax(axis=1)
        metrics.accuracy_score(label, predicted)
        metrics.balanced_accuracy_score(label, predicted)
        metrics.f1_score(label, predicted, average="macro")
        metrics.f1_score(label, predicted, average="weighted")
        metrics.matthews_corrcoef(label, predicted)
        metrics.cohen_kappa_score(label, predicted)
        metrics.log_loss(label, probability, labels=list(every))
        for number in every:
            metrics.roc_auc_score(label == number, probability[:, number])
    return (time.perf_counter() - started) * RESAMPLES / LOOPED


def time_stage(folder: Path) -> float:
    """Return the seconds of the stage."""
    started = time.perf_counter()
    run_stage("evaluate", folder)
    return time.perf_counter() - started


def run_stage(stage: str, folder: Path) -> None:
    """Run a stage."""
    command = [sys.executable, "-m", f"stages.{stage}"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)


def rows(rounds: int = 3) -> list[Row]:
    """Return a row a claim; see `collect`."""
    with tempfile.TemporaryDirectory() as name:
        put(Path(name))
        split = read_test(Path(name))
        times = [(time_ours(split), time_loop(split), time_stage(Path(name))) for _ in range(rounds)]
    table = []
    for place, what in ((0, "overall metrics of test"), (2, "whole of evaluate, val and test, all metrics,")):
        claim = (
            f"{what} with {RESAMPLES:,} resamples of {split.n_groups:,} lesions, beside a loop over scikit-learn for "
        )
        claim += "the overall metrics of test"
        ours, loop = [each[place] for each in times], [each[1] for each in times]
        table.append(compared(claim, ours, loop, "{:.1f} s", "{:.3f}"))
    return table


if __name__ == "__main__":
    print_table(rows, rounds=3)
