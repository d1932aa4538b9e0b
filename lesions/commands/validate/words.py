"""The report on another collection, for a person: Markdown, and the few lines that the command prints."""

from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lesions.commands.validate.judging import NAME
from lesions.evaluation import split_report as one_side
from lesions.reporting.card.sentences import count, escaped, interval, percent

HEADLINE = ("accuracy", "balanced_accuracy", "macro_auc", "macro_f1", "mcc", "kappa", "log_loss", "brier")
OF_CLASS = ("sensitivity", "specificity", "ppv", "f1", "auc")
OF_POINT = ("sensitivity", "specificity", "ppv", "npv", "number_needed_to_biopsy")
OF_GROUP = ("balanced_accuracy", "melanoma_sensitivity", "melanoma_specificity", "melanoma_auc")
REASONS = 8
"""The commonest, of each kind."""


def headline(report: dict[str, Any], out: Path) -> str:
    """Return what the command prints: what is wrong first, the mapping, what was left out, the figures."""
    lines = [f"WARNING: {warning}" for warning in report["warnings"]]
    rows = [
        (row["theirs"], row["ours"] or "(not known: counted apart)", row["by"], row["rows"], row["judged"])
        for row in report["mapping"]
    ]
    lines.append(
        pd.DataFrame(rows, columns=["theirs", "the model's", "by", "in the table", "judged"]).to_string(index=False)
    )
    lines += [
        f"Left out, {kind}: {left['pictures']:,} ({left['why']})."
        for kind, left in report["left_out"].items()
        if left["pictures"]
    ]
    lines += ["", pd.DataFrame({NAME: one_side.in_words(report[NAME])}).to_string()]
    for name, question in report["questions"].items():
        for point in question.get("operating_points", []):
            if NAME in point and point["chosen_for"].startswith("sensitivity of at least 90%"):
                found = " and ".join(
                    f"{figure} {interval(point[NAME][figure])}"
                    for figure in ("sensitivity", "specificity")
                    if point[NAME][figure]["value"] is not None
                )
                lines.append(f"{name}, by the threshold with 90 % sensitivity on the model's validation: {found}")
    return "\n".join([*lines, f"{out}/validation.md says all of this in words; validation.json has every figure."])


def page(report: dict[str, Any]) -> str:
    """Return `validation.md`."""
    judged = report[NAME]
    parts = [f"# The model on another collection: {escaped(report['folder'])}"]
    parts += [f"**Warning:** {escaped(warning)}" for warning in report["warnings"]]
    parts += [
        f"{count(judged['pictures'])} pictures of {count(judged['groups'])} lesions were judged. Nothing was chosen on "
        "them: the thresholds and the temperature are those of the model, from its own validation pictures. Where this "
        "collection has another camera, other patients or another share of melanomas, a threshold may find more or "
        "fewer of them than it did there, and that is what the operating points below tell. Intervals are 95 %, by "
        "lesion.",
        "## Classes",
        "A diagnosis is the model's class if it has its name, if `--class` says so, or if the model learned it under "
        "that class. What the model does not know is counted apart, below, and is in no other figure.",
        table(
            ("collection", "model", "by", "rows of the table", "judged"),
            (
                (row["theirs"], row["ours"] or "not known", row["by"], row["rows"], row["judged"])
                for row in report["mapping"]
            ),
        ),
        "## Left out",
        _seen(report),
        table(("pictures", "why", "in particular"), _left_out(report))
        + "\n\n`left_out.csv` names each, with its reason."
        if any(left["pictures"] for left in report["left_out"].values())
        else "All pictures were judged.",
        "## All classes together",
        table(("figure", "by picture", "by lesion", "always the majority"), _headline(judged)),
        f"The majority is {escaped(report['majority_class'])}; that, and the shares behind the prior, are of "
        f"{escaped(report['baselines_are_of'])}.",
        *_patient(report),
        "## Each class",
        table(
            ("class", "pictures", "lesions", *OF_CLASS),
            (
                (row["diagnosis"], row["support"], row["groups"], *(Raw(interval(row[figure])) for figure in OF_CLASS))
                for row in judged["classes"]
            ),
        ),
        "Which class is taken for which; rows are the truth:",
        table(
            ("", *(row["diagnosis"] for row in judged["classes"])),
            (
                (row["diagnosis"], *counts)
                for row, counts in zip(judged["classes"], judged["confusion"]["counts"], strict=True)
            ),
        ),
    ]
    for name, question in report["questions"].items():
        parts += [f"## {name.capitalize()}", *_question(question, report["decision_curves"][name])]
    parts += [
        "## Are the probabilities as they should be?",
        _calibration(report["calibration"]),
        "## If the least certain pictures are left to a person",
        table(
            ("answered", "certain from", "accuracy", "balanced accuracy", "classes left"),
            (
                (
                    percent(row["coverage"]),
                    f"{row['certain_from']:.2f}",
                    Raw(interval(row["accuracy"])),
                    Raw(interval(row["balanced_accuracy"])),
                    row["classes_left"],
                )
                for row in report["abstention"]["coverages"]
            ),
        ),
        "## Unlike the training pictures",
        _unlikeness(report["unlikeness"]),
        "## For whom",
        "Of a group of fewer than 20 lesions nothing is said, nor of its melanomas where fewer than 20 lesions are.",
        *(_subgroup(name, groups) for name, groups in report["subgroups"].items()),
        "## Diagnoses that the model does not know",
        *_unknown(report["unknown_classes"]),
    ]
    return "\n\n".join(parts) + "\n"


