"""Split images into train, val and test: stratified by group, in folds, by source, or as the data set published it.

`stratified_group_split` keeps groups whole and classes in proportion; everything else here is made of it. To split
single images, name each its own group.
"""

import hashlib

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from tqdm import tqdm

from lesions.core.errors import UserError
from lesions.core.merged_ids import is_merged

SPLITS = ["train", "val", "test"]
LEFT_OUT = "left_out"
"""Stands in the column `split` where an image is in none."""


def stratified_group_split(
    images: pd.DataFrame, fractions: dict[str, float], seed: int, kept: "pd.Series[str] | None" = None
) -> pd.Series:
    """Split images at random, keeping groups whole and classes in proportion.

    The groups come largest first, by the share of a class that they hold, so that small ones remain to even out the
    splits; ties are broken at random. Each goes to a split in which it still fits, drawn with probabilities in
    proportion to what the splits lack. Where it fits in none, it goes to the split that lacks most. So where groups
    have one diagnosis each, each split misses its share of a class by less than one group. A class with so few groups
    that a split would get none may miss by more, since no split goes without.

    Args:
        images: one row per image, with `group_id` and `label`.
        fractions: each split's share of every class; they add up to 1.
        seed: the random seed; the names of the splits are part of it.
        kept: the splits that some groups have already, by group; only the others are assigned.

    Returns:
        The split of each row; it depends on the images, the seed and what is kept, not on the order of the rows.

    Raises:
        UserError: a class has fewer groups than there are splits, or has no image in one of them.
    """
    # (groups, classes), both sorted: how many images of each class a group has.
    counts = images.groupby(["group_id", "label"]).size().unstack(fill_value=0)
    _refuse_few_groups(counts, fractions)
    classes, counts = counts.columns, counts.join(_by_collection(images, len(fractions)))
    n_images, totals = counts.to_numpy(), counts.to_numpy().sum(axis=0)
    largest_share = (n_images / totals).max(axis=1)
    purpose = f"{seed}/{'/'.join(fractions)}"
    order, draws = _random_order(counts.index, purpose, largest_share)

    # Where probabilities are equal, the largest split comes first.
    names = sorted(fractions, key=lambda name: -fractions[name])
    wanted = np.array([[fractions[name]] for name in names]) * totals
    split_of = {} if kept is None else dict(kept)
    known = np.array([[split_of.get(group) == name for group in counts.index] for name in names])
    placed = known.astype(np.int64) @ n_images
    waiting = (n_images[~known.any(axis=0)] > 0).sum(axis=0)  # the groups of each class without a split yet
    order = [group for group in order if counts.index[group] not in split_of]
    for group in tqdm(order, desc="splitting groups", disable=None):
        content = n_images[group]
        allowed = _allowed_splits(content, placed, waiting)
        # In shares of each class, so that an image of a rare one weighs more.
        weight = content / totals**2
        missing = wanted - placed
        lack = (missing * weight).sum(axis=1)
        fits = allowed & ((placed + content <= wanted + 1e-9) | (content == 0)).all(axis=1)
        if fits.any():
            cumulated = np.where(fits, lack, 0).cumsum()
            chosen = int(np.searchsorted(cumulated, draws[group] * cumulated[-1], side="right"))
        else:
            most = allowed & (lack >= lack[allowed].max() - 1e-9 * weight.sum())
            # Of equals, the one with the fewest images for its share, or all classes' odd ones meet in one split.
            chosen = int(np.where(most, missing.sum(axis=1), -np.inf).argmax())
        placed[chosen] += content
        waiting -= content > 0
        split_of[counts.index[group]] = names[chosen]
    _refuse_empty(pd.DataFrame(placed.T[: len(classes)], classes, names))
    return images["group_id"].map(split_of).rename("split")


