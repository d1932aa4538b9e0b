"""`lesions audit`: label suspects, lesions photographed again, and off-topic images, for a person to look at.

Nothing is removed. All but the pairs comes from what the stages wrote; for these the network runs once more.
"""

from pathlib import Path

from lesions.commands.audit.find import DATA, Found, find
from lesions.commands.audit.page import write_page
from lesions.core.csv_files import EXACT, write_csv
from lesions.core.errors import UserError, writing
from lesions.core.json_files import read_json
from lesions.core.sanitize import sanitize
from lesions.core.stage import say
from lesions.evaluation.common import predictions
from lesions.reporting.common.numbers import quantity

TABLES = ("label_suspects.csv", "similar_pairs.csv", "off_topic.csv")
PAGE = "index.html"
FILES = {PAGE, *TABLES, ".gitignore"}


def audit(out: Path, study: str = "", *, test: bool = False, fast: bool = False) -> str:
    """Write the tables and the page, and return what was found, for a person.

    Args:
        out: the folder.
        study: whose out-of-fold predictions are used; without it, those of this run.
        test: whether suspects and off-topic images of test are shown.
        fast: whether images are compared by the features that predict wrote, without running the network.

    Raises:
        UserError: the pipeline has not run, the study has not, or the folder holds what is not of an audit.
    """
    _check_place(out)
    say("Reading what the network says of the images ...")
    images = predictions.read_images(DATA)
    if "known_group_id" not in images:
        raise UserError("data/clean/images.csv is of an earlier version of the pipeline. Run `dvc repro`.")
    found = find(images, study, test=test, fast=fast)
    out.mkdir(parents=True, exist_ok=True)
    with writing(out):
        (out / ".gitignore").write_text("# The images may be of patients.\n*\n", encoding="utf-8")
        for name, table in zip(TABLES, (found.labels, found.pairs, found.off_topic), strict=True):
            text = table.select_dtypes(exclude=["number", "bool"]).columns
            safe = table.assign(**{column: table[column].map(sanitize) for column in text})
            safe.insert(0, "rank", range(1, len(safe) + 1))
            write_csv(safe, out / name, EXACT)
    source = read_json(DATA / "raw/provenance.json").get("source")
    with writing(out):
        write_page(out / PAGE, found, images, study, test=test, drawn=source == "synthetic")
    return _words(found, out)


def _check_place(out: Path) -> None:
    """Refuse a folder of something else: all in it is to be ignored by Git."""
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is no folder.")
    others = sorted({file.name for file in out.iterdir()} - FILES) if out.exists() else []
    if others:
        raise UserError(
            f"--out {out} holds {sanitize(others[0])}, which no audit wrote, and Git is to ignore all of the folder, "
            "since it gets images of patients. Name another, or an empty one."
        )


def _words(found: Found, out: Path) -> str:
    """Return what was found and what to do, in 80 columns."""
    suspects, across = int(found.labels["suspect"].sum()), found.pairs[found.pairs["across_splits"]]
    mutual = int(across["mutual"].sum())
    splits = found.labels["split"].value_counts()
    counts = ", ".join(f"{name} {number:,}" for name, number in splits.items())
    return (
        f"Label suspects: {quantity(suspects, 'image')} of {len(found.labels):,} ({counts}; "
        f"{found.n_images:,} in all).\n"
        f"Photographed again: {quantity(mutual, 'pair')} across splits to look at, the likeliest first.\n"
        f"Off topic: {len(found.off_topic):,} images, the strangest first.\n"
        f"Open {out / PAGE}; the tables lie beside it. Nothing was removed.\n"
        "The folder holds images, so Git ignores it. To keep a pair in one split, write\n"
        "the two lines below it on that page into a file, and name this in params.yaml:\n"
        "  clean:\n"
        "    known_groups: known_groups.csv"
    )
