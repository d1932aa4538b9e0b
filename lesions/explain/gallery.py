"""The gallery: of each class the most confident errors and the least confident correct predictions.

What comes from tables is text here and nothing else: no file is named after an image or a class, and what is drawn
or read aloud has passed `lesions.core.sanitize`.
"""

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

import keras
import matplotlib as mpl
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

from lesions.core.json_files import write_json
from lesions.core.sanitize import sanitize
from lesions.explain.explained import ExplainedSplit, leakage_note
from lesions.explain.grad_cam import heat_maps
from lesions.explain.overlay import GAP, beside, hottest_place, overlay

Kind = Literal["confident_error", "unconfident_correct"]
KINDS: dict[Kind, str] = {"confident_error": "error", "unconfident_correct": "correct"}

BOX = (512, 256)
"""Width and height into which each image of a file in the gallery is scaled: 256 high, if it is not very wide."""
SMALL_BOX = (208, 104)
LINE = 17
"""Pixels of the sheet: between images, and for a line of text."""
MOST_ROWS = 40
"""Classes on the sheet; the folder has all."""


class Example(NamedTuple):
    """One image of the gallery.

    Attributes:
        row: its row in the table of predictions.
        kind: error or correct prediction.
        truth: its label, as an integer.
        predicted: the label of the highest probability.
    """

    row: int
    kind: Kind
    truth: int
    predicted: int


class Cell(NamedTuple):
    """A place of the sheet: lines of text over an image."""

    caption: tuple[str, str]
    image: Image.Image


def choose(labels: NDArray[np.int64], probability: NDArray[np.float64], examples: int) -> list[Example]:
    """Return of each class its most confident errors, then its least confident correct predictions, if it has any.

    The confidence is the probability of the predicted class. Between equals the first row goes first.

    Args:
        labels: (N,), the true labels, as integers.
        probability: (N, classes).
        examples: how many of each kind a class.
    """
    predicted = probability.argmax(axis=1)
    highest = probability.max(axis=1)
    found = []
    for truth in range(probability.shape[1]):
        wrong = np.flatnonzero((labels == truth) & (predicted != truth))
        right = np.flatnonzero((labels == truth) & (predicted == truth))
        errors = wrong[np.argsort(-highest[wrong], kind="stable")][:examples]
        correct = right[np.argsort(highest[right], kind="stable")][:examples]
        found += [Example(row, "confident_error", truth, int(predicted[row])) for row in errors.tolist()]
        found += [Example(row, "unconfident_correct", truth, truth) for row in correct.tolist()]
    return found


def alt_text(
    image_id: str, truth: str, predicted: str, probability: float, kind: Kind, heat: NDArray[np.float32], leakage: str
) -> str:
    """Return a sentence that stands for the image where it is not seen."""
    if heat.max() > 0:
        where = f"the heat map for {sanitize(predicted)} is hottest at the {hottest_place(heat)}"
    else:
        where = f"no place raised the score of {sanitize(predicted)}"
    leak = "" if leakage == "none" else f" Leakage: {sanitize(leakage)}."
    return (
        f"{KINDS[kind].capitalize()}: image {sanitize(image_id)} of {sanitize(truth)}, predicted as "
        f"{sanitize(predicted)} with probability {probability:.2f}; {where}.{leak}"
    )


def write_gallery(
    model: keras.Model, split: ExplainedSplit, examples: list[Example], most: int, folder: Path, sheet: Path
) -> dict[str, dict[str, int]]:
    """Write a file an example, `gallery.json`, and the sheet of all.

    Args:
        model: the network.
        split: its images.
        examples: of `choose`.
        most: examples of a kind and class.
        folder: gets the files.
        sheet: the JPEG with all examples.

    Returns:
        For each class how many images and how many errors there are to choose from.
    """
    folder.mkdir(parents=True, exist_ok=True)
    images = split.pixels[split.rows[[example.row for example in examples]]]
    maps = heat_maps(model, images, np.array([example.predicted for example in examples], np.int64))
    entries, cells = [], []
    for number, (example, image, heat) in enumerate(zip(examples, images, maps, strict=True), 1):
        file = f"{number:04d}.jpg"
        save(beside(overlay(image, heat, BOX)), folder / file)
        entries.append(_entry(split, example, heat, file))
        highest = float(split.probability[example.row][example.predicted])
        caption = (entries[-1]["image_id"], f"{entries[-1]['truth']} -> {entries[-1]['predicted']} {highest:.2f}")
        cells.append(Cell(caption, beside(overlay(image, heat, SMALL_BOX))))
    write_json(folder / "gallery.json", {"split": split.split, "leakage": split.leakage, "entries": entries})

    wrong = split.probability.argmax(axis=1) != split.labels
    counts, rows = {}, []
    for label, name in enumerate(split.classes):
        ours = split.labels == label
        counts[name] = {"images": int(ours.sum()), "errors": int((ours & wrong).sum())}
        of_kind = [
            [cell for cell, one in zip(cells, examples, strict=True) if one.truth == label and one.kind == kind]
            for kind in KINDS
        ]
        places = [cell for few in of_kind for cell in [*few, *[None] * (most - len(few))]]
        errors = f"{counts[name]['errors']:,} of {counts[name]['images']:,} wrong" if ours.any() else "no image"
        rows.append((f"{name}: {errors}", places))
    title = [
        f"{split.split.capitalize()} images, {leakage_note(split.leakage)}. Of each class the most confident errors "
        "(left) and the least confident correct predictions (right)",
        "Beside each image, the Grad-CAM heat map for the predicted class, highest where yellow. "
        "Truth -> prediction, with its probability.",
    ]
    write_sheet(rows[:MOST_ROWS], title, sheet, 2 * most)
    return counts