def _by_collection(images: pd.DataFrame, least: int) -> pd.DataFrame:
    """Return (groups, classes of collections), how many images of each class a group has of each merged collection.

    Only the classes of which a collection has `least` groups or more: of fewer, no split has its share.
    """
    if not is_merged(images):
        return pd.DataFrame(index=sorted(set(images["group_id"])))
    of_collection = images["collection"] + "/" + images["label"]
    counts = images.groupby(["group_id", of_collection]).size().unstack(fill_value=0)
    return counts.loc[:, (counts > 0).sum() >= least]


def random_number(purpose: str, name: str) -> float:
    """Return a number from 0 to below 1, the same on every machine.

    Args:
        purpose: what it is for, with the random seed.
        name: for which of many, such as a group.
    """
    return int.from_bytes(hashlib.sha256(f"{purpose}/{name}".encode()).digest()[:6]) / 2**48


def _random_order(
    groups: "pd.Index[str]", purpose: str, largest_share: NDArray[np.float64]
) -> tuple[list[int], list[float]]:
    """Return the numbers of the groups in the order in which they are split, and a random number of each.

    Two random numbers a group: were its place in the order and its split decided by one, the groups of one size would
    fill the splits one after the other.
    """
    # The words are part of the seed: others would give another split.
    places, draws = ([random_number(f"{purpose}/{what}", str(group)) for group in groups] for what in ("place", "side"))
    return sorted(range(len(groups)), key=lambda group: (-largest_share[group], places[group])), draws


def _allowed_splits(
    content: NDArray[np.int64], placed: NDArray[np.int64], waiting: NDArray[np.int64]
) -> NDArray[np.bool_]:
    """Return which splits a group may go to: all, or those without a class of it that has no group to spare.

    Of each class, `content` has the group's images, `placed` each split's, and `waiting` the groups without a split.
    """
    allowed = np.ones(len(placed), np.bool_)
    for number in np.flatnonzero(content):
        without = placed[:, number] == 0
        if waiting[number] <= without.sum() and (allowed & without).any():
            allowed &= without
    return allowed


def _refuse_few_groups(counts: pd.DataFrame, fractions: dict[str, float]) -> None:
    for label, groups in (counts > 0).sum().items():
        if groups < len(fractions):
            raise UserError(
                f"class {label!r} has {groups} group(s) (the images of one lesion or patient, and "
                f"duplicates, are one), and {', '.join(fractions)} need at least one each ({len(fractions)}). "
                "data/clean/duplicates.csv lists the duplicates. Add images of the class, or leave it out."
            )


def _refuse_empty(table: pd.DataFrame) -> None:
    for label, counts in table.iterrows():
        if (counts == 0).any():
            raise UserError(
                f"class {label!r} has no image in {', '.join(counts.index[counts == 0])}: its images belong "
                "together with those of other classes. Try another split.seed, or add images of it."
            )


def split_in_folds(images: pd.DataFrame, folds: int, fold: int, val: float, seed: int) -> pd.DataFrame:
    """Split images into equal folds, of which one is test; validation is split off the others.

    Args:
        images: as for `stratified_group_split`.
        folds: the number of folds.
        fold: the number of the test fold, from 0. The folds are the same whichever it is.
        val: the fraction of all images that goes to val.
        seed: the random seed.

    Returns:
        For each row, `fold`, the number of its fold, and `split`.

    Raises:
        UserError: as `stratified_group_split`.
    """
    number = stratified_group_split(images, {f"fold {number}": 1 / folds for number in range(folds)}, seed)
    number = number.str.removeprefix("fold ").astype(int).rename("fold")
    val_of_others = val / (1 - 1 / folds)
    split = stratified_group_split(images[number != fold], {"train": 1 - val_of_others, "val": val_of_others}, seed)
    return pd.DataFrame({"fold": number, "split": split.reindex(images.index, fill_value="test")})


