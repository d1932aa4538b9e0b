"""How columns are named in a person's table, and how we name them."""

import re
import unicodedata
from collections.abc import Sequence

from lesions.sources.common.raw_data import COLUMNS

SYNONYMS = {
    "image_id": ("isic_id", "image", "image_name", "img_id", "filename", "file_name", "md5hash", "derm"),
    "dx": ("diagnosis", "diagnostic", "label", "class", "benign_malignant", "target"),
    "dx_type": ("diagnosis_confirm_type",),
    "age": ("age_approx", "age_approximate"),
    "sex": ("gender",),
    "lesion_id": ("lesion",),
    "patient_id": ("patient", "subject_id"),
    "localization": (
        *("anatom_site_general", "anatom_site_general_challenge", "anatom_site", "site", "location", "region"),
    ),
    "dataset": ("attribution",),
}
"""Our columns, HAM10000's, by what other data sets call them: the ISIC archive and challenges, PAD-UFES-20,
Fitzpatrick17k, derm7pt, and tables that people make. Of several that a table has, the first counts."""
LEVELS = tuple(f"diagnosis_{level}" for level in (5, 4, 3, 2, 1))
"""The ISIC archive's columns of a diagnosis, the deepest first."""
SITE_LEVELS = tuple(f"anatom_site_{level}" for level in (1, 2, 3, 4, 5))
"""Its columns of a site, from the coarsest on."""

KNOWN_NAMES = {
    name.replace("_", ""): name
    for name in (*COLUMNS, *(name for names in SYNONYMS.values() for name in names), *LEVELS, *SITE_LEVELS)
}
"""Names of columns that are read, by their letters alone."""


def column_name(text: str) -> str:
    """Return a column's name in lower case, and a known one as we write it, whatever stands between its letters.

    A column that nearly has a known name would else be passed over: without its lesion ids a split divides lesions.

    >>> [column_name(text) for text in ("\ufeffImage ID", "lesionid", "Dx-Type", "my notes")]
    ['image_id', 'lesion_id', 'dx_type', 'my notes']
    """
    visible = "".join(c for c in unicodedata.normalize("NFKC", text) if unicodedata.category(c) != "Cf")
    plain = visible.strip().lower()
    return KNOWN_NAMES.get(re.sub(r"[\s_.-]+", "", plain), plain)


def our_names(header: Sequence[str]) -> dict[str, str]:
    """Return, of a table's columns, those that mean one of ours, and which: what has our own name goes first.

    >>> our_names(["isic_id", "image", "diagnosis", "target", "age", "age_approx"])
    {'isic_id': 'image_id', 'diagnosis': 'dx'}

    Args:
        header: names, as `column_name` gives them.
    """
    found = {}
    for ours, theirs in SYNONYMS.items():
        present = [name for name in theirs if name in header]
        if ours not in header and present:
            found[present[0]] = ours
    return found
