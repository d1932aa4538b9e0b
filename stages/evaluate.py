"""Evaluate: how good, for which diagnosis, for whom, how sure, and against what?

Predictions in, figures out; no TensorFlow. The test set is read here and nowhere else, and chooses nothing: the
thresholds and the temperature are those of val.
"""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lesions.core.csv_files import read_csv
from lesions.core.errors import UserError
from lesions.core.json_files import read_json, write_json
from lesions.core.stage import run_stage
from lesions.evaluation import calibration, decision_curve, predictions, robustness, subgroups
from lesions.evaluation import metrics as figures
from lesions.evaluation import ood as unlikeness
from lesions.evaluation import operating_points as clinical
from lesions.evaluation import selective as abstention
from lesions.evaluation import split_report as one_side
from lesions.evaluation.bootstrap import Bootstrap, rounded
from lesions.evaluation.operating_points import Question
from lesions.evaluation.predictions import Side
from lesions.params.evaluate import Evaluate

PLOTS = Path("plots")
DATA = Path("data/predictions")


def main() -> None:
    """Judge what is in data/predictions."""
    params = Evaluate.read()
    bootstrap = Bootstrap(params.resamples, params.seed)
    classes = read_csv(Path("data/clean/classes.csv"))
    images = read_csv(Path("data/clean/images.csv")).merge(read_csv(Path("data/split/split.csv")), on="image_id")
    table = predictions.read(DATA / "predictions.csv", images, list(classes["label"]))
    # A side that is not to be judged stays unread: its plots' tables have a head and no rows.
    rows = {side: table[(table["split"] == side) & (side in params.sides)] for side in ("val", "test")}
    sides = {side: predictions.side(ours, images) for side, ours in rows.items()}
    questions = clinical.questions(classes)
    every = sides
    sides = {side: ours for side, ours in sides.items() if len(ours.label)}
    if not sides:
        raise UserError(
            f"data/predictions/predictions.csv has no picture of {' or '.join(params.sides)}, the evaluate.sides of "
            "params.yaml. Run `dvc repro`."
        )
    labels = next(iter(sides.values())).classes
    train = images.loc[images["split"] == "train", "label"]
    prior = np.array([(train == name).sum() for name in labels]) / max(1, len(train))
    protocol = ", ".join(sorted(set(table["protocol"])))
    report: dict[str, Any] = {
        "protocol": protocol,
        "intervals": f"95 %, percentiles of {params.resamples} bootstrap resamples of the groups",
        "majority_class_of_train": labels[int(prior.argmax())],
        **{side: one_side.judge(ours, prior, bootstrap) for side, ours in sides.items()},
        "questions": {
            name: {"why": question} if isinstance(question, str) else clinical.judge(question, sides, bootstrap)
            for name, question in questions.items()
        },
        "calibration": calibration.judge(sides),
        "abstention": {side: abstention.judge(ours, bootstrap) for side, ours in sides.items()},
        "unlikeness": unlikeness.judge(unlikeness.read(DATA / "unlikeness.csv"), list(params.sides)),
    }
    temperature = report["calibration"]["temperature"]
    model = read_json(DATA / "model.json")
    if model["patient"]:
        alone = predictions.read(DATA / "pictures_alone.csv", images, list(classes["label"]))
        # Of the lesions, and the resamples, that the other figures are of.
        report["without_age_sex_and_site"] = {
            side: one_side.headline(predictions.side(alone[alone["split"] == side], images), bootstrap)
            for side in sides
        }
    if "test" in sides:
        melanoma = questions["melanoma"]
        label = melanoma.positive[0] if isinstance(melanoma, Question) else None
        report["subgroups_of_test"] = subgroups.judge(sides["test"], label, bootstrap)
        report["decision_curves_of_test"] = decision_curve.judge(questions, sides["test"], temperature, bootstrap)
        disturbed = predictions.read(DATA / "disturbed.csv", images, sides["test"].classes, ("disturbance", "strength"))
        report["robustness_of_test"] = robustness.judge(
            sides["test"],
            robustness.ways(disturbed, sides["test"]),
            melanoma if isinstance(melanoma, Question) else None,
            threshold_for(report["questions"]["melanoma"], "sensitivity of at least 90% on val"),
            bootstrap,
        )
    drawn = {
        "decision_curve_test": decision_curve.curves(questions, every["test"], temperature),
        "robustness_test": robustness.curves(report.get("robustness_of_test", {})),
    }
    for side, ours in every.items():
        drawn |= {f"{name}_{side}": curve for name, curve in plot_data(ours, questions, temperature).items()}
    PLOTS.mkdir(exist_ok=True)
    for name, curve in drawn.items():
        # The templates put a leak into the plot's title.
        curve.assign(protocol=protocol).to_csv(PLOTS / f"{name}.csv", index=False)
    write_json(Path("reports/evaluation.json"), report)
    write_json(Path("models/decision.json"), decision(report, labels, model))
    brief = {side: one_side.brief(report[side], report["questions"]["melanoma"].get(side)) for side in sides}
    write_json(Path("metrics/evaluate.json"), {"protocol": protocol, **brief})
    print(pd.DataFrame({side: one_side.in_words(report[side]) for side in sides}).to_string())
    if protocol != "honest":
        print(f"WARNING: {protocol}. These figures are too good; see metrics/split.json for what leaks.")


