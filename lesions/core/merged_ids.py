"""Names in a merge of several collections: an id belongs to its collection, whatever others call their own images."""

import re

import pandas as pd

NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
"""What a collection may be called: it is the name of a folder too, beside `metadata.csv`."""


def merged_id(own_id: str, collection: str) -> str:
    """Return what an image, lesion or patient of a collection is called in the merge; "" stays so.

    >>> merged_id("ISIC_0024306", "ham10000")
    'ISIC_0024306@ham10000'
    >>> merged_id("ISIC_0024306", "")
    'ISIC_0024306'
    """
    return f"{own_id}@{collection}" if own_id and collection else own_id


def own_id(merged: str, collection: str) -> str:
    """Return what its collection calls it; see `merged_id`.

    >>> own_id("ISIC_0024306@ham10000", "ham10000")
    'ISIC_0024306'
    """
    return merged.removesuffix(f"@{collection}") if collection else merged


def is_merged(images: pd.DataFrame) -> bool:
    """Whether images, with `collection` where that is known, are of several merged collections."""
    return "collection" in images and bool(images["collection"].fillna("").any())
