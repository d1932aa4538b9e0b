"""Predict: what does the model say of each validation and test picture, and what would it say of worse ones?

Of the augmented copies in val too, where rebalance put some there; the rest is of pictures as they came. Worse ones
are of test, take most of the time, and are left out where `evaluate.sides` leaves test out.
"""

import lesions.models.common.determinism  # noqa: F401 - before all that imports Keras

# isort: split
import io
from collections.abc import Iterator
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image
from tqdm import tqdm

from lesions.core.csv_files import read_csv
from lesions.core.errors import UserError
from lesions.core.json_files import read_json, write_json
from lesions.core.model_hashes import hashes
from lesions.core.stage import run_stage
from lesions.images.preprocessing import Recipe, to_pixels
from lesions.inference import metadata_prior as patient
from lesions.inference import ood as likeness
from lesions.inference import ood_images as other_pictures
from lesions.inference.corruptions import DISTURBANCES, STRENGTHS, disturbed
from lesions.inference.features import with_features
from lesions.inference.predict import BATCH, asked
from lesions.models.common import batches as feeding
from lesions.models.common import dataset as parts
from lesions.models.common import saving as model_file
from lesions.params.evaluate import Evaluate
from lesions.params.predict import Predict

MODELS = Path("models")
OUT = Path("data/predictions")


def main() -> None:
    """Write a row a picture with the probability of each class, the same of disturbed pictures, and the unlikeness."""
    params = Predict.read()
    data = parts.load(Path("data"))
    made = read_json(MODELS / "recipe.json")
    if made["classes"] != data.classes:
        raise UserError(f"the model knows {made['classes']}, the data holds {data.classes}: run `dvc repro`.")
    model = with_features(model_file.load(MODELS / "model.keras"))
    OUT.mkdir(parents=True, exist_ok=True)
    alone = pd.concat([side_table(model, data, side, params.dihedral) for side in ("val", "test")])
    alone.to_csv(OUT / "pictures_alone.csv", index=False, float_format="%.7g")
    images = read_csv(Path("data/clean/images.csv"))
    patients = patient.Patient(classes=data.classes)
    if params.patient:
        train = data.table.loc[originals(data, "train"), "image_id"]
        patients = patient.fit(images[images["image_id"].isin(train)], data.classes)
    patient.save(patients, MODELS)
    table = weighed(alone, patients, images)
    table.to_csv(OUT / "predictions.csv", index=False, float_format="%.7g")
    print(f"{OUT / 'predictions.csv'}: {len(table):,} pictures{', with age, sex and site' if patients.weighs else ''}")

    judged = originals(data, "test") if "test" in Evaluate.read().sides else np.empty(0, np.int64)
    worse = weighed(disturbed_table(model, data, judged, params), patients, images)
    worse.to_csv(OUT / "disturbed.csv", index=False, float_format="%.5g")
    print(f"{OUT / 'disturbed.csv'}: {len(worse):,} disturbed test pictures")

    recipe = Recipe.from_json(made, MODELS / "recipe.json")
    reference, unlike = unlikeness_table(model, data, recipe, params.seed)
    likeness.save(reference, MODELS / "likeness.npz")
    unlike.to_csv(OUT / "unlikeness.csv", index=False, float_format="%.6g")
    print(f"{OUT / 'unlikeness.csv'}: {len(unlike):,} pictures, {int((~on_a_side(unlike)).sum()):,} of no lesion")
    write_json(OUT / "model.json", {"sha256": hashes(MODELS), "dihedral": params.dihedral, "patient": patients.weighs})


def side_table(model: keras.Model, data: parts.Parts, side: str, dihedral: bool) -> pd.DataFrame:
    """Return one side's rows of predictions.csv."""
    rows = data.rows(side)
    table = data.table.loc[rows, ["image_id", "split", "label"]].assign(protocol=data.protocol)
    table[data.classes] = probabilities(model, data.arrays, rows, dihedral, side)
    return table


def weighed(table: pd.DataFrame, patients: patient.Patient, images: pd.DataFrame) -> pd.DataFrame:
    """Return a table of predictions with what images.csv knows of each picture's patient weighed in."""
    known = images.set_index("image_id").reindex(table["image_id"])  # of augmented copies nothing
    said = patient.weighed(table[patients.classes].to_numpy(), patients.log_ratios(known))
    return table.assign(**dict(zip(patients.classes, said.T, strict=True)))


def probabilities(
    model: keras.Model, arrays: list[NDArray[np.uint8]], rows: NDArray[np.int64], dihedral: bool, what: str
) -> NDArray[np.float32]:
    """Return (len(rows), classes): the probabilities of each picture, summing to one."""
    if not len(rows):
        return np.empty((0, model.outputs[1].shape[-1]), np.float32)
    starts = tqdm(range(0, len(rows), BATCH), desc=f"predicting {what}", unit=" batches", disable=None)
    found = [asked(model, feeding.gather(arrays, rows[start : start + BATCH]), dihedral)[1] for start in starts]
    return np.concatenate(found)


