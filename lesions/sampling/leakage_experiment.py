"""Measure what leakage of lesions is worth: two splits that differ in whether the test lesions train, and in no more.

Both splits have the same test images, one of each group, the same validation, and as many training images of each
class. The other images of the test groups are left out of one split, and train in the other.
"""

import pandas as pd

from lesions.core.errors import UserError
from lesions.sampling.split import LEFT_OUT, random_number

LEAK = "lesions of test images in train (leaky)"


def drop_same_lesion(images: pd.DataFrame, seed: int) -> pd.Series:
    """Leave one image of each test group in test, and take the others out.

    Args:
        images: one row per image, with `image_id`, `group_id`, `label` and `split`, where no group is in two splits.
        seed: the random seed; it decides which image stays.

    Returns:
        The split of each row, `LEFT_OUT` for the others.

    Raises:
        UserError: a class would have no test image.
    """
    test = images[images["split"] == "test"]
    stays = _shuffled(test, f"{seed}/stays").drop_duplicates("group_id").index
    splits = images["split"].copy()
    splits[test.index.difference(stays)] = LEFT_OUT
    gone = sorted(set(test["label"]) - set(test.loc[stays, "label"]))
    if gone:
        raise UserError(
            f"split.same_lesion keeps one image of each group in test, and then of {', '.join(gone)} there is "
            "none: its images are of groups with other classes. Try another split.seed, or set split.same_lesion to "
            "apart."
        )
    return splits


def leak_same_lesion(images: pd.DataFrame, seed: int) -> pd.Series:
    """Put what `drop_same_lesion` leaves out into train, in exchange for as many training images of each class.

    Args:
        images: as for `drop_same_lesion`.
        seed: as for `drop_same_lesion`; it decides too which training images go.

    Returns:
        The split of each row, `LEFT_OUT` for a training image that went.

    Raises:
        UserError: as `drop_same_lesion`; or a class has too few training images to exchange.
    """
    splits = drop_same_lesion(images, seed)
    leaked = (splits == LEFT_OUT) & (images["split"] == "test")
    train = _shuffled(images[images["split"] == "train"], f"{seed}/goes")
    for label, wanted in images.loc[leaked, "label"].value_counts().items():
        ours = train.index[train["label"] == label]
        if len(ours) < wanted:
            raise UserError(
                f"of {label} there are {wanted:,} images of lesions in test, and {len(ours):,} training images to "
                "exchange for them. Lower split.test_fraction."
            )
        splits[ours[:wanted]] = LEFT_OUT
    splits[leaked] = "train"
    return splits


def _shuffled(images: pd.DataFrame, purpose: str) -> pd.DataFrame:
    """Return the rows in a random order that does not depend on theirs."""
    order = images["image_id"].map(lambda image_id: random_number(purpose, image_id))
    return images.assign(order=order).sort_values(["order", "image_id"])
