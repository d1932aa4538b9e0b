"""What the experiments of one `each` say together: their mean, its spread, and whether it is more than another's."""

from functools import partial
from statistics import mean, stdev
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lesions.commands.compare.paired import check_alike
from lesions.commands.compare.predictions_at_revision import predictions_at_revision
from lesions.commands.study.study import Entry, Study
from lesions.core.errors import UserError
from lesions.evaluation import metrics
from lesions.evaluation.auc_interval import auc_difference
from lesions.evaluation.bootstrap import Bootstrap, alone
from lesions.evaluation.common.predictions import SplitPredictions
from lesions.evaluation.metrics import Metrics
from lesions.reporting.common.numbers import decimal

SHOWN = {"accuracy": "accuracy", "balanced_accuracy": "balanced accuracy", "macro_auc": "macro AUC"}
SPLITS = {"val": "validation", "test": "test"}


def family_name(entry: Entry) -> str:
    """Return what the file calls an experiment, without the values of its `each`."""
    return entry.name.removesuffix("".join(f"-{entry.set[key]}" for key in entry.each))


def replicates(study: Study) -> dict[str, list[str]]:
    """Return by that name the experiments, in order."""
    found: dict[str, list[str]] = {}
    for entry in study.experiments:
        found.setdefault(family_name(entry), []).append(entry.name)
    return found


def spread(values: list[float]) -> str:
    """Return the mean, and where there are several the standard deviation: `0.910 ± 0.004`."""
    return decimal(mean(values)) + (f" ± {decimal(stdev(values))}" if len(values) > 1 else "")


def differences(before: list[SplitPredictions], after: list[SplitPredictions], bootstrap: Bootstrap) -> dict[str, Any]:
    """Return for each of `SHOWN` by how much the second is better, with an interval by lesion.

    Of the means over the runs: another lesion changes all of these alike, so that its interval is paired.

    Args:
        before: the runs of one, on the same images in the same order.
        after: those of the other.
        bootstrap: how the lesions are resampled.
    """
    first = before[0]
    positive = first.label == np.arange(len(first.classes))[:, None]
    runs = ([split.probability.T for split in splits] for splits in (before, after))
    found = bootstrap.estimates(partial(_surplus, before, after), first.groups, proportions=())
    return {**alone(found), "macro_auc": auc_difference(positive, *runs, first.groups)}


def _surplus(before: list[SplitPredictions], after: list[SplitPredictions], weights: NDArray[np.float64]) -> Metrics:
    def means(splits: list[SplitPredictions]) -> Metrics:
        found = [metrics.overall_metrics(split.label, split.probability, weights) for split in splits]
        return {name: np.mean([one[name] for one in found], axis=0) for name in SHOWN if name != "macro_auc"}

    one, other = means(before), means(after)
    return {name: other[name] - one[name] for name in one}


def against(
    commits: dict[str, list[str]], baseline: str, split: str, bootstrap: Bootstrap
) -> dict[str, dict[str, Any]]:
    """Return the differences from the baseline by family; a family of other images has none.

    Args:
        commits: of each family's experiments, of which the predictions are in DVC's cache.
        baseline: one of them.
        split: val or test.
        bootstrap: how the lesions are resampled.
    """
    read = {name: [predictions_at_revision(commit, split) for commit in ours] for name, ours in commits.items()}
    found = {}
    for name, ours in read.items():
        try:
            for one in ours:
                check_alike(read[baseline][0], one)
        except UserError:
            continue
        if name != baseline:
            found[name] = differences([one.split for one in read[baseline]], [one.split for one in ours], bootstrap)
    return found
