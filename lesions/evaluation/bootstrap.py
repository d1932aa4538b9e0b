"""95 % intervals of the metrics, by a bootstrap over groups.

A group is the images of one lesion or patient, and duplicates. They are alike, so a bootstrap over images takes them
for more evidence than they are, and its intervals are too narrow. Here whole groups are resampled with replacement (the
cluster bootstrap: Field and Welsh, J. R. Stat. Soc. B 69, 2007), unstratified, and the interval is from the 2.5th to
the 97.5th percentile of the metric over the resamples (Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
chapter 13).
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lesions.evaluation.metrics import Metrics, undefined_reason

DIGITS = 4
"""More digits than a test set of some thousand images supports would only look exact."""
PERCENTILES = (2.5, 97.5)
CELLS = 2**18
"""Weights at once: as many resamples as fit a processor's cache with what is made of them."""

Json = dict[str, float | int | str | None]


@dataclass(frozen=True)
class Bootstrap:
    """How intervals are resampled.

    Attributes:
        resamples: how many resamples of the groups.
        seed: random seed of the resamples.
    """

    resamples: int
    seed: int

    def weights(self, groups: NDArray[np.int64]) -> Iterator[NDArray[np.float64]]:
        """Yield how often each image stands in each resample, (B, N), some resamples at a time.

        Args:
            groups: (N,), the number of each image's group, from 0 to one less than there are groups.
        """
        number = int(groups.max()) + 1
        block = max(1, CELLS // len(groups))
        random = np.random.default_rng(self.seed)
        for start in range(0, self.resamples, block):
            rows = min(block, self.resamples - start)
            drawn = random.integers(number, size=(rows, number)) + number * np.arange(rows)[:, None]
            times = np.bincount(drawn.ravel(), minlength=rows * number).reshape(rows, number)
            yield times.astype(np.float64)[:, groups]

    def estimates(
        self, metrics: Callable[[NDArray[np.float64]], Metrics], groups: NDArray[np.int64]
    ) -> dict[str, list[Json]]:
        """Return each metric's value and interval.

        Args:
            metrics: from weights (B, N) to values, (B,) or (B, classes) by name, NaN where undefined.
            groups: as for `weights`.

        Returns:
            For each metric a list with one entry per class, or one alone; see `estimate`.
        """
        values = metrics(np.ones((1, len(groups))))
        blocks = [metrics(weights) for weights in self.weights(groups)]
        return {
            name: [
                estimate(name, float(value), drawn, several=bool(groups.any()))
                for value, drawn in zip(
                    np.atleast_1d(values[name][0]),
                    np.concatenate([block[name] for block in blocks]).reshape(self.resamples, -1).T,
                    strict=True,
                )
            ]
            for name in values
        }


def estimate(name: str, value: float, drawn: NDArray[np.float64], *, several: bool) -> Json:
    """Return a metric with its interval.

    Args:
        name: the metric's.
        value: of all images.
        drawn: (resamples,), NaN in a resample in which it is undefined.
        several: whether there is more than one group.

    Returns:
        `value`, `lower` and `upper`, null where there is none, then with a `reason`; and
        `undefined_resamples` where some were left out of the interval.
    """
    if np.isnan(value):
        return {"value": None, "lower": None, "upper": None, "reason": undefined_reason(name)}
    known = drawn[~np.isnan(drawn)]
    missing: Json = {"undefined_resamples": len(drawn) - len(known)} if len(known) < len(drawn) else {}
    reason = "one group alone: nothing to resample"
    if several:
        lower, upper = np.percentile(known, PERCENTILES) if len(known) else (value, value)
        if upper > lower:
            return {"value": rounded(value), "lower": rounded(lower), "upper": rounded(upper), **missing}
        # [1, 1] would read as certainty, and says only that no error was among these groups.
        reason = "every resample gives the same, as where no prediction is wrong: that is no interval"
    return {"value": rounded(value), "lower": None, "upper": None, "reason": reason, **missing}


def alone(estimates: dict[str, list[Json]]) -> dict[str, Json]:
    """Return estimates that have one entry each, without the lists."""
    return {name: found for name, (found,) in estimates.items()}


def rounded(value: float) -> float | None:
    """Round to `DIGITS`; None where undefined."""
    return None if np.isnan(value) else round(float(value), DIGITS)
