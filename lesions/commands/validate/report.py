"""The report on another collection for a person: Markdown, and the few lines that the command prints.

Both are templates; what needs computing for them is here.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from lesions.commands.validate.evaluate import NAME
from lesions.evaluation.report import SENSITIVITY
from lesions.evaluation.split_metrics import printed
from lesions.reporting.card.subgroups import comparison_rows, findings, reasons, source_rows
from lesions.reporting.common.numbers import count, interval_to
from lesions.reporting.common.tables import markdown_table
from lesions.reporting.common.templates import render

OVERALL = ("accuracy", "balanced_accuracy", "macro_auc", "macro_f1", "mcc", "kappa", "log_loss", "brier")
OF_GROUP = ("balanced_accuracy", "melanoma_sensitivity", "melanoma_specificity", "melanoma_auc")
MAX_REASONS = 8
"""At most so many of each kind, the commonest."""


def headline(report: dict[str, Any], out: Path) -> str:
    """Return what the command prints: what is wrong first, the mapping, what was left out, the metrics.

    Args:
        report: `validation.json`.
        out: the folder of the report.
    """
    mapping = pd.DataFrame(
        [
            (row["theirs"], row["ours"] or "(not known: counted apart)", row["by"], row["rows"], row["evaluated"])
            for row in report["mapping"]
        ],
        columns=["theirs", "the model's", "by", "in the table", "evaluated"],
    )
    points = {
        name: point[NAME]
        for name, task in report["tasks"].items()
        for point in task.get("operating_points", [])
        if NAME in point and (point["metric"], point["target"]) == ("sensitivity", SENSITIVITY)
    }
    context = {
        "report": report,
        "out": out,
        "mapping": mapping.to_string(index=False),
        "metrics": pd.DataFrame({NAME: printed(report[NAME])}).to_string(),
        "points": points,
        "by_collection": _by_collection(report["subgroups"]),
        "reasons": _reasons(report["subgroups"]),
        "findings": [one for one in findings(report["subgroup_comparisons"]) if one["column"] == "collection"],
    }
    return render("commands/validate/headline.txt.jinja", context).rstrip("\n")


def _by_collection(subgroups: dict[str, Any]) -> str:
    """Return the metrics of each merged collection as a table, a column each; "" where there is one alone."""
    columns = {
        row["subgroup"]: {"images": count(row["images"]), "groups": count(row["groups"])}
        | {metric: interval_to(row.get(metric)) for metric in OF_GROUP}
        for row in subgroups.get("collection", [])
    }
    return pd.DataFrame(columns).to_string() if columns else ""


def _reasons(subgroups: dict[str, Any]) -> list[str]:
    """Return why a collection has no metric, each reason once."""
    rows = subgroups.get("collection", [])
    return sorted({row["suppressed"] for row in rows if "suppressed" in row}) + reasons({"collection": rows})


def page(report: dict[str, Any]) -> str:
    """Return `validation.md`."""
    collection = report[NAME]
    shown = {name: [row for row in rows if "suppressed" not in row] for name, rows in report["subgroups"].items()}
    columns = {
        name: [metric for metric in OF_GROUP if any(row.get(metric, {}).get("value") is not None for row in rows)]
        for name, rows in shown.items()
    }
    diagnoses = [row["diagnosis"] for row in collection["classes"]]
    counts = collection["confusion"]["counts"]
    context = {
        "report": report,
        "collection": collection,
        "name": NAME,
        "overall": OVERALL,
        "mapping": [row | {"ours": row["ours"] or "not known"} for row in report["mapping"]],
        "left_out": [row for row in map(left_out, report["left_out"].values()) if row["images"]],
        "confusion": markdown_table(
            ["", *diagnoses], [(name, *row) for name, row in zip(diagnoses, counts, strict=True)]
        ),
        "shown": {
            name: [
                row | {metric: None if row[metric]["value"] is None else row[metric] for metric in columns[name]}
                for row in rows
            ]
            for name, rows in shown.items()
        },
        "columns": columns,
        "comparisons": comparison_rows(report["subgroup_comparisons"]),
        "findings": findings(report["subgroup_comparisons"]),
        "pooled": source_rows(report["subgroups"], report["subgroup_comparisons"]),
        "melanoma": "positive" in report["tasks"]["melanoma"],
    }
    return render("commands/validate/validation.md.jinja", context)


def left_out(found: dict[str, Any]) -> dict[str, Any]:
    """Return why images of one kind were left out, with the commonest reasons in one sentence."""
    reasons = list(found["reasons"].items())
    more = f"; and {len(reasons) - MAX_REASONS} other reasons" if len(reasons) > MAX_REASONS else ""
    return found | {"reasons": "; ".join(f"{reason} ({number:,})" for reason, number in reasons[:MAX_REASONS]) + more}
