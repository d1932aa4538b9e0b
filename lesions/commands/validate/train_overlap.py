"""Which of a collection's images overlap with those that the model was made from: of train, or of validation?

The same bytes, a near-duplicate, another image of the lesion or the patient, the other image of a known pair, and all
that belongs to one group with one of these. A metric of such images says how well the model remembers.
"""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesions.audit.duplicates import find_duplicates
from lesions.audit.groups import components
from lesions.audit.known_pairs import known_pair_ids
from lesions.audit.scan import EMPTY_FINGERPRINT, scan_images
from lesions.core.csv_files import read_csv
from lesions.core.errors import UserError
from lesions.core.merged_ids import own_id

SPLITS = ("train", "val")
COLUMNS = ["image_id", "split", "label", "lesion_id", "patient_id", "sha256", "collection"]
COLLECTION, MODEL = "0 ", "1 "
"""Prefixes of the image ids of the collection and of the model's own images: both may use the same ids."""


@dataclass(frozen=True)
class ModelImages:
    """The images of train and validation, as far as they are here.

    Attributes:
        table: `COLUMNS`; no row where they are not known.
        luma: uint8, (N, 64, 64), fingerprints of the first N rows, N being 0 where the images are not here.
        colour: float32, (N, 2, 8, 8), the same.
        warnings: sentences: what could not be compared, and why.
        of_this_model: whether the data folder belongs to this very model.
    """

    table: pd.DataFrame
    luma: NDArray[np.uint8]
    colour: NDArray[np.float32]
    warnings: list[str]
    of_this_model: bool


def read(data: Path, sha256: dict[str, str]) -> ModelImages:
    """Read the images of train and validation, and their fingerprints.

    Args:
        data: the pipeline's folder, with raw/, clean/images.csv, split/split.csv and network_outputs/model.json.
        sha256: of the model's files, as in thresholds.json.

    Raises:
        UserError: the tables cannot be read.
    """
    luma = np.zeros((0, *EMPTY_FINGERPRINT.luma.shape), np.uint8)
    colour = np.zeros((0, *EMPTY_FINGERPRINT.colour.shape), np.float32)
    files = [data / name for name in ("clean/images.csv", "split/split.csv")]
    if absent := [file for file in files if not file.is_file()]:
        warning = f"{absent[0]} is missing: the model's training images are not known, and none was left out."
        return ModelImages(pd.DataFrame(columns=COLUMNS, dtype=str), luma, colour, [warning], of_this_model=False)
    images, split = map(read_csv, files)
    images = images.assign(collection=images.get("collection", ""))
    try:
        table = images.merge(split[["image_id", "split"]], on="image_id")
        table = table[table["split"].isin(SPLITS)].sort_values("image_id", ignore_index=True)
        members = table[["archive", "member"]]
        table = table[COLUMNS]
    except KeyError as error:
        raise UserError(
            f"{data}/clean/images.csv and {data}/split/split.csv lack the column {error}, which the pipeline writes. "
            "Make them anew with `dvc repro split`, or name another folder with --data."
        ) from None
    warnings = []
    of_this_model = belongs_to_model(data, sha256)
    if not of_this_model:
        warnings.append(
            f"{data}/network_outputs/model.json does not say that this model was made from {data}: other images than "
            "its own may have been left out."
        )
    missing = sorted(name for name in set(members["archive"]) if not (data / "raw" / name).is_file())
    if missing:
        warnings.append(
            f"{data}/raw has no {', '.join(missing[:3])}: the model's training images are not here. Left out are "
            "images with the same bytes, of the same lesion or of the same patient, and no near-duplicates."
        )
        return ModelImages(table, luma, colour, warnings, of_this_model)
    scanned, luma, colour = scan_images(data / "raw", members)
    good = (scanned["problem"] == "").to_numpy()
    if not good.all():
        warnings.append(
            f"{int((~good).sum()):,} of {len(good):,} images of train and validation can no longer be read from "
            f"{data}/raw: near-duplicates of these were not looked for."
        )
    # Those with a fingerprint first.
    table = pd.concat([table[good], table[~good]], ignore_index=True)
    return ModelImages(table, luma[good], colour[good], warnings, of_this_model)


def belongs_to_model(data: Path, sha256: dict[str, str]) -> bool:
    """Return whether the data folder's predictions were made by this very model; see `read`."""
    try:
        found = json.loads((data / "network_outputs/model.json").read_bytes())["sha256"]
    except (OSError, ValueError, KeyError, TypeError):
        return False
    return isinstance(found, dict) and "model.keras" in found and found.items() <= sha256.items()


def training_labels(data: Path, sha256: dict[str, str]) -> dict[str, str]:
    """Return the class of each diagnosis in the model's training data; {} where these are not here; see `read`."""
    file = data / "clean/classes.csv"
    if not belongs_to_model(data, sha256) or not file.is_file():
        return {}
    table = read_csv(file)
    return {
        code: label
        for label, diagnoses in zip(table["label"], table["diagnoses"], strict=True)
        for code in diagnoses.split("; ")
    }


