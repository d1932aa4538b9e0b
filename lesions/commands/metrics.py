"""`lesions metrics`: the experiments and their metrics, in the width of a terminal.

`dvc exp show` has a column for each parameter and metric, and prints beside what runs, or has failed, the metrics of
the commit that it started from. Here such a row has its state instead.
"""

import shutil
import textwrap
from typing import Any, NamedTuple

from dvc.exceptions import DvcException
from dvc.repo import Repo

from lesions.commands.presets import leaves
from lesions.commands.study.plan import git, list_experiments
from lesions.core.errors import UserError
from lesions.core.stage import say

FILE = "metrics/evaluate.json"
LONGEST_VALUE = 50
"""Characters of a changed parameter's value."""
SHORTEST_NAME = 12
"""Characters that the names have at least."""


class Row(NamedTuple):
    """The files as they are, a commit, or an experiment.

    Attributes:
        name: the experiment's, or that of the commit.
        metrics: of one split; empty where there are none.
        leakage: `none`, or what leaks.
        state: why there are no metrics.
        changed: the parameters that are not those of the commit above, as `key=value`.
    """

    name: str
    metrics: dict[str, float | None]
    leakage: str
    state: str
    changed: list[str]


def metrics_table(split: str) -> str:
    """Return the files as they are, the last commit, all commits that experiments started from, and these.

    Args:
        split: whose metrics.

    Raises:
        UserError: this is no folder of DVC and Git.
    """
    say("Reading the experiments ...")
    try:
        with Repo() as repo:
            states = [state.dumpd() for state in repo.experiments.show(revs=_baselines())]
    except DvcException as error:
        raise UserError(f"There are no experiments to show here: {error}. Run this in the project's folder.") from None
    workspace, *commits = states
    rows = [_row("workspace", workspace, commits[0], split)]
    for commit in commits:
        rows.append(_row(commit["name"] or commit["rev"][:7], commit, commit, split))
        for group in commit["experiments"] or []:
            one, state = group["revs"][0], (group["executor"] or {}).get("state", "success")
            rows.append(_row(f"  {one['name'] or one['rev'][:7]}", one, commit, split, state))
    return format_rows(rows, split, shutil.get_terminal_size().columns)


def _baselines() -> list[str]:
    """Return HEAD, then the other commits that experiments started from, the latest first."""
    head = git("rev-parse", "HEAD").strip()
    refs = [ref for named in list_experiments().values() for ref, _ in named]
    found = git("rev-list", "--no-walk=sorted", head, *{"".join(ref.split("/")[2:4]) for ref in refs}).split()
    # By its date HEAD may be among the others: an older commit that was checked out.
    return [head, *(commit for commit in found if commit != head)]


def _row(name: str, one: dict[str, Any], commit: dict[str, Any], split: str, state: str = "success") -> Row:
    data = one["data"] or {}
    file = (data.get("metrics") or {}).get(FILE) or {}
    found = file.get("data") or {}
    if state != "success":
        found = {}
    changed = [f"{key}={value}" for key, value in (_params(one) or {}).items() if _params(commit).get(key) != value]
    damaged = not isinstance(file.get("error"), FileNotFoundError | None)
    missing = state if state != "success" else f"{FILE} is damaged" if damaged else "no metrics"
    return Row(name, found.get(split, {}), found.get("leakage", "none"), missing, changed)


def _params(one: dict[str, Any]) -> dict[str, Any]:
    data = one["data"] or {}
    return dict(leaves(data.get("params", {}).get("params.yaml", {}).get("data", {})))


def format_rows(rows: list[Row], split: str, columns: int) -> str:
    """Return the table: a line a row, and below it what was changed and what leaks.

    Args:
        rows: in order.
        split: whose metrics they are.
        columns: characters in a line.
    """
    names = list(dict.fromkeys(name for row in rows for name in row.metrics))
    heads = [name.replace("_", " ").rsplit(" ", 1) if "_" in name else ["", name] for name in names]
    widths = [max(map(len, [*head, "0.000"])) for head in heads]
    # In a narrow terminal the lines break, and names can still be read.
    first = max(SHORTEST_NAME, columns - sum(width + 2 for width in widths))

    def line(name: str, values: list[str]) -> str:
        cells = (f"  {value:>{width}}" for value, width in zip(values, widths, strict=False))
        return f"{name[:first]:{first}}{''.join(cells)}"

    lines = [line("", [head[0] for head in heads]), line(split, [head[1] for head in heads])]
    for row in rows:
        values = ["-" if (value := row.metrics.get(name)) is None else f"{value:.3f}" for name in names]
        lines.append(line(row.name, values) if row.metrics else f"{line(row.name, [])}  {row.state}")
        notes = [value if len(value) <= LONGEST_VALUE else value[:LONGEST_VALUE] + "..." for value in row.changed]
        if row.leakage != "none":
            notes.append(f"leakage: {row.leakage}")
        lines += textwrap.wrap("  ".join(notes), columns, initial_indent=" " * 6, subsequent_indent=" " * 6)
    return "\n".join(text.rstrip() for text in lines)
