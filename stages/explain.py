"""Explain: where does it look when it is wrong?

A gallery of errors and near-errors with heat maps, a check whether these maps mean anything, and a map of the pictures
as the network sees them. Of the test pictures, or of val where `evaluate.sides` leaves test out or there are none; the
augmented copies are left out.
"""

import lesions.models.common.determinism  # noqa: F401 - before all that imports Keras

# isort: split
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import keras
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesions.core import image_array as packed
from lesions.core.csv_files import read_csv
from lesions.core.errors import UserError
from lesions.core.json_files import read_json, write_json
from lesions.core.stage import run_stage
from lesions.explain import embedding, gallery
from lesions.explain import sanity_check as sanity
from lesions.explain.gallery import Cell, Example
from lesions.explain.grad_cam import heat_maps
from lesions.explain.overlay import beside, overlay
from lesions.models.common import saving as model_file
from lesions.params.evaluate import Evaluate
from lesions.params.explain import Explain

MODELS = Path("models")
PREDICTIONS = Path("data/predictions/predictions.csv")
GALLERY = Path("reports/gallery")
CHECKED = 100
"""Pictures of the sanity check."""


class Judged(NamedTuple):
    """The pictures of one side, and what the model said of them.

    Attributes:
        side: test, or val.
        protocol: `honest`, or what leaks.
        classes: their labels.
        ids: (N,), image_id.
        pixels: uint8, (all pictures, height, width, 3), not read yet.
        rows: (N,), of `pixels`.
        labels: (N,), the numbers of the true classes.
        probability: (N, classes).
    """

    side: str
    protocol: str
    classes: list[str]
    ids: list[str]
    pixels: NDArray[np.uint8]
    rows: NDArray[np.int64]
    labels: NDArray[np.int64]
    probability: NDArray[np.float64]


def main() -> None:
    """Write the gallery, the map of the pictures, and the figures of both."""
    params = Explain.read()
    judged = read(Evaluate.read().sides)
    model = model_file.load(MODELS / "model.keras")
    examples = gallery.choose(judged.labels, judged.probability, params.examples)
    shown = write_gallery(model, judged, examples, params.examples)
    random = np.random.default_rng(params.seed)
    map_of_pictures = write_embedding(model, judged, random, params.seed)
    checked = check_maps(model, judged, random, params.seed)
    figures = {"side": judged.side, "protocol": judged.protocol, "gallery": shown, "embedding": map_of_pictures}
    write_json(Path("metrics/explain.json"), {**figures, "sanity_check": checked})
    print(f"{GALLERY}: {len(examples)} pictures of {judged.side}. Heat maps: {checked['verdict']}")
    if judged.protocol != "honest":
        print(f"WARNING: {judged.protocol}. These pictures are no fair test; see metrics/split.json for what leaks.")


def read(sides: Sequence[str]) -> Judged:
    """Read what predict said of the originals on the test side, or on val where test is not judged or holds none.

    Args:
        sides: those that `evaluate` judges.

    Raises:
        UserError: the predictions are of other classes than the model, or of no picture.
    """
    classes: list[str] = read_json(MODELS / "recipe.json")["classes"]
    table = read_csv(PREDICTIONS)
    if list(table.columns[4:]) != classes:
        raise UserError(f"the model knows {classes}, {PREDICTIONS} {list(table.columns[4:])}: run `dvc repro`.")
    pixels, index = packed.read(Path("data/prepared"))
    table = table.merge(pd.DataFrame({"image_id": index["image_id"], "row": range(len(index))}), on="image_id")
    side = "test" if "test" in sides and (table["split"] == "test").any() else "val"
    ours = table[table["split"] == side]
    if ours.empty:
        raise UserError(f"{PREDICTIONS} holds no picture of {side}. Run `dvc repro`.")
    return Judged(
        side,
        ", ".join(sorted(set(ours["protocol"]))),
        classes,
        list(ours["image_id"]),
        pixels,
        ours["row"].to_numpy(np.int64),
        ours["label"].map(classes.index).to_numpy(np.int64),
        ours[classes].to_numpy(np.float64),
    )


