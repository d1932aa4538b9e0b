"""Which of a collection's images has the model seen: of its training, or of the validation that chose its thresholds?

The same bytes, the same image in another form, another image of the lesion or the patient, and all that belongs
together with one of these. A metric of such images says how well the model remembers.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesions.audit.duplicates import find_duplicates
from lesions.audit.groups import components
from lesions.audit.scan import EMPTY_FINGERPRINT, scan_images
from lesions.core.csv_files import read_csv
from lesions.core.errors import UserError

SPLITS = ("train", "val")
KEPT = ["image_id", "split", "label", "lesion_id", "patient_id", "sha256"]
OURS, THEIRS = "0 ", "1 "
"""Before the ids of the collection, and of what the model has seen: they may be called alike."""


@dataclass(frozen=True)
class Seen:
    """The images that the model has seen, as far as they are here.

    Attributes:
        table: `KEPT`; no row where it is not known which they are.
        luma: uint8, (N, 64, 64), of the first N rows, N being 0 where the images themselves are not here.
        colour: float32, (N, 2, 8, 8), the same.
        doubts: sentences: what could not be looked for, and why.
        of_this_model: whether the folder's predictions were made by this very model.
    """

    table: pd.DataFrame
    luma: NDArray[np.uint8]
    colour: NDArray[np.float32]
    doubts: list[str]
    of_this_model: bool


def read(data: Path, model: dict[str, str]) -> Seen:
    """Read which images a model has seen, and look at them.

    Args:
        data: the pipeline's folder, with raw/, clean/images.csv, split/split.csv and network_outputs/model.json.
        model: the SHA-256 of the model's files, as thresholds.json has them.
    """
    luma = np.zeros((0, *EMPTY_FINGERPRINT.luma.shape), np.uint8)
    colour = np.zeros((0, *EMPTY_FINGERPRINT.colour.shape), np.float32)
    try:
        images, split = (read_csv(data / name) for name in ("clean/images.csv", "split/split.csv"))
        table = images.merge(split[["image_id", "split"]], on="image_id")
        table = table[table["split"].isin(SPLITS)].sort_values("image_id", ignore_index=True)
        members = table[["archive", "member"]]
        table = table[KEPT]
    except FileNotFoundError as error:
        doubt = f"{error.filename} is not here: which images the model has seen is not known, and none was left out."
        return Seen(pd.DataFrame(columns=KEPT, dtype=str), luma, colour, [doubt], of_this_model=False)
    except (KeyError, ValueError, OSError) as error:
        raise UserError(
            f"{data}/clean/images.csv and {data}/split/split.csv cannot be read as the pipeline writes them ({error}). "
            "Make them anew with `dvc repro split`, or name another folder with --data."
        ) from None
    doubts = []
    of_this_model = is_of(data, model)
    if not of_this_model:
        doubts.append(
            f"{data}/network_outputs/model.json does not say that {data} is what this model was made from: the "
            "images left out may be other ones than those that it has seen."
        )
    missing = sorted(name for name in set(members["archive"]) if not (data / "raw" / name).is_file())
    if missing:
        doubts.append(
            f"{data}/raw has no {', '.join(missing[:3])}: the images that the model has seen are not here. Left out "
            "are those with the same bytes, of the same lesion or of the same patient, and no copies in another form."
        )
        return Seen(table, luma, colour, doubts, of_this_model)
    looked, luma, colour = scan_images(data / "raw", members)
    good = (looked["problem"] == "").to_numpy()
    if not good.all():
        doubts.append(
            f"{int((~good).sum()):,} of the {len(good):,} images that the model has seen can no longer be read from "
            f"{data}/raw: of these, no copies in another form were looked for."
        )
    # Those with a fingerprint first.
    table = pd.concat([table[good], table[~good]], ignore_index=True)
    return Seen(table, luma[good], colour[good], doubts, of_this_model)


def is_of(data: Path, model: dict[str, str]) -> bool:
    """Tell whether the folder's predictions were made by this very model; see `read`."""
    try:
        found = json.loads((data / "network_outputs/model.json").read_bytes())["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return isinstance(found, dict) and found.items() <= model.items()


def made_of(data: Path, model: dict[str, str]) -> dict[str, str]:
    """Return the class of each diagnosis that a model's training data had; {} where these are not here."""
    file = data / "clean/classes.csv"
    if not is_of(data, model) or not file.is_file():
        return {}
    table = read_csv(file)
    return {code: label for label, of in zip(table["label"], table["of"], strict=True) for code in of.split("; ")}


def find(
    images: pd.DataFrame, luma: NDArray[np.uint8], colour: NDArray[np.float32], seen: Seen
) -> tuple[pd.DataFrame, "pd.Series[str]"]:
    """Find the copies among a collection's images, and those that the model has seen.

    Args:
        images: of the collection, with `image_id`, `label`, `sha256`, `lesion_id`, `patient_id`.
        luma: (N, 64, 64), their fingerprints.
        colour: (N, 2, 8, 8), the same.
        seen: of `read`.

    Returns:
        The pairs of copies within the collection, of `find_duplicates`; and why each image counts as seen, or "".
    """
    ours = images.assign(image_id=OURS + images["image_id"])
    theirs = seen.table.assign(image_id=THEIRS + seen.table["image_id"])
    shown = pd.concat([ours, theirs.iloc[: len(seen.luma)]], ignore_index=True)
    copies = find_duplicates(shown, np.concatenate([luma, seen.luma]), np.concatenate([colour, seen.colour]))
    within = copies["other"].str.startswith(OURS)
    across = copies[copies["one"].str.startswith(OURS) & ~within]

    every = pd.concat([ours, theirs], ignore_index=True)
    pairs = list(zip(copies["one"], copies["other"], strict=True))
    component = components(every, ["lesion_id", "patient_id", "sha256"], pairs)
    known = set(component[len(ours) :])
    group = component[: len(ours)].isin(known).map({True: "belongs to an image that was seen", False: ""})
    reason = pd.Series(group.to_numpy(), images.index, dtype=str)
    # What says most comes last, and stays.
    for column, told in _told(seen.table, across).items():
        ours_told = pd.Series([told.get(value, "") for value in images[column]], images.index, dtype=str)
        reason = reason.where(ours_told == "", ours_told)
    inner = copies[within]
    return inner.assign(**{name: inner[name].str.removeprefix(OURS) for name in ("one", "other")}), reason


def _told(seen: pd.DataFrame, across: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Return for columns of a collection what is told of their values; what stands before a colon is counted together.

    Args:
        seen: the table.
        across: pairs of copies, `one` of the collection, `other` seen.
    """
    # Backwards, so that the first of several is named.
    rows = list(seen[::-1][KEPT].itertuples(index=False, name=None))
    found: dict[str, dict[str, str]] = {"patient_id": {}, "lesion_id": {}, "image_id": {}, "sha256": {}}
    for image_id, split, _, lesion, patient, sha256 in rows:
        found["patient_id"][patient] = f"of a patient of {split}: {patient}, as {image_id}"
        found["lesion_id"][lesion] = f"of a lesion of {split}: {lesion}, as {image_id}"
        found["sha256"][sha256] = f"the same bytes as an image of {split}: {image_id}"
    for column in ("patient_id", "lesion_id"):
        found[column].pop("", None)
    split_of = dict(zip(seen["image_id"], seen["split"], strict=True))
    near = across.sort_values("similarity", kind="stable")
    for one, other, similarity in zip(near["one"], near["other"], near["similarity"], strict=True):
        name = other.removeprefix(THEIRS)
        found["image_id"][one.removeprefix(OURS)] = (
            f"in another form an image of {split_of[name]}: {name}, similarity {similarity:.2f}"
        )
    return found