def find_overlap(
    images: pd.DataFrame, luma: NDArray[np.uint8], colour: NDArray[np.float32], model_images: ModelImages
) -> tuple[pd.DataFrame, "pd.Series[str]"]:
    """Find duplicates within a collection, and its images that overlap with train or validation.

    Args:
        images: of the collection, with `image_id`, `label`, `sha256`, `lesion_id`, `patient_id`, `collection`.
        luma: (N, 64, 64), their fingerprints.
        colour: (N, 2, 8, 8), the same.
        model_images: of `read`.

    Returns:
        The pairs of duplicates within the collection, of `find_duplicates`; and why each image overlaps, or "".
    """
    images = images.assign(
        **{column: _as_in_training(images, model_images.table, column) for column in ("lesion_id", "patient_id")}
    )
    ours = images.assign(image_id=COLLECTION + images["image_id"])
    model = model_images.table.assign(image_id=MODEL + model_images.table["image_id"])
    compared = pd.concat([ours, model.iloc[: len(model_images.luma)]], ignore_index=True)
    pairs = find_duplicates(
        compared, np.concatenate([luma, model_images.luma]), np.concatenate([colour, model_images.colour])
    )
    within = pairs["other"].str.startswith(COLLECTION)
    across = pairs[pairs["one"].str.startswith(COLLECTION) & ~within]

    every = pd.concat([ours, model], ignore_index=True)
    every["known_pair_id"] = known_pair_ids(pd.concat([images["image_id"], model_images.table["image_id"]])).to_numpy()
    component = components(
        every,
        ["lesion_id", "patient_id", "known_pair_id", "sha256"],
        list(zip(pairs["one"], pairs["other"], strict=True)),
    )
    shared = component[: len(ours)].isin(set(component[len(ours) :]))
    reason = pd.Series(np.where(shared, "in one group with an image of train or val", ""), images.index, dtype=str)
    # The strongest reason comes last, and stays.
    for column, reasons in _reasons(model_images.table, across).items():
        stronger = pd.Series([reasons.get(value, "") for value in images[column]], images.index, dtype=str)
        reason = reason.where(stronger == "", stronger)
    inner = pairs[within]
    return inner.assign(**{name: inner[name].str.removeprefix(COLLECTION) for name in ("one", "other")}), reason


def _as_in_training(images: pd.DataFrame, table: pd.DataFrame, column: str) -> "pd.Series[str]":
    """Return ids of lesions or patients as the training data call them; what these do not know keeps its id.

    Of merged collections, an id goes with the collection's name. Images of a collection of another name, or of none,
    may still be of the same clinic: they are compared by the id without it. So are all with training images of no
    collection: a model of merged collections that is recalibrated on a folder has both.
    """
    # In this order, an id that goes with a collection replaces one of none.
    trained = sorted(zip(table["collection"], table[column], strict=True))
    merged = {name for name, _ in trained if name}
    ids = {id_ for _, id_ in trained}
    of_none = {id_: id_ for name, id_ in trained if not name}
    of_any = {own_id(id_, name): id_ for name, id_ in trained if id_}
    found = [
        id_ if id_ in ids else (of_none if name in merged else of_any).get(own_id(id_, name), id_)
        for id_, name in zip(images[column], images["collection"], strict=True)
    ]
    return pd.Series(found, images.index, dtype=str)


def _reasons(table: pd.DataFrame, across: pd.DataFrame) -> dict[str, dict[str, str]]:
    """Return the reason that a value of a column gives; reasons are counted by what stands before the colon."""
    found: dict[str, dict[str, str]] = {"patient_id": {}, "lesion_id": {}, "image_id": {}, "sha256": {}}
    # Backwards, so that the first of several is named.
    named = table[["image_id", "split", "lesion_id", "patient_id", "sha256"]]
    for image_id, split, lesion, patient, sha256 in named[::-1].itertuples(index=False, name=None):
        found["patient_id"][patient] = f"of a patient of {split}: {patient}, as {image_id}"
        found["lesion_id"][lesion] = f"of a lesion of {split}: {lesion}, as {image_id}"
        found["sha256"][sha256] = f"the same bytes as an image of {split}: {image_id}"
    for column in ("patient_id", "lesion_id"):
        found[column].pop("", None)
    split_of = dict(zip(table["image_id"], table["split"], strict=True))
    near = across.sort_values("similarity", kind="stable")
    for one, other, similarity in zip(near["one"], near["other"], near["similarity"], strict=True):
        name = other.removeprefix(MODEL)
        found["image_id"][one.removeprefix(COLLECTION)] = (
            f"near-duplicate of an image of {split_of[name]}: {name}, similarity {similarity:.2f}"
        )
    return found
