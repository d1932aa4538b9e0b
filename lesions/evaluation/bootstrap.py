"""95 % intervals of the metrics, by a bootstrap over groups.

A group is the images of one lesion or patient, and duplicates. They are alike, so a bootstrap over images takes them
for more evidence than they are, and its intervals are too narrow. Here whole groups are resampled with replacement (the
cluster bootstrap: Field and Welsh, J. R. Stat. Soc. B 69, 2007), unstratified, and the interval is from the 2.5th to
the 97.5th percentile of the metric over the resamples (Efron and Tibshirani, An Introduction to the Bootstrap, 1993,
chapter 13).

Percentiles of a proportion are too narrow where its images are few: it gets the exact bounds of Clopper and Pearson, of
as many cases as the variance over the resamples is worth, or, where it is 0 or 1 and every resample says the same, as
there are groups. Areas under the ROC curve (`auc_interval`) and the balanced accuracy (`balanced_accuracy`) have their
own intervals.
"""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lesions.evaluation.common.proportion import exact_bounds
from lesions.evaluation.metrics import Metrics, undefined_reason

DIGITS = 4
"""More digits than a test set of some thousand images supports would only look exact."""
PERCENTILES = (2.5, 97.5)
PROPORTIONS = (
    *("accuracy", "misclassified", "sensitivity", "specificity", "ppv", "npv", "observed", "coverage"),
    *("melanoma_sensitivity", "melanoma_specificity"),
)
"""Metrics that are fractions of images."""
ROUNDING = 1e-12
"""Resamples that all say the same may differ by this, the error of floats."""
NO_WIDTH = "every resample gives the same: that is no interval"
"""A metric's `reason` where its resamples do not differ."""
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
        self,
        metrics: Callable[[NDArray[np.float64]], Metrics],
        groups: NDArray[np.int64],
        proportions: Collection[str] = PROPORTIONS,
    ) -> dict[str, list[Json]]:
        """Return each metric's value and interval.

        Args:
            metrics: from weights (B, N) to values, (B,) or (B, classes) by name, NaN where undefined.
            groups: as for `weights`.
            proportions: names of the metrics that are fractions of images; of differences, none is.

        Returns:
            For each metric a list with one entry per class, or one alone; see `estimate`.
        """
        values = {name: np.atleast_1d(found[0]) for name, found in metrics(np.ones((1, len(groups)))).items()}
        blocks = [metrics(weights) for weights in self.weights(groups)]
        is_exact = {name: (name in proportions) & np.isin(values[name], (0, 1)) for name in values}
        cases = n_cases(metrics, groups) if any(exact.any() for exact in is_exact.values()) else {}
        several = bool(groups.any())
        found: dict[str, list[Json]] = {}
        for name, of_classes in values.items():
            drawn = np.concatenate([block[name] for block in blocks]).reshape(self.resamples, -1)
            found[name] = [
                exact_estimate(float(value), cases[name][place])
                if is_exact[name][place]
                else estimate(name, float(value), drawn[:, place], several=several, proportion=name in proportions)
                for place, value in enumerate(of_classes)
            ]
        return found


def n_cases(
    metrics: Callable[[NDArray[np.float64]], Metrics], groups: NDArray[np.int64]
) -> dict[str, NDArray[np.int64]]:
    """Return, for each metric, how many groups contribute to it: those whose images alone would give it a value.

    Args:
        metrics: as for `Bootstrap.estimates`.
        groups: as for `Bootstrap.weights`.

    Returns:
        (classes,) by name, or (1,).
    """
    n_groups = int(groups.max()) + 1
    found: dict[str, NDArray[np.int64]] = {}
    for numbers in np.array_split(np.arange(n_groups), 1 + n_groups * len(groups) // CELLS):
        alone = metrics((groups == numbers[:, None]).astype(np.float64))
        for name, values in alone.items():
            found[name] = found.get(name, 0) + (~np.isnan(values.reshape(len(numbers), -1))).sum(axis=0)
    return found


def exact_estimate(value: float, cases: int) -> Json:
    """Return a proportion of 0 or 1 with its exact bounds.

    Args:
        value: 0 or 1.
        cases: how many there are.
    """
    lower, upper = exact_bounds(value, cases)
    return {"value": value, "lower": rounded(lower), "upper": rounded(upper)}


def estimate(name: str, value: float, drawn: NDArray[np.float64], *, several: bool, proportion: bool = False) -> Json:
    """Return a metric with its interval.

    Args:
        name: the metric's.
        value: of all images.
        drawn: (resamples,), NaN in a resample in which it is undefined.
        several: whether there is more than one group.
        proportion: whether it is a fraction of images.

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
        if proportion and upper > lower:
            lower, upper = exact_bounds(value, value * (1 - value) / float(known.var(ddof=1)))
        if upper - lower > ROUNDING:
            return {"value": rounded(value), "lower": rounded(lower), "upper": rounded(upper), **missing}
        # [1, 1] would read as certainty, and says only that no error was among these groups.
        reason = NO_WIDTH
    return {"value": rounded(value), "lower": None, "upper": None, "reason": reason, **missing}


def unwrap_single(estimates: dict[str, list[Json]]) -> dict[str, Json]:
    """Return estimates that have one entry each, without the lists."""
    return {name: found for name, (found,) in estimates.items()}


def rounded(value: float) -> float | None:
    """Round to `DIGITS`, and to no negative zero; None where undefined."""
    return None if np.isnan(value) else round(float(value), DIGITS) + 0.0
