"""How experiments differ on the same images: repeated runs from a baseline's, and a leaky form from the one without."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
import pandas as pd
from dvc.api import DVCFileSystem
from numpy.typing import NDArray

from lesions.commands.compare.paired import check_alike
from lesions.commands.compare.predictions_at_revision import ModelPredictions, predictions_at_revision
from lesions.commands.study.difference import MIN_RUNS, crossed_difference, fold_difference, without_interval
from lesions.commands.study.study import METRICS
from lesions.core.errors import UserError
from lesions.evaluation.auc_interval import MIN_POSITIVE_GROUPS, auc_covariance, n_groups_of_kind, too_few_groups
from lesions.evaluation.bootstrap import Bootstrap, Json
from lesions.evaluation.common.predictions import SplitPredictions
from lesions.evaluation.holm import holm
from lesions.evaluation.metrics import Metrics, confusion, label_metrics, undefined_reason
from lesions.evaluation.roc import auc_and_average_precision
from lesions.params.evaluate import Evaluate

ONE_RUN = "groups; one random seed: says nothing of another"
TWO_RUNS = "groups; two random seeds: too few to say what a third would give"
ENOUGH_RUNS = 5
"""With fewer, a very small p comes up to 13 times too often (`benchmarks/study_coverage.py`)."""
ALPHA = 0.05
"""Of all comparisons of a table together."""
Runs = Mapping[str, ModelPredictions]
"""By the values of the study's `each` that made them."""


@dataclass(frozen=True)
class Comparison:
    """How one differs from another.

    Attributes:
        name: which, as Markdown.
        holds: what chance the intervals hold.
        differences: by metric, as `difference.estimated`; once `adjusted`, with `p_holm`.
    """

    name: str
    holds: str
    differences: dict[str, Json]

    @property
    def is_of_networks_alone(self) -> bool:
        """Whether the intervals hold no other random seed, so that it says nothing of the ways to train."""
        return self.holds in (ONE_RUN, TWO_RUNS)

    def survives(self, metric: str) -> bool:
        """Whether it differs in a metric at 5 % over all comparisons of the table."""
        p = self.differences[metric]["p_holm"]
        return isinstance(p, float) and p <= ALPHA


def compare_to_baseline(baseline: str, commits: Mapping[str, Mapping[str, str]], split: str) -> list[Comparison]:
    """Return how each family differs from the baseline; one of other images is left out.

    Args:
        baseline: a family.
        commits: of each family's experiments, as `Runs`.
        split: val or test.

    Raises:
        UserError: predictions are not in DVC's cache.
    """
    runs = {
        name: {values: predictions_at_revision(commit, split) for values, commit in ours.items()}
        for name, ours in commits.items()
    }
    found = [compare_runs(f"`{name}`", runs[baseline], ours) for name, ours in runs.items() if name != baseline]
    return adjusted([one for one in found if one])


def compare_runs(name: str, before: Runs, after: Runs) -> Comparison | None:
    """Return how the means over runs differ, paired where both have runs of the same seed or fold.

    Args:
        name: of the latter, as Markdown.
        before: the runs of one.
        after: those of the other.

    Returns:
        None where they have other images.
    """
    shared = [values for values in before if values in after]
    ours, others = ([runs[values] for values in shared or runs] for runs in (after, before))
    if all(_are_alike(others[0], one) for one in (*others, *ours)):
        splits = [[one.split for one in runs] for runs in (others, ours)]
        return Comparison(name, _held(len(others), len(ours)), crossed_differences(*splits, paired=bool(shared)))
    if not shared or not all(_are_alike(*pair) for pair in zip(others, ours, strict=True)):
        return None
    folds: dict[tuple[str, ...], list[dict[str, float]]] = {}
    for other, one in zip(others, ours, strict=True):
        first, second = (metric_values(run.split) for run in (other, one))
        images = tuple(one.split.table["image_id"])
        folds.setdefault(images, []).append({metric: second[metric] - first[metric] for metric in METRICS})
    if len(folds) < 2:
        return None
    ratio = float(np.mean([_test_to_train(one) for one in ours]))
    differences: dict[str, Json] = {
        metric: _of_folds(metric, np.array([np.mean([one[metric] for one in runs]) for runs in folds.values()]), ratio)
        for metric in METRICS
    }
    return Comparison(name, f"{len(folds)} folds", differences)


def crossed_differences(
    before: Sequence[SplitPredictions], after: Sequence[SplitPredictions], *, paired: bool
) -> dict[str, Json]:
    """Return for each metric by how much its mean over runs is larger after than before.

    Args:
        before: runs on the same images in the same order.
        after: others on these, too.
        paired: whether there are as many, in the order of the same seeds.
    """
    runs = [*before, *after]
    label, groups = before[0].label, before[0].groups
    positive = label == np.arange(len(before[0].classes))[:, None]
    rarest = min(min(n_groups_of_kind(rows, groups)) for rows in positive)
    values = [metric_values(run) for run in runs]
    covariance = _bootstrap_covariance(runs, groups)
    if rarest >= MIN_POSITIVE_GROUPS:
        scores = np.concatenate([run.probability.T for run in runs])
        of_classes = auc_covariance(np.tile(positive, (len(runs), 1)), scores, groups)[1]
        covariance["macro_auc"] = of_classes.reshape(len(runs), len(positive), len(runs), -1).mean(axis=(1, 3))
    found: dict[str, Json] = {}
    for metric in METRICS:
        one, other = np.split(np.array([value[metric] for value in values]), [len(before)])
        n_groups = int(groups.max()) + 1 if metric == "accuracy" else rarest
        if np.isnan([*one, *other]).any():
            found[metric] = without_interval(None, undefined_reason(metric))
        elif n_groups < MIN_POSITIVE_GROUPS:
            found[metric] = without_interval(float(other.mean() - one.mean()), too_few_groups(n_groups))
        else:
            found[metric] = crossed_difference(one, other, covariance[metric], n_groups - 1, paired=paired)
    return found


