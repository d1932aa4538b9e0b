"""How often each training image is drawn, where not each is once an epoch: classes, collections, or both alike."""

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from lesions.core.errors import UserError

Balance = Literal["none", "class", "collection", "both"]


def draw_probabilities(
    balance: Balance, labels: NDArray[np.int64], collections: NDArray[np.str_]
) -> NDArray[np.float64] | None:
    """Return the probability of each training image in each draw, (N,); None where each comes once an epoch.

    Args:
        balance: what is drawn alike often: each `class`, each `collection`, or `both`, each class of each collection.
        labels: (N,), the images' integer labels.
        collections: (N,), the collection of each; "" where the data is not merged.

    Raises:
        UserError: it is to be balanced by collections, and there are none.
    """
    if balance == "none":
        return None
    if balance != "class" and not collections.astype(bool).any():
        raise UserError(
            f"train.balance is {balance}, and the data is of one collection: set it to class or none, or merge several "
            "(download.source: merged)."
        )
    collection = np.unique(collections, return_inverse=True)[1]
    whole = labels + (labels.max() + 1) * collection
    cells = np.unique({"class": labels, "collection": collection, "both": whole}[balance], return_inverse=True)[1]
    sizes = np.bincount(cells)
    return np.asarray(1 / (len(sizes) * sizes[cells]), np.float64)
