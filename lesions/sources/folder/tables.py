"""Which of a folder's tables say what its images show: those whose values match the files' names."""

import re
from collections.abc import Collection
from pathlib import Path, PurePosixPath
from typing import NamedTuple

import pandas as pd

from lesions.archives import image_name
from lesions.core.errors import UserError
from lesions.core.sanitize import sanitize
from lesions.sources.common.column_names import our_names
from lesions.sources.common.diagnosis_table import (
    CODES,
    join_companion,
    keep_columns,
    lacks_header,
    read_ham10000,
    read_headerless,
    read_isic,
    table_kind,
    with_our_names,
)
from lesions.sources.common.metadata_table import check_table, first_names, read_header, read_table
from lesions.sources.common.split_names import split_in
from lesions.sources.folder.ph2 import PH2_HEADER, read_ph2
from lesions.taxonomy import code_of

NO_DIAGNOSES = re.compile("submission", re.IGNORECASE)
"""What competitions call a table of made-up answers, which looks like one of diagnoses."""

ROW_NUMBERS = "indexes"
"""The one column of derm7pt's lists of rows."""

LAYOUTS = {
    "ISIC 2024": {"isic_id", "target", "tbp_lv_location"},
    "ISIC archive": {"isic_id", "copyright_license"},
    "ISIC 2020": {"image_name", "target"},
    "ISIC 2017": {"image_id", "melanoma", "seborrheic_keratosis"},
    "PAD-UFES-20": {"img_id", "diagnostic"},
    "derm7pt": {"derm", "clinic"},
    "Fitzpatrick17k": {"md5hash", "label"},
}
"""Data sets by columns that no other has."""


class Labels(NamedTuple):
    """What the tables of a folder say.

    Attributes:
        layout: the data set's whose columns they are.
        table: HAM10000's columns, one row per image.
        used: the tables, those with diagnoses first.
    """

    layout: str
    table: pd.DataFrame
    used: list[PurePosixPath]


def read_labels(folder: Path, tables: list[PurePosixPath], found: Collection[str]) -> Labels | None:
    """Read the diagnoses of a folder's images from its tables.

    Of several tables with diagnoses those count that name images of the folder: parts of a data set as one, and of
    two with the same diagnoses the larger, to which the other adds what else it says. Tables without diagnoses are
    joined.

    Args:
        folder: a person's.
        tables: files below it that may be some.
        found: names of the folder's images, without folder and extension.

    Returns:
        None where no table has diagnoses.

    Raises:
        UserError: a table cannot be used, names none of the images, or two contradict each other.
    """
    headers = {file: read_header(folder / file) for file in tables if not NO_DIAGNOSES.search(file.name)}
    kinds = {file: _kind(header) for file, header in headers.items()}
    main = {file: kind for file, kind in kinds.items() if kind not in ("", "companion")}
    if not main:
        _refuse_other_tables(folder, headers, found)
        return None
    read, problems = {}, []
    for file, kind in main.items():
        try:
            read[file] = _with_file_names(_READERS[kind](folder / file), found)
        except UserError as error:
            problems.append(error)
    matching = {file: table for file, table in read.items() if not set(table["image_id"]).isdisjoint(found)}
    if not matching:
        if problems:
            raise problems[0]
        file, table = next(iter(read.items()))
        raise UserError(
            f"None of the images that {file.name} lists is there. Found: {table['image_id'].iloc[0]} in the "
            f"table, {min(found)} in the folder. Expected: an image's name without folder and extension."
        )
    for problem in problems:
        print(f"Not read: {str(problem).splitlines()[0]}")
    for file in read.keys() - matching.keys():
        print(f"Not read: {file}, which lists none of the images that are there.")
    parts, table = _as_one(matching)
    by_number = {file: split_in(file.stem) for file, header in headers.items() if header == [ROW_NUMBERS]}
    by_number = {file: split for file, split in by_number.items() if split}
    if len(parts) == 1 and "split" not in table and by_number:
        parts += by_number
        table = _split_by_row(table, {folder / file: split for file, split in by_number.items()})
    joined = []
    for file in (file for file, kind in kinds.items() if kind == "companion"):
        rows = _with_file_names(with_our_names(read_table(folder / file)), found)
        if rows["image_id"].isin(table["image_id"]).any():
            table = join_companion(table, rows, file.name)
            joined.append(file)
        else:
            print(f"Not read: {file}, which lists none of the images that have a diagnosis.")
    header = headers[parts[0]]
    layout = next((name for name, columns in LAYOUTS.items() if columns <= {*header}), main[parts[0]])
    return Labels(layout, table, [*parts, *joined])


def _kind(header: list[str]) -> str:
    if PH2_HEADER.match(",".join(header)):
        return "PH2"
    return "ISIC 2016" if lacks_header(header) else table_kind(header)


_READERS = {
    "HAM10000": read_ham10000,
    "ISIC challenge": lambda path: read_isic([path]),
    "ISIC 2016": read_headerless,
    "PH2": read_ph2,
}