def metric_values(split: SplitPredictions) -> dict[str, float]:
    """Return the metrics of one run."""
    once = np.ones((1, len(split.label)))
    areas = [
        auc_and_average_precision(split.label == number, score, once)[0][0]
        for number, score in enumerate(split.probability.T)
    ]
    return {name: float(found[0]) for name, found in _label_metrics(split, once).items()} | {
        "macro_auc": float(np.mean(areas))
    }


def adjusted(comparisons: Sequence[Comparison]) -> list[Comparison]:
    """Return comparisons with p values adjusted for all that stand in one table."""
    known = [one for comparison in comparisons for one in comparison.differences.values() if one["p"] is not None]
    p_holm = iter(holm([float(one["p"] or 0) for one in known]).tolist())
    return [
        replace(
            comparison,
            differences={
                metric: {**one, "p_holm": None if one["p"] is None else next(p_holm)}
                for metric, one in comparison.differences.items()
            },
        )
        for comparison in comparisons
    ]


def compare_leak(name: str, without_leak: str, leaky: str, split: str) -> Iterator[Comparison]:
    """Yield how a leaky form differs on all images of a split, and on those whose group is in train there.

    Args:
        name: of both experiments, as Markdown.
        without_leak: the commit of one.
        leaky: that of the other.
        split: val or test.
    """
    try:
        one, other = (predictions_at_revision(commit, split) for commit in (without_leak, leaky))
        check_alike(one, other)
    except UserError:  # they have other images, or the predictions are not in the cache: there is nothing to pair
        return
    table = _assignment(leaky)
    in_train = set(table.loc[table["split"] == "train", "group_id"])
    leaks = other.split.table["group_id"].isin(in_train).to_numpy()
    for what, rows in (("all images", np.ones(len(leaks), bool)), ("images of a group in train", leaks)):
        if rows.any():
            splits = ([found.split.only(rows)] for found in (one, other))
            yield Comparison(f"{name}, {what} ({rows.sum():,})", ONE_RUN, crossed_differences(*splits, paired=True))


def _bootstrap_covariance(
    runs: Sequence[SplitPredictions], groups: NDArray[np.int64]
) -> dict[str, NDArray[np.float64]]:
    """Return the covariance, (R, R), of the runs' accuracies, and balanced accuracies, over resamples of the groups."""
    params = Evaluate.read()
    blocks = [
        [_label_metrics(run, weights) for run in runs]
        for weights in Bootstrap(params.n_bootstrap, params.seed).weights(groups)
    ]
    return {
        name: np.atleast_2d(np.cov(np.concatenate([[found[name] for found in block] for block in blocks], axis=1)))
        for name in ("accuracy", "balanced_accuracy")
    }


def _label_metrics(split: SplitPredictions, weights: NDArray[np.float64]) -> Metrics:
    found = label_metrics(confusion(split.label, split.probability, weights))
    return {name: found[name] for name in ("accuracy", "balanced_accuracy")}


def _held(n_before: int, n_after: int) -> str:
    """Return what chance an interval holds that is of so many runs on the same images."""
    fewest, most = sorted((n_before, n_after))
    if fewest < MIN_RUNS:
        return ONE_RUN if fewest == 1 else TWO_RUNS
    runs = f"{fewest} runs" if fewest == most else f"{fewest} and {most} runs"
    return f"{runs}, groups" if fewest >= ENOUGH_RUNS else f"{runs} (few: p is rough), groups"


def _of_folds(metric: str, differences: NDArray[np.float64], ratio: float) -> Json:
    if np.isnan(differences).any():
        return without_interval(None, undefined_reason(metric))
    return fold_difference(differences, ratio)


def _are_alike(one: ModelPredictions, other: ModelPredictions) -> bool:
    try:
        check_alike(one, other)
    except UserError:
        return False
    return True


def _test_to_train(run: ModelPredictions) -> float:
    """Return how many images were evaluated for each that the run trained with."""
    return len(run.split.label) / int((_assignment(run.revision)["split"] == "train").sum())


def _assignment(commit: str) -> pd.DataFrame:
    """Return the group and the split of each image."""
    files = DVCFileSystem(rev=commit)
    split, images = (
        pd.read_csv(BytesIO(files.read_bytes(name)), dtype=str, keep_default_na=False)
        for name in ("data/split/split.csv", "data/clean/images.csv")
    )
    return images[["image_id", "group_id"]].merge(split[["image_id", "split"]], on="image_id")
