"""Rows of thumbnails for the contact sheets: examples of each class, and pairs of duplicates."""

from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesions.audit.duplicates import SAME_BYTES, under_two_lesions
from lesions.images.archive_images import decode_members
from lesions.images.decode import decode_image

Thumbnails = list[NDArray[np.uint8]]
MAX_PAIRS, EACH = 200, 10
"""Pairs of duplicates, and examples of a class, at most."""
HEIGHT, WIDTH = 90, 120
"""Size of a thumbnail in pixels."""
LONGEST_ID = 32
"""Letters of an image's name over its pair."""


def class_examples(raw: Path, images: pd.DataFrame, classes: list[str]) -> list[tuple[str, Thumbnails]]:
    """Return the first images of each class, of as many groups.

    Args:
        raw: the folder of the archives.
        images: `data/clean/images.csv`.
        classes: the labels, in order.
    """
    rows = []
    for label in classes:
        ours = images[images["label"] == label]
        examples = _thumbnails(raw, ours.drop_duplicates("group_id").head(EACH))
        rows.append((f"{label}: {len(ours):,} images", examples))
    return rows


def duplicate_pairs(raw: Path, images: pd.DataFrame, duplicates: pd.DataFrame) -> list[tuple[str, Thumbnails]]:
    """Return pairs of duplicates: first those of two lesions, then the least similar.

    Args:
        raw: the folder of the archives.
        images: one row per image, with `image_id`, `archive` and `member`.
        duplicates: `data/clean/duplicates.csv`.
    """
    similarity = duplicates["similarity"].map("{:.2f}".format).where(duplicates["similarity"].notna(), "known")
    shown = similarity.where(duplicates["reason"] != SAME_BYTES, SAME_BYTES)
    order = duplicates.assign(shown=shown, one_lesion=~under_two_lesions(duplicates))
    pairs = order.sort_values(["one_lesion", "similarity", "one", "other"]).head(MAX_PAIRS)
    members = images.set_index("image_id")[["archive", "member"]]
    thumbnails = iter(_thumbnails(raw, members.loc[pairs[["one", "other"]].to_numpy().ravel()]))
    cells = []
    for pair in pairs.itertuples():
        ids = (str(image_id)[:LONGEST_ID] for image_id in (pair.one, pair.other))
        text = "\n".join([*ids, f"{pair.shown}{'' if pair.one_lesion else ', 2 lesions'}"])
        cells.append((text, [next(thumbnails), next(thumbnails)]))
    return cells or [("No image is a duplicate of another.", [])]


def _thumbnails(raw: Path, members: pd.DataFrame) -> Thumbnails:
    return list(
        decode_members(raw, members, partial(decode_image, height=HEIGHT, width=WIDTH), "drawing", use_cluster=False)
    )
