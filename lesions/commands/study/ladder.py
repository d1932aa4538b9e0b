"""A study's ladders: a metric from step to step, over the runs of each, and what a step changes on the same images."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from lesions.commands.compare.predictions_at_revision import ModelPredictions, predictions_at_revision
from lesions.commands.study.comparisons import (
    Comparison,
    Runs,
    are_alike,
    assignment,
    augmented,
    compare_runs,
    holm_adjusted,
    interval_holds,
    trained_groups,
)
from lesions.commands.study.difference import crossed_mean
from lesions.commands.study.run_metrics import Measured, measure_runs
from lesions.commands.study.study import Ladder, Step
from lesions.core.errors import UserError
from lesions.evaluation.auc_interval import MIN_POSITIVE_GROUPS
from lesions.evaluation.bootstrap import rounded

Commits = Mapping[str, Mapping[str, str]]
"""The commits of each experiment, as far as it was run, by the values of its `each`."""


@dataclass(frozen=True)
class MeasuredStep:
    """A step that was run.

    Attributes:
        step: what the study says of it.
        split: val or test.
        estimates: by metric, the mean over the runs with its interval.
        majority: the accuracy of always naming the class that is most frequent in train.
        n_images: how many images it is of.
        holds: what chance the intervals hold.
        leakage: `none`, or the name of the leak.
        runs: the predictions.
    """

    step: Step
    split: str
    estimates: dict[str, dict[str, Any]]
    majority: float
    n_images: int
    holds: str
    leakage: str
    runs: Runs


def measure_steps(ladder: Ladder, commits: Commits, split: str) -> list[MeasuredStep]:
    """Return the steps of a ladder that were run; one whose predictions are not in DVC's cache is left out.

    Args:
        ladder: the ladder.
        commits: of the experiments.
        split: of the study.
    """
    measured_steps = []
    for step in ladder.steps:
        if all(commits[name] for name in step.names()):
            try:
                measured_steps.append(_measured(step, commits, step.split or split))
            except UserError:
                continue
    return measured_steps


def changes(ladder: Ladder, measured_steps: list[MeasuredStep]) -> list[Comparison]:
    """Return by how much each step is more than the last one before it that is of the same images.

    Args:
        ladder: for its name.
        measured_steps: its steps.
    """
    found = []
    for place, after in enumerate(measured_steps):
        for before in reversed(measured_steps[:place]):
            name = f"{ladder.name}: {after.step.shows}, rather than {before.step.shows} ({after.n_images:,} images)"
            if compared := compare_runs(name, before.runs, after.runs):
                found.append(compared)
                break
    return found


def same_images(one: MeasuredStep, other: MeasuredStep) -> bool:
    """Whether two steps are of the same images."""
    return are_alike(*(next(iter(step.runs.values())) for step in (one, other)))


def adjusted_changes(ladders: list[tuple[Ladder, list[MeasuredStep]]]) -> list[Comparison]:
    """Return the `changes` of all ladders, their p adjusted for all of them."""
    return holm_adjusted([change for ladder, measured_steps in ladders for change in changes(ladder, measured_steps)])


def _measured(step: Step, commits: Commits, split: str) -> MeasuredStep:
    """Read and measure the runs of a step.

    Raises:
        UserError: predictions are not in DVC's cache, or the runs are of different images.
    """
    ours = commits[step.experiment]
    runs = {
        values: _chosen(_in_groups_of_originals(predictions_at_revision(commit, split), commit), step, commits)
        for values, commit in ours.items()
    }
    first = next(iter(runs.values()))
    if not all(are_alike(first, run) for run in runs.values()):
        raise UserError(f"the runs of {step.experiment} are of different images")
    table = assignment(next(iter(ours.values())))
    train = table[table["split"] == "train"]
    majority = train["label"].value_counts().sort_index().idxmax()
    shown = first.split.table
    measured = measure_runs([run.split for run in runs.values()])
    return MeasuredStep(
        step,
        split,
        {name: _mean(one) for name, one in measured.items()},
        float((shown["label"] == majority).mean()),
        len(shown),
        interval_holds(len(runs), len(runs)),
        "none" if step.unseen_by else first.leakage,
        runs,
    )


def _mean(measured: Measured) -> dict[str, Any]:
    """Return the mean over the runs, of too few groups without an interval; and the least and the most of a run."""
    runs = {"least": rounded(float(measured.values.min())), "most": rounded(float(measured.values.max()))}
    if measured.n_groups < MIN_POSITIVE_GROUPS:
        return {"value": rounded(float(measured.values.mean())), "lower": None, "upper": None} | runs
    return crossed_mean(measured.values, measured.covariance, measured.n_groups - 1) | runs


def _in_groups_of_originals(run: ModelPredictions, commit: str) -> ModelPredictions:
    """Return the predictions with each augmented image in the group of its original, as these are alike."""
    table = run.split.table
    if (table["group_id"] != "").all():
        return run
    original = augmented(commit).set_index("image_id")["original"]
    group = assignment(commit).set_index("image_id")["group_id"]
    group_id = table["group_id"].where(table["group_id"] != "", table["image_id"].map(original).map(group))
    named = group_id.where(group_id.notna(), "image " + table["image_id"])
    groups = np.unique(named, return_inverse=True)[1]
    return replace(run, split=replace(run.split, table=table.assign(group_id=named), groups=groups))


def _chosen(run: ModelPredictions, step: Step, commits: Commits) -> ModelPredictions:
    """Return the predictions of those images that the step is of."""
    for name, seen in ((step.seen_by, True), (step.unseen_by, False)):
        if name is not None:
            in_train = run.split.table["group_id"].isin(trained_groups(next(iter(commits[name].values()))))
            rows = np.asarray(in_train == seen)
            if not rows.any():
                raise UserError(f"no image is {'' if seen else 'un'}seen by {name}")
            run = replace(run, split=run.split.only(rows))
    return run
