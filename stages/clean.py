"""Clean: which pictures can be used, and which of them belong together?

Each row of the table and each picture of the archives is either usable (`images.csv`) or set aside with a
reason (`rejects.csv`). Pictures of one lesion or patient, or with the same bytes, get one `group_id`.
"""

import re
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesions import pictures
from lesions.archives import read_members
from lesions.cleaning import UNKNOWN, canonical, contradictions, find_members, look_at, set_aside
from lesions.data_plots import plot_data
from lesions.errors import UserError
from lesions.grouping import group_ids
from lesions.outputs import write_json
from lesions.params.clean import Clean
from lesions.running import run_stage
from lesions.sheets import contact_sheet
from lesions.tables import read_csv
from lesions.taxonomy import code_of, ordered

RAW = Path("data/raw")
CLEAN = Path("data/clean")
COLUMNS = [
    *("image_id", "archive", "member", "label", "lesion_id", "group_id", "dx_type", "age", "sex", "site", "source"),
    *("patient_id", "declared_split", "sha256"),
]


def main() -> None:
    """Clean data/raw."""
    params = Clean.read()
    table = read_csv(RAW / "metadata.csv")

    table["label"] = table["dx"].map(code_of)
    diagnosed = ~table["label"].isin(sorted(UNKNOWN))
    classes = ordered(set(table["label"][diagnosed]))
    refuse_classes(classes)

    rejects = [set_aside(table, diagnosed.map({True: "", False: "no diagnosis"}))]
    found, unmatched = find_members(RAW, table)
    rejects.append(unmatched)
    found = look_at(RAW, found[diagnosed[found.index]])
    rejects.append(set_aside(found, found["problem"]))
    images = canonical(found[found["problem"] == ""])
    conflict = contradictions(images)
    rejects.append(set_aside(images, conflict))
    images = images[conflict == ""].sort_values("image_id", ignore_index=True)
    images["group_id"] = group_ids(images)

    rejected = pd.concat(rejects).drop_duplicates(["image_id", "archive", "member"])
    rejected = rejected.sort_values(["image_id", "archive", "member"], ignore_index=True)
    refuse_if_unusable(images, rejected, classes, params.max_rejected)

    CLEAN.mkdir(parents=True, exist_ok=True)
    images[COLUMNS].to_csv(CLEAN / "images.csv", index=False)
    rejected.to_csv(CLEAN / "rejects.csv", index=False)
    write_json(Path("metrics/data.json"), summary(images, rejected))
    plot_data(images, Path("plots/data.png"))
    contact_sheet(sample_rows(images), Path("plots/contact_sheet.png"))
    groups = images["group_id"].nunique()
    print(f"{CLEAN}: {len(images):,} usable pictures in {groups:,} groups, {len(rejected):,} set aside")
    if len(rejected):
        kinds = rejected["reason"].str.replace(r"[:;].*", "", regex=True)
        print(kinds.value_counts().to_string(header=False))


def refuse_classes(classes: list[str]) -> None:
    """Stop where the classes' names or number cannot be worked with.

    Raises:
        UserError: there are fewer than two, or a name would be taken for something else.
    """
    if len(classes) < 2:
        raise UserError(f"the table has {len(classes)} diagnosis ({', '.join(classes)}); expected two or more.")
    for label in classes:
        # The first are other columns of our tables; the marks would be read as HTML or as an escape.
        if label in ("image_id", "split", "label", "protocol") or re.search(r'[<>&"\\]', label):
            raise UserError(f"a class cannot be called {label!r}; rename it in the table, or its folder.")


def refuse_if_unusable(images: pd.DataFrame, rejected: pd.DataFrame, classes: list[str], limit: float) -> None:
    """Stop where too much was set aside, or all of a class.

    Raises:
        UserError: says how many, and the commonest reasons.
    """
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


def summary(images: pd.DataFrame, rejected: pd.DataFrame) -> dict[str, object]:
    """Count what there is, for metrics/data.json."""
    known = [key for key in ("lesion_id", "patient_id") if (images[key] != "").any()]
    labels = images["label"].value_counts()
    copies = images["sha256"].duplicated()
    return {
        "pictures": len(images),
        "lesions": int(images.loc[images["lesion_id"] != "", "lesion_id"].nunique()),
        "groups": int(images["group_id"].nunique()),
        "set_aside": len(rejected),
        "exact_copies": int(copies.sum()),
        "kept_together": [*known, "identical bytes"],
        "classes": {label: int(labels[label]) for label in ordered(set(labels.index))},
        "missing": {column: int((images[column] == "").sum()) for column in ("age", "sex", "site")},
    }


def sample_rows(images: pd.DataFrame, each: int = 10) -> list[tuple[str, list[NDArray[np.uint8]]]]:
    """Return the first pictures of each class, of as many groups, for the contact sheet."""
    rows = []
    for label in ordered(set(images["label"])):
        ours = images[images["label"] == label]
        shown = ours.drop_duplicates("group_id").head(each)
        contents = read_members(RAW, zip(shown["archive"], shown["member"], strict=True))
        sample = [pictures.to_pixels(content, 90, 120) for content in contents if isinstance(content, bytes)]
        rows.append((f"{label}: {len(ours):,} pictures", sample))
    return rows


if __name__ == "__main__":
    run_stage(main)
