"""Dealing groups of pictures to the sides of a split, class by class, so that no group is divided."""

import hashlib

import numpy as np
import pandas as pd

from lesions.errors import UserError

SIDES = ["train", "val", "test"]


def deal(images: pd.DataFrame, fractions: dict[str, float], seed: int) -> pd.Series:
    """Deal pictures to sides, whole groups at a time, stratified by diagnosis.

    The groups come in an order drawn from the seed, those of the rarest diagnoses first, and each goes to the
    side that is furthest below its share of the group's diagnoses. So large and small groups are spread alike,
    and where a group has one diagnosis, no side exceeds its share of a class by more than a group.

    Args:
        images: a row a picture, with `group_id` and `label`.
        fractions: each side's share of every class; they add up to 1.
        seed: what the order is drawn from.

    Returns:
        The side of each row; a function of the pictures and the seed, not of the order of the rows.

    Raises:
        UserError: a class has fewer groups than there are sides, or does not come to stand on each.
    """
    # (groups, classes), both sorted: how many pictures of each class a group has.
    counts = pd.crosstab(images["group_id"], images["label"])
    _refuse_few_groups(counts, fractions)
    pictures = counts.to_numpy()
    totals = pictures.sum(axis=0)
    rarest = np.where(pictures > 0, totals, totals.max() + 1).min(axis=1)
    draws = [_draw(seed, str(group)) for group in counts.index]
    order = sorted(range(len(counts)), key=lambda group: (rarest[group], draws[group]))

    sides = sorted(fractions, key=lambda side: -fractions[side])
    wish = np.array([[fractions[side]] for side in sides])
    have = np.zeros((len(sides), len(totals)))  # which share of each class a side has by now
    side_of = {}
    for group in order:
        share = pictures[group] / totals
        # `argmax` takes the first among equals: an empty class begins with the largest side.
        chosen = int(((1 - have / wish) @ share).argmax())
        have[chosen] += share
        side_of[counts.index[group]] = sides[chosen]
    result = images["group_id"].map(side_of).rename("split")
    _refuse_empty(pd.crosstab(images["label"], result).reindex(columns=sides, fill_value=0))
    return result


def _refuse_few_groups(counts: pd.DataFrame, fractions: dict[str, float]) -> None:
    for label, groups in (counts > 0).sum().items():
        if groups < len(fractions):
            raise UserError(
                f"class {label!r} has {groups} independent lesion(s), and {', '.join(fractions)} need at "
                f"least one each ({len(fractions)}). Add pictures of it, or leave the class out."
            )


def _refuse_empty(table: pd.DataFrame) -> None:
    for label, counts in table.iterrows():
        if (counts == 0).any():
            raise UserError(
                f"class {label!r} has no picture in {', '.join(counts.index[counts == 0])}: its pictures belong "
                "together with those of other classes. Try another split.seed, or add pictures of it."
            )


def divided(images: pd.DataFrame, key: str) -> int:
    """Count the values of a column that stand on more than one side; "" is no value."""
    known = images[images[key] != ""]
    return int((known.groupby(key)["split"].nunique() > 1).sum())


def _draw(seed: int, group: str) -> bytes:
    return hashlib.sha256(f"{seed}/{group}".encode()).digest()
