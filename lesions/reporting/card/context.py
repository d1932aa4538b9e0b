"""The values of the card, from what the stages before have written; its sentences are `model_card.md.jinja`."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pandas as pd

from lesions.core.csv_files import read_csv
from lesions.core.file_hash import sha256_of
from lesions.core.json_files import read_json
from lesions.params.all import with_defaults
from lesions.reporting.card.flow import image_flow
from lesions.reporting.card.plots import DERMATOLOGISTS, write_plots
from lesions.reporting.card.subgroups import comparison_rows, findings, reasons, source_rows, subgroup_rows
from lesions.reporting.common.names import SPLITS
from lesions.reporting.common.numbers import decimal, interval
from lesions.reporting.common.provenance import origin, restrictions, sources_of
from lesions.reporting.common.tables import Markdown

Json = dict[str, Any]

HASHED = {
    "model": Path("models/model.keras"),
    "images and diagnoses (`data/clean/images.csv`, which holds each image's hash)": Path("data/clean/images.csv"),
    "split (`data/split/split.csv`)": Path("data/split/split.csv"),
    "packages (`requirements.txt`)": Path("requirements.txt"),
}
FEW_GROUPS = 50
"""With fewer, a class's metrics depend a lot on the groups that happen to be there."""
ALERT_SENSITIVITY = 0.9
"""The target on validation of the thresholds in the card's summary."""
ON_TWO_SPLITS = {
    "lesions_in_two_splits": "lesions",
    "patients_in_two_splits": "patients",
    "identical_images_in_two_splits": "identical images",
    "near_duplicates_in_two_splits": "near-duplicates",
}


def card_context(params: Json, folder: Path) -> Json:
    """Return what the template takes, and write the plots.

    Args:
        params: the content of params.yaml.
        folder: the folder that gets the plots; it lies beside the card.
    """
    report = read_json(Path("reports/evaluation.json"))
    data, split, train = (read_json(Path(f"metrics/{name}.json")) for name in ("data", "split", "train"))
    provenance = read_json(Path("data/raw/provenance.json"))
    of_skin = provenance["source"] != "synthetic"
    split_name = "test" if "test" in report else "val"
    groups, comparisons = (report.get(f"{name}_of_test", {}) for name in ("subgroups", "subgroup_comparisons"))
    sources = source_rows(groups, comparisons)
    whole, flow = with_defaults(params), image_flow(data, split, report[split_name])
    return {
        "name": model_name(whole, provenance["source"]),
        "params": whole,
        "train": train,
        "data": data,
        "split": split,
        **_origin_of(provenance, data),
        "leak": named_leak(report),
        "split_name": split_name,
        "evaluated": report[split_name],
        "splits": {name: report[name] for name in ("val", "test") if name in report},
        "majority": report["majority_class_of_train"],
        "few": [row for row in report[split_name]["classes"] if row["groups"] < FEW_GROUPS],
        "classes": class_rows(read_csv(Path("data/clean/classes.csv")), data, split),
        "split_counts": split_counts(split),
        "flow": flow,
        "tasks": report["tasks"],
        "points": {
            name: operating_points(task, split_name, with_readers=of_skin) for name, task in report["tasks"].items()
        },
        "alerts": alerts(report["tasks"], split_name),
        "dermatologists": DERMATOLOGISTS,
        "decision_rule": _decision_rule(report["decision_rule"]),
        "calibration": report["calibration"],
        "prediction_sets": report["prediction_sets"][split_name],
        "image_only": report.get("image_only", {}).get(split_name),
        "melanoma": any("melanoma_groups" in row for rows in groups.values() for row in rows),
        "subgroups": subgroup_rows(groups),
        "subgroups_reasons": reasons(groups),
        "tests": comparisons.get("tests", 0),
        "comparisons": comparison_rows(comparisons),
        "findings": findings(comparisons),
        "sources": sources,
        "pooled_over": comparisons.get("pooled_over", "source"),
        "robustness": robustness(report.get("robustness_of_test", {})),
        "by_coverage": {row["coverage"]: row for row in report["abstention"][split_name]["coverages"]},
        "ood": report["ood"],
        "sanity": read_json(Path("metrics/explain.json"))["sanity_check"],
        "gallery": read_json(Path("reports/gallery/gallery.json"))["entries"],
        "model_bytes": HASHED["model"].stat().st_size,
        "size": image_size(read_json(Path("models/preprocessing.json"))),
        "hashes": hashes(params),
        "images": folder.name,
        "drawn": write_plots(report, split_name, flow, sources, named_leak(report), folder, with_readers=of_skin),
    }


def _decision_rule(rule: Json) -> Json:
    """Return what the diagnosis is chosen for, and the ratio of the largest cost of an error to the smallest."""
    errors = [cost for row in rule["costs"] or [] for cost in row if cost]
    return {"optimise": rule["optimise"], "weight": max(errors) / min(errors) if errors else 1}


def _origin_of(provenance: Json, data: Json) -> Json:
    """Return where the images come from, under which licences, and the collections that are merged."""
    return {
        "provenance": provenance,
        "of_skin": provenance["source"] != "synthetic",
        "origin": origin(provenance),
        "sources_of_data": sources_of(provenance),
        "restrictions": restrictions(provenance),
        "collections": [{"name": name} | one for name, one in data["merged"].get("collections", {}).items()],
    }


def named_leak(report: Json) -> str:
    """Return the name of the leak; "" where there is none."""
    return "" if report["leakage"] == "none" else str(report["leakage"])


