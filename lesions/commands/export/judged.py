"""The pictures that a model learned from and was judged on, where they still lie beside it."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from lesions.classifier import Classifier
from lesions.core import image_array as packed
from lesions.core.csv_files import read_csv
from lesions.core.errors import UserError
from lesions.core.json_files import read_json
from lesions.images.preprocessing import Recipe

SIDES = ("val", "test")


class Side(NamedTuple):
    """One side's pictures, augmented copies left out.

    Attributes:
        pixels: uint8, (N, height, width, 3).
        label: (N,), the numbers of the true classes.
        said: (N, classes), the probabilities that `predict` wrote, before the temperature.
    """

    pixels: NDArray[np.uint8]
    label: NDArray[np.int64]
    said: NDArray[np.float64]


class Judged(NamedTuple):
    """Training pictures' pixels, uint8, (N, height, width, 3), and `SIDES` by name."""

    train: NDArray[np.uint8]
    sides: dict[str, Side]


def read(data: Path, classifier: Classifier, most: int) -> Judged:
    """Return what prepare, split and predict left below `data`.

    Args:
        data: the folder.
        classifier: the model, to whose recipe, classes and judgement they must belong.
        most: training pictures, evenly from all of them.

    Raises:
        UserError: something is missing, or is of another model.
    """
    classes = classifier.decision.classes
    try:
        pixels, index = packed.read(data / "prepared")
        made = read_json(data / "prepared/recipe.json")
        split = read_csv(data / "split/split.csv").set_index("image_id")["split"]
        predictions = read_csv(data / "predictions/pictures_alone.csv").set_index("image_id")
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f"{error.filename} is missing. `dvc repro` or `dvc pull` brings it.") from None
    made_by = Recipe.from_json(made, data / "prepared/recipe.json")
    # predictions.csv may hold augmented copies, which are in no split, and split.csv training pictures.
    judged = predictions["split"][predictions.index.isin(split.index)].sort_index()
    problems = {
        f"{data / 'prepared'} was made by another recipe": made_by != classifier.recipe,
        f"{data / 'prepared'} holds other classes": set(index["label"]) != set(classes),
        f"{data / 'predictions'} holds other classes": not set(classes) <= set(predictions),
        f"{data / 'split'} has other sides": not judged.equals(split[split.isin(SIDES)].sort_index()),
    }
    found = [problem for problem, is_so in problems.items() if is_so]
    if found:
        raise UserError(f"{'; '.join(found)} than the model was made from and judged on. `dvc repro` makes all anew.")
    side_of = split.reindex(index["image_id"]).to_numpy()
    train = np.flatnonzero(side_of == "train")
    train = train[np.unique(np.linspace(0, len(train) - 1, most).astype(int))] if len(train) > most else train
    sides = {}
    for name in SIDES:
        rows = np.flatnonzero(side_of == name)
        known = index.iloc[rows]
        said = predictions.loc[known["image_id"], classes].to_numpy(np.float64)
        label = np.array([classes.index(label) for label in known["label"]], np.int64)
        sides[name] = Side(np.asarray(pixels[rows]), label, said)
    return Judged(np.asarray(pixels[train]), sides)
