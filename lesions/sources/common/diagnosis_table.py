"""Reading what a table of images says of each: its diagnosis, and what else is known, by HAM10000's columns."""

from pathlib import Path

import pandas as pd

from lesions.archives import image_name
from lesions.core.errors import UserError
from lesions.core.sanitize import sanitize
from lesions.sources.common.column_names import LEVELS, SITE_LEVELS, our_names
from lesions.sources.common.metadata_table import check_table, first_names, read_table
from lesions.sources.common.raw_data import COLUMNS
from lesions.sources.common.split_names import split_of
from lesions.taxonomy import DIAGNOSES, code_of, deepest_code, is_unknown

CODES = {diagnosis.code for diagnosis in DIAGNOSES}
TARGETS = {"0": "benign", "1": "malignant", "0.0": "benign", "1.0": "malignant"}
"""What the ISIC challenges of 2020 and 2024 write in their column `target`."""


WEIGHTS = ("score_weight", "validation_weight")
"""Columns of the ground truth of ISIC 2019's test set that are no diagnoses."""


def keep_columns(table: pd.DataFrame) -> pd.DataFrame:
    """Return the columns that `metadata.csv` has, in HAM10000's order, the values on one line each."""
    kept = table[[name for name in COLUMNS if name in table]].replace(r"[\t\n\v\f\r]+", " ", regex=True)
    return kept.map(str.strip)


def table_kind(header: list[str]) -> str:
    """Return "HAM10000" or "ISIC challenge" for the header of a table with diagnoses.

    It is "companion" for what says more of images, such as a challenge's lesion groupings, "" for any other.
    """
    names = {*header, *our_names(header).values()}
    if "image_id" in names and names & {"dx", *LEVELS}:
        return "HAM10000"
    if "image_id" in names and len({code_of(name) for name in names} & CODES) > 1:
        return "ISIC challenge"
    return "companion" if "image_id" in names and names & {*COLUMNS} - {"image_id"} else ""


def read_ham10000(path: Path) -> pd.DataFrame:
    """Read a table with an image's name and its diagnosis, and any of HAM10000's other columns, by any known name.

    Which columns are taken for ours, and which are not read, is printed.

    Raises:
        UserError: as `read_table` and `check_table`.
    """
    theirs = read_table(path)
    table = with_our_names(theirs)
    check_table(table, path.name)
    names = our_names(list(theirs.columns))
    taken = [f"{name} as {ours}" for name, ours in names.items()]
    passed = [str(name) for name in theirs if name and name not in {*COLUMNS, *names}]
    for words, columns in (("reads", taken), ("does not read", sorted({*passed} - {*LEVELS, *SITE_LEVELS}))):
        if columns:
            print(f"Of {sanitize(path.name)} it {words} {first_names(columns)}.")
    return keep_columns(table)


def with_our_names(table: pd.DataFrame) -> pd.DataFrame:
    """Return a table with our columns' names, in the archive's five levels one diagnosis and one site.

    A diagnosis that is unknown, as many in ISIC 2020, is that of the column `benign_malignant`, if there is one; 0 and
    1 of a column `target` are benign and malignant. An image's name loses its folder and extension; a split is called
    train, val or test.

    Args:
        table: of `read_table`.
    """
    names = our_names(list(table.columns))
    found = table.rename(columns=names)
    levels = [level for level in LEVELS if level in found]
    if levels and "dx" not in table and names.get("diagnosis") != "dx":
        found["dx"] = [deepest_code(row) for row in found[levels].to_numpy().tolist()]
    sites = [level for level in SITE_LEVELS if level in found]
    if sites and "localization" not in found:
        found["localization"] = [":".join(filter(None, row)) for row in found[sites].to_numpy().tolist()]
    if names.get("target") == "dx":
        found["dx"] = found["dx"].str.strip().replace(TARGETS)
    if "benign_malignant" in found:
        unknown = found["dx"].str.strip().str.lower().isin(["", "unknown"])
        found["dx"] = found["dx"].where(~unknown, found["benign_malignant"])
    if "image_id" in found:
        found["image_id"] = found["image_id"].str.strip().map(image_name)
    if "split" in found:
        found["split"] = [split_of(name) or name for name in found["split"]]
    return found


