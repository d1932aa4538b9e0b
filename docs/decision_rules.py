"""Compare the values of `calibrate.optimise` on halves of validation; it prints the table of strength.md."""

from pathlib import Path

import numpy as np

from lesions.core.csv_files import read_csv
from lesions.evaluation.common import predictions
from lesions.evaluation.common.decision_rule import UNCALIBRATED_ARGMAX, Optimise
from lesions.models.calibration.decision_rule import fit_decision_rule
from lesions.models.calibration.temperature_scaling import fit_calibration

HALVES = 60
AIMS: tuple[Optimise, ...] = ("uncalibrated_probability", "accuracy", "balanced_accuracy")


def main() -> None:
    """Print the table of the run in the current folder."""
    classes = list(read_csv(Path("data/clean/classes.csv"))["label"])
    images = predictions.read_images(Path("data"))
    table = predictions.read(Path("data/predictions/predictions.csv"), images, classes)
    val = predictions.split_predictions(table[table["split"] == "val"], images, UNCALIBRATED_ARGMAX)
    random = np.random.default_rng(1)
    found: dict[Optimise, list[tuple[float, float]]] = {aim: [] for aim in AIMS}
    for _ in range(HALVES):
        ours = (random.random(val.groups.max() + 1) < 0.5)[val.groups]
        calibration = fit_calibration(val.label[ours], val.probability[ours], classes)
        truth = val.label[~ours]
        for aim in AIMS:
            rule = fit_decision_rule(aim, None, calibration, val.label[ours])
            correct = rule.answers(val.probability[~ours]) == truth
            sensitivities = [correct[truth == label].mean() for label in np.unique(truth)]
            found[aim].append((float(np.mean(sensitivities)), float(correct.mean())))
    print("| rule | balanced accuracy | accuracy |\n|---|---|---|")
    for aim, scores in found.items():
        cells = [
            f"{mean:.3f} ± {deviation:.3f}"
            for mean, deviation in zip(np.mean(scores, 0), np.std(scores, 0), strict=True)
        ]
        print(f"| `{aim}` | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
