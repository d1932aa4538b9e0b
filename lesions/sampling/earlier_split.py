"""Go on from an earlier split: its images stay where they are, so that models of both can be compared."""

import pandas as pd

from lesions.core.errors import UserError
from lesions.core.merged_ids import is_merged, own_id
from lesions.params.split import read_earlier_split
from lesions.sampling.split import LEFT_OUT, SPLITS, leave_out_overlap


def read_kept(path: str) -> dict[str, str]:
    """Return the split of each image of an earlier split.csv, `LEFT_OUT` among them.

    Args:
        path: `split.keep`.

    Raises:
        UserError: it is no such table (`read_two_columns`), or has an image or a split that cannot be.
    """
    kept: dict[str, str] = {}
    for image_id, split in read_earlier_split(path):
        if split not in (*SPLITS, LEFT_OUT) or kept.get(image_id, split) != split:
            found = f"{image_id!r} is in {split!r}" + (f" and in {kept[image_id]!r}" if image_id in kept else "")
            raise UserError(
                f"{path} (split.keep): {found}; expected each image in one split, {', '.join(SPLITS)} or {LEFT_OUT}, "
                "as in data/split/split.csv. Correct it, or take the table from Git as it was."
            )
        kept[image_id] = split
    return kept


def ids_in(kept: dict[str, str], images: pd.DataFrame) -> "pd.Series[str]":
    """Return the id by which an earlier split knows each image, "" where it is new.

    Of merged collections that is also the id in the image's own one: what it was called before others were added.

    Args:
        kept: the split of each image then.
        images: one row per image, with `image_id` and `collection`.
    """
    found = images["image_id"].where(images["image_id"].isin(kept.keys()), "")
    if is_merged(images):
        pairs = zip(images["image_id"], images["collection"], strict=True)
        own = pd.Series([own_id(image_id, collection) for image_id, collection in pairs], images.index, dtype=str)
        found = found.where((found != "") | ~own.isin(kept.keys()), own)
    return found


def go_on_from(images: pd.DataFrame, kept: dict[str, str]) -> tuple[pd.Series, pd.Series]:
    """Return what an earlier split means for images of today.

    An image keeps its split, and a new one of a known group goes with the group. Where what is known today joins groups
    of two splits, test comes before val and val before train, and the images of the other splits are left out. What was
    left out stays so: an image that trained an earlier model must not come into test later.

    Args:
        images: one row per image, with `image_id` and `group_id`.
        kept: the split of each image then.

    Returns:
        The split of each row, "" where its group is new; and the split of each known group.

    Raises:
        UserError: the earlier split has none of the images.
    """
    split = pd.Series([kept.get(name, "") for name in ids_in(kept, images)], images.index, dtype=str)
    if (split == "").all():
        first = f"its first is {next(iter(kept))!r}" if kept else "it has no row"
        raise UserError(
            f"split.keep names none of the images: {first}, that of data/clean/images.csv "
            f"{images['image_id'].iloc[0]!r}. Name the split.csv of earlier images of this data set, or set split.keep "
            "to data/none for a new split."
        )
    rank = split.map({"": 0, LEFT_OUT: 0, "train": 1, "val": 2, "test": 3})
    of_group = rank.groupby(images["group_id"]).max().map(dict(enumerate(["", *SPLITS])))
    split = leave_out_overlap(images, split.where(split != "", images["group_id"].map(of_group)))
    return split.rename("split"), of_group[of_group != ""]
