"""How experiments differ on the same images: the means of repeated runs, and a leaky form from the one without."""

from collections.abc import Iterator
from functools import partial
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
from lesions.evaluation.bootstrap import Bootstrap
from lesions.evaluation.common.predictions import SplitPredictions
from lesions.evaluation.metrics import Metrics
from lesions.params.evaluate import Evaluate
from lesions.reporting.common.numbers import decimal, interval_to


def differences(
    before: list[SplitPredictions], after: list[SplitPredictions], bootstrap: Bootstrap
) -> dict[str, list[Any]]:
    """Return for each of `SHOWN` the means over the runs of one and of the other, and the surplus, with intervals.

    Another lesion changes all runs alike, so that the surplus has a paired interval, by lesion.

    Args:
        before: the runs of one, on the same images in the same order.
        after: those of the other.
        bootstrap: how the lesions are resampled.
    """
    return bootstrap.estimates(partial(_means, before, after), before[0].groups)


def _means(before: list[SplitPredictions], after: list[SplitPredictions], weights: NDArray[np.float64]) -> Metrics:
    one, other = (
        [metrics.overall_metrics(run.label, run.probability, weights) for run in runs] for runs in (before, after)
    )
    found = {}
    for name in SHOWN:
        first, second = (np.mean([run[name] for run in runs], axis=0) for runs in (one, other))
        found[name] = np.stack([first, second, second - first], axis=1)
    return found


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
            both = ([one.split for one in read[baseline]], [one.split for one in ours])
            found[name] = {metric: three[2] for metric, three in differences(*both, _bootstrap()).items()}
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
        found, words = differences([one.split.only(rows)], [other.split.only(rows)], _bootstrap()), []
        for metric in ("accuracy", "balanced_accuracy"):
            before, after, surplus = found[metric]
            if surplus["value"] is not None:
                both = f"{decimal(after['value'])} against {decimal(before['value'])}"
                words.append(f"{SHOWN[metric]} {both}, {interval_to(surplus, '+')}")
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
