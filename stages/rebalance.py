"""Rebalance: extra training pictures only, the same bits everywhere.

Classes that fall short get augmented copies of their own training pictures. The split comes before, on purpose:
copies made first, as in published notebooks, end up on both sides of it. `when: before_split` does even that, to
show what it is worth; the column `protocol` of index.csv then names the leak, and every figure carries it on.
"""

import math
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageOps

from lesions.core import image_array as packed
from lesions.core.csv_files import read_csv
from lesions.core.errors import UserError
from lesions.core.stage import run_stage
from lesions.images.parallel_map import parallel_map
from lesions.params.rebalance import Rebalance
from lesions.reporting.common.contact_sheet import contact_sheet
from lesions.sampling.augmentor import Copy, augment
from lesions.sampling.oversampling import LEAK, deal, plan
from lesions.taxonomy import ordered

PREPARED = Path("data/prepared")
REBALANCED = Path("data/rebalanced")
SIDES = {"after_split": ["train"], "before_split": ["train", "val"]}
"""The sides whose pictures are copied. Test pictures never are."""
SHOWN_PX = 96
"""The longer side of a picture on the contact sheet, at most."""


def main() -> None:
    """Make the copies that params.yaml asks for."""
    params = Rebalance.read()
    pixels, index = packed.read(PREPARED)
    images = index.merge(read_csv(Path("data/split/split.csv")), on="image_id", validate="1:1")
    originals = images[images["split"].isin(SIDES[params.when])]

    copies = plan(originals, params.target, params.extra, params.seed)
    rows = describe(copies, originals, params)
    refuse_names_in_use(rows, images)
    row_of = {image_id: row for row, image_id in enumerate(images["image_id"])}
    pictures = read_rows(pixels, (row_of[copy.original] for copy in copies))
    packed.write(REBALANCED, rows, make(copies, pictures, params), pixels.shape[1:3])
    Path("plots").mkdir(exist_ok=True)
    balance(images, rows).to_csv("plots/class_balance.csv", index=False)
    contact_sheet(examples(originals, pixels, rows), Path("plots/copies.jpg"))
    say(images, rows)


def describe(copies: list[Copy], originals: pd.DataFrame, params: Rebalance) -> pd.DataFrame:
    """Return the rows of index.csv: a copy each, with its original, number, label, side, and the protocol."""
    rows = pd.DataFrame(copies, columns=["original", "copy"])
    rows.insert(0, "image_id", [copy.image_id for copy in copies])
    rows["label"] = rows["original"].map(originals.set_index("image_id")["label"])
    if params.when == "after_split":
        return rows.assign(split="train", protocol="honest")
    val = float((originals["split"] == "val").mean())
    return rows.assign(split=deal(copies, val, params.seed), protocol=LEAK)


def refuse_names_in_use(rows: pd.DataFrame, images: pd.DataFrame) -> None:
    """Stop where a copy would have the id of a picture.

    Raises:
        UserError: names the first of them.
    """
    in_use = rows.loc[rows["image_id"].isin(images["image_id"]), "image_id"]
    if len(in_use):
        raise UserError(
            f"the pictures have the id {in_use.iloc[0]!r} already, which a copy would get: rename that picture. "
            "An id followed by + and a number is a copy's."
        )


def make(
    copies: list[Copy], originals: Iterable[NDArray[np.uint8]], params: Rebalance, workers: int = -1
) -> Iterator[NDArray[np.uint8]]:
    """Yield the copies, in order.

    Args:
        copies: which.
        originals: the picture that each is made from.
        params: the operations, and the seed.
        workers: see `parallel_map`; Pillow computes without Python's lock, and no picture is copied
            between processes.
    """
    return parallel_map(
        partial(augment, operations=params.operations_of_augmentor(), seed=params.seed),
        zip(originals, copies, strict=True),
        len(copies),
        desc="copying",
        workers=workers,
    )


