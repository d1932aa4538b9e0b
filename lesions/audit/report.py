"""The data report: what was found, what was set aside and why, and what to know before training.

One page without addresses, scripts or dates: it opens offline, can be sent to a colleague, and has the same bytes
for the same data. Its sentences are `data_report.html.jinja`; here are the values in them.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lesions.audit.associations import COLUMNS
from lesions.audit.label_conflicts import left_rows
from lesions.audit.matching import kind_of_reason
from lesions.audit.plots import View
from lesions.audit.usable import Audit
from lesions.params.clean import Clean
from lesions.reporting.common.provenance import origin
from lesions.reporting.common.templates import render
from lesions.taxonomy import ordered

REASONS = {
    "no diagnosis": "The table says nothing, or UNK, where the diagnosis should be. Fill it in, if it is known.",
    "its diagnosis is not among": "You left it out: no class of clean.classes holds it. It counts for no limit.",
    "listed, but not in any archive": "The table has a row for it, and no archive has the image. Add the image, "
    "or remove the row; if there are many, an archive is missing.",
    "not listed in the table": "An archive has the image, and the table no row for it. Add the row, or ignore it.",
    "a second image of this id": "Two files have this name; the first was taken. Rename one and list both.",
    "name occurs twice in the archive": "The archive holds two files of this name; the first was taken.",
    "shares its bytes with another member": "The archive is not as any program packs it, and can be a trap. Pack the "
    "images anew if you trust them.",
    "compressed in a way that is not read": "Such members can grow without bound. Pack the images anew as plain zip.",
    "not read safely": "It unpacks to far more than its size, or in too many parts. Save it anew if you trust it.",
    "declares more than": "No image is so long. The archive is damaged, or a trap.",
    "unpacks to more than": "No image shrinks so well. The archive is a trap, or the image of one colour.",
    "encrypted": "The archive needs a password: unpack it with that, and pack it anew without.",
    "a link or device": "The member is no file: pack the image itself.",
    **dict.fromkeys(
        ("begins like a formula", "holds the invisible character", "is longer than"),
        "This name or value could do harm in a spreadsheet or on a screen: mend it in the table, or rename the file.",
    ),
    "empty file": "The file has no bytes: copy or fetch it again.",
    "no image": "The bytes are those of no format that is read here, whatever the name says.",
    "broken image": "The file ends too early or is damaged: copy or fetch it again.",
    "too large": "More pixels than a camera of today makes; it was not opened.",
    "32-bit grey values": "Nobody says which value is white: save it as 8-bit colour.",
    "16-bit grey values": "The values fill a part of their range only: save it as 8-bit colour.",
    "damaged in the archive": "The archive is damaged at this place: copy or fetch it again.",
    "unsafe path": "The member's name leads out of the archive. Pack the images anew if you trust them.",
    "a duplicate in another collection": "Several collections hold the image: the copy with more pixels is kept, or "
    "that of which more is known. It counts for no limit.",
    "the same image is diagnosed as": "One of the diagnoses is wrong, and nobody says which. Find out, and mend the "
    "table.",
}
"""What the reasons in `data/clean/rejects.csv` mean and what to do, by words that they hold."""

_EXAMPLES = 3


def write_report(
    path: Path,
    folder: Path,
    audit: Audit,
    summary: dict[str, Any],
    params: Clean,
    provenance: dict[str, Any],
    views: Sequence[tuple[View, bytes]],
    sheet: Path,
    duplicates_sheet: Path,
) -> None:
    """Write the page.

    Args:
        path: of the page.
        folder: of the tables.
        audit: what was found.
        summary: `metrics/data.json`.
        params: the rules that were followed.
        provenance: `data/raw/provenance.json`.
        views: the plots, as `draw_views` yields them.
        sheet: an image of examples of each class.
        duplicates_sheet: an image of duplicates beside one another.
    """
    images, classes = audit.images, audit.classes
    left = left_rows(summary["label_conflicts"])
    mapping = _mapping_rows(summary["merged"])
    context = {
        "folder": folder.as_posix(),
        "problem": audit.problem,
        "summary": summary,
        "params": params,
        "classes": _class_rows(classes, summary),
        "regrouped": bool((classes["diagnoses"] != classes["label"]).any()),
        "by_malignancy": pd.Series(summary["classes"]).groupby(summary["malignancy"]).sum().to_dict(),
        "rejects": _reject_rows(audit.rejects, summary),
        "values": {column: sorted(set(images[column]) - {""}) for column in ("dx_type", "source")},
        "uncertainty": _uncertainty(images, summary["tells_the_diagnosis"]),
        "left_by_policy": left,
        "policy_columns": {name: name for row in left for name in row},
        "published_losses": {
            name: counts
            for name, counts in summary["published_splits"].items()
            if counts["usable"] < counts["published"]
        },
        "collections": _collection_rows(summary["merged"], provenance),
        "overlaps": [one | {"two": " and ".join(one["collections"])} for one in summary["merged"].get("overlaps", [])],
        "mapping": mapping,
        "mapping_columns": {"class": "label"} | {name: name for row in mapping[:1] for name in row if name != "label"},
        "not_read": provenance.get("not_read", {}),
        "origin": origin(provenance),
        "drawn": provenance["source"] == "synthetic",
        "plots": {view.key: (view.title, png) for view, png in views},
        "sheet": sheet.read_bytes(),
        "duplicates_sheet": duplicates_sheet.read_bytes(),
    }
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(render("audit/data_report.html.jinja", context), encoding="utf-8", newline="\n")


def _class_rows(classes: pd.DataFrame, summary: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row a class, of what is known of it."""
    images, lesions = (classes["label"].map(summary[key]) for key in ("classes", "lesions_by_class"))
    known = classes.assign(images=images, lesions=lesions, share=images / summary["images"])
    rows: list[dict[str, Any]] = known.to_dict("records")  # type: ignore[assignment]
    return rows


