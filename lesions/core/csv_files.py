"""Our own tables: all text when read, exact numbers when written."""

from pathlib import Path

import pandas as pd

from lesions.core.errors import reading

EXACT = "%.9g"
"""The format of float32 in our tables: nine digits bring back the same bits."""


def read_csv(path: Path) -> pd.DataFrame:
    """Read one of our own tables: every value as the text that it is, "" where there is none.

    Raises:
        UserError: it is missing or damaged.
    """
    with reading(path):
        return pd.read_csv(path, dtype=str, keep_default_na=False)
