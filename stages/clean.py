"""Clean: which pictures can be used, and which of them belong together?

Each row of the table and each picture of the archives is either usable (`images.csv`) or set aside with a
reason (`rejects.csv`). Pictures of one lesion or patient, or with the same bytes, get one `group_id`. What was
found is counted in `metrics/data.json` and told in words in `reports/data.html`.
"""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesions.archives import read_members
from lesions.audit.bias_checks import find_warnings, tells_diagnosis
from lesions.audit.classes import NOT_AMONG, class_table, classify, not_in_data, refuse_classes
from lesions.audit.duplicates import contradictions, find_copies, near_copy_ids, under_two_lesions
from lesions.audit.groups import group_ids
from lesions.audit.matching import find_members, set_aside
from lesions.audit.normalise import canonical, fill_ages, unread
from lesions.audit.plots import draw_views, plot_data
from lesions.audit.report import write_report
from lesions.audit.scan import look_at
from lesions.audit.summary import kind_of_reason, summarise
from lesions.core.csv_files import read_csv
from lesions.core.errors import UserError
from lesions.core.json_files import read_json, write_json
from lesions.core.stage import run_stage
from lesions.images import decode as pictures
from lesions.images.parallel_map import parallel_map
from lesions.params.clean import Clean
from lesions.reporting.common.contact_sheet import contact_sheet
from lesions.taxonomy import ordered

RAW = Path("data/raw")
CLEAN = Path("data/clean")
SHEET = Path("plots/contact_sheet.jpg")
COPIES_SHEET = Path("plots/near_copies.jpg")
COPIES_SHOWN = 200
REPORT = Path("reports/data.html")
COLUMNS = [
    *("image_id", "archive", "member", "label", "diagnosis", "lesion_id", "group_id", "dx_type", "age", "age_status"),
    *("sex", "site", "source", "patient_id", "declared_split", "height", "width", "near_copy_id", "sha256"),
]


def main() -> None:
    """Clean data/raw."""
    params = Clean.read()
    table = read_csv(RAW / "metadata.csv")

    table = table.assign(**classify(table, params))
    classes = ordered(set(table["label"]) - {""})
    refuse_classes(classes)

    rejects = [set_aside(table, table["reason"])]
    found, unmatched = find_members(RAW, table)
    rejects.append(unmatched)
    found, luma, colour = look_at(RAW, found[found["reason"] == ""])
    rejects.append(set_aside(found, found["problem"]))
    usable = (found["problem"] == "").to_numpy()
    images = canonical(found[usable], params.age_zero)
    copies = find_copies(images, luma[usable], colour[usable])
    conflict = contradictions(images, copies, params.contradictions)
    rejects.append(set_aside(images, conflict))
    images = images[conflict == ""].sort_values("image_id", ignore_index=True)
    images = fill_ages(images, params.age_missing)
    images["near_copy_id"] = near_copy_ids(images, copies)
    images["group_id"] = group_ids(images)

    rejected = pd.concat(rejects).drop_duplicates(["image_id", "archive", "member"])
    rejected = rejected.sort_values(["image_id", "archive", "member"], ignore_index=True)
    refuse_if_unusable(images, rejected, classes, params.max_rejected)

    in_use = class_table(images, params)
    CLEAN.mkdir(parents=True, exist_ok=True)
    images[COLUMNS].to_csv(CLEAN / "images.csv", index=False)
    rejected.to_csv(CLEAN / "rejects.csv", index=False)
    copies.to_csv(CLEAN / "copies.csv", index=False)
    in_use.to_csv(CLEAN / "classes.csv", index=False)

    lost = unread(table[table["image_id"].isin(images["image_id"])])
    told = tells_diagnosis(images)
    warnings = find_warnings(images, told, lost, not_in_data(table["diagnosis"], params))
    summary = summarise(images, rejected, copies, in_use, told, lost, warnings)
    write_json(Path("metrics/data.json"), summary)
    views = list(draw_views(images))
    plot_data(views, Path("plots/data.png"))
    contact_sheet(sample_rows(images), SHEET)
    contact_sheet(copy_cells(found[usable], copies), COPIES_SHEET, columns=4)
    provenance = read_json(RAW / "provenance.json")
    write_report(REPORT, images, rejected, in_use, summary, params, provenance, views, SHEET, COPIES_SHEET)

    groups = images["group_id"].nunique()
    print(f"{CLEAN}: {len(images):,} usable pictures in {groups:,} groups, {len(rejected):,} set aside")
    if len(rejected):
        print(kind_of_reason(rejected["reason"]).value_counts().to_string(header=False))
    for warning in warnings:
        print(f"Warning: {warning.found}")
    print(f"{REPORT} says all of this in words, with plots, and what to do.")


