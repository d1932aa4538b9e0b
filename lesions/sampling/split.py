"""Bringing pictures to the sides of a split: dealt by group, dealt in folds, or as the data set published it.

`deal` keeps groups whole and classes in proportion; everything else here is made of it. To deal single pictures,
each is named its own group.
"""

import hashlib

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from lesions.core.errors import UserError

SIDES = ["train", "val", "test"]
LEFT_OUT = "left_out"
"""What stands in the place of a side where a picture is on none."""


def deal(images: pd.DataFrame, fractions: dict[str, float], seed: int) -> pd.Series:
    """Deal pictures to sides, whole groups at a time, stratified by diagnosis.

    The groups come largest first, by the share of a class that they hold, so that small ones remain to even out
    the sides; among equals the seed decides. Each goes to a side that it still fits on, drawn with chances in
    proportion to what the sides lack, so a large group may come to stand on any. Where it fits on none, it goes
    to the side that lacks most.

    So where groups have one diagnosis each, every side gets its share of every class, give or take less than one
    group: the last group that was too much for all brings one side over its share, by less than itself, and the
    others were nearer to theirs. A class with so few groups that a side would get none may miss by more, since no
    side goes without.

    Args:
        images: a row a picture, with `group_id` and `label`.
        fractions: each side's share of every class; they add up to 1.
        seed: what the draws are made from, together with the names of the sides.

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
    largest_share = (pictures / totals).max(axis=1)
    purpose = f"{seed}/{'/'.join(fractions)}"
    # Two draws: were the place in the order and the side one and the same, the groups of one size would fill the
    # sides one after the other, and hardly any small group would come to stand on the later ones.
    places, draws = ([draw(f"{purpose}/{what}", str(group)) for group in counts.index] for what in ("place", "side"))
    order = sorted(range(len(counts)), key=lambda group: (-largest_share[group], places[group]))

    # Where chances are equal, the largest side comes first.
    sides = sorted(fractions, key=lambda side: -fractions[side])
    wish = np.array([[fractions[side]] for side in sides]) * totals
    have = np.zeros(wish.shape, np.int64)
    waiting = (pictures > 0).sum(axis=0)  # the groups of each class that are still to be dealt
    side_of = {}
    for group in tqdm(order, desc="dealing groups", disable=None):
        content = pictures[group]
        open_to = _sides_in_need(content, have, waiting)
        # In shares of each class, so that a picture of a rare one weighs more.
        weight = content / totals**2
        missing = wish - have
        lack = (missing * weight).sum(axis=1)
        fits = open_to & ((have + content <= wish + 1e-9) | (content == 0)).all(axis=1)
        if fits.any():
            chances = np.where(fits, lack, 0).cumsum()
            chosen = int(np.searchsorted(chances, draws[group] * chances[-1], side="right"))
        else:
            most = open_to & (lack >= lack[open_to].max() - 1e-9 * weight.sum())
            # Of equals, the one with the fewest pictures for its share, or all classes' odd ones meet on one side.
            chosen = int(np.where(most, missing.sum(axis=1), -np.inf).argmax())
        have[chosen] += content
        waiting -= content > 0
        side_of[counts.index[group]] = sides[chosen]
    result = images["group_id"].map(side_of).rename("split")
    _refuse_empty(pd.DataFrame(have.T, counts.columns, sides))
    return result


def draw(purpose: str, group: str) -> float:
    """Return a number from 0 to below 1, the same on every machine."""
    return int.from_bytes(hashlib.sha256(f"{purpose}/{group}".encode()).digest()[:6]) / 2**48


def _sides_in_need(
    content: NDArray[np.int64], have: NDArray[np.int64], waiting: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return which sides a group may go to: all, or those without a class of it that has no group to spare.

    Args:
        content: (classes,), the pictures of the group.
        have: (sides, classes), the pictures dealt so far.
        waiting: (classes,), the groups not dealt yet, this one included.
    """
    allowed = np.ones(len(have), np.bool_)
    for number in np.flatnonzero(content):
        without = have[:, number] == 0
        if waiting[number] <= without.sum() and (allowed & without).any():
            allowed &= without
    return allowed


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


