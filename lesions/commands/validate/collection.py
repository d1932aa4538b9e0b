"""Another collection, or several as one: its images, and its diagnoses as the model's classes."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesions.audit.classes import NO_DIAGNOSIS
from lesions.audit.normalise import tidy
from lesions.audit.usable import read_images
from lesions.commands.validate.folders import bring
from lesions.core.errors import UserError
from lesions.core.params import did_you_mean
from lesions.core.sanitize import sanitize
from lesions.taxonomy import code_of

AGE_ZERO = "placeholder"
"""As clean.age_zero is by default: in HAM10000 the age 0 says nothing."""


@dataclass(frozen=True)
class Collection:
    """What was found.

    Attributes:
        images: a row a usable image, sorted by `image_id`, in clean's columns as far as one collection gives them;
            `theirs` is the diagnosis as it is written there, `label` the model's class, or, where `known` is False, a
            diagnosis that the model does not know.
        luma: uint8, (N, 64, 64), fingerprints for finding duplicates.
        colour: float32, (N, 2, 8, 8), the same.
        rejects: what cannot be used, with `reason`.
        mapping: of each diagnosis as it is written there: `theirs`; `ours`, the model's class or None; `by`, what says
            that it is; `rows` of the table.
        files: of each archive and table the name and the SHA-256.
    """

    images: pd.DataFrame
    luma: NDArray[np.uint8]
    colour: NDArray[np.float32]
    rejects: pd.DataFrame
    mapping: list[dict[str, Any]]
    files: list[dict[str, Any]]


def parse_mapping(options: Sequence[str], classes: list[str]) -> dict[str, str]:
    """Return the model's class of each diagnosis named in the options, both as codes.

    Args:
        options: THEIRS=OURS each.
        classes: the model's.

    Raises:
        UserError: an option has another form, names no class of the model, or gives one diagnosis two classes.
    """
    found: dict[str, str] = {}
    for option in options:
        theirs, _, ours = (part.strip() for part in option.rpartition("="))
        if not theirs or not ours:
            raise UserError(
                f"--class {sanitize(option)}: expected THEIRS=OURS, a diagnosis of the collection and a class of "
                "the model."
            )
        if code_of(ours) not in classes:
            raise UserError(
                f"--class {sanitize(option)}: the model has no class {sanitize(ours)}; "
                f"{did_you_mean(code_of(ours), classes)}."
            )
        if found.setdefault(code_of(theirs), code_of(ours)) != code_of(ours):
            raise UserError(f"--class maps {sanitize(theirs)} to {found[code_of(theirs)]} and to {ours}; expected one.")
    return found


def read(
    folders: Sequence[Path], raw: Path, classes: list[str], mapping: dict[str, str], training: dict[str, str]
) -> Collection:
    """Read each image of a folder, or of several as one, and map the diagnoses. None is guessed.

    Args:
        folders: see `bring`.
        raw: an empty folder, for links to their archives and for one of their loose images.
        classes: the model's.
        mapping: of `parse_mapping`; goes before the diagnosis's own name.
        training: the class of each diagnosis of the training data, as where clean.classes joined some; goes last.

    Raises:
        UserError: see `bring`; or `mapping` names a diagnosis that the collection has not,
            or no image can be used.
    """
    fetched = bring(folders, raw)
    named = " and ".join(map(str, folders))
    table = fetched.table
    theirs = tidy(table, "dx")
    diagnosis = theirs.map(code_of)
    held = set(diagnosis) - {""}
    if absent := [name for name in mapping if name not in held]:
        raise UserError(
            f"--class names {sanitize(absent[0])}, and {named} has no such diagnosis; "
            f"{did_you_mean(absent[0], held)}. It has: {', '.join(map(sanitize, sorted(held)))}."
        )
    label_of = training | {name: name for name in classes} | mapping
    label = diagnosis.map(lambda name: label_of.get(name, name))
    table = table.assign(theirs=theirs, diagnosis=diagnosis, label=label)
    counts = table[label != ""].groupby(["theirs", "diagnosis", "label"]).size().reset_index(name="rows")
    diagnoses = [
        {
            "theirs": theirs,
            "ours": label if label in classes else None,
            "by": _mapped_by(name, classes, mapping, training),
            "rows": rows,
        }
        for theirs, name, label, rows in counts.itertuples(index=False, name=None)
    ]
    places = {name: place for place, name in enumerate(classes)}
    diagnoses.sort(key=lambda row: (places.get(row["ours"], len(classes)), row["theirs"]))

    # Sorted as images.csv is: the bootstrap's random numbers go by the order.
    table = table.assign(reason=label.map(lambda name: "" if name else NO_DIAGNOSIS)).sort_values("image_id")
    images, luma, colour, rejects = read_images(raw, table, AGE_ZERO)
    if images.empty:
        reasons = rejects["reason"].value_counts().head(8)
        listed = "".join(f"\n  {count:6,} {reason}" for reason, count in reasons.items())
        raise UserError(f"{named} has no image that can be used:{listed}\nMend the images or the table.")
    images = images.assign(theirs=table["theirs"], known=images["label"].isin(classes)).reset_index(drop=True)
    files = [{"name": file["name"], "sha256": file["sha256"]} for file in fetched.provenance["files"]]
    return Collection(images, luma, colour, rejects, diagnoses, files)


def _mapped_by(diagnosis: str, classes: list[str], mapping: dict[str, str], training: dict[str, str]) -> str:
    if diagnosis in mapping:
        return "--class"
    if diagnosis in classes:
        return "its name"
    return "the training data" if diagnosis in training else ""
