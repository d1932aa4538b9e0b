"""PH2's table, whose columns stand between double bars; Mendonça et al., EMBC 2013."""

import re
from pathlib import Path

import pandas as pd

from lesions.core.errors import UserError
from lesions.core.sanitize import sanitize
from lesions.sources.common.metadata_table import check_table

PH2_HEADER = re.compile(r"\|\|\s*name\s*\|\|.*clinical diagnosis", re.IGNORECASE)
DIAGNOSES = {"0": "common nevus", "1": "atypical nevus", "2": "melanoma"}
"""By the numbers of its column `Clinical Diagnosis`."""


def read_ph2(path: Path) -> pd.DataFrame:
    """Read the names and clinical diagnoses of PH2's table; the legend below it is passed over.

    Returns:
        `image_id` and `dx`.

    Raises:
        UserError: a row has another diagnosis, or as `check_table`.
    """
    lines = path.read_text(encoding="utf-8-sig", errors="replace").splitlines()
    rows = [[value.strip() for value in line.strip().strip("|").split("||")] for line in lines if line.startswith("||")]
    header = [name.lower() for name in rows[0]]
    place, diagnosis = header.index("name"), header.index("clinical diagnosis")
    found = []
    for row in rows[1:]:
        if len(row) <= diagnosis or row[diagnosis] not in DIAGNOSES:
            raise UserError(
                f"{path.name}: the row of {sanitize(row[place])} has no clinical diagnosis; expected one of "
                "0 (common nevus), 1 (atypical nevus), 2 (melanoma). Fetch the table again."
            )
        found.append((row[place], DIAGNOSES[row[diagnosis]]))
    table = pd.DataFrame(found, columns=["image_id", "dx"], dtype=str)
    check_table(table, path.name)
    return table
