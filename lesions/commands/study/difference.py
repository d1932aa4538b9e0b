"""By how much two ways to train differ: intervals and p values that hold another random seed and other groups.

Networks that several seeds trained, evaluated on the same images, are what readers of the same cases are in radiology.
Which network and which groups there are is chance, both count, and there are few of the former. So the variance is that
of multi-reader multi-case studies (Obuchowski and Rockette, Communications in Statistics: Simulation 24, 1995), with
Hillis's degrees of freedom (Statistics in Medicine 26, 2007). Resampling the networks with the groups (Owen, The
pigeonhole bootstrap, Annals of Applied Statistics 1, 2007) is for many of both: of three networks it finds two thirds
of their variance (`benchmarks/study_coverage.py`).

Networks that are evaluated on other images each, as of folds, share most of their training images, and the groups are
within the folds: their variance is that of the corrected resampled t-test (Nadeau and Bengio, Inference for the
generalization error, Machine Learning 52, 2003).
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from scipy.stats import t as student

from lesions.evaluation.bootstrap import Json, rounded
from lesions.evaluation.common.proportion import LEVEL

MIN_RUNS = 3
"""With fewer, their spread is not known well enough: of two it finds the truth in 87 of 100 (same benchmark)."""
Part = tuple[float, float]
"""A part of a variance, and its degrees of freedom."""


def crossed_difference(
    before: NDArray[np.float64],
    after: NDArray[np.float64],
    covariance: NDArray[np.float64],
    group_df: float,
    *,
    paired: bool,
) -> Json:
    """Return the difference of the means of a metric over runs that are evaluated on the same images.

    With fewer than `MIN_RUNS` of either, the interval holds the groups alone.

    Args:
        before: (R,), the metric of each run.
        after: (S,), that of the others; of the same seeds in the same order where they are paired.
        covariance: (R + S, R + S), of all these, as other groups would change them.
        group_df: degrees of freedom of the covariance: one less than there are groups.
        paired: whether R is S, and runs of the same seed are.

    Returns:
        As `estimated`.
    """
    n_before, n_after = len(before), len(after)
    value = float(after.mean() - before.mean())
    if min(n_before, n_after) < MIN_RUNS:
        weights = np.repeat([-1 / n_before, 1 / n_after], [n_before, n_after])
        return estimated(value, [(float(weights @ covariance @ weights), group_df)])
    within = [covariance[:n_before, :n_before], covariance[n_before:, n_before:]]
    across = covariance[:n_before, n_before:]
    # What the groups do to all runs alike; what they do to one run stands in the spread of the runs already.
    shared = sum(_mean_between(block) for block in within)
    shared -= 2 * (_mean_between(across) if paired else float(across.mean()))
    samples = [after - before] if paired else [before, after]
    parts = [(float(sample.var(ddof=1)) / len(sample), len(sample) - 1.0) for sample in samples]
    return estimated(value, [*parts, (max(shared, 0.0), group_df)])


def crossed_mean(values: NDArray[np.float64], covariance: NDArray[np.float64], group_df: float) -> Json:
    """Return the mean of a metric over runs that are evaluated on the same images.

    With fewer than `MIN_RUNS`, the interval holds the groups alone.

    Args:
        values: (R,), the metric of each run, from 0 to 1.
        covariance: (R, R), of these, as other groups would change them.
        group_df: as for `crossed_difference`.

    Returns:
        `value`, `lower` and `upper`; the latter null where the variance is 0 or unknown.
    """
    number = len(values)
    if number < MIN_RUNS:
        parts = [(float(covariance.mean()), group_df)]
    else:
        parts = [(float(values.var(ddof=1)) / number, number - 1.0), (max(_mean_between(covariance), 0.0), group_df)]
    found = estimated(float(values.mean()), parts)
    ends = {name: None if found[name] is None else min(max(found[name], 0.0), 1.0) for name in ("lower", "upper")}  # type: ignore[type-var]
    return {"value": found["value"], **ends}


def fold_difference(differences: NDArray[np.float64], test_to_train: float) -> Json:
    """Return the mean difference over folds.

    Args:
        differences: (K,), of each fold; of at least two.
        test_to_train: how many images are evaluated for each in train.

    Returns:
        As `estimated`.
    """
    n_folds = len(differences)
    variance = (1 / n_folds + test_to_train) * float(differences.var(ddof=1))
    return estimated(float(differences.mean()), [(variance, n_folds - 1.0)])


def estimated(value: float, parts: Sequence[Part]) -> Json:
    """Return a difference with its interval and p.

    Its degrees of freedom are Satterthwaite's (Biometrics Bulletin 2, 1946), of all parts of the variance together.

    Args:
        value: the difference.
        parts: of its variance.

    Returns:
        `value`, `lower`, `upper`, and `p` of the two-sided test that it is 0; the last three null where the variance
        is 0 or unknown, then with a `reason`.
    """
    variance = sum(part for part, _ in parts)
    if not variance > np.finfo(np.float64).eps:
        return without_interval(value, "no other group or run would change it: that is no interval")
    df = variance**2 / sum(part**2 / its_df for part, its_df in parts)
    error = np.sqrt(variance)
    reach = float(student.ppf((1 + LEVEL) / 2, df) * error)
    p = float(2 * student.sf(abs(value) / error, df))
    return {"value": rounded(value), "lower": rounded(value - reach), "upper": rounded(value + reach), "p": p}


def without_interval(value: float | None, reason: str) -> Json:
    """Return a difference, or None, and why it has no interval."""
    return {
        "value": None if value is None else rounded(value),
        "lower": None,
        "upper": None,
        "p": None,
        "reason": reason,
    }


def _mean_between(covariance: NDArray[np.float64]) -> float:
    """Return the mean of a square matrix without its diagonal: between different runs."""
    return float(covariance[~np.eye(len(covariance), dtype=bool)].mean())
