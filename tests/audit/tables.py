"""Parameters and tables that the tests of the audit share."""

from typing import Any

import numpy as np
import pandas as pd
from ruamel.yaml import YAML

from lesions.audit.associations import uncertainty_coefficients
from lesions.audit.bias_checks import Finding, find_warnings
from lesions.audit.classes import class_table
from lesions.audit.normalise import normalise
from lesions.audit.usable import Audit
from lesions.params.clean import Clean
from tests.conftest import ROOT

DEFAULT: dict[str, Any] = YAML(typ="safe").load((ROOT / "params.yaml").read_text())["clean"]
AUDIT = (ROOT / "docs/audit.md").read_text(encoding="utf-8")
TWO = {
    "malignant": {"diagnoses": ["melanoma", "BCC"], "malignancy": "malignant"},
    "benign": {"diagnoses": ["nv", "my own mole"], "malignancy": "benign"},
}


def params(**changes: object) -> Clean:
    return Clean.check(DEFAULT | changes)


def table(rows: int = 1, **columns: object) -> pd.DataFrame:
    """A table of images as it comes, past the classes."""
    ids = [f"p{number:04}" for number in range(rows)]
    fixed = {"image_id": ids, "archive": "a.zip", "member": ids, "sha256": ids, "height": 450, "width": 600, "ita": ""}
    return pd.DataFrame({**fixed, "label": "nv", "diagnosis": "nv", **columns}, index=range(rows))


def images(rows: int, **columns: object) -> pd.DataFrame:
    """A table of images past the audit, each of a lesion of its own, of mel and nv in turns."""
    labels = columns.get("label", np.resize(["mel", "nv"], rows))
    given = {"label": labels, "diagnosis": labels, "lesion_id": [f"L{number}" for number in range(rows)], **columns}
    done = normalise(table(rows, **given), "placeholder")
    duplicates = pd.Series(columns.get("near_duplicate_id", ""), index=done.index)
    return done.assign(group_id=done["image_id"], known_pair_id="", known_group_id="", near_duplicate_id=duplicates)


def warnings_of(data: pd.DataFrame) -> list[Finding]:
    return find_warnings(data, class_table(data, params()), uncertainty_coefficients(data), {}, [])


def keys(data: pd.DataFrame) -> list[str]:
    """The warnings of this data, but for those that all data so small has."""
    return [warning.key for warning in warnings_of(data) if warning.key != "few_lesions"]


def as_audit(images: pd.DataFrame, classes: pd.DataFrame) -> Audit:
    """Return these images as an audit that set nothing aside and found no duplicates."""
    return Audit(
        images,
        pd.DataFrame(columns=["image_id", "archive", "member", "reason"], dtype=str),
        pd.DataFrame({"lesion_id_one": [], "lesion_id_other": []}, dtype=str),
        classes,
        images[["image_id"]],
        {"pairs": {}, "in_two_published_splits": 0, "conflicts": [], "left": []},
        {},
        "",
    )
