"""`data/raw`: the one shape that every source is brought into.

- zip archives of pictures, read in place;
- `metadata.csv`, HAM10000's columns;
- `provenance.json`, what each file is and where it came from; without times, which would change its hash.
"""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

NEEDED = ["image_id", "dx"]
OPTIONAL = ["lesion_id", "dx_type", "age", "sex", "localization", "dataset", "patient_id", "split"]
"""HAM10000's columns, in its names, and two that other data sets have."""


@dataclass(frozen=True)
class Fetched:
    """What a source hands over besides the archives that it wrote.

    Attributes:
        table: a row a picture, all values text, "" where a value is missing; `NEEDED` columns and any
            `OPTIONAL` ones.
        provenance: where the data came from: layout, licence, attribution, citation, files.
    """

    table: pd.DataFrame
    provenance: dict[str, Any]


def describe_file(path: Path) -> dict[str, Any]:
    """Return a file's name, size in bytes, and SHA-256, for `provenance.json`."""
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return {"name": path.name, "bytes": path.stat().st_size, "sha256": digest}
