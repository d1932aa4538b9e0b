"""Dealing groups of pictures to the sides of a split, class by class, so that no group is divided."""

import hashlib

import pandas as pd

from lesions.errors import UserError

SIDES = ["train", "val", "test"]


def deal(images: pd.DataFrame, fractions: dict[str, float], seed: int) -> pd.Series:
    """Deal pictures to sides, whole groups at a time, stratified by diagnosis.

    Within each class the groups come in an order drawn from the seed, and each goes to the side that is
    furthest below its share, so that large and small groups are spread alike and each side's number of
    pictures ends within the largest group of the wish. A group of several diagnoses counts as its most
    frequent one.

    Args:
        images: a row a picture, with `group_id` and `label`.
        fractions: each side's share of every class; they add up to 1.
        seed: what the order is drawn from.

    Returns:
        The side of each row; a function of the pictures and the seed, not of the order of the rows.

    Raises:
        UserError: a class has fewer groups than there are sides.
    """
    # value_counts' order among equals depends on the rows; sorting first makes it depend on the labels.
    sizes = images.groupby(["group_id", "label"]).size().rename("pictures").reset_index()
    sizes = sizes.sort_values(["pictures", "label"], ascending=[False, True]).drop_duplicates("group_id")
    sizes["pictures"] = sizes["group_id"].map(images["group_id"].value_counts())
    sizes["draw"] = [_draw(seed, group) for group in sizes["group_id"]]

    side_of: dict[str, str] = {}
    for label, groups in sizes.sort_values("draw").groupby("label"):
        if len(groups) < len(fractions):
            raise UserError(
                f"class {label!r} has {len(groups)} independent lesion(s), and {', '.join(fractions)} need at "
                f"least one each ({len(fractions)}). Add pictures of it, or leave the class out."
            )
        have = dict.fromkeys(fractions, 0)
        for group, pictures in zip(groups["group_id"], groups["pictures"], strict=True):
            # `max` takes the first among equals, so an empty class begins with the largest share.
            side = max(sorted(fractions, key=lambda s: -fractions[s]), key=lambda s: -have[s] / fractions[s])
            side_of[group] = side
            have[side] += pictures
    return images["group_id"].map(side_of).rename("split")


def divided(images: pd.DataFrame, key: str) -> int:
    """Count the values of a column that stand on more than one side; "" is no value."""
    known = images[images[key] != ""]
    return int((known.groupby(key)["split"].nunique() > 1).sum())


def _draw(seed: int, group: str) -> bytes:
    return hashlib.sha256(f"{seed}/{group}".encode()).digest()