def _collection_rows(merged: dict[str, Any], provenance: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row a merged collection, with its licence."""
    return [
        {"name": name, "licence": provenance["collections"][name].get("licence", "not stated")}
        | {key: one[key] for key in ("images", "groups", "duplicates")}
        for name, one in merged.get("collections", {}).items()
    ]


def _mapping_rows(merged: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row a diagnosis and class of merged collections, with each collection's images of it."""
    collections = merged.get("collections", {})
    table = pd.DataFrame(
        [{"collection": name} | row for name, one in collections.items() for row in one["diagnoses"]],
        columns=["collection", "diagnosis", "label", "images"],
    )
    counts = table.pivot_table("images", ["label", "diagnosis"], "collection", "sum", fill_value=0)
    order = {code: place for place, code in enumerate(ordered({*table["label"], *table["diagnosis"]}))}
    counts = counts.sort_index(key=lambda codes: codes.map(order)).reset_index()
    rows: list[dict[str, Any]] = counts.to_dict("records")  # type: ignore[assignment]
    return rows


def _reject_rows(rejected: pd.DataFrame, summary: dict[str, Any]) -> list[dict[str, Any]]:
    """Return a row a kind of reason: how many rows were set aside for it, examples, and what it means."""
    kinds = kind_of_reason(rejected["reason"])
    return [
        {
            "kind": kind,
            "number": number,
            "examples": ", ".join(rejected.loc[kinds == kind, "image_id"].head(_EXAMPLES)),
            "meaning": next((meaning for words, meaning in REASONS.items() if words in kind), ""),
        }
        for kind, number in summary["set_aside_for"].items()
    ]


def _uncertainty(images: pd.DataFrame, coefficients: dict[str, float]) -> list[tuple[str, float]]:
    """Return the columns of more than one value, the highest first, and its uncertainty coefficient with the class."""
    parts = {"size": ["height", "width"]}
    found = [
        (COLUMNS[column], value)
        for column, value in coefficients.items()
        if len(images[parts.get(column, [column])].drop_duplicates()) > 1
    ]
    return sorted(found, key=lambda pair: -pair[1])
