"""A study's plot: what came out beside what was published, or by how much each is more than a baseline."""

from dataclasses import dataclass
from typing import Any

from matplotlib.figure import Figure

from lesions.reporting.common.plot_style import BLUE, GREY, WIDTH, png, style

LEAKY = "#bc4c00"
LABELS = PUBLISHED, UNDER, NEVER, MAJORITY = (
    "published",
    "under its leakage",
    "on images it never met",
    "always the majority",
)


@dataclass(frozen=True)
class Row:
    """A system, or an experiment that is in no pair.

    Attributes:
        name: written beside it.
        published: the published metric.
        leaky: the metric with its interval, under the published leakage.
        without_leak: the same on images that the network never met.
        majorities: of always naming the most frequent class, on the images of `leaky` and of `none`.
    """

    name: str
    published: float | None
    leaky: dict[str, Any] | None
    without_leak: dict[str, Any] | None
    majorities: tuple[float | None, float | None]


def draw(rows: list[Row], metric: str) -> bytes:
    """Return the plot as a PNG file, a line a row.

    Args:
        rows: from top to bottom.
        metric: its name on the axis.
    """
    with style():
        drawing = Figure(figsize=(WIDTH, 1.5 + 0.5 * len(rows)), layout="constrained")
        axes = drawing.subplots()
        shown = set()

        def once(label: str) -> str | None:
            return None if label in shown else shown.add(label) or label  # type: ignore[func-returns-value]

        for place, row in enumerate(rows):
            for majority, top in zip(row.majorities, (place - 0.3, place), strict=True):
                if majority is not None:
                    axes.plot([majority] * 2, [top, top + 0.3], color=GREY, linewidth=3, label=once(MAJORITY))
            if row.published is not None:
                axes.scatter(row.published, place, marker="D", s=34, color="black", zorder=4, label=once(PUBLISHED))
            for found, color, up, label in (
                (row.leaky, LEAKY, -0.12, UNDER),
                (row.without_leak, BLUE, 0.12, NEVER),
            ):
                if found is None or found["value"] is None:
                    continue
                value = found["value"]
                ends = [[0.0], [0.0]]
                if found["lower"] is not None:
                    ends = [[value - found["lower"]], [found["upper"] - value]]
                axes.errorbar(
                    value, place + up, xerr=ends, fmt="o", markersize=5, color=color, capsize=3, label=once(label)
                )
        axes.set_yticks(range(len(rows)), [row.name for row in rows])
        axes.set(xlabel=f"{metric}, with 95 % intervals by lesion", xlim=(0, 1), ylim=(len(rows) - 0.5, -0.5))
        handles = dict(zip(*reversed(axes.get_legend_handles_labels()), strict=True))
        order = [label for label in LABELS if label in handles]
        drawing.legend(
            [handles[label] for label in order], order, loc="outside upper center", ncols=2, frameon=False, fontsize=8
        )
        return png(drawing)


def draw_differences(surplus: dict[str, dict[str, Any]], metrics: dict[str, str], baseline: str) -> bytes:
    """Return the plot as a PNG file, a line for what is held against a baseline, a panel a metric.

    Args:
        surplus: by name, from top to bottom, the differences with their intervals by metric.
        metrics: the names of the metrics, from left to right, and how they are called.
        baseline: against what.
    """
    with style():
        drawing = Figure(figsize=(WIDTH, 1.2 + 0.32 * len(surplus)), layout="constrained")
        panels = drawing.subplots(1, len(metrics), sharey=True, squeeze=False)[0]
        for axes, (metric, title) in zip(panels, metrics.items(), strict=True):
            axes.axvline(0, color=GREY, linewidth=1)
            for place, found in enumerate(surplus.values()):
                value, lower, upper = (found[metric][name] for name in ("value", "lower", "upper"))
                if value is None:
                    continue
                ends = None if lower is None else [[value - lower], [upper - value]]
                axes.errorbar(value, place, xerr=ends, fmt="o", markersize=5, color=BLUE, capsize=3)
            axes.set_title(title, fontsize=9)
            axes.tick_params(axis="x", labelsize=8)
        panels[0].set_yticks(range(len(surplus)), list(surplus))
        panels[0].set_ylim(len(surplus) - 0.5, -0.5)
        drawing.supxlabel(f"more than {baseline}, with 95 % intervals by lesion", fontsize=9)
        return png(drawing)
