"""A folder a class, which may lie below folders that are called as the parts of a split."""

import os
import re
from itertools import takewhile
from pathlib import Path, PurePosixPath

import pandas as pd

from lesions.archives import image_name
from lesions.core.errors import UserError
from lesions.sources.common.split_names import split_of
from lesions.taxonomy import code_of

IMAGE_FOLDER = re.compile(r"ham10000 images|isic.* input")
"""What HAM10000 and the challenges call their folders of images: no classes, if the table is missing."""
UNLABELLED = re.compile(r"images?|imgs?|unlabell?ed|unknown|no labels?")
"""Folders below that of a test split which are no classes: some data sets keep its diagnoses back."""


def read_class_folders(folder: Path, images: list[PurePosixPath], layouts: str) -> pd.DataFrame:
    """Read diagnoses and splits from the folders that images lie in.

    Args:
        folder: a person's.
        images: files below it.
        layouts: what a folder may hold, for the message.

    Returns:
        One row per image: file, image_id, member; dx and split from its folders, "" beside the class folders.

    Raises:
        UserError: the folders are no classes.
    """
    folders = [str(file.parent) for file in images if file.parent.parts]
    enclosing = PurePosixPath(os.path.commonpath(folders or ["."])).parts
    # Train/ encloses nothing, it says something, even where there is no Test/.
    depth = len(list(takewhile(lambda name: not split_of(name), enclosing)))
    rows = []
    for file in images:
        parts = file.parent.parts[depth:]
        split = split_of(parts[0]) if parts else ""
        rows.append((file, split, parts[1:] if split else parts))
    table = pd.DataFrame(rows, columns=["file", "split", "classes"])
    table["dx"] = [code_of(safe_name(classes[0])) if classes else "" for classes in table["classes"]]
    unlabelled = table["dx"].map(lambda dx: bool(UNLABELLED.fullmatch(dx))) & (table["split"] == "test")
    table.loc[unlabelled, "dx"] = ""
    deep = (table["classes"].map(len) > 1) & (table["dx"] != "")
    unnamed = table["dx"].map(lambda dx: bool(IMAGE_FOLDER.match(dx)))
    if deep.any() or unnamed.any() or len(set(table["dx"]) - {""}) < 2:
        places = sorted({str(file.parent) for file in images})[:5]
        raise UserError(
            f"The layout of {folder} is not recognised. Found: no table with diagnoses, no folder a class; "
            f"images in: {', '.join(places) or 'archives only'}. Expected {layouts}\n"
            "Unpack an archive that holds a whole data set; save a spreadsheet as CSV in UTF-8."
        )
    table["image_id"] = unique_ids(table)
    # The path in the folder, by which rejects.csv names a file; but for the name, where several files have it.
    paths = zip(table["file"], table["image_id"], strict=True)
    table["member"] = [safe_name(str(file.parent / (image_id + file.suffix))) for file, image_id in paths]
    return table if table["split"].any() else table.drop(columns="split")


def unique_ids(table: pd.DataFrame) -> pd.Series:
    """Name images (file, dx, split) by the stem of their file; where that is not unique, by class and split too."""
    ids = table["file"].map(lambda file: safe_name(image_name(file.name)))
    for column in ("dx", "split"):
        prefix = table[column].map(lambda name: name.replace(" ", "_") + "_" if name else "")
        ids = ids.where(~ids.duplicated(keep=False), prefix + ids)
    while (again := ids.duplicated()).any():  # such as a.jpg and a.png
        ids = ids.where(~again, ids + "_2")
    return ids


def safe_name(name: str) -> str:
    """Replace what makes a member's name unsafe on some system, or unfit for a table."""
    return re.sub(r"^\s+|\s+$|[\\:\x00-\x1f\x7f\ud800-\udfff]", "_", name)