def read_rows(pixels: NDArray[np.uint8], rows: Iterable[int]) -> Iterator[NDArray[np.uint8]]:
    """Yield rows of a mapped pixels.npy, read from its file: what is looked at in a map stays in memory."""
    mapped = cast("np.memmap[Any, Any]", pixels)
    shape = pixels.shape[1:]
    length = math.prod(shape)
    # Opened once, which takes as long as reading a picture.
    with Path(str(mapped.filename)).open("rb") as file:
        for row, repeated in groupby(rows):
            file.seek(mapped.offset + row * length)
            picture = np.frombuffer(file.read(length), np.uint8).reshape(shape)
            yield from (picture for _ in repeated)


def balance(images: pd.DataFrame, rows: pd.DataFrame) -> pd.DataFrame:
    """Count the training pictures of each class, before and after, for the plot."""
    before = images.loc[images["split"] == "train", "label"]
    after = pd.concat([before, rows.loc[rows["split"] == "train", "label"]])
    return pd.DataFrame(
        [
            {"diagnosis": label, "when": when, "pictures": int((labels == label).sum())}
            for label in ordered(set(before))
            for when, labels in (("before", before), ("after", after))
        ]
    )


def examples(
    originals: pd.DataFrame, pixels: NDArray[np.uint8], rows: pd.DataFrame, across: int = 10, of_each: int = 4
) -> list[tuple[str, list[NDArray[np.uint8]]]]:
    """Return, for the contact sheet, some originals of each class, framed, each followed by its first copies.

    Args:
        originals: the pictures that may be copied; the index is their row of `pixels`.
        pixels: see there.
        rows: of index.csv, whose pixels are read from where they were just written.
        across: pictures a class.
        of_each: copies of one original, at most.
    """
    copied, _ = packed.read(REBALANCED)
    copies_of = {original: list(places[:of_each]) for original, places in rows.groupby("original").groups.items()}
    cells = []
    for label in ordered(set(originals["label"])):
        ours = originals[originals["label"] == label]
        # Those with most copies first.
        ours = ours.sort_values(
            "image_id", key=lambda ids: -ids.map(lambda i: len(copies_of.get(i, []))), kind="stable"
        )
        shown: list[NDArray[np.uint8]] = []
        for row, image_id in zip(ours.index, ours["image_id"], strict=True):
            copies = copies_of.get(image_id, [])
            if len(shown) + 1 + len(copies) > across:
                break
            shown += [small(pixels[row], framed=True), *(small(copied[place]) for place in copies)]
        made = int((rows["label"] == label).sum())
        cells.append((f"{label}: {len(ours):,} pictures (framed), {f'{made:,}' if made else 'no'} copies", shown))
    return cells


def small(picture: NDArray[np.uint8], *, framed: bool = False) -> NDArray[np.uint8]:
    """Return a picture at most `SHOWN_PX` wide and high, in a frame if wanted."""
    image = Image.fromarray(picture)
    image.thumbnail((SHOWN_PX, SHOWN_PX))
    return np.asarray(ImageOps.expand(ImageOps.crop(image, 2), 2, "orange") if framed else image)


def say(images: pd.DataFrame, rows: pd.DataFrame) -> None:
    """Print what was made, and what a person should not overlook."""
    originals = {side: images.loc[images["split"] == side, "image_id"] for side in ("train", "val")}
    copied = {side: rows.loc[rows["split"] == side, "original"] for side in ("train", "val")}
    print(f"{REBALANCED}: {len(copied['train']):,} copies beside {len(originals['train']):,} training pictures")
    if (rows["protocol"] == LEAK).any():
        seen = pd.concat([originals["val"], copied["val"]]).isin({*originals["train"], *copied["train"]})
        print(
            f"WARNING: {LEAK}: {len(copied['val']):,} more copies stand in val, and of {seen.mean():.1%} of the "
            "validation pictures, the original or a copy is in train. Every figure made from this is named so."
        )


if __name__ == "__main__":
    run_stage(main)