def _with_file_names(table: pd.DataFrame, found: Collection[str]) -> pd.DataFrame:
    """Return a table that calls images as their files are called, in capitals and small letters too."""
    names = {name.casefold(): name for name in sorted(found)}
    if len(names) < len({*found}):
        return table
    ids = [
        image_id if image_id in found else names.get(image_id.casefold(), image_id) for image_id in table["image_id"]
    ]
    return table.assign(image_id=ids) if len({*ids}) == len(ids) else table


def _as_one(tables: dict[PurePosixPath, pd.DataFrame]) -> tuple[list[PurePosixPath], pd.DataFrame]:
    """Return tables as one, and which it is made of; where their names are of parts of a split, with `split`."""
    first, *others = sorted(tables, key=lambda file: (-len(tables[file]), str(file)))
    parts, table = [first], tables[first]
    splits: dict[str, str] = {}
    for file in others:
        rows = tables[file]
        shared = table.merge(rows, on="image_id")
        differing = shared[shared["dx_x"].map(code_of) != shared["dx_y"].map(code_of)]
        if len(differing) or 0 < len(shared) < len(rows):
            row = (differing if len(differing) else shared).iloc[0]
            raise UserError(
                f"{len(tables)} tables have diagnoses, and {first} and {file} both list {sanitize(row['image_id'])}, "
                f'as "{sanitize(row["dx_x"])}" and "{sanitize(row["dx_y"])}"; expected one diagnosis an image, in one '
                "table or in tables of different images. Take the table that is not meant out of the folder."
            )
        if shared.empty:
            parts.append(file)
            table = pd.concat([table, rows], ignore_index=True).fillna("")
        elif {*rows} > {"image_id", "dx"}:
            parts.append(file)
            table = join_companion(table, rows.drop(columns="dx"), file.name)
        else:
            print(f"Not read: {file}, which says what {first} says{_and_split(file)}.")
        splits |= dict.fromkeys(rows["image_id"], split_in(file.stem))
    splits = dict.fromkeys(tables[first]["image_id"], split_in(first.stem)) | splits
    if any(splits.values()) and others and "split" not in table:
        rest = "" if "train" in splits.values() else "train"
        table = table.assign(split=[splits[image_id] or rest for image_id in table["image_id"]])
    return parts, keep_columns(table)


def _split_by_row(table: pd.DataFrame, files: dict[Path, str]) -> pd.DataFrame:
    """Return the table with `split`, as files called after its parts list numbers of its rows, from 0.

    Raises:
        UserError: a number is none of a row, or a row has none or two.
    """
    splits = pd.Series("", table.index)
    for file, split in files.items():
        for number in read_table(file)[ROW_NUMBERS]:
            row = int(number) if number.isdecimal() and int(number) < len(table) else -1
            if row < 0 or splits[row]:
                known = (
                    f"which is {splits[row]} already" if row in splits.index else f"and there are {len(table):,} rows"
                )
                raise UserError(
                    f"{file.name} lists the row {sanitize(number)}, {known}; expected each row of the table with "
                    "diagnoses once, counted from 0. Mend it, or take the lists of rows out of the folder."
                )
            splits[row] = split
    if (splits == "").any():
        raise UserError(
            f"{', '.join(file.name for file in files)} leave out the row {splits[splits == ''].index[0]} of the table "
            "with diagnoses; expected each once, counted from 0. Mend them, or take them out of the folder."
        )
    return table.assign(split=splits)


def _and_split(file: PurePosixPath) -> str:
    split = split_in(file.stem)
    return f", but for its name: its images are {split}" if split else ""


def _refuse_other_tables(folder: Path, headers: dict[PurePosixPath, list[str]], found: Collection[str]) -> None:
    """Stop where a table seems to be meant for one with diagnoses.

    Taking folders for classes although there is a table could make a diagnosis of `images_part_1`.
    """
    known_columns = {
        file: len({"image_id", "dx"} & {*header, *our_names(header).values()}) for file, header in headers.items()
    }
    others = [file for file in headers if known_columns[file] or file.suffix.lower() not in ("", ".txt", ".zip")]
    if not others:
        return
    likeliest = max(others, key=lambda file: known_columns[file])
    rows = read_table(folder / likeliest)
    try:
        check_table(rows, likeliest.name)
    except UserError as error:
        hints = _hints(rows.drop(columns=["image_id", "dx"], errors="ignore"), found)
        raise UserError(
            f"{error}\n{hints}If the folders are the classes, take the table out; the ground truth of an ISIC "
            "challenge would have the columns image,MEL,NV,BCC,…"
        ) from None


def _hints(rows: pd.DataFrame, found: Collection[str]) -> str:
    """Say which columns have values that are images' names or diagnoses."""
    hints = []
    for column in rows:
        values = {*rows[column]} - {""}
        if len({image_name(value) for value in values} & {*found}) * 2 > len(values):
            hints.append(f'Images of the folder are named by the column "{sanitize(str(column))}": call it image_id.\n')
        elif values and all(code_of(value) in CODES for value in values):
            named = first_names(sorted(values), 3)
            hints.append(f'Diagnoses ({named}) are in the column "{sanitize(str(column))}": call it dx.\n')
    return "".join(hints)
