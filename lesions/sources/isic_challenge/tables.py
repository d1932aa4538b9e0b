"""Reading the tables of the challenges, each year's in its own form, into HAM10000's columns."""

from pathlib import Path

import pandas as pd

from lesions.core.errors import UserError
from lesions.core.sanitize import sanitize
from lesions.sources.common.diagnosis_table import (
    join_companion,
    keep_columns,
    read_ham10000,
    read_headerless,
    with_our_names,
)
from lesions.sources.common.metadata_table import check_table, first_names, read_table

METADATA = (
    *("image_id", "isic_id", "patient_id", "age_approx", "age_approximate", "sex", "anatom_site_general"),
    "attribution",
)
"""What is read of the metadata in an archive of images: of 2024's, none of the lesion's measures."""


def read_2016(paths: list[Path]) -> pd.DataFrame:
    """Read a table without a header: `ISIC_0000000,benign`, or 0.0 and 1.0 in the test's."""
    return read_headerless(paths[0])


def read_2020(paths: list[Path]) -> pd.DataFrame:
    """Read the ground truth, and give the images of each published pair of duplicates one lesion.

    Args:
        paths: the ground truth, whose diagnosis is `benign` where it is unknown; and a table of two columns, the
            names of two images each.

    Raises:
        UserError: as `read_ham10000`; or the second table has fewer columns.
    """
    table = read_ham10000(paths[0])
    pairs = read_table(paths[1])
    if pairs.shape[1] < 2:
        found = first_names(list(map(str, pairs)))
        raise UserError(
            f"{sanitize(paths[1].name)} has the columns {found}; expected two, the images of a pair of duplicates. "
            f"Delete {paths[1]}, and run again: it is then fetched anew."
        )
    lesions = dict(zip(table["image_id"], table.get("lesion_id", pd.Series("", index=table.index)), strict=True))
    joined = 0
    for one, other in pairs.iloc[:, :2].to_numpy().tolist():
        if one in lesions and other in lesions and (not lesions[one] or lesions[one] != lesions[other]):
            kept, dropped = lesions[one] or lesions[other] or one, lesions[other]
            lesions |= {image: kept for image, lesion in lesions.items() if dropped and lesion == dropped}
            lesions[one] = lesions[other] = kept
            joined += 1
    print(f"{len(pairs):,} published pairs of duplicates: {joined:,} of two lesions by their ids, now of one.")
    return keep_columns(table.assign(lesion_id=list(lesions.values())))


def read_2024(paths: list[Path]) -> pd.DataFrame:
    """Read the ground truth of 2024: `isic_id,malignant`, 0 or 1."""
    table = with_our_names(read_table(paths[0]).rename(columns={"malignant": "target"}))
    check_table(table, paths[0].name)
    return keep_columns(table)


def add_metadata(table: pd.DataFrame, archive: Path, member: str) -> pd.DataFrame:
    """Add what a table in the archive of the images says of them.

    Args:
        table: one row per image.
        archive: of the images.
        member: the table's file name in it.

    Raises:
        UserError: the archive lacks it, or it cannot be used.
    """
    companion = with_our_names(read_table(archive, member=member, only=METADATA))
    return join_companion(table, companion, f"{member} in {archive.name}")