def published_split(images: pd.DataFrame) -> pd.Series:
    """Return each image's published split; an image without one counts as train.

    Args:
        images: one row per image, with `image_id` and `published_split`.

    Raises:
        UserError: no image has a published split, or one is not called train, val or test.
    """
    published = images["published_split"]
    if (published == "").all():
        raise UserError(
            "split.method is published, but no image has a published split: the column published_split of "
            "data/clean/images.csv is empty. Set split.method to grouped, or give the table a column `split`."
        )
    other = images[~published.isin([*SPLITS, ""])]
    if len(other):
        found = ", ".join(f"{word!r} ({count:,})" for word, count in other["published_split"].value_counts().items())
        raise UserError(
            f"data/clean/images.csv, column published_split: expected train, val or test, found {found}, first at "
            f"{other['image_id'].iloc[0]}. Correct the table's column `split`, or set split.method to grouped."
        )
    return published.replace("", "train").rename("split")


def leave_source_out(images: pd.DataFrame, source: str, column: str = "source") -> pd.Series:
    """Return for each image test, where it is of a source, or else train; `LEFT_OUT` where it states no source.

    Args:
        images: one row per image, with `column`.
        source: the source or collection to test on.
        column: `source` or `collection`.

    Raises:
        UserError: no image is of that source, or all are.
    """
    counts = images[column].value_counts()
    if source not in counts.index or len(counts) == 1:
        found = ", ".join(f"{name or 'not stated'} ({count:,})" for name, count in counts.items())
        raise UserError(
            f"split.test_source is {source}; expected one of several {column}s. The column `{column}` of "
            f"data/clean/images.csv has {found}. Name one of several, or set split.method to grouped and "
            "split.test_source to none."
        )
    split = images[column].where(images[column] != "", LEFT_OUT)
    return split.where(split == LEFT_OUT, "train").where(split != source, "test").rename("split")


def leave_out_overlap(images: pd.DataFrame, splits: pd.Series) -> pd.Series:
    """Leave out the training images of groups in two splits; of a group in val and test, those in val.

    Args:
        images: one row per image, with `group_id`.
        splits: the split of each row.

    Returns:
        `splits`, with `LEFT_OUT` in their place: test is as it was, and no group is in two splits.
    """
    mended = splits.copy()
    for held_out, others in (("test", ["train", "val"]), ("val", ["train"])):
        groups = images.loc[mended == held_out, "group_id"]
        mended[mended.isin(others) & images["group_id"].isin(groups)] = LEFT_OUT
    return mended


def split_off(images: pd.DataFrame, splits: pd.Series, fractions: dict[str, float], seed: int) -> pd.Series:
    """Split the empty ones of val and test off train, whole groups at a time.

    Args:
        images: as for `stratified_group_split`.
        splits: the split of each row.
        fractions: of train, for val and test.
        seed: the random seed.

    Returns:
        The split of each row; those not in train are as they were.

    Raises:
        UserError: as `stratified_group_split`; or a class has no image in train.
    """
    result = splits.copy()
    missing = {name: fraction for name, fraction in fractions.items() if not (splits == name).any()}
    train = images[splits == "train"]
    untrained = sorted(set(images["label"]) - set(train["label"]))
    if untrained:
        raise UserError(
            f"of {', '.join(untrained)} no image is left to train on: all are in test, in validation or left out. "
            "Set split.method to grouped, or leave the class out (clean.classes)."
        )
    if missing:
        result.update(stratified_group_split(train, {"train": 1 - sum(missing.values()), **missing}, seed))
    return result


def n_groups_in_two_splits(images: pd.DataFrame, key: str) -> int:
    """Count the groups that are in more than one split.

    Args:
        images: one row per image, with `split`.
        key: the column that names the groups; "" is no group.
    """
    known = images[(images[key] != "") & images["split"].isin(SPLITS)]
    return int((known.groupby(key)["split"].nunique() > 1).sum())


def shares_value_with(images: pd.DataFrame, split: str, keys: list[str]) -> pd.Series:
    """Return for each row whether it shares a value with an image of a split; "" is no value.

    Args:
        images: one row per image, with `split` and the columns `keys`.
        split: the split of the other image.
        keys: columns any of which is enough.
    """
    shared = pd.Series(data=False, index=images.index)
    for key in keys:
        shared |= (images[key] != "") & images[key].isin(images.loc[images["split"] == split, key])
    return shared