def write_gallery(model: keras.Model, judged: Judged, examples: list[Example], most: int) -> dict[str, dict[str, int]]:
    """Write a file an example, `gallery.json`, and the sheet of all; return how many there are to choose from."""
    GALLERY.mkdir(parents=True, exist_ok=True)
    pictures = judged.pixels[judged.rows[[example.row for example in examples]]]
    asked = np.array([example.predicted for example in examples], np.int64)
    maps = heat_maps(model, pictures, asked)
    entries, cells = [], []
    for number, (example, picture, heat) in enumerate(zip(examples, pictures, maps, strict=True), 1):
        file = f"{number:04d}.jpg"
        gallery.save(beside(overlay(picture, heat, gallery.BOX)), GALLERY / file)
        image_id = judged.ids[example.row]
        truth, predicted = judged.classes[example.truth], judged.classes[example.predicted]
        said = judged.probability[example.row]
        highest = float(said[example.predicted])
        entries.append(
            {
                "class": truth,
                "kind": example.kind,
                "image_id": image_id,
                "truth": truth,
                "predicted": predicted,
                "probabilities": dict(zip(judged.classes, said.tolist(), strict=True)),
                "protocol": judged.protocol,
                "file": file,
                "alt": gallery.alt_text(image_id, truth, predicted, highest, example.kind, heat, judged.protocol),
            }
        )
        small = beside(overlay(picture, heat, gallery.SMALL_BOX))
        cells.append(Cell((image_id, f"{truth} -> {predicted} {highest:.2f}"), small))
    write_json(GALLERY / "gallery.json", {"side": judged.side, "protocol": judged.protocol, "entries": entries})

    wrong = judged.probability.argmax(axis=1) != judged.labels
    counts, rows = {}, []
    for number, name in enumerate(judged.classes):
        ours = judged.labels == number
        counts[name] = {"pictures": int(ours.sum()), "errors": int((ours & wrong).sum())}
        of_kind = [
            [cell for cell, one in zip(cells, examples, strict=True) if one.truth == number and one.kind == kind]
            for kind in gallery.KINDS
        ]
        places = [cell for few in of_kind for cell in [*few, *[None] * (most - len(few))]]
        of = f"{counts[name]['errors']:,} of {counts[name]['pictures']:,} wrong" if ours.any() else "no picture"
        rows.append((f"{name}: {of}", places))
    title = [
        f"{judged.side.capitalize()} pictures, {described(judged.protocol)}. Of each class the most confident errors "
        "(left) and the least certain hits (right)",
        "Beside each picture, what spoke for the class that was said (Grad-CAM), most where yellow. "
        "Truth -> said, with its probability.",
    ]
    gallery.write_sheet(rows[: gallery.MOST_ROWS], title, Path("plots/gallery.jpg"), 2 * most)
    return counts


def write_embedding(model: keras.Model, judged: Judged, random: np.random.Generator, seed: int) -> dict[str, Any]:
    """Draw the map of the pictures, or of a random part of them if there are many."""
    chosen = some(len(judged.rows), embedding.MOST, random)
    found = embedding.features(model, judged.pixels[judged.rows[chosen]])
    place, method = embedding.places(found, seed)
    title = f"{judged.side.capitalize()} pictures as the network sees them, by diagnosis ({method})"
    note = (
        f"{described(judged.protocol)}; {len(chosen):,} of {len(judged.rows):,} pictures; nearness alone has a meaning"
    )
    embedding.draw(place, judged.labels[chosen], judged.classes, title, note, Path("plots/embedding.png"))
    return {"method": method, "pictures": len(chosen), "of": len(judged.rows), "features": found.shape[1]}


def check_maps(model: keras.Model, judged: Judged, random: np.random.Generator, seed: int) -> dict[str, Any]:
    """Compare maps with those of random weights, on a random part of the pictures."""
    chosen = some(len(judged.rows), CHECKED, random)
    pictures = judged.pixels[judged.rows[chosen]]
    asked = judged.probability[chosen].argmax(axis=1)
    return sanity.check(model, pictures, asked, heat_maps(model, pictures, asked), seed)


def described(protocol: str) -> str:
    """Return a protocol as a title says it."""
    return "honest protocol" if protocol == "honest" else f"LEAKY protocol: {protocol}"


def some(all_of_them: int, most: int, random: np.random.Generator) -> NDArray[np.int64]:
    """Return the numbers of at most so many, in order."""
    return np.sort(random.choice(all_of_them, min(all_of_them, most), replace=False))


if __name__ == "__main__":
    run_stage(main)
