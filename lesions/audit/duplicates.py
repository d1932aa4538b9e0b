"""Find duplicates, by bytes and by sight."""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesions.audit.groups import components
from lesions.audit.near_duplicates import find_near_duplicates
from lesions.images.content_cache import ContentCache

SAME_BYTES, NEAR_DUPLICATE = "same bytes", "near-duplicate"


def find_duplicates(
    images: pd.DataFrame, luma: NDArray[np.uint8], colour: NDArray[np.float32], cache: ContentCache | None = None
) -> pd.DataFrame:
    """List the pairs of duplicates: images with the same bytes, and near-duplicates.

    Args:
        images: one row per image, with `image_id`, `sha256`, `label` and `lesion_id`.
        luma: (N, 64, 64), the images' fingerprints, in the order of the rows.
        colour: (N, 2, 8, 8), the same.
        cache: of `open_similarities`, if how similar the pairs are is to be kept.

    Returns:
        One row per pair, sorted: `one` < `other`, both `image_id`s; `similarity`, two decimals; `reason`,
        `SAME_BYTES` or `NEAR_DUPLICATE`; and both images' `label` and `lesion_id`. Of images with the same bytes
        each is paired with the first alone.
    """
    order = np.argsort(images["image_id"].to_numpy())
    ids, sha256 = (images[column].to_numpy()[order] for column in ("image_id", "sha256"))
    table = pd.DataFrame({"image_id": ids, "first": pd.Series(ids).groupby(sha256).transform("first")})
    same = table[table["image_id"] != table["first"]]
    identical = pd.DataFrame({"one": same["first"], "other": same["image_id"], "similarity": 1.0, "reason": SAME_BYTES})

    different = order[(table["image_id"] == table["first"]).to_numpy()]
    near = find_near_duplicates(luma, colour, different, images["sha256"].iloc[different].tolist(), cache)
    names = images["image_id"].to_numpy()[different]
    near = near.assign(one=names[near["one"]], other=names[near["other"]], reason=NEAR_DUPLICATE)
    pairs = pd.concat([identical, near.round({"similarity": 2})]).sort_values(["one", "other"], ignore_index=True)
    pairs = pairs[["one", "other", "similarity", "reason"]]
    known = images.set_index("image_id")[["label", "lesion_id"]]
    return pairs.join(known.add_suffix("_one"), on="one").join(known.add_suffix("_other"), on="other")


def under_two_lesions(pairs: pd.DataFrame) -> "pd.Series[bool]":
    """Whether the images of each pair are of two lesions, both known."""
    one, other = pairs["lesion_id_one"], pairs["lesion_id_other"]
    return (one != other) & (one != "") & (other != "")


def near_duplicate_ids(images: pd.DataFrame, pairs: pd.DataFrame) -> pd.Series:
    """Name each image's set of duplicates by the smallest `image_id` in it; "" where an image has none.

    Args:
        images: one row per image, with `image_id`.
        pairs: as `find_duplicates` returns them; those of other images are passed over.
    """
    ours = pairs[pairs[["one", "other"]].isin(set(images["image_id"])).all(axis=1)]
    component = components(images, [], list(zip(ours["one"], ours["other"], strict=True)))
    return component.where(component.duplicated(keep=False), "").rename("near_duplicate_id")
