"""What a study found, as Markdown with a plot.

Every metric is read from its experiment; the published ones alone stand in the study's file.
"""

import json
import shlex
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException

from lesions.commands.study.comparison_table import comparison_table
from lesions.commands.study.comparisons import Comparison, compare_to_baseline
from lesions.commands.study.ladder import MeasuredStep, adjusted_changes, measure_steps, same_images
from lesions.commands.study.plan import PlannedExperiment, git
from lesions.commands.study.plot import Row, Shown, draw, draw_differences
from lesions.commands.study.study import METRICS, Experiment, Ladder, Study
from lesions.core.errors import UserError
from lesions.reporting.common.names import metric_name, split_name
from lesions.reporting.common.numbers import decimal, interval_to
from lesions.reporting.common.tables import Markdown, escape_markdown, markdown_table

Json = dict[str, Any]
INTERVALS = (
    "The 95 % interval of an experiment holds what other groups would change, and not what another random seed, or "
    "another split, would. A group is a lesion or patient where the data name them, and what else is known to belong "
    "together; where they name none, intervals are too narrow by what images of one lesion share. “None” as a leakage "
    "means that none is known. "
    "“Always the majority” is the model that gives every image the class that is most frequent in train."
)

OTHER_IMAGES = (
    "A step marked as of other images cannot be subtracted from the one before it: its metrics differ for that reason "
    "too. What a step changes on the same images stands in a table below."
)


@dataclass(frozen=True)
class ExperimentResult:
    """What an experiment that ran has to say.

    Attributes:
        planned: what it is.
        evaluation: its reports/evaluation.json.
        train: its metrics/train.json, or {} where DVC's cache does not have it.
    """

    planned: PlannedExperiment
    evaluation: Json
    train: Json

    def shown(self, metric: str, split: str) -> Shown:
        """Return a metric with its interval, and what always naming the most frequent class has; else None, None."""
        report = self.evaluation.get(split)
        return (report["metrics"][metric], report["majority_baseline"][metric]) if report else (None, None)


