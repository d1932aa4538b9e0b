"""What the card says, gathered from what the stages before have written."""

import hashlib
import json
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd
from numpy import nan

from lesions.core.csv_files import read_csv
from lesions.core.json_files import read_json
from lesions.reporting.card import plots
from lesions.reporting.card import sentences as words
from lesions.reporting.card.sentences import SIDES, count, escaped, interval

HASHED = {
    "model": Path("models/model.keras"),
    "pictures and diagnoses (`data/clean/images.csv`, which holds each picture's hash)": Path("data/clean/images.csv"),
    "split (`data/split/split.csv`)": Path("data/split/split.csv"),
    "packages (`requirements.txt`)": Path("requirements.txt"),
}
HEADLINE = {
    "accuracy": "accuracy",
    "balanced_accuracy": "balanced accuracy",
    "macro_f1": "macro F1",
    "macro_auc": "macro AUC",
    "mcc": "Matthews correlation",
    "log_loss": "log loss",
    "brier": "Brier score",
}
TITLES = {"melanoma": "Is it a melanoma?", "malignant": "Is it malignant?"}
LEAST_COVERAGE = 0.5
"""With fewer pictures, classes are left out altogether, and the balanced accuracy jumps."""
GALLERY = {"confident_error": "Its most confident errors", "uncertain_hit": "Right, and least certain"}


def gather(params: dict[str, Any], pictures: Path) -> dict[str, Any]:
    """Return what the template takes, and write the plots.

    Args:
        params: all of params.yaml.
        pictures: the folder that gets the plots; it lies beside the card.
    """
    report = read_json(Path("reports/evaluation.json"))
    data, split, train = (read_json(Path(f"metrics/{name}.json")) for name in ("data", "split", "train"))
    provenance = read_json(Path("data/raw/provenance.json"))
    side = "test" if "test" in report else "val"
    judged, majority = report[side], report["majority_class_of_train"]
    leak = "" if report["protocol"] == "honest" else report["protocol"]
    melanoma = any("melanomas" in row for rows in report.get("subgroups_of_test", {}).values() for row in rows)
    drawn = write_plots(report, side, leak, pictures)
    return {
        "params": params,
        "train": train,
        "data": data,
        "leak": leak,
        "drawn": provenance["source"] == "synthetic",
        "classes": class_rows(read_csv(Path("data/clean/classes.csv")), data, split),
        "names": words.joined([escaped(row["diagnosis"]) for row in judged["classes"]]),
        "majority": majority,
        "in_short": words.in_short(judged, side, majority, report["questions"]),
        "sides": [{"title": SIDES[name].capitalize(), **report[name]} for name in ("val", "test") if name in report],
        "headline": headline([report[name] for name in ("val", "test") if name in report]),
        "limits": words.limits(data, judged),
        "data_words": words.data_words(data),
        "origin": words.origin(provenance),
        "split_words": words.split_words(split),
        "split_counts": words.split_counts(split),
        "training_words": words.training_words(params, train),
        "questions": [asked(name, question, side) for name, question in report["questions"].items()],
        "calibration_words": words.calibration_words(report["calibration"], side),
        "patient_words": words.patient_words(report, side),
        "melanoma": melanoma,
        "subgroups": [
            {"column": column if number == 0 else "", **row}
            for column, rows in report.get("subgroups_of_test", {}).items()
            for number, row in enumerate(rows)
        ],
        "gaps": words.gap_words(
            report.get("subgroups_of_test", {}),
            *(("melanoma_auc", "AUC for melanoma") if melanoma else ("balanced_accuracy", "balanced accuracy")),
        ),
        "robustness_words": words.robustness_words(report.get("robustness_of_test", {})),
        "abstention_words": words.abstention_words(report["abstention"], report["unlikeness"], side),
        "gallery_words": words.gallery_words(read_json(Path("metrics/explain.json"))),
        "gallery": gallery(read_json(Path("reports/gallery/gallery.json"))["entries"]),
        "model_bytes": HASHED["model"].stat().st_size,
        "recipe_words": recipe_words(read_json(Path("models/recipe.json"))),
        "hashes": hashes(params),
        "figure": lambda name: figure(drawn, pictures, name),
    }


