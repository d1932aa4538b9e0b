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

from lesions.commands.study.paired import paired_lines, surplus_over
from lesions.commands.study.plan import Planned, git
from lesions.commands.study.plot import Row, Shown, draw, draw_differences
from lesions.commands.study.study import SHOWN, SPLITS, Entry, Study
from lesions.core.errors import UserError
from lesions.reporting.common.numbers import decimal, interval_to
from lesions.reporting.common.tables import Markdown, escape_markdown, markdown_table

Json = dict[str, Any]
INTERVALS = (
    "Intervals are the 95 % of each experiment's bootstrap by lesion, or by patient where the data name them: they "
    "hold what other lesions would change, and not what another seed of training would. “Always the majority” is "
    "the model that gives every image the class that is most frequent in train."
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
    surplus = more_than_baseline(study, families)
    plot = file.with_suffix(".png")
    if surplus:
        caption = f"By how much each is more than {escape_markdown(study.baseline)}"
        image = draw_differences(surplus, SHOWN, study.baseline)
    else:
        caption = f"{SHOWN[study.metric]} of each experiment"
        image = draw(rows(study, found), SHOWN[study.metric])
    parts = [
        f"# {escape_markdown(study.title)}",
        escape_markdown(study.question),
        made_by(study, planned, file),
        f"![{caption}; the tables below have the numbers]({plot.name})",
        systems(study, found),
        table(study, planned, found),
        together(study, families, surplus),
        paired(study, found),
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
                Markdown(f"`{entry.name}`: {SHOWN[metric]}"),
                "-" if entry.published is None else f"{entry.published.value:.4f}".rstrip("0"),
                f"{interval_to(leaky)}, {SPLITS[split]}",
                f"{interval_to(clean)}, {SPLITS[study.split]}" if without_leak else "not run yet",
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
        lines.append((name, SPLITS[split], *cells, ours.evaluation["leakage"]))
    head = ("experiment", "split", "accuracy", "balanced accuracy", "always the majority: accuracy", "weights")
    return markdown_table((*head, "epoch kept", "leakage"), lines)


def whole_families(study: Study, found: dict[str, Found]) -> dict[str, list[Found]]:
    """Return the experiments that one `each` made, where all of them ran."""
    families = study.families().items()
    return {name: [found[one] for one in members] for name, members in families if set(members) <= set(found)}


def more_than_baseline(study: Study, families: dict[str, list[Found]]) -> dict[str, Json]:
    """Return what each family adds to the baseline; {} where there is none, or nothing to hold against it."""
    if study.baseline not in families:
        return {}
    commits = {name: [str(one.planned.commit) for one in members] for name, members in families.items()}
    try:
        return surplus_over(study.baseline, commits, study.split)
    except UserError:  # the predictions are not in the cache
        return {}


def together(study: Study, families: dict[str, list[Found]], surplus: dict[str, Json]) -> str:
    """Return a table of mean and spread over the experiments that one `each` made, and what they add to a baseline."""
    if not any(len(members) > 1 for members in families.values()):
        return ""
    lines: list[tuple[object, ...]] = []
    for name, members in families.items():
        estimates = {metric: [one.shown(metric, study.split)[0] for one in members] for metric in SHOWN}
        more = [interval_to(surplus[name][metric] if name in surplus else None, "+") for metric in SHOWN]
        cells = (*map(spread, estimates.values()), *(more if surplus else []))
        lines.append((Markdown(f"`{name}`"), len(members), *cells))
    head: list[str] = ["what", "runs", *SHOWN.values()]
    caption = f"Mean and standard deviation over the runs, {SPLITS[study.split]}."
    if surplus:
        head += [Markdown(f"{metric}, more than `{study.baseline}`") for metric in SHOWN.values()]
        caption += " The differences are of these means; their 95 % interval is by lesion, paired, not by run."
    return f"{caption}\n\n{markdown_table(head, lines)}"


def spread(estimates: list[Json | None]) -> str:
    """Return the mean, and where there are several the standard deviation: `0.910 ± 0.004`; "-" where one has none."""
    values = [one["value"] for one in estimates if one and one["value"] is not None]
    if len(values) < len(estimates):
        return "-"
    return decimal(mean(values)) + (f" ± {decimal(stdev(values))}" if len(values) > 1 else "")


def paired(study: Study, found: dict[str, Found]) -> str:
    """Return how pairs with the same images differ, of all these and of those that leak."""
    lines: list[str] = []
    for entry in study.experiments:
        if entry.pairs_with in found and entry.name in found:
            without_leak, leaky = (str(found[name].planned.commit) for name in (entry.pairs_with, entry.name))
            lines += paired_lines(f"`{entry.name}` against `{entry.pairs_with}`", without_leak, leaky, study.split)
    return "## On the same images\n\n" + "\n".join(lines) if lines else ""


def sources(study: Study) -> str:
    """Return where the published metrics stand."""
    published = [(entry.name, entry.published) for entry in study.experiments if entry.published is not None]
    lines = [
        f"- `{name}`: {SHOWN[given.metric]} {given.value:g}, called {SPLITS[given.split]}: "
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
        other = "" if metric == study.metric else f" ({SHOWN[metric]})"
        published = entry.published.value if entry.published else None
        if pair or ours.evaluation["leakage"] != "none":
            clean = pair.shown(metric, study.split) if pair else (None, None)
            result.append(Row(entry.name + other, published, shown, clean))
        else:
            result.append(Row(entry.name + other, published, (None, None), shown))
    return result
