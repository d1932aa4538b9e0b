"""How columns are named in a person's table, and how we name them."""

import re
import unicodedata

from lesions.sources.common.raw_data import COLUMNS

ISIC_COLUMNS = {
    "image": "image_id",
    "diagnosis_confirm_type": "dx_type",
    "age_approx": "age",
    "anatom_site_general": "localization",
}
"""The ISIC challenges' columns, and HAM10000's names for them."""

KNOWN_NAMES = {name.replace("_", ""): name for name in (*COLUMNS, *ISIC_COLUMNS)}
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