def deal_in_folds(images: pd.DataFrame, folds: int, fold: int, val: float, seed: int) -> pd.DataFrame:
    """Deal pictures to equal folds, of which one is test; validation is dealt from the others.

    Args:
        images: as for `deal`.
        folds: how many.
        fold: the number of the one that is test, from 0. The folds are the same whichever it is.
        val: the fraction of all pictures that goes to val.
        seed: as for `deal`.

    Returns:
        For each row, `fold`, the number of its fold, and `split`, its side.

    Raises:
        UserError: as `deal`.
    """
    number = deal(images, {f"fold {number}": 1 / folds for number in range(folds)}, seed)
    number = number.str.removeprefix("fold ").astype(int).rename("fold")
    others = images[number != fold]
    val_of_others = val / (1 - 1 / folds)
    split = deal(others, {"train": 1 - val_of_others, "val": val_of_others}, seed)
    return pd.DataFrame({"fold": number, "split": split.reindex(images.index, fill_value="test")})


def published(images: pd.DataFrame) -> pd.Series:
    """Return the side of each picture in the published split; a picture without one counts as train.

    Args:
        images: a row a picture, with `image_id` and `declared_split`.

    Raises:
        UserError: no picture has a published side, or one is not called train, val or test.
    """
    declared = images["declared_split"]
    if (declared == "").all():
        raise UserError(
            "split.method is declared, but no picture has a published side: the column declared_split of "
            "data/clean/images.csv is empty. Set split.method to grouped, or give the table a column `split`."
        )
    other = images[~declared.isin([*SIDES, ""])]
    if len(other):
        found = ", ".join(f"{word!r} ({count:,})" for word, count in other["declared_split"].value_counts().items())
        raise UserError(
            f"data/clean/images.csv, column declared_split: expected train, val or test, found {found}, first at "
            f"{other['image_id'].iloc[0]}. Correct the table's column `split`, or set split.method to grouped."
        )
    return declared.replace("", "train").rename("split")


def leave_out_separated(images: pd.DataFrame, sides: pd.Series) -> pd.Series:
    """Take the training members of divided groups out; of a group in val and test, those in val.

    Args:
        images: a row a picture, with `group_id`.
        sides: the side of each row.

    Returns:
        `sides`, with `LEFT_OUT` in their place; the test side is as it was, and no group stands on two sides.
    """
    mended = sides.copy()
    for judge, others in (("test", ["train", "val"]), ("val", ["train"])):
        judged = images.loc[mended == judge, "group_id"]
        mended[mended.isin(others) & images["group_id"].isin(judged)] = LEFT_OUT
    return mended


def carve(images: pd.DataFrame, sides: pd.Series, fractions: dict[str, float], seed: int) -> pd.Series:
    """Deal the sides that nobody stands on from train, whole groups at a time.

    Args:
        images: as for `deal`.
        sides: the side of each row.
        fractions: of train, for val and test.
        seed: as for `deal`.

    Returns:
        The side of each row; those not in train are as they were.

    Raises:
        UserError: as `deal`; or a class has no picture in train.
    """
    carved = sides.copy()
    missing = {side: fraction for side, fraction in fractions.items() if not (sides == side).any()}
    train = images[sides == "train"]
    untrained = sorted(set(images["label"]) - set(train["label"]))
    if untrained:
        raise UserError(
            f"of {', '.join(untrained)} no picture is in the training part of the published split. "
            "Set split.method to grouped, or leave the class out."
        )
    if missing:
        carved.update(deal(train, {"train": 1 - sum(missing.values()), **missing}, seed))
    return carved


def divided(images: pd.DataFrame, key: str) -> int:
    """Count the values of a column that stand on more than one side; "" is no value, and left out no side."""
    known = images[(images[key] != "") & images["split"].isin(SIDES)]
    return int((known.groupby(key)["split"].nunique() > 1).sum())


def shared_with(images: pd.DataFrame, side: str, keys: list[str]) -> pd.Series:
    """Return for each row whether it has a value in common with a picture of a side; "" is no value.

    Args:
        images: a row a picture, with `split` and the columns `keys`.
        side: the side that the other picture is on.
        keys: columns any of which is enough.
    """
    shared = pd.Series(data=False, index=images.index)
    for key in keys:
        there = images.loc[images["split"] == side, key]
        shared |= (images[key] != "") & images[key].isin(there)
    return shared
