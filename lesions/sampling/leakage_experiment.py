"""What the siblings of test pictures are worth: two splits that differ in whether they train, and in nothing else.

A sibling is another picture of a test picture's group. Both splits have the same test pictures, one of each group,
the same validation, and as many training pictures of each class.
"""

import pandas as pd

from lesions.core.errors import UserError
from lesions.sampling.split import LEFT_OUT, draw
from lesions.taxonomy import ordered

LEAK = "siblings of test pictures in train (leaky)"


def withhold(images: pd.DataFrame, seed: int) -> pd.Series:
    """Leave one picture of each test group in test, and take its siblings out.

    Args:
        images: a row a picture, with `image_id`, `group_id`, `label` and `split`, where no group is divided.
        seed: what decides which picture stays.

    Returns:
        The side of each row, `LEFT_OUT` for a sibling.

    Raises:
        UserError: a class would have no test picture.
    """
    test = images[images["split"] == "test"]
    stays = _drawn(test, f"{seed}/stays").drop_duplicates("group_id").index
    sides = images["split"].copy()
    sides[test.index.difference(stays)] = LEFT_OUT
    gone = set(test["label"]) - set(test.loc[stays, "label"])
    if gone:
        raise UserError(
            f"split.siblings keeps one picture of each group in test, and then of {', '.join(ordered(gone))} there is "
            "none: its pictures are of groups with other classes. Try another split.seed, or set split.siblings to "
            "apart."
        )
    return sides


def inject(images: pd.DataFrame, seed: int) -> pd.Series:
    """Exchange as many training pictures of each class for the siblings, which `withhold` leaves out.

    Args:
        images: as for `withhold`.
        seed: as for `withhold`; it decides too which training pictures go.

    Returns:
        The side of each row, `LEFT_OUT` for a training picture that went.

    Raises:
        UserError: as `withhold`; or a class has more siblings than training pictures.
    """
    sides = withhold(images, seed)
    siblings = (sides == LEFT_OUT) & (images["split"] == "test")
    train = _drawn(images[images["split"] == "train"], f"{seed}/goes")
    for label, wanted in images.loc[siblings, "label"].value_counts().items():
        ours = train.index[train["label"] == label]
        if len(ours) < wanted:
            raise UserError(
                f"of {label} there are {wanted:,} siblings of test pictures, and {len(ours):,} training pictures to "
                "exchange for them. Lower split.test."
            )
        sides[ours[:wanted]] = LEFT_OUT
    sides[siblings] = "train"
    return sides


def _drawn(images: pd.DataFrame, purpose: str) -> pd.DataFrame:
    """Return the rows in an order that is drawn, whatever order they have."""
    drawn = images["image_id"].map(lambda image_id: draw(purpose, image_id))
    return images.assign(drawn=drawn).sort_values(["drawn", "image_id"])