def threshold_for(question: dict[str, Any], chosen_for: str) -> float | None:
    """Return the threshold that was chosen for this, of what is reported of a question."""
    points = {point["chosen_for"]: point["threshold"] for point in question.get("operating_points", [])}
    threshold: float | None = points.get(chosen_for)
    return threshold


def decision(report: dict[str, Any], labels: list[str], model: dict[str, Any]) -> dict[str, Any]:
    """Return what a classifier needs beside the model: the temperature, and thresholds of its own probabilities.

    And of the unlikeness by models/likeness.npz, above which a picture is flagged; all for that model alone, asked as
    `predict` asked it.
    """
    return {
        "model": model,
        "classes": labels,
        "protocol": report["protocol"],
        "temperature": report["calibration"]["temperature"],
        "thresholds_are_of": "the sum of the positive classes' probabilities, before the temperature",
        "thresholds": {
            name: {
                "positive": found["positive"],
                "negative": found["negative"],
                "at_least": {point["chosen_for"]: point["threshold"] for point in found["operating_points"]},
            }
            for name, found in report["questions"].items()
            if "positive" in found
        },
        "unlikeness": {"flagged_above": report["unlikeness"]["flagged_above"]},
    }


def plot_data(side: Side, questions: dict[str, Question | str], temperature: float | None) -> dict[str, pd.DataFrame]:
    """Return the tables behind one side's plots; see the `plots` section of dvc.yaml."""
    predicted = [side.classes[number] for number in side.probability.argmax(axis=1)]
    pairs = pd.DataFrame({"actual": side.table["label"], "predicted": predicted})
    of_class = figures.per_class(side.label, side.probability, np.ones((1, len(side.label))))
    names = {"precision": "ppv", "recall": "sensitivity", "f1": "f1", "misclassified": "misclassified"}
    rows = [
        (label, shown, rounded(float(of_class[figure][0, number])))
        for number, label in enumerate(side.classes)
        for shown, figure in names.items()
        if len(side.label)
    ]
    return {
        # In the taxonomy's order, which the confusion matrix takes over.
        "confusion": pairs.iloc[np.argsort(side.label, kind="stable")],
        "per_class": pd.DataFrame(rows, columns=["diagnosis", "figure", "value"]),
        "roc": roc(side, questions),
        "reliability": calibration.curves(side, temperature),
        "abstention": abstention.curve(side),
    }


def roc(side: Side, questions: dict[str, Question | str]) -> pd.DataFrame:
    """Return the curves of each class against the rest and of malignancy, and the readers' point."""
    asked = {label: (side.label == n, side.probability[:, n]) for n, label in enumerate(side.classes)}
    malignant, melanoma = questions["malignant"], questions["melanoma"]
    if isinstance(malignant, Question):
        asked["malignant, against benign"] = malignant.asked(side)[:2]
    curves = figures.roc(asked)
    if isinstance(melanoma, Question) and melanoma.readers and melanoma.positive[0] in set(curves["diagnosis"]):
        false_positive, true_positive = 1 - melanoma.readers["specificity"], melanoma.readers["sensitivity"]
        point = pd.DataFrame([("readers, of melanoma", false_positive, true_positive)], columns=curves.columns)
        curves = pd.concat([curves, point.round(4)], ignore_index=True)
    return curves


if __name__ == "__main__":
    run_stage(main)
