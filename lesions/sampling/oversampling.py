"""Oversample rare classes: decide which images are augmented how often, make the augmented images, and list them."""

import math
from collections.abc import Iterable, Iterator
from functools import partial
from itertools import groupby
from pathlib import Path
from typing import Any, Literal, cast

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image, ImageOps

from lesions.core.errors import UserError
from lesions.images.parallel_map import parallel_map
from lesions.params.rebalance import Rebalance
from lesions.sampling.augmentor import AugmentedImage, augment, digest
from lesions.sampling.split import random_number

LEAK = "augmented before the split (leaky)"
"""The leak's name where augmented images of one original are in train and in val."""
AUGMENTED_SPLITS = {"after_split": ["train"], "before_split": ["train", "val"]}
"""The splits whose images are augmented. Test images never are."""
SHOWN_PX, PER_CLASS, PER_ORIGINAL = 96, 10, 4
"""Limits of the contact sheet: longest edge of an image, images of a class, augmented images of an original."""


def plan_oversampling(
    originals: pd.DataFrame,
    target: float | Literal["max", "none"],
    copies_per_class: int | Literal["none"],
    seed: int,
) -> list[AugmentedImage]:
    """Decide which images are augmented how often.

    No image is augmented twice before each of its class was augmented once; the order is random.

    Args:
        originals: the images that may be augmented, with `image_id` and `label`.
        target: images per class: a number of 2 or more, a fraction of the largest class below 1, as many as the
            largest class, or `none`. Classes that have as many already get none.
        copies_per_class: or, where target is `none`, augmented images per class, whatever it has.
        seed: the random seed of the order.

    Returns:
        The augmented images, sorted by original and number.
    """
    largest = int(originals["label"].value_counts().max()) if len(originals) else 0
    if target == "none":
        wanted = 0
    elif target == "max":
        wanted = largest
    else:
        wanted = round(target * largest if target < 1 else target)
    planned = []
    for _, ids in originals.groupby("label")["image_id"]:
        order = sorted(ids, key=lambda image_id: digest(seed, image_id))
        number = max(0, wanted - len(order)) if copies_per_class == "none" else copies_per_class
        planned += [AugmentedImage(order[i % len(order)], i // len(order)) for i in range(number)]
    return sorted(planned)


def assign_split(planned: list[AugmentedImage], val: float, seed: int) -> list[str]:
    """Assign augmented images to train and val at random, one by one, as notebooks do that augment before the split.

    Args:
        planned: augmented images of originals in train and in val.
        val: the fraction that goes to val, on average.
        seed: the random seed.

    Returns:
        The split of each.
    """
    # The words are part of the seed: others would give another split.
    draws = (random_number(f"{seed}/side", image.image_id) for image in planned)
    return ["val" if draw < val else "train" for draw in draws]


def index_table(planned: list[AugmentedImage], images: pd.DataFrame, params: Rebalance) -> pd.DataFrame:
    """List the augmented images: `index.csv`.

    Args:
        planned: of `plan_oversampling`.
        images: all prepared images, with `image_id`, `label` and `split`.
        params: whether they were augmented before the split, and the random seed.

    Returns:
        One row per augmented image: `image_id`, `original`, `number` (from 0), `label`, `split`, `leakage`.

    Raises:
        UserError: an augmented image would have the id of an image.
    """
    rows = pd.DataFrame(planned, columns=["original", "number"])
    rows.insert(0, "image_id", [image.image_id for image in planned])
    in_use = rows.loc[rows["image_id"].isin(images["image_id"]), "image_id"]
    if len(in_use):
        raise UserError(
            f"the images have the id {in_use.iloc[0]!r} already, which an augmented image would get: rename it. "
            "An id followed by + and a number is an augmented image's."
        )
    rows["label"] = rows["original"].map(images.set_index("image_id")["label"])
    if params.when == "after_split":
        return rows.assign(split="train", leakage="none")
    splits = images.loc[images["split"].isin(AUGMENTED_SPLITS[params.when]), "split"]
    return rows.assign(split=assign_split(planned, float((splits == "val").mean()), params.seed), leakage=LEAK)


def augment_all(
    planned: list[AugmentedImage], originals: Iterable[NDArray[np.uint8]], params: Rebalance, workers: int = -1
) -> Iterator[NDArray[np.uint8]]:
    """Yield the augmented images, uint8, (height, width, 3), in order.

    Args:
        planned: which.
        originals: the image that each is made from, in the same order.
        params: the operations, and the random seed.
        workers: see `parallel_map`. Threads, since Pillow computes without Python's lock.
    """
    return parallel_map(
        partial(augment, operations=params.operations_of_augmentor(), seed=params.seed),
        zip(originals, planned, strict=True),
        len(planned),
        desc="augmenting",
        workers=workers,
    )


def read_rows(pixels: NDArray[np.uint8], rows: Iterable[int]) -> Iterator[NDArray[np.uint8]]:
    """Yield rows of a mapped `pixels.npy`, read from its file: what is read through a map stays in memory.

    Args:
        pixels: uint8, (N, height, width, 3), mapped.
        rows: which, in any order; one that is repeated at once is read once.
    """
    mapped = cast("np.memmap[Any, Any]", pixels)
    shape = pixels.shape[1:]
    length = math.prod(shape)
    # Opened once, which takes as long as reading an image.
    with Path(str(mapped.filename)).open("rb") as file:
        for row, repeated in groupby(rows):
            file.seek(mapped.offset + row * length)
            image = np.frombuffer(file.read(length), np.uint8).reshape(shape)
            yield from (image for _ in repeated)


def class_balance(images: pd.DataFrame, index: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """Count the training images of each class, before and after oversampling, for the plot.

    Args:
        images: the prepared images, with `label` and `split`.
        index: the augmented images; see `index_table`.
        classes: the labels, in order.
    """
    before, made = (table.loc[table["split"] == "train", "label"].value_counts() for table in (images, index))
    counts = pd.DataFrame({"before": before, "after": before.add(made, fill_value=0)}).reindex(classes).dropna()
    long = counts.astype(int).rename_axis(index="diagnosis", columns="when").stack()
    return pd.DataFrame({"images": long}).reset_index()


def example_rows(
    originals: pd.DataFrame,
    pixels: NDArray[np.uint8],
    index: pd.DataFrame,
    augmented: NDArray[np.uint8],
    classes: list[str],
) -> list[tuple[str, list[NDArray[np.uint8]]]]:
    """Return, for the contact sheet, some originals of each class, framed, each followed by its first augmented images.

    Args:
        originals: the images that may be augmented; their index is their row of `pixels`.
        pixels: uint8, (N, height, width, 3).
        index: of the augmented images; see `index_table`.
        augmented: uint8, (M, height, width, 3), their pixels.
        classes: the labels, in order.
    """
    augmented_of = {
        original: list(places[:PER_ORIGINAL]) for original, places in index.groupby("original").groups.items()
    }
    cells = []
    for label in classes:
        ours = originals[originals["label"] == label]
        # Those with most augmented images first.
        order = -ours["image_id"].map(lambda image_id: len(augmented_of.get(image_id, [])))
        images: list[NDArray[np.uint8]] = []
        for row in order.sort_values(kind="stable").index:
            places = augmented_of.get(ours.at[row, "image_id"], [])
            if len(images) + 1 + len(places) > PER_CLASS:
                break
            images += [_thumbnail(pixels[row], framed=True), *(_thumbnail(augmented[place]) for place in places)]
        made = int((index["label"] == label).sum())
        if len(ours):
            cells.append((f"{label}: {len(ours):,} images (framed), {f'{made:,}' if made else 'no'} augmented", images))
    return cells


def _thumbnail(pixels: NDArray[np.uint8], *, framed: bool = False) -> NDArray[np.uint8]:
    image = Image.fromarray(pixels)
    image.thumbnail((SHOWN_PX, SHOWN_PX))
    return np.asarray(ImageOps.expand(ImageOps.crop(image, 2), 2, "orange") if framed else image)


def describe_oversampling(images: pd.DataFrame, index: pd.DataFrame) -> str:
    """Return in sentences what was made, and what must not be overlooked.

    Args:
        images: the prepared images, with `image_id` and `split`.
        index: the augmented images; see `index_table`.
    """
    originals = {split: images.loc[images["split"] == split, "image_id"] for split in ("train", "val")}
    augmented = {split: index.loc[index["split"] == split, "original"] for split in ("train", "val")}
    text = f"{len(augmented['train']):,} augmented images beside {len(originals['train']):,} training images"
    if (index["leakage"] == LEAK).any():
        seen = pd.concat([originals["val"], augmented["val"]]).isin({*originals["train"], *augmented["train"]})
        text += (
            f"\nWARNING: {LEAK}: {len(augmented['val']):,} more augmented images stand in val, and of "
            f"{seen.mean():.1%} of the validation images, the original or an augmented image is in train. Every metric "
            "made from this is named so."
        )
    return text
