"""Which pictures are copied how often, so that the classes come nearer to each other, and where the copies stand."""

from typing import Literal

import pandas as pd

from lesions.sampling.augmentor import Copy, digest

LEAK = "augmented before the split (leaky)"
"""The name that the protocol gets where copies of one picture stand in train and in val."""


def missing(
    pictures: "pd.Series[int]", target: float | Literal["max", "none"], extra: int | Literal["none"]
) -> dict[str, int]:
    """Return how many copies each class needs.

    Args:
        pictures: how many pictures each class has.
        target: pictures a class: a number of 2 or more, a fraction of the largest class below 1, as many as the
            largest class, or `none`. Classes that have as many already get no copies.
        extra: or, where target is `none`, copies a class, whatever it has.
    """
    if extra != "none":
        return {str(label): extra for label in pictures.index}
    if target == "none":
        return {str(label): 0 for label in pictures.index}
    largest = int(pictures.max())
    wanted = largest if target == "max" else round(target * largest if target < 1 else target)
    return {str(label): max(0, wanted - count) for label, count in pictures.items()}


def plan(
    originals: pd.DataFrame, target: float | Literal["max", "none"], extra: int | Literal["none"], seed: int
) -> list[Copy]:
    """Decide which pictures are copied how often.

    No picture is copied twice before each of its class was copied once; which come first is drawn from the seed.

    Args:
        originals: the pictures that may be copied, with `image_id` and `label`.
        target: see `missing`.
        extra: see `missing`.
        seed: what the order is drawn from.

    Returns:
        The copies, sorted by original and number.
    """
    wanted = missing(originals["label"].value_counts(), target, extra)
    copies = []
    for label, ids in originals.groupby("label")["image_id"]:
        order = sorted(ids, key=lambda image_id: digest(seed, image_id))
        copies += [Copy(order[i % len(order)], i // len(order)) for i in range(wanted[str(label)])]
    return sorted(copies)


def deal(copies: list[Copy], val: float, seed: int) -> list[str]:
    """Deal copies to train and val at random, one by one, as notebooks do that split a folder with copies in it.

    Args:
        copies: of pictures in train and in val.
        val: the fraction that goes to val, on average.
        seed: what is drawn from, with the copy's name.

    Returns:
        The side of each copy.
    """
    draws = [int.from_bytes(digest(seed, f"side/{copy.image_id}")[:6]) / 2**48 for copy in copies]
    return ["val" if draw < val else "train" for draw in draws]
