"""What a study found, as Markdown with a plot.

Every metric is read from its experiment; the published ones alone stand in the study's file.
"""

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException

from lesions.commands.study import replicates
from lesions.commands.study.paired import paired_lines
from lesions.commands.study.plan import Planned, git
from lesions.commands.study.plot import Row, draw, draw_differences
from lesions.commands.study.replicates import SPLITS
from lesions.commands.study.study import Study
from lesions.core.errors import UserError
from lesions.evaluation.bootstrap import Bootstrap
from lesions.params.evaluate import Evaluate
from lesions.reporting.common.numbers import decimal, interval_to
from lesions.reporting.common.tables import Markdown, escape_markdown, markdown_table

Json = dict[str, Any]


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

    def metric(self, name: str, split: str) -> Json | None:
        """Return a metric with its interval; None where that split was not evaluated."""
        report = self.evaluation.get(split)
        return report["metrics"][name] if report else None

    def majority(self, name: str, split: str) -> float | None:
        """Return what always naming the most frequent class has."""
        report = self.evaluation.get(split)
        value: float | None = report["majority_baseline"][name] if report else None
        return value


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
    file.parent.mkdir(parents=True, exist_ok=True)
    plot = file.with_suffix(".png")
    surplus = more_than_baseline(study, found)
    if surplus:
        caption = f"By how much each is more than {escape_markdown(study.baseline)}"
        plot.write_bytes(draw_differences(surplus, replicates.SHOWN, study.baseline))
    else:
        caption = f"{replicates.SHOWN[study.metric]} of each experiment"
        plot.write_bytes(draw(rows(study, found), replicates.SHOWN[study.metric]))
    parts = [
        f"# {escape_markdown(study.title)}",
        escape_markdown(study.question),
        made_by(study, planned, file),
        f"![{caption}; the tables below have the numbers]({plot.name})",
        *systems(study, found),
        *table(study, planned, found),
        *together(study, found, surplus),
        *paired(study, found),
        *sources(study),
        "Intervals are the 95 % of each experiment's bootstrap by lesion, or by patient where the data name them: they "
        "hold what other lesions would change, and not what another seed of training would. “Always the majority” is "
        "the model that gives every image the class that is most frequent in train.",
    ]
    file.write_text("\n\n".join(parts) + "\n", encoding="utf-8")
    return file


def read(planned: Planned) -> Found:
    """Read what is reported of an experiment; the evaluation is in Git."""
    evaluation = json.loads(git("show", f"{planned.commit}:reports/evaluation.json"))
    try:
        with DVCFileSystem(rev=planned.commit).open("metrics/train.json") as stream:
            train = json.load(stream)
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


def systems(study: Study, found: dict[str, Found]) -> list[str]:
    """Return the table of each leaky form beside the one without the leak."""
    lines = []
    for entry in study.experiments:
        if entry.pairs_with is None or entry.name not in found:
            continue
        metric, split = aspect(study, entry.name)
        without_leak = found.get(entry.pairs_with)
        published = "-" if entry.published is None else f"{entry.published.value:.4f}".rstrip("0")
        lines.append(
            (
                Markdown(f"`{entry.name}`: {replicates.SHOWN[metric]}"),
                published,
                f"{interval_to(found[entry.name].metric(metric, split))}, {SPLITS[split]}",
                f"{interval_to(without_leak.metric(metric, study.split))}, {SPLITS[study.split]}"
                if without_leak
                else "not run yet",
                f"{decimal(found[entry.name].majority(metric, split))}; "
                f"{decimal(without_leak.majority(metric, study.split) if without_leak else None)}",
            )
        )
    head = (
        "system",
        "published",
        "under its leakage",
        "on images it never met",
        "always the majority, there and here",
    )
    return [markdown_table(head, lines)] if lines else []


def table(study: Study, planned: list[Planned], found: dict[str, Found]) -> list[str]:
    """Return the table of all experiments."""
    lines = []
    for one in planned:
        if one.entry.name not in found:
            state = "its images are not here" if one.blocked else "not run yet"
            lines.append((Markdown(f"`{one.entry.name}`"), state, *["-"] * 6))
            continue
        ours = found[one.entry.name]
        _, split = aspect(study, one.entry.name)
        lines.append(
            (
                Markdown(f"`{one.entry.name}`"),
                SPLITS[split],
                interval_to(ours.metric("accuracy", split)),
                interval_to(ours.metric("balanced_accuracy", split)),
                decimal(ours.majority("accuracy", split)),
                f"{ours.train['weights']:,}" if ours.train else "-",
                f"{ours.train['best_epoch']} of {ours.train['epochs']}" if ours.train else "-",
                ours.evaluation["leakage"],
            )
        )
    head = ("experiment", "split", "accuracy", "balanced accuracy", "always the majority: accuracy", "weights")
    return [markdown_table((*head, "epoch kept", "leakage"), lines)]