def class_rows(classes: pd.DataFrame, data: dict[str, Any], split: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row a class: what it is, and how many pictures of it stand where."""
    return [
        {
            "label": row["label"],
            "name": row["name"],
            "nature": row["nature"],
            "lesions": data["lesions_by_class"].get(row["label"], 0) if data["lesions"] else None,
            "pictures": data["classes"][row["label"]],
            **{side: split[side]["pictures_by_class"].get(row["label"], 0) for side in SIDES},
        }
        for row in classes.to_dict("records")
    ]


def headline(sides: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return a row a figure, of each side and of the baselines."""

    def plain(baseline: dict[str, Any], figure: str) -> str:
        return "not defined" if baseline[figure] is None else f"{baseline[figure]:.3f}"

    last = sides[-1]
    return [
        {
            "name": name,
            "sides": [interval(side["figures"][figure]) for side in sides],
            "majority": plain(last["majority_baseline"], figure),
            "prior": plain(last["prior_baseline"], figure),
        }
        for figure, name in HEADLINE.items()
    ]


def asked(name: str, question: dict[str, Any], side: str) -> dict[str, Any]:
    """Return what the card says of one of the clinic's questions."""
    found: dict[str, Any] = {"key": name, "title": TITLES[name]}
    if side not in question:
        return found | {"why": question.get("why", "no picture takes part")}
    ours = question[side]
    told = (
        f"{count(ours['positive_pictures'])} of {count(ours['pictures'])} pictures are. AUC {interval(ours['auc'])}; "
        f"area above a sensitivity of 80 %, of .2 at most: {interval(ours['partial_auc_above_80_sensitivity'])}."
    )
    if name == "melanoma":
        told += (
            f" For orientation: on other pictures, 58 readers had a sensitivity of {plots.READERS[0]} and a "
            f"specificity of {plots.READERS[1]} (Haenssle et al. 2018); where the curve has that sensitivity, its "
            f"specificity is {interval(ours['specificity_at_readers_sensitivity'])}."
        )
    return found | {
        "words": told,
        "points": [point_row(point, side) for point in question["operating_points"] if side in point],
    }


def point_row(point: dict[str, Any], side: str) -> dict[str, str]:
    """Return the cells of an operating point."""
    read = point[side]

    def at_prevalences(figure: str) -> str:
        values = [read[f"{figure}_at_{prevalence}%"]["value"] for prevalence in (1, 5, 20)]
        return " / ".join("-" if value is None else f"{value:.3f}" for value in values)

    return {
        "chosen_for": point["chosen_for"].removesuffix(" on val"),
        "sensitivity": interval(read["sensitivity"]),
        "specificity": interval(read["specificity"]),
        "biopsies": interval(read["number_needed_to_biopsy"]),
        "ppv": at_prevalences("ppv"),
        "npv": at_prevalences("npv"),
    }


def write_plots(report: dict[str, Any], side: str, leak: str, folder: Path) -> dict[str, str]:
    """Draw what there is something to draw of; return by name what each picture shows, in words."""
    folder.mkdir(parents=True, exist_ok=True)
    judged, drawn = report[side], {}

    def keep(name: str, content: bytes, alt: str) -> None:
        (folder / f"{name}.png").write_bytes(content)
        drawn[name] = alt

    classes = [row["diagnosis"] for row in judged["classes"]]
    keep(
        "confusion",
        plots.draw("confusion", judged["confusion"]["counts"], classes, leak=leak, height=1.4 + 0.42 * len(classes)),
        f"Confusion matrix of {SIDES[side]}: pictures of each actual diagnosis by predicted diagnosis.",
    )
    curves = pd.read_csv(f"plots/roc_{side}.csv")
    for name, question in report["questions"].items():
        if side not in question:
            continue
        positive = question["positive"][0] if name == "melanoma" else "malignant, against benign"
        points = [
            {figure: point[side][figure]["value"] for figure in ("sensitivity", "specificity")}
            for point in question["operating_points"]
            if side in point
        ]
        points_table = pd.DataFrame(points, columns=["sensitivity", "specificity"]).fillna(nan)
        keep(
            f"roc_{name}",
            plots.draw("roc", curves[curves["diagnosis"] == positive], points_table, name == "melanoma", leak=leak),
            f"ROC curve: {TITLES[name]} The area under it is {interval(question[side]['auc'])}.",
        )
    found = report["calibration"][side]
    bins = {when: found[when]["reliability"] for when in ("before", "after") if when in found}
    keep(
        "reliability",
        plots.draw("reliability", bins, leak=leak),
        "Share of right answers against confidence, before and after the temperature; the diagonal is ideal.",
    )
    for name, lines in curves_to_draw(report, side).items():
        if len(lines.table):
            keep(name, plots.draw("curves", lines.table, *lines.columns, lines.names, leak=leak), lines.alt)
    (folder / "embedding.png").write_bytes(Path("plots/embedding.png").read_bytes())
    drawn["embedding"] = (
        f"Map of the pictures of {SIDES[side]}: near one another stand those that the network takes for alike; the "
        "colour is the actual diagnosis."
    )
    return drawn


class Lines(NamedTuple):
    """A plot of curves.

    Attributes:
        table: what is drawn.
        columns: of x, of y, and of what tells the curves apart.
        names: what x and y are called.
        alt: what the plot shows, in words.
    """

    table: pd.DataFrame
    columns: tuple[str, str, str]
    names: dict[str, str]
    alt: str


def curves_to_draw(report: dict[str, Any], side: str) -> dict[str, Lines]:
    """Return the plots of curves by name, from the tables that evaluate wrote."""
    robustness = pd.read_csv("plots/robustness_test.csv")
    decision = pd.read_csv("plots/decision_curve_test.csv")
    abstention = pd.read_csv(f"plots/abstention_{side}.csv")
    found = {
        "robustness": Lines(
            robustness[robustness["figure"] == "balanced accuracy"],
            ("strength", "value", "disturbance"),
            {"strength": "strength of the disturbance", "value": "balanced accuracy"},
            "Balanced accuracy on test pictures, undisturbed and disturbed in six ways at three strengths.",
        ),
        "abstention": Lines(
            abstention[abstention["coverage"] >= LEAST_COVERAGE],
            ("coverage", "value", "figure"),
            {"coverage": "share of pictures that it answers", "value": "on these"},
            "Accuracy and balanced accuracy on the pictures that the model is surest of, by their share.",
        ),
    }
    for name in report["questions"]:
        found[f"decision_{name}"] = Lines(
            decision[decision["question"] == name],
            ("threshold", "net_benefit", "strategy"),
            {"threshold": "threshold probability", "net_benefit": "net benefit"},
            f"Decision curve: {TITLES[name]} Net benefit of acting on the model, on everybody and on nobody.",
        )
    return found


def figure(drawn: dict[str, str], folder: Path, name: str) -> str:
    """Return a picture as Markdown has it, or nothing where it was not drawn."""
    return f"![{escaped(drawn[name])}]({folder.name}/{name}.png)" if name in drawn else ""


def gallery(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return the pictures by kind, each with its three most probable diagnoses in words."""

    def most_probable(probabilities: dict[str, float]) -> str:
        best = sorted(probabilities.items(), key=lambda pair: -pair[1])[:3]
        return ", ".join(f"{escaped(name)} {value:.2f}" for name, value in best)

    return [
        {
            "title": title,
            "entries": [
                entry | {"probabilities": most_probable(entry["probabilities"])}
                for entry in entries
                if entry["kind"] == kind
            ],
        }
        for kind, title in GALLERY.items()
        if any(entry["kind"] == kind for entry in entries)
    ]


def recipe_words(recipe: dict[str, Any]) -> str:
    """Say how a picture is seen."""
    height, width = recipe["px"] if isinstance(recipe["px"], list) else (recipe["px"], recipe["px"])
    return f"{width}×{height} pixels, {recipe['fit']}"


def hashes(params: dict[str, Any]) -> dict[str, str]:
    """Return by name the SHA-256 of what the figures depend on."""
    found = {name: hashlib.sha256(path.read_bytes()).hexdigest() for name, path in HASHED.items()}
    canonical = json.dumps(params, sort_keys=True).encode()
    return found | {"parameters (`params.yaml`, as sorted JSON)": hashlib.sha256(canonical).hexdigest()}
