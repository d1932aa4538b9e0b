"""Which images of a collection a model may be evaluated on, or recalibrated on: all but those that it has seen."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

from lesions.audit.label_conflicts import label_conflicts
from lesions.audit.matching import set_aside
from lesions.audit.merged import renamed_sets, set_duplicates_aside
from lesions.audit.usable import with_groups
from lesions.commands.validate.collection import Collection
from lesions.commands.validate.collection import read as read_collection
from lesions.commands.validate.train_overlap import COLUMNS, ModelImages, find_overlap, training_labels
from lesions.commands.validate.train_overlap import read as read_model_images
from lesions.core.csv_files import read_csv
from lesions.core.errors import UserError
from lesions.core.file_hash import sha256_of
from lesions.core.sanitize import sanitize
from lesions.evaluation.common.recalibration import IMAGES
from lesions.evaluation.common.thresholds import THRESHOLDS_FILE, Thresholds

NO_CASES = (
    "the collection names no lesions and no patients, so none could be compared with those of training, and each image "
    "counts as a lesion of its own: where it has several of one lesion, the intervals are too narrow."
)
KINDS = {
    "train overlap": "the model was made from them, or from images of the same lesion or patient",
    "unusable": "no image, no row in the table, no diagnosis, or not readable",
    "label conflict": "a duplicate has another diagnosis",
    "duplicate": "another of the collections holds the better copy",
    "unknown class": "the model does not know the diagnosis",
}
"""Why an image is left out."""


@dataclass(frozen=True)
class Selection:
    """What a collection holds for a model.

    Attributes:
        found: the collection.
        images: its images that the model has not seen, with `near_duplicate_id` and `group_id`; some may be of classes
            that it does not know (`known`).
        left_out: by kind, tables in the columns of `lesions.audit.matching.REJECTS`.
        model_images: those that the model was made from.
        names_cases: whether lesions or patients are named.
    """

    found: Collection
    images: pd.DataFrame
    left_out: dict[str, pd.DataFrame]
    model_images: ModelImages
    names_cases: bool


def select_images(
    folders: Sequence[Path], data: Path, models: Path, thresholds: Thresholds, mapping: dict[str, str], raw: Path
) -> Selection:
    """Read a collection, or several as one, and leave out what the model has seen, what cannot be used, and duplicates.

    Args:
        folders: the collections'.
        data: the pipeline's folder, with the images that the model was made from.
        models: the model's folder.
        thresholds: the model's.
        mapping: of `parse_mapping`.
        raw: an empty folder, for links to the archives.

    Raises:
        UserError: nothing is left.
    """
    sha256, named = thresholds.model.sha256, " and ".join(map(str, folders))
    found = read_collection(folders, raw, thresholds.classes, mapping, training_labels(data, sha256))
    if not found.images["known"].any():
        theirs = ", ".join(sanitize(row["theirs"]) for row in found.mapping)
        raise UserError(
            f"the model knows none of the diagnoses of {named}: {theirs}. Its classes: "
            f"{', '.join(thresholds.classes)}. Say which is which: --class THEIRS=OURS, once for each."
        )
    model_images = read_model_images(data, sha256)
    if thresholds.recalibrated:
        model_images = with_recalibration(model_images, models, thresholds.recalibrated.images_sha256)
    pairs, overlap = find_overlap(found.images, found.luma, found.colour, model_images)
    images = found.images[overlap == ""]
    conflict = label_conflicts(images, pairs, "drop")
    left_out = {
        "unusable": found.rejects,
        "train overlap": set_aside(found.images, overlap),
        "label conflict": set_aside(images, conflict),
    }
    # Those in conflict too: what is known of one joins the lesions of others.
    images = with_groups(images, pairs)[conflict == ""].reset_index(drop=True)
    duplicate = set_duplicates_aside(images)
    left_out["duplicate"] = set_aside(images, duplicate)
    images = renamed_sets(images[duplicate == ""].reset_index(drop=True))
    _check_any_left(images, left_out, named)
    names_cases = bool((images[["lesion_id", "patient_id"]] != "").to_numpy().any())
    return Selection(found, images, left_out, model_images, names_cases)


def with_recalibration(model_images: ModelImages, models: Path, expected: str) -> ModelImages:
    """Add the images that a model was recalibrated on; they have no fingerprints, so near-duplicates stay.

    Raises:
        UserError: their table is not the one that was written with the thresholds.
    """
    path = models / IMAGES
    if not path.is_file() or sha256_of(path) != expected:
        raise UserError(
            f"{path} is missing, or not the table that was written with {models}/{THRESHOLDS_FILE}: which images the "
            "thresholds were fitted on is not known. Bring it back, or make the model anew with `lesions recalibrate`."
        )
    table = read_csv(path)[COLUMNS]
    return replace(model_images, table=pd.concat([model_images.table, table], ignore_index=True))


def _check_any_left(images: pd.DataFrame, left_out: dict[str, pd.DataFrame], named: str) -> None:
    if not images["known"].any():
        listed = "".join(f"\n  {len(rows):6,} {KINDS[kind]}" for kind, rows in left_out.items() if len(rows))
        raise UserError(
            f"no image of {named} is left to evaluate:{listed}\nA collection must hold other images, of other "
            "lesions, than those that the model was made from, and diagnoses that the model knows."
        )