class Raw(str):
    """Markdown already."""

    __slots__ = ()


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    """Return a Markdown table; text from outside is shown and not obeyed."""
    lines = ["| " + " | ".join(escaped(name).replace("\\_", " ") for name in head) + " |", "|---" * len(head) + "|"]
    return "\n".join([*lines, *("| " + " | ".join(map(_cell, row)) + " |" for row in rows)])


def _cell(value: object) -> str:
    if isinstance(value, int):
        return count(value)
    return value if isinstance(value, Raw) else escaped(value)


def _figure(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _seen(report: dict[str, Any]) -> str:
    seen = report["seen"]
    if not seen["train_and_val"]:
        return (
            "**Pictures that the model has seen could not be looked for**: the data that it was made from are not here "
            "(`--data`). If some are in this collection, these figures are too good."
        )
    told = (
        f"Held against {count(seen['train_and_val'])} pictures that the model has seen, of its training or of the "
        f"validation that chose its thresholds, {count(seen['of_these_looked_at'])} of them by their looks: "
    )
    if not seen["left_out"]:
        return (
            told + "no picture of the collection is a copy of one, in whatever size, nor of the same lesion or patient."
        )
    return told + (
        f"{count(seen['left_out'])} pictures of the collection are copies of such a picture, in whatever size, or "
        "belong to the same lesion or patient. They are not judged: figures of them would say how well the model "
        "remembers. Lesions and patients are taken at their word; if two collections number theirs alike by chance, "
        "rename one."
    )


def _left_out(report: dict[str, Any]) -> Iterable[tuple[object, ...]]:
    for left in filter(lambda left: left["pictures"], report["left_out"].values()):
        reasons = list(left["reasons"].items())
        more = f"; and {len(reasons) - REASONS} other reasons" if len(reasons) > REASONS else ""
        told = "; ".join(f"{reason} ({number:,})" for reason, number in reasons[:REASONS])
        yield left["pictures"], left["why"], told + more


def _patient(report: dict[str, Any]) -> Iterable[str]:
    """Say what age, sex and site added, of a model that weighs them."""
    if report["patient"] is None:
        return
    known, without = report["patient"]["known"], report["patient"]["without_age_sex_and_site"]
    pictures = report[NAME]["pictures"]
    yield "## Age, sex and site"
    yield (
        "The model weighs them in where they are known, here: "
        + ", ".join(f"{field} of {count(number)}" for field, number in known.items())
        + f" of {count(pictures)} pictures. All other figures are with them."
    )
    yield table(
        ("figure", "with them", "of the pictures alone"),
        (
            (name.replace("_", " "), Raw(interval(report[NAME]["figures"][name])), Raw(interval(without[name])))
            for name in HEADLINE
        ),
    )


def _headline(judged: dict[str, Any]) -> Iterable[tuple[object, ...]]:
    by_lesion = judged["figures_by_lesion"]
    for name in HEADLINE:
        lesions = Raw(interval(by_lesion[name])) if name in by_lesion else by_lesion["why"]
        majority = _figure(judged["majority_baseline"][name])
        yield name.replace("_", " "), Raw(interval(judged["figures"][name])), lesions, majority


def _question(question: dict[str, Any], curve: dict[str, Any]) -> Iterable[str]:
    if "positive" not in question:
        yield f"Not asked: {escaped(question['why'])}."
        return
    if NAME not in question:
        yield "No picture here is of a class that takes part."
        return
    ours = question[NAME]
    yield (
        f"{', '.join(map(escaped, question['positive']))} against {', '.join(map(escaped, question['negative']))}: "
        f"{count(ours['positive_pictures'])} of {count(ours['pictures'])} pictures. AUC {interval(ours['auc'])}; "
        f"average precision {interval(ours['average_precision'])}."
    )
    yield table(
        ("threshold chosen for, on the model's val", "threshold", *OF_POINT),
        (
            (
                point["chosen_for"],
                _figure(point["threshold"]),
                *(
                    Raw(interval(point[NAME][figure])) if NAME in point else point.get("why", "-")
                    for figure in OF_POINT
                ),
            )
            for point in question["operating_points"]
        ),
    )
    if "thresholds" in curve:
        yield "Net benefit a picture, of acting from a probability on; `gain` is over the better of all and none:"
        yield table(
            ("probability", "by the model", "act on all", "gain"),
            (
                (
                    percent(row["threshold"]),
                    _figure(row["model"]["value"]),
                    _figure(row["treat_all"]),
                    Raw(interval(row["gain"])),
                )
                for row in curve["thresholds"]
            ),
        )


def _calibration(found: dict[str, Any]) -> str:
    rows = [("before", found["before"])] + ([("after", found["after"])] if "after" in found else [])
    told = "" if "after" in found else "\n\nThe model has no temperature: its own validation was not judged."
    return (
        table(
            ("temperature" + (f" of {found['temperature']:g}" if "after" in found else ""), "log loss", "Brier", "ECE"),
            (
                (name, *(_figure(ours[key]) for key in ("log_loss", "brier", "expected_calibration_error")))
                for name, ours in rows
            ),
        )
        + told
    )


def _unlikeness(found: dict[str, Any]) -> str:
    if found["flagged"] is None:
        return "The model has no threshold above which a picture is flagged: its own validation was not judged."
    shares = ", ".join(f"{escaped(name)} {percent(share)}" for name, share in found["flagged_by_label"].items())
    return (
        f"{percent(found['flagged'])} of the pictures judged are flagged as unlike those that the model learned from "
        f"({shares}); of its own validation pictures 1 % were. Many more say that these are other pictures: of another "
        "camera, light or magnification. The figures above hold the flagged ones too."
    )


def _subgroup(name: str, groups: list[dict[str, Any]]) -> str:
    shown = [group for group in groups if "suppressed" not in group]
    if not shown:
        return f"By {name}: no group of 20 lesions."
    columns = [figure for figure in OF_GROUP if any(group.get(figure, {}).get("value") is not None for group in shown)]
    return table(
        (name, "pictures", "lesions", *columns),
        (
            (
                group["group"],
                group["pictures"],
                group["lesions"],
                *(Raw(interval(group[figure])) if group[figure]["value"] is not None else "-" for figure in columns),
            )
            for group in shown
        ),
    )


def _unknown(classes: list[dict[str, Any]]) -> Iterable[str]:
    if not classes:
        yield "None."
        return
    yield (
        "The model can only call them one of its own classes, so none of these answers is right or wrong. Alerts are "
        "by the thresholds with 90 % sensitivity on its validation."
    )
    alerts = [key for key in classes[0] if key.startswith("alert_")]
    yield table(
        ("diagnosis", "pictures", *alerts, "flagged as unlike", "called"),
        (
            (
                row["diagnosis"],
                row["pictures"],
                *("-" if row[key] is None else percent(row[key]) for key in (*alerts, "unlike")),
                ", ".join(f"{name} {number:,}" for name, number in row["called"].items() if number),
            )
            for row in classes
        ),
    )
