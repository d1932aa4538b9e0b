"""Go on from an earlier split: its images stay where they are, so that models of both can be compared."""

import pandas as pd

from lesions.core.errors import UserError
from lesions.core.merged_ids import is_merged, merged_id, own_id
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

    Raises:
        UserError: two collections have images that were called so.
    """
    found = images["image_id"].where(images["image_id"].isin(kept.keys()), "")
    if is_merged(images):
        pairs = zip(images["image_id"], images["collection"], strict=True)
        own = pd.Series([own_id(image_id, collection) for image_id, collection in pairs], images.index, dtype=str)
        found = found.where((found != "") | ~own.isin(kept.keys()), own)
        twice = found[(found != "") & found.duplicated(keep=False)]
        if len(twice):
            first = twice.iloc[0]
            claiming = sorted(images.loc[twice.index[twice == first], "collection"])
            raise UserError(
                f"split.keep names {first!r}, and each of the collections {' and '.join(claiming)} has an image called "
                f"so, as with {twice.nunique():,} ids in all; expected to know which one it was. Write its collection "
                f"behind each id of that table, as in {merged_id(first, claiming[0])}."
            )
    return found


def refuse_renamed(images: pd.DataFrame, kept: dict[str, str]) -> None:
    """Stop where an image is called otherwise than in an earlier split, since a file of its name was added.

    In folders of classes two files called `1` are `mel_1` and `nv_1`; one of them was `1` before, and may have trained.

    Args:
        images: one row per image, with `image_id`, `collection` and `diagnosis`.
        kept: the split of each image then.

    Raises:
        UserError: an image that is new has the name of one that is gone, behind its class.
    """
    earlier = ids_in(kept, images)
    gone = kept.keys() - set(earlier)
    new = images.loc[earlier == "", ["image_id", "collection", "diagnosis"]]
    for image_id, collection, diagnosis in new.to_numpy():
        own, of_class = own_id(image_id, collection), diagnosis.replace(" ", "_") + "_"
        prefixes = [start + of_class for start in ("", *(f"{split}_" for split in SPLITS))]
        stems = {own.removeprefix(prefix) for prefix in prefixes if own.startswith(prefix)}
        if names := gone & (stems | {stem.removesuffix("_2") for stem in stems}):
            raise UserError(
                f"{min(names)}, of split.keep, is gone, and {image_id} is new: files of one name in two "
                "folders are called by their folder too, and it is not known which one was there before. Give the file "
                "that was added another name."
            )


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
