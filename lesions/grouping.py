"""Which pictures belong together: those of one lesion, of one patient, or with the same bytes."""

import numpy as np
import pandas as pd
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components

KEYS = ["lesion_id", "patient_id", "sha256"]
"""Two pictures that share one of these stay on one side of the split."""


def group_ids(images: pd.DataFrame) -> pd.Series:
    """Name each picture's group: the connected components over `KEYS`.

    Args:
        images: a row a picture, with `image_id` and any of `KEYS`; "" means unknown and joins nothing.

    Returns:
        For each row, the smallest `image_id` of its group: the same for any order of the rows.
    """
    pictures = np.arange(len(images))
    edges = [np.empty((0, 2), dtype=np.int64)]
    for key in KEYS:
        if key in images:
            known = (images[key] != "").to_numpy()
            # Each picture is tied to the first one with the same value.
            first = images[key].map(dict(zip(images[key][::-1], pictures[::-1], strict=True))).to_numpy()
            edges.append(np.column_stack([pictures[known], first[known]]))
    ends = np.concatenate(edges)
    links = coo_array((np.ones(len(ends), dtype=bool), (ends[:, 0], ends[:, 1])), shape=(len(images),) * 2)
    _, component = connected_components(links, directed=False)
    return images["image_id"].groupby(component).transform("min").rename("group_id")
