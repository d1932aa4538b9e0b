"""Evaluate: how good, for which diagnosis, and against what?

Predictions in, figures out; no TensorFlow. The test set is read here and nowhere else.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesions import figures
from lesions.outputs import write_json
from lesions.params.evaluate import Evaluate
from lesions.running import run_stage
from lesions.tables import read_csv

PLOTS = Path("plots")
FIXED = ["image_id", "split", "label", "protocol"]
"""The columns of predictions.csv before the classes' own."""


def main() -> None:
    """Judge data/predictions/predictions.csv."""
    params = Evaluate.read()
    predictions = read_csv(Path("data/predictions/predictions.csv"))
    classes = [str(column) for column in predictions if column not in FIXED]
    images = read_csv(Path("data/clean/images.csv")).merge(read_csv(Path("data/split/split.csv")), on="image_id")
    train = images.loc[images["split"] == "train", "label"]
    majority = max(classes, key=lambda name: int((train == name).sum()))

    protocol = ", ".join(sorted(set(predictions["protocol"])))
    report: dict[str, Any] = {"protocol": protocol, "majority_class_of_train": majority}
    brief: dict[str, Any] = {}
    for side in ("val", "test"):
        # A side that is not to be judged stays unread: its plots' tables have a head and no rows.
        ours = predictions[(predictions["split"] == side) & (side in params.sides)]
        judged = judge(ours, classes, majority)
        write_plot_data(side, ours, judged, classes)
        if side in params.sides:
            groups = images.loc[images["image_id"].isin(ours["image_id"]), "group_id"].nunique()
            report[side] = {"pictures": len(ours), "groups": int(groups), **judged}
            baseline = judged["majority_baseline"]
            brief[side] = {
                **judged["figures"],
                "majority_accuracy": baseline["accuracy"],
                "majority_balanced_accuracy": baseline["balanced_accuracy"],
            }
    write_json(Path("reports/evaluation.json"), report)
    write_json(Path("metrics/evaluate.json"), {"protocol": protocol, **brief})
    print(pd.DataFrame(brief).to_string())
    if protocol != "honest":
        print(f"WARNING: {protocol}. These figures are too good; see metrics/split.json for what leaks.")


def judge(predictions: pd.DataFrame, classes: list[str], majority: str) -> dict[str, Any]:
    """Return all figures of one side; {} if it has no rows."""
    if predictions.empty:
        return {}
    label = predictions["label"].map(classes.index).to_numpy(np.int64)
    probability = probabilities(predictions, classes)
    return {
        "figures": figures.headline(label, probability),
        "majority_baseline": figures.majority(label, classes.index(majority)),
        "classes": figures.per_class(label, probability, classes),
        "confusion": {
            "rows_are": "actual, columns predicted, in the order of the classes",
            "counts": figures.confusion(label, probability).tolist(),
        },
    }


def probabilities(predictions: pd.DataFrame, classes: list[str]) -> NDArray[np.float64]:
    """Return (N, classes); as written they sum to one within a float32's accuracy, here exactly."""
    written: NDArray[np.float64] = predictions[classes].to_numpy(np.float64)
    written /= written.sum(axis=1, keepdims=True)
    return written


def write_plot_data(side: str, predictions: pd.DataFrame, judged: dict[str, Any], classes: list[str]) -> None:
    """Write the tables behind one side's plots; see the `plots` section of dvc.yaml."""
    PLOTS.mkdir(exist_ok=True)
    label = predictions["label"].map(classes.index).to_numpy(np.int64)
    probability = probabilities(predictions, classes)
    predicted = [classes[number] for number in probability.argmax(axis=1)]
    pairs = pd.DataFrame({"actual": predictions["label"], "predicted": predicted})
    # In the taxonomy's order, which the confusion matrix takes over.
    pairs = pairs.iloc[np.argsort(label, kind="stable")]
    pairs.to_csv(PLOTS / f"confusion_{side}.csv", index=False)
    figures.roc(label, probability, classes).to_csv(PLOTS / f"roc_{side}.csv", index=False)
    pd.DataFrame(
        [
            (row["diagnosis"], name, row[name])
            for row in judged.get("classes", [])
            for name in ("precision", "recall", "f1", "misclassified")
        ],
        columns=["diagnosis", "figure", "value"],
    ).to_csv(PLOTS / f"per_class_{side}.csv", index=False)


if __name__ == "__main__":
    run_stage(main)
