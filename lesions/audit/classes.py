"""Map the diagnoses of the table to classes."""

import pandas as pd

from lesions.audit.normalise import tidy
from lesions.core.errors import UserError
from lesions.core.sanitize import unsafe_label
from lesions.params.clean import Clean
from lesions.taxonomy import about, code_of, ordered

NO_DIAGNOSIS = "no diagnosis"
NOT_AMONG = "its diagnosis is not among clean.classes"
"""Why a row of the table has no class; the second is by clean.classes."""


def map_to_classes(table: pd.DataFrame, params: Clean) -> pd.DataFrame:
    """Give each row of the table its class.

    Args:
        table: with `dx`, the diagnosis by any of its names.
        params: `classes` maps diagnoses to classes; {} takes each diagnosis as a class.

    Returns:
        `diagnosis`, its code, and `label`, the class, both "" where there is none; and `reason`, why a row has
        no class, else "".

    Raises:
        UserError: `classes` is set, does not name all diagnoses, and `unmapped_diagnoses` says to stop.
    """
    diagnosis = tidy(table, "dx").map(code_of)
    class_of = params.class_of()
    other = sorted(set(diagnosis) - {""} - set(class_of)) if class_of else []
    if other and params.unmapped_diagnoses == "stop":
        counts = diagnosis.value_counts()
        named = ", ".join(f'"{name}" ({counts[name]:,} images)' for name in ordered(set(other)))
        absent = absent_diagnoses(table, params)
        hint = f" The data has none of: {', '.join(absent)}; is one of them misspelt?" if absent else ""
        raise UserError(
            f"clean.classes in params.yaml does not say what becomes of {named}.{hint} Name each diagnosis in one "
            "class, or set clean.unmapped_diagnoses to keep (each is a class of its own) or set_aside."
        )
    label = diagnosis.replace(class_of)
    if params.unmapped_diagnoses == "set_aside":
        label = label.mask(diagnosis.isin(other), "")
    reason = label.map(lambda name: "" if name else NOT_AMONG).mask(diagnosis == "", NO_DIAGNOSIS)
    return pd.DataFrame({"diagnosis": diagnosis, "label": label, "reason": reason})


def refuse_classes(classes: list[str]) -> None:
    """Stop where the classes' names or number cannot be worked with.

    Raises:
        UserError: there are fewer than two, or a name would be taken for something else.
    """
    if len(classes) < 2:
        raise UserError(f"the table has {len(classes)} diagnosis ({', '.join(classes)}); expected two or more.")
    for label in classes:
        if reason := unsafe_label(label):
            raise UserError(
                f"a class cannot be called {label!r}: it {reason}. Rename it in the table, folder, or clean.classes."
            )


def absent_diagnoses(table: pd.DataFrame, params: Clean) -> list[str]:
    """Return the diagnoses that `clean.classes` names and the data does not hold, as they are written there.

    Args:
        table: with `dx`, the diagnosis by any of its names.
        params: with `classes`.
    """
    held = set(tidy(table, "dx").map(code_of))
    return [name for made in params.classes.values() for name in made.diagnoses if code_of(name) not in held]


def class_table(images: pd.DataFrame, params: Clean) -> pd.DataFrame:
    """Describe the classes in use, in the taxonomy's order: `data/clean/classes.csv`.

    Args:
        images: one row per usable image, with `label` and `diagnosis`.
        params: which may state what a class counts as.

    Returns:
        `label`; `name`, as a person says it; `malignancy`: benign, malignant or unstated; `diagnoses`: the codes of the
        diagnoses that the data has of it, joined by "; ".
    """
    held = images.groupby("label")["diagnosis"].agg(lambda codes: "; ".join(ordered(set(codes))))
    rows = [(label, about(label).name, params.malignancy_of(label), held[label]) for label in ordered(set(held.index))]
    return pd.DataFrame(rows, columns=["label", "name", "malignancy", "diagnoses"])
