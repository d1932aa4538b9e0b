"""Run the network: on validation, test, corrupted test and out-of-distribution images.

Nothing else: what turns the network's outputs into answers is `calibrate`. A sample of test is corrupted, or none where
`evaluate.splits` leaves it out.
"""

import lesions.models.common.determinism  # noqa: F401 - before all that imports Keras

# isort: split
import io
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesions.core import image_array
from lesions.core.csv_files import EXACT, write_csv
from lesions.core.errors import UserError, writing
from lesions.core.file_hash import sha256_of
from lesions.core.json_files import read_json, write_json
from lesions.core.stage import run_stage
from lesions.inference.corruptions import choose_sample, predict_corrupted
from lesions.inference.features import feature_model
from lesions.inference.predict import BATCH_SIZE, in_batches, predict_images
from lesions.models.common import dataset, saving
from lesions.params.evaluate import Evaluate
from lesions.params.predict import Predict

MODEL = Path("models/model.keras")
PREPROCESSING = Path("models/preprocessing.json")
OUT = Path("data/network_outputs")


def main() -> None:
    """Write the probabilities and the features of all images that the stages after this one need."""
    params = Predict.read()
    data = dataset.load(Path("data"))
    classes = read_json(PREPROCESSING)["classes"]
    if classes != data.classes:
        raise UserError(f"the model has the classes {classes}, the data {data.classes}: run `dvc repro`.")
    model = feature_model(saving.load(MODEL))
    OUT.mkdir(parents=True, exist_ok=True)

    tables, features = [], []
    for split, tta in (("train", False), ("val", params.tta), ("test", params.tta)):
        rows = data.rows(split, augmented=split == "val")  # rebalance may have put augmented images into val
        found, probabilities = predict_images(
            model, data.batches(rows, BATCH_SIZE), len(rows), tta, f"predicting {split}"
        )
        original = rows < len(data.arrays[0])
        table = data.table.loc[rows, ["image_id", "split", "label"]].assign(leakage=data.leakage)
        tables.append(pd.concat([table.reset_index(drop=True), pd.DataFrame(probabilities, columns=classes)], axis=1))
        features.append((table[original], found[original]))
    predictions = pd.concat(tables[1:], ignore_index=True)
    write_csv(predictions, OUT / "predictions.csv", EXACT)

    test = data.rows("test", augmented=False) if "test" in Evaluate.read().splits else np.empty(0, np.int64)
    known = data.table.loc[test, ["image_id", "split", "label"]].assign(leakage=data.leakage)
    sample = choose_sample(known, params.seed)
    known, batches = known.iloc[sample], data.batches(test[sample], BATCH_SIZE)
    corrupted = predict_corrupted(model, batches, known, classes, tta=params.tta, seed=params.seed)
    write_csv(corrupted, OUT / "corrupted.csv", EXACT)

    pixels, index = image_array.read(Path("data/ood"))
    found, _ = predict_images(model, in_batches(pixels), len(index), False, "predicting out-of-distribution images")
    features.append((index.assign(leakage=data.leakage), found))
    write_csv(pd.concat([table for table, _ in features]), OUT / "features.csv")
    save(OUT / "features.npy", np.concatenate([array for _, array in features]))

    sha256 = {path.name: sha256_of(path) for path in (MODEL, PREPROCESSING)}
    write_json(OUT / "model.json", {"sha256": sha256, "tta": params.tta})
    print(f"{OUT}: {len(predictions):,} images, {len(corrupted):,} corrupted test images, {len(index):,} of no lesion")


def save(path: Path, array: NDArray[np.float32]) -> None:
    """Write an array.

    Raises:
        UserError: it cannot be written.
    """
    content = io.BytesIO()  # of a full disk NumPy does not say that there is no room
    np.save(content, array, allow_pickle=False)
    with writing(path):
        path.write_bytes(content.getbuffer())


if __name__ == "__main__":
    run_stage(main)
