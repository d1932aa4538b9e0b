"""A study's plot: what came out beside what was published, or by how much each is more than a baseline."""

from dataclasses import dataclass
from textwrap import fill
from typing import Any

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lesions.commands.study.comparisons import Comparison
from lesions.commands.study.study import METRICS
from lesions.reporting.common.names import metric_name
from lesions.reporting.common.plot_style import BLUE, GREY, PALE, WIDTH, png, style

LEAKY = "#bc4c00"
NAME_WIDTH = 44
TITLE_WIDTH = 32
"""Characters of a line of what stands beside a row, and above a panel."""
LABELS = PUBLISHED, LEAKS, WITHOUT, MAJORITY = (
    "published",
    "under a leakage",
    "no leakage known",
    "always the majority",
)
Shown = tuple[dict[str, Any] | None, float | None]
"""A metric with its interval, and that of always naming the most frequent class of the same images."""


@dataclass(frozen=True)
class Row:
    """A step of a ladder, or an experiment.

    Attributes:
        name: written beside it.
        published: the published metric.
        shown: the metric.
        leaks: whether that is under a leakage.
    """

    name: str
    published: float | None
    shown: Shown
    leaks: bool


def draw(panels: dict[str, list[Row]], metric: str) -> bytes:
    """Return the plot as a PNG file, a panel a ladder, a line a row.

    Args:
        panels: by title, the rows from top to bottom.
        metric: its name on the axis.
    """
    with style():
        lines = [sum(len(fill(row.name, NAME_WIDTH).splitlines()) for row in rows) for rows in panels.values()]
        sizes = [max(0.32 * len(rows), 0.2 * n_lines) for rows, n_lines in zip(panels.values(), lines, strict=True)]
        drawing = Figure(figsize=(WIDTH, 1.3 + sum(sizes) + 0.35 * len(panels)), layout="constrained")
        every = drawing.subplots(len(panels), sharex=True, squeeze=False, height_ratios=sizes)[:, 0]
        for axes, (title, rows) in zip(every, panels.items(), strict=True):
            axes.set_title(fill(title, TITLE_WIDTH), loc="left", fontsize=9, fontweight="bold")
            for place, row in enumerate(rows):
                _draw_row(axes, row, place)
            axes.set_yticks(range(len(rows)), [fill(row.name, NAME_WIDTH) for row in rows], fontsize=8)
            axes.set(xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5))
        every[-1].set_xlabel(f"{metric},\nwith 95 % intervals")
        handles = {label: one for axes in every for one, label in zip(*axes.get_legend_handles_labels(), strict=True)}
        order = [label for label in LABELS if label in handles]
        drawing.legend(
            [handles[label] for label in order], order, loc="outside upper center", ncols=2, frameon=False, fontsize=8
        )
        return png(drawing)


def draw_differences(comparisons: list[Comparison], baseline: str) -> bytes:
    """Return the plot as a PNG file, a line for what is held against a baseline, a panel a metric.

    Args:
        comparisons: from top to bottom.
        baseline: against what.
    """
    with style():
        drawing = Figure(figsize=(WIDTH, 1.7 + 0.32 * len(comparisons)), layout="constrained")
        panels = drawing.subplots(1, len(METRICS), sharey=True, squeeze=False)[0]
        for axes, metric in zip(panels, METRICS, strict=True):
            axes.axvline(0, color=GREY, linewidth=1)
            for place, one in enumerate(comparisons):
                fill = "white" if not one.is_significant(metric) else PALE if one.holds_no_seed else BLUE
                _draw_interval(axes, one.differences[metric], place, color=BLUE, markerfacecolor=fill)
            axes.set_title(metric_name(metric), fontsize=9)
            axes.tick_params(axis="x", labelsize=8)
        panels[0].set_yticks(range(len(comparisons)), [one.name.strip("`") for one in comparisons])
        panels[0].set_ylim(len(comparisons) - 0.5, -0.5)
        drawing.supxlabel(
            f"more than {baseline}, each with its 95 % interval\n"
            "filled: differs at 5 % over all comparisons (Holm)\npale: between these networks, of one or two seeds",
            fontsize=8,
        )
        return png(drawing)


def _draw_row(axes: Axes, row: Row, place: int) -> None:
    found, majority = row.shown
    if majority is not None:
        axes.plot([majority] * 2, [place - 0.25, place + 0.25], color=GREY, linewidth=3, label=MAJORITY)
    if row.published is not None:
        axes.scatter(row.published, place, marker="D", s=34, color="black", zorder=4, label=PUBLISHED)
    color, label = (LEAKY, LEAKS) if row.leaks else (BLUE, WITHOUT)
    _draw_interval(axes, found, place, color=color, label=label)


def _draw_interval(axes: Axes, found: dict[str, Any] | None, place: float, **options: Any) -> None:
    if found is None or found["value"] is None:
        return
    value, lower, upper = (found[name] for name in ("value", "lower", "upper"))
    ends = None if lower is None else [[value - lower], [upper - value]]
    axes.errorbar(value, place, xerr=ends, fmt="o", markersize=5, capsize=3, **options)
