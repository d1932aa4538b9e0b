"""What is another image of the test lesion in train worth to a classifier that can remember one?

    dvc repro prepare
    PYTHONPATH=. python benchmarks/leak_by_capacity.py --weights mobilenet_2_5_224_tf_no_top.h5

In the folder of a run, such as of HAM10000. The weights are those that Keras publishes for MobileNet at alpha 0.25,
without the head. On its features, of images as they are prepared, two classifiers train on each of ten splits with
`split.same_lesion` `withheld` and `injected`: a nearest neighbour, which remembers all, and a linear one, which
remembers little. Both splits have the same test images and as many training images of each class. Printed is the mean
over the splits, and the difference with its 95 % interval, corrected for what the splits share (Nadeau and Bengio,
Machine Learning 52, 2003). Three minutes on two cores.
"""

import argparse
from collections.abc import Callable
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import accuracy_score, balanced_accuracy_score, recall_score
from sklearn.neighbors import KNeighborsClassifier
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import Normalizer, StandardScaler

from lesions.commands.study.difference import fold_difference
from lesions.core import image_array
from lesions.core.csv_files import read_csv
from lesions.inference.predict import in_batches
from lesions.params.split import Split
from lesions.reporting.common.numbers import interval_to
from lesions.sampling.split_report import split_images

DATA = Path("data")
SEEDS = range(1, 11)
CLASSIFIERS: dict[str, Callable[[], Pipeline]] = {
    "nearest neighbour": lambda: make_pipeline(Normalizer(), KNeighborsClassifier(1)),
    "linear": lambda: make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300)),
}
Features = NDArray[np.float32]
Measured = dict[tuple[str, str, str], float]
"""By classifier, test images and metric."""


def features_of(pixels: NDArray[np.uint8], weights: str) -> Features:
    """Return the features, (N, 256), of images."""
    network = keras.applications.MobileNet(pixels.shape[1:], 0.25, include_top=False, weights=weights, pooling="avg")
    return np.concatenate([network.predict_on_batch(part / np.float32(127.5) - 1) for part in in_batches(pixels)])


def measure(features: Features, images: pd.DataFrame, split: "pd.Series[str]", positive: str) -> Measured:
    """Return the metrics on test of each classifier, trained on train.

    Args:
        features: (N, 256).
        images: N rows with `label` and `group_id`.
        split: of each row.
        positive: the class of which the sensitivity is measured.
    """
    train, test = (split == "train").to_numpy(), (split == "test").to_numpy()
    of_test = images[test]
    others = images["group_id"].map(images["group_id"].value_counts())[test].to_numpy() > 1
    found = {}
    for name, classifier in CLASSIFIERS.items():
        answer = classifier().fit(features[train], images.loc[train, "label"]).predict(features[test])
        for which, rows in (("all", np.ones(len(others), bool)), ("of a lesion with others", others)):
            label, ours = of_test.loc[rows, "label"], answer[rows]
            found[name, which, "accuracy"] = accuracy_score(label, ours)
            found[name, which, "balanced accuracy"] = balanced_accuracy_score(label, ours)
            sensitivity = recall_score(label, ours, labels=[positive], average=None)
            found[name, which, f"sensitivity for {positive}"] = sensitivity[0]
    return found


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--weights", required=True, help="file of MobileNet, alpha 0.25, without the head")
    parser.add_argument("--positive", default="mel", help="class of which the sensitivity is measured")
    arguments = parser.parse_args()
    pixels, index = image_array.read(DATA / "prepared")
    features = features_of(pixels, arguments.weights)
    images = index[["image_id"]].merge(read_csv(DATA / "clean/images.csv"), on="image_id")
    classes, params = list(read_csv(DATA / "clean/classes.csv")["label"]), Split.read()
    runs: dict[str, list[Measured]] = {"withheld": [], "injected": []}
    ratios = []
    for seed in SEEDS:
        for kind, measured in runs.items():
            ours = params.model_copy(update={"method": "grouped", "folds": "none", "same_lesion": kind, "seed": seed})
            split = split_images(images, classes, ours)[0]["split"]
            measured.append(measure(features, images, split, arguments.positive))
        ratios.append((split == "test").sum() / (split == "train").sum())
    rows = []
    for key in runs["withheld"][0]:
        withheld, injected = (np.array([found[key] for found in measured]) for measured in runs.values())
        difference = fold_difference(injected - withheld, float(np.mean(ratios)))
        rows.append(
            {
                **dict(zip(("classifier", "test images", "metric"), key, strict=True)),
                "withheld": f"{withheld.mean():.3f}",
                "injected": f"{injected.mean():.3f}",
                "more": interval_to(difference, "+"),
            }
        )
    print(pd.DataFrame(rows).to_string(index=False))


if __name__ == "__main__":
    main()
