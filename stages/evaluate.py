"""Evaluate the predictions on validation and test, without TensorFlow.

The test set is read here and nowhere else, and chooses nothing: `calibrate` has chosen calibration and thresholds on
validation.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from lesions.core.csv_files import read_csv, write_csv
from lesions.core.errors import UserError
from lesions.core.json_files import read_json, write_json
from lesions.core.stage import run_stage, say
from lesions.evaluation import decision_curve, ood, robustness
from lesions.evaluation.bootstrap import Bootstrap
from lesions.evaluation.common import predictions
from lesions.evaluation.common.tasks import BinaryTask, binary_tasks
from lesions.evaluation.common.thresholds import THRESHOLDS_FILE, Thresholds
from lesions.evaluation.report import class_fractions, evaluation_report, report_on_test, split_plots
from lesions.evaluation.split_metrics import dvc_metrics, overall_with_intervals, printed
from lesions.params.evaluate import Evaluate

DATA = Path("data")
PREDICTIONS = DATA / "predictions"
PLOTS = Path("plots/evaluation")
FILES = (
    PREDICTIONS / "predictions.csv",
    PREDICTIONS / "predictions_calibrated.csv",
    DATA / "network_outputs/predictions.csv",
)
SPLITS = ("val", "test")


def main() -> None:
    """Write the metrics, the report and the tables behind the plots."""
    params = Evaluate.read()
    bootstrap = Bootstrap(params.n_bootstrap, params.seed)
    class_table = read_csv(DATA / "clean/classes.csv")
    classes = list(class_table["label"])
    images = predictions.read_images(DATA)
    final, calibrated, image_only = (predictions.read(file, images, classes) for file in FILES)
    # A split that is not to be evaluated stays unread: its plots' tables have a head and no rows.
    rows = {name: (final["split"] == name) & (name in params.splits) for name in SPLITS}
    calibration = read_json(Path("models/calibration.json"))
    thresholds = Thresholds.read(Path("models") / THRESHOLDS_FILE)
    rule = thresholds.decision_rule
    every = {
        name: predictions.split_predictions(final[mask], images, rule, calibrated[mask]) for name, mask in rows.items()
    }
    splits = {name: split for name, split in every.items() if len(split.label)}
    if not splits:
        raise UserError(
            f"{PREDICTIONS}/predictions.csv has no image of {' or '.join(params.splits)}, the evaluate.splits of "
            "params.yaml. Run `dvc repro`."
        )
    binary = binary_tasks(class_table)
    prior = class_fractions(images.loc[images["split"] == "train", "label"], classes)
    leakage = ", ".join(sorted(set(final["leakage"])))
    scores = ood.read_scores(PREDICTIONS / "ood_scores.csv")
    say(f"Evaluating {' and '.join(splits)}, with {bootstrap.resamples:,} bootstrap resamples ...")
    report = {
        "leakage": leakage,
        "decision_rule": rule.model_dump(include={"optimise", "costs"}),
        "majority_class_of_train": classes[int(prior.argmax())],
        **evaluation_report(splits, binary, thresholds, prior, scores, bootstrap),
    }
    report["calibration"] = calibration | report["calibration"]
    if thresholds.model.use_metadata:
        # Of the same groups and resamples as the other metrics.
        report["image_only"] = {
            name: overall_with_intervals(predictions.split_predictions(image_only[rows[name]], images, rule), bootstrap)
            for name in splits
        }
    if "test" in splits:
        corrupted = predictions.read(
            PREDICTIONS / "predictions_corrupted.csv", images, classes, ("corruption", "severity")
        )
        report |= report_on_test(splits["test"], corrupted, binary, thresholds, bootstrap)

    _write_tables(every, binary, report, of_skin=thresholds.training_data.source != "synthetic")
    write_json(Path("reports/evaluation.json"), report)
    brief = {name: dvc_metrics(report[name], report["tasks"]["melanoma"].get(name)) for name in splits}
    write_json(Path("metrics/evaluate.json"), {"leakage": leakage, **brief})
    print(pd.DataFrame({name: printed(report[name]) for name in splits}).to_string())
    if leakage != "none":
        print(f"WARNING: {leakage}. These metrics say nothing of new lesions; see metrics/split.json for what leaks.")


def _write_tables(
    splits: dict[str, predictions.SplitPredictions],
    binary: dict[str, BinaryTask | str],
    report: dict[str, Any],
    *,
    of_skin: bool,
) -> None:
    """Write the tables behind the plots of val and test; of a split that is not evaluated, no row."""
    of_split = {name: split_plots(split, binary, of_skin=of_skin) for name, split in splits.items()}
    tables = {
        "decision_curve_test": decision_curve.net_benefit_curves(binary, splits["test"]),
        "robustness_test": robustness.robustness_curves(report.get("robustness_of_test", {})),
        **{f"{plot}_{name}": table for name, plots in of_split.items() for plot, table in plots.items()},
    }
    PLOTS.mkdir(parents=True, exist_ok=True)
    for name, table in tables.items():
        # The templates put a leak into the plot's title.
        write_csv(table.assign(leakage=report["leakage"]), PLOTS / f"{name}.csv")


if __name__ == "__main__":
    run_stage(main)
