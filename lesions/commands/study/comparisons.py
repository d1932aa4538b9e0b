"""How repeated runs of experiments differ on the same images, or over folds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from io import BytesIO

import numpy as np
import pandas as pd
from dvc.api import DVCFileSystem
from dvc_data.index import DataIndexError
from numpy.typing import NDArray

from lesions.commands.compare.paired import check_alike
from lesions.commands.compare.predictions_at_revision import ModelPredictions, predictions_at_revision
from lesions.commands.study.difference import MIN_RUNS, crossed_difference, fold_difference, without_interval
from lesions.commands.study.run_metrics import measure_runs, metric_values
from lesions.commands.study.study import METRICS
from lesions.core.errors import UserError
from lesions.evaluation.auc_interval import MIN_POSITIVE_GROUPS, too_few_groups
from lesions.evaluation.bootstrap import Json
from lesions.evaluation.common.predictions import SplitPredictions
from lesions.evaluation.holm import holm
from lesions.evaluation.metrics import undefined_reason

ONE_RUN = "groups; one random seed: says nothing of another"
TWO_RUNS = "groups; two random seeds: too few to say what a third would give"
ENOUGH_RUNS = 5
"""With fewer, a very small p comes up to 13 times too often (`benchmarks/study_coverage.py`)."""
ALPHA = 0.05
"""Significance level of all comparisons of a table together."""
Runs = Mapping[str, ModelPredictions]
"""By the values of the study's `each` that made them."""


@dataclass(frozen=True)
class Comparison:
    """How one differs from another.

    Attributes:
        name: which, as Markdown.
        holds: what chance the intervals hold.
        differences: by metric, as `difference.estimated`; once `holm_adjusted`, with `p_holm`.
    """

    name: str
    holds: str
    differences: dict[str, Json]

    @property
    def holds_no_seed(self) -> bool:
        """Whether the intervals hold no other random seed, so that it says nothing of the ways to train."""
        return self.holds in (ONE_RUN, TWO_RUNS)

    def is_significant(self, metric: str) -> bool:
        """Whether it differs in a metric at 5 % over all comparisons of the table."""
        p = self.differences[metric]["p_holm"]
        return isinstance(p, float) and p <= ALPHA


def compare_to_baseline(baseline: str, commits: Mapping[str, Mapping[str, str]], split: str) -> list[Comparison]:
    """Return how each configuration differs from the baseline; one of other images is left out.

    Args:
        baseline: a configuration.
        commits: of each configuration's experiments, as `Runs`.
        split: val or test.

    Raises:
        UserError: predictions are not in DVC's cache.
    """
    runs = {
        name: {values: predictions_at_revision(commit, split) for values, commit in ours.items()}
        for name, ours in commits.items()
    }
    found = [compare_runs(f"`{name}`", runs[baseline], ours) for name, ours in runs.items() if name != baseline]
    return holm_adjusted([one for one in found if one])


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
    if all(are_alike(others[0], one) for one in (*others, *ours)):
        splits = [[one.split for one in runs] for runs in (others, ours)]
        return Comparison(
            name, interval_holds(len(others), len(ours)), crossed_differences(*splits, paired=bool(shared))
        )
    if not shared or not all(are_alike(*pair) for pair in zip(others, ours, strict=True)):
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
    found: dict[str, Json] = {}
    for metric, measured in measure_runs([*before, *after]).items():
        one, other = np.split(measured.values, [len(before)])
        if np.isnan(measured.values).any():
            found[metric] = without_interval(None, undefined_reason(metric))
        elif measured.n_groups < MIN_POSITIVE_GROUPS:
            found[metric] = without_interval(float(other.mean() - one.mean()), too_few_groups(measured.n_groups))
        else:
            found[metric] = crossed_difference(one, other, measured.covariance, measured.n_groups - 1, paired=paired)
    return found


def holm_adjusted(comparisons: Sequence[Comparison]) -> list[Comparison]:
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


def interval_holds(n_before: int, n_after: int) -> str:
    """Return what chance an interval holds that is of so many runs on the same images."""
    fewest, most = sorted((n_before, n_after))
    if fewest < MIN_RUNS:
        return ONE_RUN if fewest == 1 else TWO_RUNS
    runs = f"{fewest} runs" if fewest == most else f"{fewest} and {most} runs"
    return f"{runs}, groups" if fewest >= ENOUGH_RUNS else f"{runs} (few: a rough interval), groups"


def _of_folds(metric: str, differences: NDArray[np.float64], ratio: float) -> Json:
    if np.isnan(differences).any():
        return without_interval(None, undefined_reason(metric))
    return fold_difference(differences, ratio)


def are_alike(one: ModelPredictions, other: ModelPredictions) -> bool:
    """Whether two models have predictions of the same images, of the same classes and groups."""
    try:
        check_alike(one, other)
    except UserError:
        return False
    return True


def _test_to_train(run: ModelPredictions) -> float:
    """Return how many images were evaluated for each that the run trained with."""
    return len(run.split.label) / int((assignment(run.revision)["split"] == "train").sum())


def assignment(commit: str) -> pd.DataFrame:
    """Return the group, the class and the split of each image of an experiment."""
    files = DVCFileSystem(rev=commit)
    split, images = (
        pd.read_csv(BytesIO(files.read_bytes(name)), dtype=str, keep_default_na=False)
        for name in ("data/split/split.csv", "data/clean/images.csv")
    )
    return images[["image_id", "group_id", "label"]].merge(split[["image_id", "split"]], on="image_id")


def augmented(commit: str) -> pd.DataFrame:
    """Return the augmented images of an experiment, each with its `original` and its `split`."""
    try:
        content = DVCFileSystem(rev=commit).read_bytes("data/rebalanced/index.csv")
    except (FileNotFoundError, DataIndexError):
        raise UserError(f"{commit} has no data/rebalanced, neither in Git nor in DVC's cache") from None
    return pd.read_csv(BytesIO(content), dtype=str, keep_default_na=False)


def trained_groups(commit: str) -> set[str]:
    """Return the groups of which an experiment trained with an image, or with an augmented one."""
    table, made = assignment(commit), augmented(commit)
    originals = made.loc[made["split"] == "train", "original"]
    return set(table.loc[(table["split"] == "train") | table["image_id"].isin(originals), "group_id"])
