"""What a study found, as Markdown with a plot.

Every metric is read from its experiment; the published ones alone stand in the study's file.
"""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev
from typing import Any

from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException

from lesions.commands.study.comparison_table import comparison_table
from lesions.commands.study.comparisons import Comparison, adjusted, compare_leak, compare_to_baseline
from lesions.commands.study.plan import Planned, git
from lesions.commands.study.plot import Row, Shown, draw, draw_differences
from lesions.commands.study.study import METRICS, Entry, Study
from lesions.core.errors import UserError
from lesions.reporting.common.names import metric_name, split_name
from lesions.reporting.common.numbers import decimal, interval_to
from lesions.reporting.common.tables import Markdown, escape_markdown, markdown_table

Json = dict[str, Any]
INTERVALS = (
    "The interval of an experiment is the 95 % of its bootstrap by group (lesion or patient where the data name them, "
    "and what else belongs together): it holds what other groups would change, and not what another random seed would. "
    "“Always the majority” is the model that gives every image the class that is most frequent in train."
)


@dataclass(frozen=True)
class Found:
    """What an experiment that ran has to say.

    Attributes:
        planned: what it is.
        evaluation: its reports/evaluation.json.
        train: its metrics/train.json, or {} where DVC's cache does not have it.
    """

    planned: Planned
    evaluation: Json
    train: Json

    def shown(self, metric: str, split: str) -> Shown:
        """Return a metric with its interval, and what always naming the most frequent class has; else None, None."""
        report = self.evaluation.get(split)
        return (report["metrics"][metric], report["majority_baseline"][metric]) if report else (None, None)


def write_report(study: Study, planned: list[Planned], file: Path | None = None) -> Path:
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
    families = whole_families(study, found)
    comparisons = to_baseline(study, families)
    plot = file.with_suffix(".png")
    if comparisons:
        caption = f"By how much each is more than {escape_markdown(study.baseline)}"
        image = draw_differences(comparisons, study.baseline)
    else:
        caption = f"{metric_name(study.metric)} of each experiment"
        image = draw(rows(study, found), metric_name(study.metric))
    parts = [
        f"# {escape_markdown(study.title)}",
        escape_markdown(study.question),
        made_by(study, planned, file),
        f"![{caption}; the tables below have the numbers]({plot.name})",
        systems(study, found),
        table(study, planned, found),
        means(study, families),
        more_than_baseline(study, comparisons),
        leaks(study, found),
        sources(study),
        INTERVALS,
    ]
    file.parent.mkdir(parents=True, exist_ok=True)
    plot.write_bytes(image)
    file.write_text("\n\n".join(filter(None, parts)) + "\n", encoding="utf-8")
    return file


def read(planned: Planned) -> Found:
    """Read what is reported of an experiment; the evaluation is in Git."""
    evaluation = json.loads(git("show", f"{planned.commit}:reports/evaluation.json"))
    try:
        train = json.loads(DVCFileSystem(rev=planned.commit).read_text("metrics/train.json"))
    except (FileNotFoundError, DvcException):  # made on another machine, say
        train = {}
    return Found(planned, evaluation, train)


def made_by(study: Study, planned: list[Planned], file: Path) -> str:
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


def shown_of(study: Study, entry: Entry) -> tuple[str, str]:
    """Return which metric of an experiment is shown, and on which split."""
    metric, split = (entry.published.metric, entry.published.split) if entry.published else (study.metric, study.split)
    return metric, entry.split or split


def systems(study: Study, found: dict[str, Found]) -> str:
    """Return the table of each leaky form beside the one without the leak."""
    lines = []
    for entry in study.experiments:
        if entry.pairs_with is None or entry.name not in found:
            continue
        metric, split = shown_of(study, entry)
        leaky, majority = found[entry.name].shown(metric, split)
        without_leak = found.get(entry.pairs_with)
        clean, majority_there = without_leak.shown(metric, study.split) if without_leak else (None, None)
        lines.append(
            (
                Markdown(f"`{entry.name}`: {metric_name(metric)}"),
                "-" if entry.published is None else f"{entry.published.value:.4f}".rstrip("0"),
                f"{interval_to(leaky)}, {split_name(split)}",
                f"{interval_to(clean)}, {split_name(study.split)}" if without_leak else "not run yet",
                f"{decimal(majority)}; {decimal(majority_there)}",
            )
        )
    head = ("system", "published", "under its leakage", "on images it never met")
    return markdown_table((*head, "always the majority, there and here"), lines) if lines else ""