def _entry(split: ExplainedSplit, example: Example, heat: NDArray[np.float32], file: str) -> dict[str, Any]:
    """Return an example's entry of gallery.json."""
    image_id = split.ids[example.row]
    truth, predicted = split.classes[example.truth], split.classes[example.predicted]
    probability = split.probability[example.row]
    highest = float(probability[example.predicted])
    return {
        "class": truth,
        "kind": example.kind,
        "image_id": image_id,
        "truth": truth,
        "predicted": predicted,
        "probabilities": dict(zip(split.classes, probability.tolist(), strict=True)),
        "leakage": split.leakage,
        "file": file,
        "alt": alt_text(image_id, truth, predicted, highest, example.kind, heat, split.leakage),
    }


def write_sheet(
    rows: Sequence[tuple[str, Sequence[Cell | None]]], title: Sequence[str], path: Path, columns: int
) -> None:
    """Write a JPEG of a row a class.

    Args:
        rows: for each class a line of text, and its cells from left to right, None for a gap.
        title: lines that stand over all.
        path: of the JPEG.
        columns: cells in a row.
    """
    cells = [cell for _, row in rows for cell in row if cell]
    width, height = cells[0].image.size if cells else (2 * SMALL_BOX[1] + GAP, SMALL_BOX[1])
    step = 3 * LINE + height + 2 * GAP
    top = GAP + LINE * len(title) + GAP
    sheet = Image.new("RGB", (GAP + columns * (width + 3 * GAP), top + len(rows) * step), "white")
    pen = ImageDraw.Draw(sheet)
    bold, plain = _font("DejaVuSans-Bold.ttf"), _font("DejaVuSans.ttf")
    for number, text in enumerate(title):
        pen.text((GAP, GAP + number * LINE), _fit(text, bold, sheet.width - 2 * GAP), "black", bold)
    for number, (text, row) in enumerate(rows):
        above = top + number * step
        pen.text((GAP, above), _fit(text, bold, sheet.width - 2 * GAP), "black", bold)
        for place, cell in enumerate(row):
            left = GAP + place * (width + 3 * GAP)
            if cell:
                for line, words in enumerate(cell.caption, 1):
                    pen.text((left, above + line * LINE), _fit(words, plain, width), "black", plain)
                sheet.paste(cell.image, (left, above + 3 * LINE))
    save(sheet, path)


def save(image: Image.Image, path: Path) -> None:
    """Write a JPEG."""
    path.parent.mkdir(parents=True, exist_ok=True)
    content = io.BytesIO()  # of a full disk Pillow does not say that it wrote a part
    image.save(content, "JPEG", quality=90)
    path.write_bytes(content.getvalue())


def _font(name: str) -> ImageFont.FreeTypeFont:
    """Return one of matplotlib's own fonts: the same letters on every machine, in more scripts than Pillow's."""
    file = Path(mpl.get_data_path(), "fonts/ttf", name)
    return ImageFont.truetype(file, 12, layout_engine=ImageFont.Layout.BASIC)


def _fit(text: str, font: ImageFont.FreeTypeFont, width: int) -> str:
    """Return as much of a text as is not wider, for a person to read."""
    text = sanitize(text)
    if font.getlength(text) <= width:
        return text
    while text and font.getlength(text + "…") > width:
        text = text[:-1]
    return text + "…"
