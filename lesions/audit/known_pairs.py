"""Pairs of images that are known to show one lesion, although HAM10000 names two.

Source: Abhishek, Jain and Hamarneh, Investigating the quality of DermaMNIST and Fitzpatrick17k dermatological image
datasets, Scientific Data 12, 196, 2025. Most are photographs taken again, which no comparison of pixels finds. An ISIC
id names one image wherever it is published, so the pairs hold for any data set that has these images.
"""

from itertools import product

import pandas as pd

REASON = "known to show one lesion (Abhishek et al. 2025)"

_NUMBERS = """
33481/33421 33556/32634 29152/33173 29036/27027 27820/28209 27689/32647 30906/24879 33391/34186 25226/30074
26087/25664 24736/29748 24770/27811 27162/29061 24602/32283 29625/24629 30000/31392 24437/31299 33374/33417
"""
PAIRS = sorted(tuple(sorted(f"ISIC_00{number}" for number in pair.split("/"))) for pair in _NUMBERS.split())
"""The pairs of `image_id`s, each and all in order."""

_PAIR_OF = {image_id: pair[0] for pair in PAIRS for image_id in pair}


def known_pair_ids(image_ids: "pd.Series[str]") -> "pd.Series[str]":
    """Name each image's known pair by the smaller id in it; "" where an image is in none."""
    return _isic_ids(image_ids).map(_PAIR_OF).fillna("").rename("known_pair_id")


def _isic_ids(image_ids: "pd.Series[str]") -> "pd.Series[str]":
    """Return ids without the collection that a merge adds to them."""
    return image_ids.str.split("@").str[0]


def with_known_pairs(duplicates: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """Add the known pairs to the pairs of duplicates, sorted as these.

    Args:
        duplicates: of `find_duplicates`.
        images: one row per image, with `image_id`, `label` and `lesion_id`.

    Returns:
        `duplicates`, and the known pairs of which `images` holds both, with `REASON`. One that was found to be a
        duplicate too keeps its similarity; the others have none.
    """
    described = images.set_index("image_id")[["label", "lesion_id"]]
    isic_ids = _isic_ids(images["image_id"])
    ids = images["image_id"][isic_ids.isin(list(_PAIR_OF))].groupby(isic_ids).agg(list)
    pairs_held = [pair for pair in PAIRS if {*pair} <= {*ids.index}]
    rows = [sorted(two) for one, other in pairs_held for two in product(ids[one], ids[other])]
    held = pd.DataFrame(rows, columns=["one", "other"])
    held = held.join(described.add_suffix("_one"), on="one").join(described.add_suffix("_other"), on="other")
    pairs = pd.concat([duplicates, held.assign(reason=REASON)]) if len(held) else duplicates
    similarity = pairs.groupby(["one", "other"])["similarity"].transform("first")
    pairs = pairs.assign(similarity=similarity).drop_duplicates(["one", "other"], keep="last")
    return pairs.sort_values(["one", "other"], ignore_index=True)