def write_report(study: Study, planned: list[PlannedExperiment], file: Path | None = None) -> Path:
    """Write the report and, beside it, its plot.

    Args:
        study: the study.
        planned: its experiments; those that are missing are named so.
        file: where; else where the study says.

    Returns:
        The report's file.
    """
    file = file or study.report_file()
    found = {one.entry.name: read(one) for one in planned if one.commit}
    configurations = whole_configurations(study, found)
    commits = {name: commits_of(members) for name, members in configurations.items()}
    comparisons = to_baseline(study, commits)
    so_far = {
        name: commits_of([found[one] for one in names if one in found])
        for name, names in study.configurations().items()
    }
    ladders = [(ladder, measure_steps(ladder, so_far, study.split)) for ladder in study.ladders]
    plot = file.with_suffix(".png")
    if comparisons:
        caption = f"By how much each is more than {escape_markdown(study.baseline)}"
        image = draw_differences(comparisons, study.baseline)
    else:
        caption = f"{metric_name(study.metric)} of each {'step' if ladders else 'experiment'}"
        panels = {ladder.name: rows_of(ladder, steps, study.metric) for ladder, steps in ladders if steps}
        image = draw(panels or {"": single_rows(study, found)}, metric_name(study.metric))
    parts = [
        f"# {escape_markdown(study.title)}",
        "[Documents](README.md) · explanation" if (file.parent / "README.md").exists() else "",
        escape_markdown(study.question),
        "\n".join(filter(None, (ladder_words(*ladder, study.metric) for ladder in ladders))),
        OTHER_IMAGES if ladders else "",
        f"![{caption}; the tables below have the numbers]({plot.name})",
        *(ladder_table(*ladder) for ladder in ladders),
        more_than_the_step_before(ladders),
        made_by(study, planned, file),
        table(study, planned, found),
        means(study, configurations),
        differences_from_baseline(study, comparisons),
        INTERVALS,
        study.notes.strip(),
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    plot.write_bytes(image)
    file.write_text("\n\n".join(filter(None, parts)) + "\n", encoding="utf-8")
    return file


def read(planned: PlannedExperiment) -> ExperimentResult:
    """Read what is reported of an experiment; the evaluation is in Git."""
    evaluation = json.loads(git("show", f"{planned.commit}:reports/evaluation.json"))
    try:
        train = json.loads(DVCFileSystem(rev=planned.commit).read_text("metrics/train.json"))
    except (FileNotFoundError, DvcException):  # made on another machine, say
        train = {}
    return ExperimentResult(planned, evaluation, train)


def made_by(study: Study, planned: list[PlannedExperiment], file: Path) -> str:
    """Return the command that writes the page, and of which code the metrics are."""
    done = [one for one in planned if one.commit]
    begun = sorted({git("rev-parse", "--short", f"{one.commit}~1").strip() for one in done})
    option = [] if file == study.report_file() else ["--report", file.as_posix()]
    words = shlex.join(["lesions", "study", study.name, *option])
    state = f"{len(done)} of {len(planned)} experiments are done"
    return (
        f"{state}, from the code of commit {', '.join(begun)}. They ran, and this page was written, by\n\n"
        f"<!-- not run by the tests: it trains {len(planned)} networks -->\n```sh\n{words}\n```"
    )


def ladder_words(ladder: Ladder, measured_steps: list[MeasuredStep], metric: str) -> str:
    """Return what came out of a ladder as an item of a list; "" where no step was run."""
    if not measured_steps:
        return ""
    name = f"- **{escape_markdown(ladder.name)}**, {metric_name(metric)}"
    if ladder.published:
        name += f": published {ladder.published.value:.4g}"
    if ladder.published and len(measured_steps[0].runs) > 1 and measured_steps[0].step == ladder.steps[0]:
        ours = measured_steps[0].estimates[metric]
        name += f", in {len(measured_steps[0].runs)} runs here {ours['least']:.3f} to {ours['most']:.3f}"
    marks = ["", *("" if same_images(*pair) else " (other images)" for pair in pairwise(measured_steps))]
    steps = [
        f"  - {escape_markdown(one.step.shows)}{mark}: {interval_to(one.estimates[metric])}"
        for one, mark in zip(measured_steps, marks, strict=True)
    ]
    return "\n".join([name, *steps])


def ladder_table(ladder: Ladder, measured_steps: list[MeasuredStep]) -> str:
    """Return the steps of a ladder as a table, under its name, with where the published metric stands."""
    by_step = {id(one.step): one for one in measured_steps}
    lines: list[tuple[object, ...]] = []
    for step in ladder.steps:
        ours = by_step.get(id(step))
        name = (escape_markdown(step.shows), Markdown(f"`{step.experiment}`"))
        if ours is None:
            lines.append((*name, "not run yet", *["-"] * 6))
            continue
        metrics = [interval_to(ours.estimates[metric]) for metric in ("accuracy", "balanced_accuracy")]
        cells = (split_name(ours.split), f"{ours.n_images:,}", decimal(ours.majority), ours.holds, ours.leakage)
        lines.append((*name, *metrics, *cells))
    head = ("step", "experiment", "accuracy", "balanced accuracy", "split", "images")
    rows = markdown_table((*head, "always the majority: accuracy", "intervals hold", "leakage"), lines)
    stands = ""
    if ladder.published:
        named, source = split_name(ladder.published.split), escape_markdown(ladder.published.source)
        stands = f"\n\nPublished: {ladder.published.value:.4g}, called {named}: {source}."
    return f"## {escape_markdown(ladder.name)}{stands}\n\n{rows}"


def more_than_the_step_before(ladders: list[tuple[Ladder, list[MeasuredStep]]]) -> str:
    """Return what each step changes, where it is of the same images as the one before."""
    comparisons = adjusted_changes(ladders)
    if not comparisons:
        return ""
    return f"## What a step changes on the same images\n\n{comparison_table(comparisons)}"


def table(study: Study, planned: list[PlannedExperiment], found: dict[str, ExperimentResult]) -> str:
    """Return the table of all experiments."""
    lines: list[tuple[object, ...]] = []
    for one in planned:
        name = Markdown(f"`{one.entry.name}`")
        if one.entry.name not in found:
            lines.append((name, "its images are not here" if one.blocked else "not run yet", *["-"] * 6))
            continue
        ours = found[one.entry.name]
        split = study.split
        accuracy, majority = ours.shown("accuracy", split)
        balanced, _ = ours.shown("balanced_accuracy", split)
        size = f"{ours.train['weights']:,}" if ours.train else "-"
        epoch = f"{ours.train['best_epoch']} of {ours.train['epochs']}" if ours.train else "-"
        cells = (interval_to(accuracy), interval_to(balanced), decimal(majority), size, epoch)
        lines.append((name, split_name(split), *cells, ours.evaluation["leakage"]))
    head = ("experiment", "split", "accuracy", "balanced accuracy", "always the majority: accuracy", "weights")
    return markdown_table((*head, "epoch kept", "leakage"), lines)


def whole_configurations(study: Study, found: dict[str, ExperimentResult]) -> dict[str, list[ExperimentResult]]:
    """Return the experiments that one `each` made, where all of them ran."""
    configurations = study.configurations().items()
    return {name: [found[one] for one in members] for name, members in configurations if set(members) <= set(found)}


def commits_of(members: list[ExperimentResult]) -> dict[str, str]:
    """Return the commits of the experiments that one `each` made, by its values."""
    return {replicate_of(one.planned.entry): str(one.planned.commit) for one in members}


def to_baseline(study: Study, commits: dict[str, dict[str, str]]) -> list[Comparison]:
    """Return how each configuration differs from the baseline; [] where there is none, or nothing to compare."""
    if study.baseline not in commits:
        return []
    try:
        return compare_to_baseline(study.baseline, commits, study.split)
    except UserError:  # the predictions are not in the cache
        return []


def replicate_of(entry: Experiment) -> str:
    """Return which of the experiments of one `each` it is: `train.seed 1`."""
    return ", ".join(f"{key} {entry.set[key]}" for key in entry.each)


def means(study: Study, configurations: dict[str, list[ExperimentResult]]) -> str:
    """Return a table of mean and standard deviation over the experiments that one `each` made."""
    if not any(len(members) > 1 for members in configurations.values()):
        return ""
    lines: list[tuple[object, ...]] = []
    for name, members in configurations.items():
        estimates = [[one.shown(metric, study.split)[0] for one in members] for metric in METRICS]
        lines.append((Markdown(f"`{name}`"), len(members), *map(mean_and_std, estimates)))
    caption = f"Mean and standard deviation over the runs, {split_name(study.split)}."
    return f"{caption}\n\n{markdown_table(('what', 'runs', *map(metric_name, METRICS)), lines)}"


def differences_from_baseline(study: Study, comparisons: list[Comparison]) -> str:
    """Return how each configuration differs from the baseline."""
    if not comparisons:
        return ""
    head = f"## More than `{study.baseline}`\n\nDifferences of the means, {split_name(study.split)}."
    return f"{head} {comparison_table(comparisons)}"


def mean_and_std(estimates: list[Json | None]) -> str:
    """Return the mean, and where there are several the standard deviation: `0.910 ± 0.004`; "-" where one has none."""
    values = [one["value"] for one in estimates if one and one["value"] is not None]
    if len(values) < len(estimates):
        return "-"
    return decimal(mean(values)) + (f" ± {decimal(stdev(values))}" if len(values) > 1 else "")


def rows_of(ladder: Ladder, measured_steps: list[MeasuredStep], metric: str) -> list[Row]:
    """Return the plot's rows of a ladder, the published metric beside its first step."""
    rows = []
    for one in measured_steps:
        published = ladder.published.value if ladder.published and one.step == ladder.steps[0] else None
        shown = one.estimates[metric], one.majority if metric == "accuracy" else None
        name = f"{one.step.shows} ({one.n_images:,} images)"
        rows.append(Row(name, published, shown, one.leakage != "none"))
    return rows


def single_rows(study: Study, found: dict[str, ExperimentResult]) -> list[Row]:
    """Return the plot's rows of experiments, one by one."""
    return [
        Row(name, None, ours.shown(study.metric, study.split), ours.evaluation["leakage"] != "none")
        for name, ours in found.items()
    ]
