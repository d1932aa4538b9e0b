"""Evaluate: how good, for which diagnosis, for whom, how sure, and against what?

Predictions in, figures out; no TensorFlow. The test set is read here and nowhere else, and chooses nothing: the
thresholds and the temperature are those of val.
"""

from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lesions.errors import UserError
from lesions.evaluation import (
    abstention,
    calibration,
    clinical,
    decision_curve,
    figures,
    predictions,
    robustness,
    subgroups,
    unlikeness,
)
from lesions.evaluation.clinical import Question
from lesions.evaluation.figures import Figures, why_undefined
from lesions.evaluation.intervals import Bootstrap, alone, rounded
from lesions.evaluation.predictions import Side
from lesions.outputs import read_json, write_json
from lesions.params.evaluate import Evaluate
from lesions.running import run_stage
from lesions.tables import read_csv

PLOTS = Path("plots")
DATA = Path("data/predictions")
WITH_INTERVAL = ["accuracy", "balanced_accuracy", "macro_auc"]
"""In metrics/evaluate.json; all other intervals are in reports/evaluation.json."""


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
        **{side: judge(ours, prior, bootstrap) for side, ours in sides.items()},
        "questions": {
            name: {"why": question} if isinstance(question, str) else clinical.judge(question, sides, bootstrap)
            for name, question in questions.items()
        },
        "calibration": calibration.judge(sides),
        "abstention": {side: abstention.judge(ours, bootstrap) for side, ours in sides.items()},
        "unlikeness": unlikeness.judge(unlikeness.read(DATA / "unlikeness.csv"), list(params.sides)),
    }
    temperature = report["calibration"]["temperature"]
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
    write_json(Path("models/decision.json"), decision(report, labels, read_json(DATA / "model.json")))
    write_json(Path("metrics/evaluate.json"), {"protocol": protocol, **{side: brief(report[side]) for side in sides}})
    print(pd.DataFrame({side: in_words(report[side]) for side in sides}).to_string())
    if protocol != "honest":
        print(f"WARNING: {protocol}. These figures are too good; see metrics/split.json for what leaks.")


def threshold_for(question: dict[str, Any], chosen_for: str) -> float | None:
    """Return the threshold that was chosen for this, of what is reported of a question."""
    points = {point["chosen_for"]: point["threshold"] for point in question.get("operating_points", [])}
    threshold: float | None = points.get(chosen_for)
    return threshold


def judge(side: Side, prior: np.ndarray[Any, np.dtype[np.float64]], bootstrap: Bootstrap) -> dict[str, Any]:
    """Return the figures of one side, and of the baselines: always the majority, and always train's shares."""
    ours = (side.label, side.probability)
    headline = alone(bootstrap.estimates(partial(figures.headline, *ours), side.groups))
    of_class = bootstrap.estimates(partial(figures.per_class, *ours), side.groups)
    lesions = predictions.by_lesion(side)
    majority = np.eye(len(prior))[prior.argmax()]
    return {
        "pictures": len(side.label),
        "groups": side.lesions,
        "figures": headline,
        "figures_by_lesion": {"why": "the data name no lesions"}
        if lesions is None
        else {
            "lesions": len(lesions.label),
            **alone(bootstrap.estimates(partial(figures.headline, lesions.label, lesions.probability), lesions.groups)),
        },
        "majority_baseline": plain(figures.always(side.label, majority)),
        "prior_baseline": plain(figures.always(side.label, prior)),
        "classes": [
            {
                "diagnosis": name,
                "support": int((side.label == number).sum()),
                "groups": len(set(side.groups[side.label == number])),
                **{figure: found[number] for figure, found in of_class.items()},
            }
            for number, name in enumerate(side.classes)
        ],
        "confusion": {
            "rows_are": "actual, columns predicted, in the order of the classes",
            "counts": figures.confusion(*ours, np.ones((1, len(side.label))))[0].astype(int).tolist(),
        },
    }


def plain(found: Figures) -> dict[str, Any]:
    """Return figures without intervals; the reasons for undefined ones stand in `undefined`."""
    values = {name: rounded(float(value[0])) for name, value in found.items()}
    return {**values, "undefined": {name: why_undefined(name) for name, value in values.items() if value is None}}


def brief(judged: dict[str, Any]) -> dict[str, float | None]:
    """Return a dozen figures of a side, for `dvc metrics`."""
    found: dict[str, float | None] = {}
    for name in (*WITH_INTERVAL, "macro_f1", "log_loss"):
        found[name] = judged["figures"][name]["value"]
        if name in WITH_INTERVAL:
            found |= {f"{name}_{end}": judged["figures"][name][end] for end in ("lower", "upper")}
    return {**found, "majority_accuracy": judged["majority_baseline"]["accuracy"]}


def in_words(judged: dict[str, Any]) -> dict[str, str]:
    """Return the headline of a side for a person: 0.733 [0.712, 0.755]."""
    words = {"pictures": f"{judged['pictures']:,}", "lesions": f"{judged['groups']:,}"}
    for name in (*WITH_INTERVAL, "macro_f1", "mcc", "log_loss"):
        value, lower, upper = (judged["figures"][name][part] for part in ("value", "lower", "upper"))
        words[name] = "-" if value is None else f"{value:.3f}"
        words[name] += "" if lower is None else f" [{lower:.3f}, {upper:.3f}]"
    return {**words, "always the majority": f"{judged['majority_baseline']['accuracy']:.3f} accuracy"}


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