def model_name(params: Json, source: str) -> str:
    """Return what the model is called: its network, its data and the first digits of its file's hash.

    Args:
        params: all of params.yaml, with defaults.
        source: of the data.
    """
    network = params["train"]["architecture"]
    if network == "pretrained":
        further = [member["model"] for member in params["pretrained"]["further_members"]]
        network = "+".join([params["pretrained"]["model"], *further])
    return f"{network}-{source}-{sha256_of(HASHED['model'])[:8]}".lower()


def class_rows(classes: pd.DataFrame, data: Json, split: Json) -> list[Json]:
    """Return a row a class: what it is, and how many lesions and images there are of it.

    Args:
        classes: `data/clean/classes.csv`.
        data: `metrics/data.json`.
        split: `metrics/split.json`.
    """
    return [
        {
            "title": row["label"] if row["name"] in ("", row["label"]) else f"{row['label']}, {row['name']}",
            "malignancy": row["malignancy"],
            "lesions": data["lesions_by_class"].get(row["label"], 0),
            "images": data["classes"][row["label"]],
            **{name: split[name]["images_by_class"].get(row["label"], 0) for name in SPLITS},
        }
        for row in classes.to_dict("records")
    ]


def split_counts(split: Json) -> list[Json]:
    """Return a row for what can be in two splits: its name, and how often it is."""
    unknown = "not known: the data names none"
    return [
        {"what": name, "number": unknown if split[key] is None else split[key]} for key, name in ON_TWO_SPLITS.items()
    ]


OUTCOMES = ("true_positives", "false_negatives", "false_positives", "true_negatives")


def operating_points(task: Json, split_name: str, *, with_readers: bool) -> list[Json]:
    """Return a row a threshold of a binary task: what it was chosen for, and its metrics.

    Args:
        task: the task's entry in reports/evaluation.json.
        split_name: the split that the metrics are of.
        with_readers: whether the threshold of dermatologists' sensitivity counts.
    """

    def at_prevalences(point: Json, metric: str) -> Markdown:
        return Markdown(" / ".join(_nearly_sure(point[f"{metric}_at_{share}%"]) for share in (1, 5, 20)))

    return [
        {
            **point[split_name],
            "chosen_for": point["chosen_for"],
            "threshold": f"{point['threshold']:.4g}",
            "counts": " / ".join(f"{point[split_name][name]:,}" for name in OUTCOMES),
            "ppv_at": at_prevalences(point[split_name], "ppv"),
            "npv_at": at_prevalences(point[split_name], "npv"),
        }
        for point in task.get("operating_points", [])
        if split_name in point and (with_readers or "dermatologists" not in point)
    ]


def _nearly_sure(found: Json) -> str:
    """Return a metric with its interval; one that rounds to 1 would read as certainty."""
    text = interval(found)
    value = found["value"]
    return text.replace(decimal(value), "> 0.999", 1) if value and 0.9995 <= value < 1 else text


def alerts(tasks: dict[str, Json], split_name: str) -> dict[str, Json]:
    """Return by task the metrics at the threshold for `ALERT_SENSITIVITY`, where both are defined.

    Args:
        tasks: `tasks` of reports/evaluation.json.
        split_name: the split that the metrics are of.
    """
    found = {}
    for name, task in tasks.items():
        points = [
            point
            for point in task.get("operating_points", [])
            if (point["metric"], point["target"]) == ("sensitivity", ALERT_SENSITIVITY)
        ]
        at = points[0].get(split_name) if points else None
        if at and None not in (at["sensitivity"]["value"], at["specificity"]["value"]):
            found[name] = at | {
                "left_out_sources": points[0]["left_out_sources"],
                "on_validation": points[0].get("val") if split_name == "test" else None,
                "validation_groups": task["val"]["positive_groups"] if "val" in task else None,
            }
    return found


def robustness(found: Json) -> Json:
    """Return the `uncorrupted` metric, the `mild` drops and the `worst`; or the `reason` why there are none."""
    if "corruptions" not in found:
        return {"reason": found.get("reason", "test was left out")}
    known = [row for row in found["corruptions"] if row["balanced_accuracy_drop"]["value"] is not None]
    known.sort(key=lambda row: -row["balanced_accuracy_drop"]["value"])
    uncorrupted = found["uncorrupted"]["balanced_accuracy"]
    rows = [
        row for row in found["corruptions"] if None not in (row["melanoma_sensitivity"], row["melanoma_specificity"])
    ]
    return {
        "images": found["images"],
        "uncorrupted": uncorrupted,
        "mild": [row for row in known if row["severity"] == 1],
        "worst": known[0] if known and uncorrupted is not None else None,
        "melanoma": found["uncorrupted"],
        "fewest_melanomas": min(rows, key=lambda row: row["melanoma_sensitivity"], default=None),
        "fewest_negatives": min(rows, key=lambda row: row["melanoma_specificity"], default=None),
    }


def image_size(preprocessing: Json) -> Json:
    """Return the height and width of the network's input in pixels, and how an image is fit to them."""
    px = preprocessing["image_size"]
    height, width = px if isinstance(px, list) else (px, px)
    return {"height": height, "width": width, "resize_mode": preprocessing["resize_mode"]}


def hashes(params: Json) -> dict[str, str]:
    """Return by name the SHA-256 of what the metrics depend on."""
    found = {name: sha256_of(path) for name, path in HASHED.items()}
    canonical = json.dumps(params, sort_keys=True).encode()
    return found | {"parameters (`params.yaml`, as sorted JSON)": hashlib.sha256(canonical).hexdigest()}