def table(study: Study, planned: list[Planned], found: dict[str, Found]) -> str:
    """Return the table of all experiments."""
    lines: list[tuple[object, ...]] = []
    for one in planned:
        name = Markdown(f"`{one.entry.name}`")
        if one.entry.name not in found:
            lines.append((name, "its images are not here" if one.blocked else "not run yet", *["-"] * 6))
            continue
        ours = found[one.entry.name]
        _, split = shown_of(study, one.entry)
        accuracy, majority = ours.shown("accuracy", split)
        balanced, _ = ours.shown("balanced_accuracy", split)
        size = f"{ours.train['weights']:,}" if ours.train else "-"
        epoch = f"{ours.train['best_epoch']} of {ours.train['epochs']}" if ours.train else "-"
        cells = (interval_to(accuracy), interval_to(balanced), decimal(majority), size, epoch)
        lines.append((name, split_name(split), *cells, ours.evaluation["leakage"]))
    head = ("experiment", "split", "accuracy", "balanced accuracy", "always the majority: accuracy", "weights")
    return markdown_table((*head, "epoch kept", "leakage"), lines)


def whole_families(study: Study, found: dict[str, Found]) -> dict[str, list[Found]]:
    """Return the experiments that one `each` made, where all of them ran."""
    families = study.families().items()
    return {name: [found[one] for one in members] for name, members in families if set(members) <= set(found)}


def to_baseline(study: Study, families: dict[str, list[Found]]) -> list[Comparison]:
    """Return how each family differs from the baseline; [] where there is none, or nothing to hold against it."""
    if study.baseline not in families:
        return []
    commits = {
        name: {replicate_of(one.planned.entry): str(one.planned.commit) for one in members}
        for name, members in families.items()
    }
    try:
        return compare_to_baseline(study.baseline, commits, study.split)
    except UserError:  # the predictions are not in the cache
        return []


def replicate_of(entry: Entry) -> str:
    """Return which of the experiments of one `each` it is: `train.seed 1`."""
    return ", ".join(f"{key} {entry.set[key]}" for key in entry.each)


def means(study: Study, families: dict[str, list[Found]]) -> str:
    """Return a table of mean and spread over the experiments that one `each` made."""
    if not any(len(members) > 1 for members in families.values()):
        return ""
    lines: list[tuple[object, ...]] = []
    for name, members in families.items():
        estimates = [[one.shown(metric, study.split)[0] for one in members] for metric in METRICS]
        lines.append((Markdown(f"`{name}`"), len(members), *map(spread, estimates)))
    caption = f"Mean and standard deviation over the runs, {split_name(study.split)}."
    return f"{caption}\n\n{markdown_table(('what', 'runs', *map(metric_name, METRICS)), lines)}"


def more_than_baseline(study: Study, comparisons: list[Comparison]) -> str:
    """Return how each family differs from the baseline."""
    if not comparisons:
        return ""
    head = f"## More than `{study.baseline}`\n\nDifferences of the means, {split_name(study.split)}."
    return f"{head} {comparison_table(comparisons)}"


def spread(estimates: list[Json | None]) -> str:
    """Return the mean, and where there are several the standard deviation: `0.910 ± 0.004`; "-" where one has none."""
    values = [one["value"] for one in estimates if one and one["value"] is not None]
    if len(values) < len(estimates):
        return "-"
    return decimal(mean(values)) + (f" ± {decimal(stdev(values))}" if len(values) > 1 else "")


def leaks(study: Study, found: dict[str, Found]) -> str:
    """Return how pairs with the same images differ, of all these and of those that leak."""
    comparisons: list[Comparison] = []
    for entry in study.experiments:
        if entry.pairs_with in found and entry.name in found:
            without_leak, leaky = (str(found[name].planned.commit) for name in (entry.pairs_with, entry.name))
            comparisons += compare_leak(f"`{entry.name}` - `{entry.pairs_with}`", without_leak, leaky, study.split)
    if not comparisons:
        return ""
    head = f"## On the same images\n\nThe leaky one minus the one without the leak, {split_name(study.split)}."
    return f"{head} {comparison_table(adjusted(comparisons))}"


def sources(study: Study) -> str:
    """Return where the published metrics stand."""
    published = [(entry.name, entry.published) for entry in study.experiments if entry.published is not None]
    lines = [
        f"- `{name}`: {metric_name(given.metric)} {given.value:g}, called {split_name(given.split)}: "
        f"{escape_markdown(given.source)}"
        for name, given in published
    ]
    return "Published metrics:\n\n" + "\n".join(lines) if lines else ""


def rows(study: Study, found: dict[str, Found]) -> list[Row]:
    """Return the plot's rows: a leaky form with the one without the leak, and each experiment that is in no pair."""
    counterparts = {entry.pairs_with for entry in study.experiments if entry.name in found}
    result = []
    for entry in study.experiments:
        if entry.name not in found or entry.name in counterparts:
            continue
        metric, split = shown_of(study, entry)
        ours, pair = found[entry.name], found.get(entry.pairs_with or "")
        shown = ours.shown(metric, split)
        other = "" if metric == study.metric else f" ({metric_name(metric)})"
        published = entry.published.value if entry.published else None
        if pair or ours.evaluation["leakage"] != "none":
            clean = pair.shown(metric, study.split) if pair else (None, None)
            result.append(Row(entry.name + other, published, shown, clean))
        else:
            result.append(Row(entry.name + other, published, (None, None), shown))
    return result
