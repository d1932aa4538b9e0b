"""P values of several tests, adjusted for their number."""

import numpy as np
from numpy.typing import ArrayLike, NDArray


def holm(p: ArrayLike) -> NDArray[np.float64]:
    """Return p values adjusted for their number, (N,) (Holm, Scandinavian Journal of Statistics 6, 1979).

    Among those of at most 5 % a false one is in at most 5 of 100 tables.
    """
    values = np.asarray(p, np.float64)
    order = np.argsort(values)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(1, np.maximum.accumulate(values[order] * np.arange(len(values), 0, -1)))
    return adjusted
