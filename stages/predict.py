"""Predict: what does the model say of each validation and test picture?

Of the augmented copies in val too, where rebalance put some there.
"""

import lesions.deterministic  # noqa: F401 - before all that imports Keras

# isort: split
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from lesions import feeding, model_file, parts
from lesions.errors import UserError
from lesions.outputs import read_json
from lesions.params.predict import Predict
from lesions.running import run_stage

MODELS = Path("models")
OUT = Path("data/predictions/predictions.csv")
BATCH = 64


def main() -> None:
    """Write a row a picture with the probability of each class."""
    params = Predict.read()
    data = parts.load(Path("data"))
    classes = read_json(MODELS / "recipe.json")["classes"]
    if classes != data.classes:
        raise UserError(f"the model knows {classes}, the data holds {data.classes}: run `dvc repro`.")
    model = model_file.load(MODELS / "model.keras")
    tables = [side_table(model, data, side, params.dihedral) for side in ("val", "test")]
    OUT.parent.mkdir(parents=True, exist_ok=True)
    table = pd.concat(tables)
    table.to_csv(OUT, index=False, float_format="%.7g")
    print(f"{OUT}: {len(table):,} pictures")


def side_table(model: keras.Model, data: parts.Parts, side: str, dihedral: bool) -> pd.DataFrame:
    """Return one side's rows of predictions.csv."""
    rows = data.rows(side)
    table = data.table.loc[rows, ["image_id", "split", "label"]].assign(protocol=data.protocol)
    table[data.classes] = probabilities(model, data.arrays, rows, dihedral, side)
    return table


def probabilities(
    model: keras.Model, arrays: list[NDArray[np.uint8]], rows: NDArray[np.int64], dihedral: bool, what: str
) -> NDArray[np.float32]:
    """Return (len(rows), classes): the probabilities of each picture, summing to one."""
    starts = tqdm(range(0, len(rows), BATCH), desc=f"predicting {what}", unit=" batches", disable=None)
    found = []
    for start in starts:
        pictures = feeding.gather(arrays, rows[start : start + BATCH])
        views = orientations(pictures) if dihedral else [pictures]
        found.append(np.mean([model(view, training=False).numpy() for view in views], axis=0))
    return np.concatenate(found)


def orientations(pictures: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Return the flips and quarter turns that keep the shape: eight of square pictures, else four.

    Args:
        pictures: (N, height, width, 3).
    """
    square = pictures.shape[1] == pictures.shape[2]
    turned = [np.rot90(pictures, turns, axes=(1, 2)) for turns in (range(4) if square else (0, 2))]
    return turned + [view[:, :, ::-1] for view in turned]


if __name__ == "__main__":
    run_stage(main)
