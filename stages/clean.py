"""Find usable images and group related ones.

Each row of the table and each image of the archives is either usable (`images.csv`) or set aside with a reason
(`rejects.csv`). Images of one lesion or patient, and duplicates, get one `group_id`. `metrics/data.json` counts what
was found, and `reports/data.html` explains it.
"""

import shutil
from pathlib import Path
from typing import Any

import pandas as pd

from lesions.audit.associations import uncertainty_coefficients
from lesions.audit.bias_checks import find_warnings
from lesions.audit.classes import absent_diagnoses
from lesions.audit.contact_sheets import class_examples, duplicate_pairs
from lesions.audit.known_groups import unmatched_images
from lesions.audit.label_conflicts import conflict_lines
from lesions.audit.matching import kind_of_reason
from lesions.audit.merged import collection_lines
from lesions.audit.normalise import unreadable_values
from lesions.audit.plots import draw_views, plot_data
from lesions.audit.report import write_report
from lesions.audit.summary import published_counts, summarise
from lesions.audit.usable import Audit, find_usable
from lesions.core.csv_files import read_csv, write_csv
from lesions.core.errors import UserError
from lesions.core.json_files import read_json, write_json
from lesions.core.stage import run_stage, say
from lesions.params.clean import Clean
from lesions.reporting.common.contact_sheet import contact_sheet

RAW = Path("data/raw")
CLEAN = Path("data/clean")
STOPPED = Path("data/stopped")
"""Where a run that stops says what it found: DVC removes `data/clean` then."""
REPORT = Path("reports/data.html")


def main() -> None:
    """Clean data/raw."""
    params = Clean.read()
    table = read_csv(RAW / "metadata.csv")
    say(f"Looking through the images of {len(table):,} rows ...")
    audit = find_usable(RAW, table, params)
    say(f"Counting and drawing what is in {len(audit.images):,} images ...")
    for line in [*conflict_lines(audit.conflicts), *collection_lines(audit.collections)]:
        print(line)
    shutil.rmtree(STOPPED, ignore_errors=True)
    if audit.problem:
        _write_tables(audit, STOPPED)
        shown = ""
        if len(audit.images):
            _write_report(audit, table, params, STOPPED, STOPPED, STOPPED / "data.html")
            shown = f", and {STOPPED}/data.html shows the data"
        raise UserError(f"{audit.problem}\n{STOPPED}/rejects.csv lists all of them{shown}.")
    _write_tables(audit, CLEAN)
    summary = _write_report(audit, table, params, CLEAN, Path("plots"), REPORT)
    write_json(Path("metrics/data.json"), summary)

    rejects = audit.rejects
    print(f"{CLEAN}: {len(audit.images):,} usable images in {summary['groups']:,} groups, {len(rejects):,} set aside")
    if len(rejects):
        print(kind_of_reason(rejects["reason"]).value_counts().to_string(header=False))
    for warning in summary["warnings"]:
        print(f"Warning: {warning['found']}")
    print(f"{REPORT} says all of this in words, with plots, and what to do.")


def _write_tables(audit: Audit, folder: Path) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    write_csv(audit.images, folder / "images.csv")
    write_csv(audit.rejects, folder / "rejects.csv")
    write_csv(audit.duplicates, folder / "duplicates.csv")
    write_csv(audit.classes, folder / "classes.csv")
    # Alone, so that nothing is trained again where a class only counts as malignant no more.
    write_csv(audit.classes[["label"]], folder / "labels.csv")


def _write_report(
    audit: Audit, table: pd.DataFrame, params: Clean, folder: Path, plots: Path, report: Path
) -> dict[str, Any]:
    """Draw the plots and write the page, which names the tables in `folder`; return the summary."""
    images, classes = audit.images, audit.classes
    unreadable = unreadable_values(table[table["image_id"].isin(images["image_id"])])
    coefficients = uncertainty_coefficients(images)
    warnings = find_warnings(images, classes, coefficients, unreadable, absent_diagnoses(table, params))
    warnings += unmatched_images(params.known_groups, table["image_id"])
    summary = summarise(audit, published_counts(table, images), coefficients, unreadable, warnings)
    plots.mkdir(parents=True, exist_ok=True)
    views = list(draw_views(images))
    plot_data(views, plots / "data.png")
    examples, duplicates = plots / "contact_sheet.jpg", plots / "near_duplicates.jpg"
    contact_sheet(class_examples(RAW, images, list(classes["label"])), examples)
    contact_sheet(duplicate_pairs(RAW, audit.members, audit.duplicates), duplicates, columns=4)
    provenance = read_json(RAW / "provenance.json")
    write_report(report, folder, audit, summary, params, provenance, views, examples, duplicates)
    return summary


if __name__ == "__main__":
    run_stage(main)
