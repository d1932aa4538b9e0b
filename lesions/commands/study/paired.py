"""How experiments differ on the same images: the means of repeated runs, and a leaky form from the one without."""

from collections.abc import Iterator
from io import BytesIO
from typing import Any

import numpy as np
import pandas as pd
from dvc.api import DVCFileSystem
from numpy.typing import NDArray

from lesions.commands.compare.paired import check_alike
from lesions.commands.compare.predictions_at_revision import predictions_at_revision
from lesions.commands.study.study import SHOWN, SPLITS
from lesions.core.errors import UserError
from lesions.evaluation import metrics
from lesions.evaluation.auc_interval import auc_difference
from lesions.evaluation.bootstrap import Bootstrap, Json, alone
from lesions.evaluation.common.predictions import SplitPredictions
from lesions.evaluation.metrics import Metrics
from lesions.params.evaluate import Evaluate
from lesions.reporting.common.numbers import decimal, interval_to


def surplus(before: list[SplitPredictions], after: list[SplitPredictions], bootstrap: Bootstrap) -> dict[str, Json]:
    """Return for each of `SHOWN` by how much the mean over the runs of one is above that of the other.

    Another lesion changes all runs alike, so that the intervals are paired, by lesion.

    Args:
        before: the runs of the other, on the same images in the same order.
        after: those of one.
        bootstrap: how the groups are resampled.
    """
    first = before[0]

    def difference(weights: NDArray[np.float64]) -> Metrics:
        one, other = (mean_metrics(runs, weights) for runs in (before, after))
        return {name: other[name] - one[name] for name in SHOWN if name != "macro_auc"}

    positive = first.label == np.arange(len(first.classes))[:, None]
    others, ours = ([run.probability.T for run in runs] for runs in (before, after))
    return {
        **alone(bootstrap.estimates(difference, first.groups, proportions=())),
        "macro_auc": auc_difference(positive, others, ours, first.groups),
    }


def mean_metrics(runs: list[SplitPredictions], weights: NDArray[np.float64]) -> Metrics:
    """Return the means over runs of `metrics.overall_metrics`, (B,) each, by weights, (B, N)."""
    found = [metrics.overall_metrics(run.label, run.probability, weights) for run in runs]
    return {name: np.mean([one[name] for one in found], axis=0) for name in found[0]}


def surplus_over(baseline: str, commits: dict[str, list[str]], split: str) -> dict[str, dict[str, Any]]:
    """Return by how much each family is better than the baseline; one of other images is left out.

    Args:
        baseline: a family.
        commits: of each family's experiments.
        split: val or test.

    Raises:
        UserError: predictions are not in DVC's cache.
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
            found[name] = surplus([one.split for one in read[baseline]], [one.split for one in ours], _bootstrap())
    return found


def paired_lines(names: str, without_leak: str, leaky: str, split: str) -> Iterator[str]:
    """Yield a line for all images of a split, and one for those whose group is in train in the leaky form.

    Args:
        names: of both experiments.
        without_leak: the commit of one.
        leaky: that of the other.
        split: val or test.
    """
    try:
        one, other = (predictions_at_revision(commit, split) for commit in (without_leak, leaky))
        check_alike(one, other)
    except UserError:  # they have other images, or the predictions are not in the cache: there is nothing to pair
        return
    leaks = other.split.table["group_id"].isin(_trained_groups(leaky)).to_numpy()
    for what, rows in (("all images", np.ones(len(leaks), bool)), ("those of a lesion in train", leaks)):
        if not rows.any():
            continue
        clean, leaked = ([found.split.only(rows)] for found in (one, other))
        before, after = (mean_metrics(runs, np.ones((1, rows.sum()))) for runs in (clean, leaked))
        differences = surplus(clean, leaked, _bootstrap())
        words = [
            f"{SHOWN[name]} {decimal(after[name][0])} against {decimal(before[name][0])}, "
            f"{interval_to(differences[name], '+')}"
            for name in ("accuracy", "balanced_accuracy")
        ]
        yield f"- {names}, {SPLITS[split]}, {what} ({rows.sum():,}): {'; '.join(words)}"


def _bootstrap() -> Bootstrap:
    params = Evaluate.read()
    return Bootstrap(params.n_bootstrap, params.seed)


def _trained_groups(commit: str) -> set[str]:
    """Return the groups of which an image is in train."""
    files = DVCFileSystem(rev=commit)
    split, images = (
        pd.read_csv(BytesIO(files.read_bytes(name)), dtype=str, keep_default_na=False)
        for name in ("data/split/split.csv", "data/clean/images.csv")
    )
    both = images[["image_id", "group_id"]].merge(split[["image_id", "split"]], on="image_id")
    return set(both.loc[both["split"] == "train", "group_id"])
