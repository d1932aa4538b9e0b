"""Reading our own tables."""

from pathlib import Path

import pandas as pd


def read_csv(path: Path) -> pd.DataFrame:
    """Read one of our own tables: every value as the text that it is, "" where there is none."""
    return pd.read_csv(path, dtype=str, keep_default_na=False)