def refuse_if_unusable(images: pd.DataFrame, rejected: pd.DataFrame, classes: list[str], limit: float) -> None:
    """Stop where too much was set aside, or all of a class; what a person left out by `clean.classes` is not counted.

    Raises:
        UserError: says how many, and the commonest reasons.
    """
    rejected = rejected[rejected["reason"] != NOT_AMONG]
    share = len(rejected) / (len(rejected) + len(images))
    commonest = rejected["reason"].value_counts().head(8)
    reasons = "".join(f"\n  {count:6,} {reason}" for reason, count in commonest.items())
    if share > limit:
        raise UserError(
            f"{len(rejected):,} of {len(rejected) + len(images):,} pictures ({share:.1%}) must be set aside, "
            f"more than clean.max_rejected allows ({limit:.1%}):{reasons}\n"
            "Mend the data, or raise clean.max_rejected in params.yaml if this is as it should be."
        )
    empty = [label for label in classes if label not in set(images["label"])]
    if empty:
        raise UserError(
            f"of {', '.join(empty)} no picture can be used, and of every class at least three are needed. "
            f"Mend the pictures, or take the class out of the table. Set aside were:{reasons}"
        )


def sample_rows(images: pd.DataFrame, each: int = 10) -> list[tuple[str, list[NDArray[np.uint8]]]]:
    """Return the first pictures of each class, of as many groups, for the contact sheet."""
    rows = []
    for label in ordered(set(images["label"])):
        ours = images[images["label"] == label]
        shown = ours.drop_duplicates("group_id").head(each)
        rows.append((f"{label}: {len(ours):,} pictures", thumbnails(shown)))
    return rows


def copy_cells(found: pd.DataFrame, copies: pd.DataFrame) -> list[tuple[str, list[NDArray[np.uint8]]]]:
    """Return pairs of copies for the contact sheet: first those of two lesions, then the least alike."""
    order = copies.assign(alone=~under_two_lesions(copies)).sort_values(["alone", "likeness", "one", "other"])
    shown = order.head(COPIES_SHOWN)
    members = found.set_index("image_id")[["archive", "member"]]
    drawn = iter(thumbnails(members.loc[shown[["one", "other"]].to_numpy().ravel()]))
    cells = []
    for pair in shown.itertuples():
        likeness = "same bytes" if pair.identical else f"{pair.likeness:.2f}"
        text = f"{pair.one} {pair.other} {likeness}{'' if pair.alone else ' 2 lesions'}"
        cells.append((text, [next(drawn), next(drawn)]))
    return cells or [("No picture is a copy of another.", [])]


def thumbnails(rows: pd.DataFrame) -> list[NDArray[np.uint8]]:
    """Return small pictures of rows with `archive` and `member`."""
    contents = read_members(RAW, zip(rows["archive"], rows["member"], strict=True))
    return list(parallel_map(small, contents, len(rows), desc="drawing", use_cluster=False))


def small(content: bytes | ValueError) -> NDArray[np.uint8]:
    """Return one picture, found good before, at 120×90 pixels."""
    if isinstance(content, ValueError):
        raise UserError(f"a picture in {RAW} was good a moment ago and no longer is: {content}") from content
    return pictures.to_pixels(content, 90, 120)


if __name__ == "__main__":
    run_stage(main)
