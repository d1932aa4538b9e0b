"""Our own tables: all text when read, exact numbers when written."""

from pathlib import Path

import pandas as pd

from lesions.core.errors import reading

EXACT = "%.9g"
"""The format of float32 in our tables: nine digits bring back the same bits."""


def write_csv(table: pd.DataFrame, path: Path, float_format: str | None = None) -> None:
    """Write one of our own tables, without its index: the same bytes on each system, since DVC hashes them.

    Args:
        table: the table.
        path: of the file.
        float_format: of numbers, such as `EXACT`; None for the shortest text that brings back the same bits.
    """
    table.to_csv(path, index=False, float_format=float_format, lineterminator="\n")


def read_csv(path: Path) -> pd.DataFrame:
    """Read one of our own tables: every value as the text that it is, "" where there is none.

    Raises:
        UserError: it is missing or damaged.
    """
    with reading(path):
        return pd.read_csv(path, dtype=str, keep_default_na=False)