def originals(data: parts.Parts, side: str) -> NDArray[np.int64]:
    """Return the rows of one side's pictures that are no augmented copies."""
    rows = data.rows(side)
    return rows[rows < len(data.arrays[0])]


def disturbed_table(model: keras.Model, data: parts.Parts, rows: NDArray[np.int64], params: Predict) -> pd.DataFrame:
    """Return the rows of disturbed.csv: of these pictures, by disturbance, then by strength.

    A batch is read once, and disturbed in all the ways before the next one is.
    """
    ways = [(name, strength) for name in DISTURBANCES for strength in STRENGTHS]
    known = data.table.loc[rows, ["image_id", "split", "label"]].assign(protocol=data.protocol)
    answers = np.empty((len(ways), len(rows), len(data.classes)), np.float32)
    with tqdm(total=len(rows) * len(ways), desc="disturbing test", unit=" pictures", disable=None) as progress:
        for start in range(0, len(rows), BATCH):
            part = slice(start, start + BATCH)
            pictures = feeding.gather(data.arrays, rows[part])
            names = known["image_id"].iloc[part]
            for number, (name, strength) in enumerate(ways):
                worse = [
                    disturbed(picture, name, strength, params.seed, image_id)
                    for picture, image_id in zip(pictures, names, strict=True)
                ]
                answers[number, part] = asked(model, np.stack(worse), params.dihedral)[1]
                progress.update(len(worse))
    tables = [known.assign(disturbance=name, strength=strength) for name, strength in ways]
    table = pd.concat(tables, ignore_index=True)
    table[data.classes] = answers.reshape(-1, len(data.classes))
    return table


def unlikeness_table(
    model: keras.Model, data: parts.Parts, recipe: Recipe, seed: int
) -> tuple[likeness.Reference, pd.DataFrame]:
    """Return what is kept of the training pictures, and the rows of unlikeness.csv.

    `label` is the diagnosis, or what kind of a picture it is that shows no lesion: then `split` is `generated` (drawn
    here) or `shipped` (by installed packages).
    """
    rows = originals(data, "train")
    reference = likeness.fit(features(model, batches_of(data, rows), len(rows), "train"), data.labels(rows))
    tables = []
    for side in ("val", "test"):
        rows = originals(data, side)
        unlike = likeness.score(reference, features(model, batches_of(data, rows), len(rows), side))
        tables.append(data.table.loc[rows, ["image_id", "split", "label"]].assign(unlikeness=unlike))
    drawn = list(other_pictures.generated(*recipe.px, seed))
    photographs = [(name, kind, to_pixels(as_png(picture), recipe)) for name, kind, picture in other_pictures.shipped()]
    for split, others in (("generated", drawn), ("shipped", photographs)):
        pictures = np.stack([picture for *_, picture in others])
        batches = (pictures[start : start + BATCH] for start in range(0, len(pictures), BATCH))
        known = pd.DataFrame([other[:2] for other in others], columns=["image_id", "label"]).assign(split=split)
        found = likeness.score(reference, features(model, batches, len(pictures), split))
        tables.append(known.assign(unlikeness=found)[["image_id", "split", "label", "unlikeness"]])
    table = pd.concat(tables, ignore_index=True)
    table.insert(3, "protocol", data.protocol)
    return reference, table


def features(model: keras.Model, batches: Iterator[NDArray[np.uint8]], pictures: int, what: str) -> NDArray[np.float32]:
    """Return (pictures, features): what the last layer sees of each picture."""
    found = [np.empty((0, model.outputs[0].shape[1]), np.float32)]
    with tqdm(total=pictures, desc=f"likeness of {what}", unit=" pictures", disable=None) as progress:
        for batch in batches:
            found.append(asked(model, batch, dihedral=False)[0])
            progress.update(len(batch))
    return np.concatenate(found)


def on_a_side(table: pd.DataFrame) -> "pd.Series[bool]":
    """Return which rows of unlikeness.csv show a lesion."""
    return table["split"].isin(["val", "test"])


def batches_of(data: parts.Parts, rows: NDArray[np.int64]) -> Iterator[NDArray[np.uint8]]:
    """Yield the pixels of rows, `BATCH` pictures at a time."""
    return (feeding.gather(data.arrays, rows[start : start + BATCH]) for start in range(0, len(rows), BATCH))


def as_png(picture: Image.Image) -> bytes:
    """Return it as a file's bytes: a recipe begins with those."""
    file = io.BytesIO()
    picture.save(file, "PNG")
    return file.getvalue()


if __name__ == "__main__":
    run_stage(main)
