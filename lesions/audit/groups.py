"""Group images that must stay in one split: those of one lesion or patient, duplicates, known pairs and groups."""

from collections.abc import Sequence

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

KEYS = ["lesion_id", "patient_id", "known_pair_id", "known_group_id", "near_duplicate_id"]
"""Two images that share one of these stay in one split."""


def group_ids(images: pd.DataFrame) -> pd.Series:
    """Name each image's group, the connected component over `KEYS`; see `components`."""
    return components(images, KEYS).rename("group_id")


def components(images: pd.DataFrame, keys: Sequence[str], pairs: Sequence[tuple[str, str]] = ()) -> pd.Series:
    """Name the connected components over shared values of `keys` and over pairs of `image_id`s.

    Args:
        images: one row per image, with `image_id` and any of `keys`; "" means unknown and joins nothing.
        keys: columns.
        pairs: images to connect besides.

    Returns:
        For each row, the smallest `image_id` of its component: the same for any order of the rows.
    """
    rows = np.arange(len(images))
    place = pd.Series(rows, index=images["image_id"])
    edges = [place.loc[[name for pair in pairs for name in pair]].to_numpy().reshape(-1, 2)]
    for key in keys:
        if key in images:
            known = (images[key] != "").to_numpy()
            # Each image is tied to the first one with the same value.
            first = images[key].map(dict(zip(images[key][::-1], rows[::-1], strict=True))).to_numpy()
            edges.append(np.column_stack([rows[known], first[known]]))
    ends = np.concatenate(edges)
    links = coo_array((np.ones(len(ends), dtype=bool), (ends[:, 0], ends[:, 1])), shape=(len(images),) * 2)
    component: NDArray[np.int32]
    _, component = connected_components(links, directed=False)
    # The first in order is the smallest.
    order = np.argsort(images["image_id"].to_numpy(), kind="stable")
    ids = images["image_id"].iloc[order]
    return ids.groupby(component[order]).transform("first").reindex(images.index)