def lacks_header(header: list[str]) -> bool:
    """Whether the first line of a table is a row already, as in ISIC 2016: an image, and whether it is malignant.

    Args:
        header: of `read_header`.
    """
    return len(header) == 2 and header[1] in {*TARGETS, *TARGETS.values()}


def read_headerless(path: Path) -> pd.DataFrame:
    """Read a table without a header: an image's name, and benign or malignant, or 0 or 1 for them.

    Raises:
        UserError: as `read_table` and `check_table`; or the second value is another.
    """
    table = with_our_names(read_table(path, names=("image_id", "dx")))
    table["dx"] = table["dx"].str.strip().str.lower().replace(TARGETS)
    wrong = ~table["dx"].isin(TARGETS.values())
    if wrong.any():
        row = int(wrong.to_numpy().argmax())
        raise UserError(
            f'{sanitize(path.name)}, row {row + 1}: "{sanitize(table["dx"][row])}" stands beside '
            f"{sanitize(table['image_id'][row])}; expected benign or malignant, or 0 or 1. Mend the row."
        )
    check_table(table, path.name)
    return table


def read_isic(paths: list[Path]) -> pd.DataFrame:
    """Read an ISIC challenge's ground truth, and join its lesion groupings and its metadata.

    Args:
        paths: the ground truth (`image,MEL,NV,…`), then the tables to join; the first that knows a value
            gives it.

    Returns:
        HAM10000's columns; dx is "" where no diagnosis is 1, or UNK is.

    Raises:
        UserError: as `read_table` and `check_table`; or a row has several diagnoses, or a value other than
            0 and 1.
    """
    truth, *companions = (with_our_names(read_table(path)) for path in paths)
    truth["dx"] = _read_one_hot(truth, sanitize(paths[0].name))
    check_table(truth, paths[0].name)
    table = keep_columns(truth)
    for path, companion in zip(paths[1:], companions, strict=True):
        table = join_companion(table, companion, path.name)
    return table


def join_companion(table: pd.DataFrame, companion: pd.DataFrame, name: str) -> pd.DataFrame:
    """Add what another table knows of the same images; where both know a value, the first one's stays.

    What says that nothing is known, such as NA, is no value.

    Args:
        table: one row per image.
        companion: of `with_our_names`; images that `table` lacks are left out.
        name: its file's, for messages.

    Raises:
        UserError: as `check_table`, of the companion.
    """
    check_table(companion.assign(dx=""), name)
    known = keep_columns(companion).set_index("image_id")
    joined = table.copy()
    for column in known:
        values = joined["image_id"].map(known[column]).fillna("")
        joined[column] = joined[column].where(~joined[column].map(is_unknown), values) if column in joined else values
    return keep_columns(joined)


def _read_one_hot(truth: pd.DataFrame, name: str) -> "pd.Series[str]":
    marks = truth[[column for column in truth if column not in ("", *COLUMNS, *WEIGHTS)]]
    numbers = marks.apply(pd.to_numeric, errors="coerce")
    for column in numbers:
        wrong = ~numbers[column].isin([0, 1])
        if wrong.any():
            row = wrong.idxmax()
            raise UserError(
                f'{name}: {sanitize(truth["image_id"][row])} has "{sanitize(marks[column][row])}" in the column '
                f"{column}; expected 1 in the column of its diagnosis and 0 in the others. Mend or remove the row."
            )
    ones = numbers.sum(axis=1)
    if (ones > 1).any():
        row = (ones > 1).idxmax()
        found = first_names([column for column in numbers if numbers[column][row] == 1])
        raise UserError(
            f"{name}: {sanitize(truth['image_id'][row])} has more than one diagnosis ({found}), as have "
            f"{(ones > 1).sum() - 1} other rows; expected at most one 1 in a row. Mend or remove them."
        )
    codes = numbers.idxmax(axis=1).map(code_of)
    # In ISIC 2017 all that is neither is a nevus; elsewhere nothing is known of it.
    neither = "nv" if set(map(code_of, numbers)) == {"mel", "sk"} else ""
    known: pd.Series[str] = codes.where(ones == 1, neither).where(codes != "unk", "")
    return known