def whole_families(study: Study, found: dict[str, Found]) -> dict[str, list[Found]]:
    """Return the experiments that one `each` made, where all of them ran."""
    return {
        name: [found[one] for one in members]
        for name, members in replicates.replicates(study).items()
        if set(members) <= set(found)
    }


def more_than_baseline(study: Study, found: dict[str, Found]) -> dict[str, Json]:
    """Return what each family adds to the baseline; {} where there is none, or nothing to hold against it."""
    done = whole_families(study, found)
    if study.baseline not in done:
        return {}
    params = Evaluate.read()
    commits = {name: [str(one.planned.commit) for one in members] for name, members in done.items()}
    try:
        return replicates.against(commits, study.baseline, study.split, Bootstrap(params.n_bootstrap, params.seed))
    except UserError:  # the predictions are not in the cache
        return {}


def together(study: Study, found: dict[str, Found], surplus: dict[str, Json]) -> list[str]:
    """Return a table of mean and spread over the experiments that one `each` made, and what they add to a baseline."""
    done = whole_families(study, found)
    if not any(len(members) > 1 for members in done.values()):
        return []
    lines: list[tuple[object, ...]] = []
    for name, members in done.items():
        cells = []
        for metric in replicates.SHOWN:
            values = [one.metric(metric, study.split) for one in members]
            numbers = [float(value["value"]) for value in values if value and value["value"] is not None]
            cells.append(replicates.spread(numbers) if len(numbers) == len(members) else "-")
        more = (
            [interval_to(surplus[name][metric], "+") for metric in replicates.SHOWN] if name in surplus else ["-"] * 3
        )
        lines.append((Markdown(f"`{name}`"), len(members), *cells, *(more if surplus else [])))
    head = ["what", "runs", *replicates.SHOWN.values()]
    caption = f"Mean and standard deviation over the runs, {SPLITS[study.split]}."
    if surplus:
        head += [Markdown(f"{metric}, more than `{study.baseline}`") for metric in replicates.SHOWN.values()]
        caption += " The differences are of these means; their 95 % interval is by lesion, paired, not by run."
    return [caption, markdown_table(head, lines)]


def paired(study: Study, found: dict[str, Found]) -> list[str]:
    """Return how pairs with the same images differ, of all these and of those that leak."""
    lines = []
    for entry in study.experiments:
        if entry.pairs_with in found and entry.name in found:
            without_leak, leaky = (str(found[name].planned.commit) for name in (entry.pairs_with, entry.name))
            lines += paired_lines(f"`{entry.name}` against `{entry.pairs_with}`", without_leak, leaky, study.split)
    return ["## On the same images", "\n".join(lines)] if lines else []


def sources(study: Study) -> list[str]:
    """Return where the published metrics stand."""
    published = [(entry.name, entry.published) for entry in study.experiments if entry.published is not None]
    lines = [
        f"- `{name}`: {replicates.SHOWN[given.metric]} {given.value:g}, called {SPLITS[given.split]}: "
        f"{escape_markdown(given.source)}"
        for name, given in published
    ]
    return ["Published metrics:", "\n".join(lines)] if lines else []


def aspect(study: Study, name: str) -> tuple[str, str]:
    """Return which metric of an experiment is shown, and on which split."""
    entry = next(entry for entry in study.experiments if entry.name == name)
    given = entry.published
    metric = given.metric if given else study.metric
    return metric, entry.split or (given.split if given else study.split)


def rows(study: Study, found: dict[str, Found]) -> list[Row]:
    """Return the plot's rows: a leaky form with the one without the leak, and each experiment that is in no pair."""
    counterparts = {entry.pairs_with for entry in study.experiments if entry.pairs_with and entry.name in found}
    result = []
    for entry in study.experiments:
        if entry.name not in found or entry.name in counterparts:
            continue
        metric, split = aspect(study, entry.name)
        ours = found[entry.name]
        pair = found.get(entry.pairs_with) if entry.pairs_with else None
        leaky = ours.evaluation["leakage"] != "none"
        shown = ours.metric(metric, split)
        clean = pair.metric(metric, study.split) if pair else None
        other = "" if metric == study.metric else f" ({replicates.SHOWN[metric]})"
        result.append(
            Row(
                entry.name + other,
                entry.published.value if entry.published else None,
                shown if leaky or pair else None,
                clean if pair else None if leaky else shown,
                (
                    ours.majority(metric, split) if leaky or pair else None,
                    pair.majority(metric, study.split) if pair else None if leaky else ours.majority(metric, split),
                ),
            )
        )
    return result
