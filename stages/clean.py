"""Find usable images and group related ones.

Each row of the table and each image of the archives is either usable (`images.csv`) or set aside with a reason
(`rejects.csv`). Images of one lesion or patient, and duplicates, get one `group_id`. `metrics/data.json` counts what
was found, and `reports/data.html` explains it.
"""

from pathlib import Path

from lesions.audit.associations import uncertainty_coefficients
from lesions.audit.bias_checks import find_warnings
from lesions.audit.classes import absent_diagnoses
from lesions.audit.contact_sheets import class_examples, duplicate_pairs
from lesions.audit.known_groups import unmatched_images
from lesions.audit.matching import kind_of_reason
from lesions.audit.normalise import unreadable_values
from lesions.audit.plots import draw_views, plot_data
from lesions.audit.report import write_report
from lesions.audit.summary import summarise
from lesions.audit.usable import UnusableDataError, find_usable
from lesions.core.csv_files import read_csv
from lesions.core.errors import UserError
from lesions.core.json_files import read_json, write_json
from lesions.core.stage import run_stage, say
from lesions.params.clean import Clean
from lesions.reporting.common.contact_sheet import contact_sheet

RAW = Path("data/raw")
CLEAN = Path("data/clean")
REJECTED = Path("data/rejected.csv")
"""What was set aside by a run that stopped for it: DVC removes `data/clean` then."""
EXAMPLES = Path("plots/contact_sheet.jpg")
DUPLICATES = Path("plots/near_duplicates.jpg")
REPORT = Path("reports/data.html")


def main() -> None:
    """Clean data/raw."""
    params = Clean.read()
    table = read_csv(RAW / "metadata.csv")
    say(f"Looking through the images of {len(table):,} rows ...")
    try:
        images, rejects, duplicates, classes, members = find_usable(RAW, table, params)
    except UnusableDataError as error:
        error.rejects.to_csv(REJECTED, index=False)
        raise UserError(f"{error}\n{REJECTED} lists all of them.") from None
    REJECTED.unlink(missing_ok=True)
    say(f"Counting and drawing what is in {len(images):,} images ...")
    CLEAN.mkdir(parents=True, exist_ok=True)
    images.to_csv(CLEAN / "images.csv", index=False)
    rejects.to_csv(CLEAN / "rejects.csv", index=False)
    duplicates.to_csv(CLEAN / "duplicates.csv", index=False)
    classes.to_csv(CLEAN / "classes.csv", index=False)

    unreadable = unreadable_values(table[table["image_id"].isin(images["image_id"])])
    coefficients = uncertainty_coefficients(images)
    warnings = find_warnings(images, classes, coefficients, unreadable, absent_diagnoses(table, params))
    warnings += unmatched_images(params.known_groups, table["image_id"])
    summary = summarise(images, rejects, duplicates, classes, coefficients, unreadable, warnings)
    write_json(Path("metrics/data.json"), summary)
    views = list(draw_views(images))
    plot_data(views, Path("plots/data.png"))
    contact_sheet(class_examples(RAW, images, list(classes["label"])), EXAMPLES)
    contact_sheet(duplicate_pairs(RAW, members, duplicates), DUPLICATES, columns=4)
    provenance = read_json(RAW / "provenance.json")
    write_report(REPORT, images, rejects, classes, summary, params, provenance, views, EXAMPLES, DUPLICATES)

    print(f"{CLEAN}: {len(images):,} usable images in {summary['groups']:,} groups, {len(rejects):,} set aside")
    if len(rejects):
        print(kind_of_reason(rejects["reason"]).value_counts().to_string(header=False))
    for warning in warnings:
        print(f"Warning: {warning.found}")
    print(f"{REPORT} says all of this in words, with plots, and what to do.")


if __name__ == "__main__":
    run_stage(main)
