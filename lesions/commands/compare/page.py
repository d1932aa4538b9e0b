"""The comparison as Markdown with two plots, for a pull request.

The plots show by how much each metric differs, and what each model takes for what.
"""

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from urllib.parse import quote

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lesions.commands.compare.compare import Comparison, context
from lesions.commands.compare.paired import LESS_IS_BETTER
from lesions.commands.options import make_writable
from lesions.core.errors import UserError
from lesions.core.sanitize import shorten
from lesions.evaluation.metrics import confusion
from lesions.reporting.card.plots import ALARM, draw_confusion
from lesions.reporting.common.names import metric_name
from lesions.reporting.common.numbers import Estimate, decimal
from lesions.reporting.common.plot_style import BLUE, GREY, png, style
from lesions.reporting.common.tables import markdown_table
from lesions.reporting.common.templates import render

PAGE = 8.5
"""Inches: as wide as a comment is on a screen."""
UNDECIDED = "#5f6b76"


def write_page(comparison: Comparison, file: Path) -> list[Path]:
    """Write the page, and its plots beside it: `NAME-differences.png` and `NAME-confusion.png`.

    Args:
        comparison: what was found.
        file: of the page, which is overwritten.

    Returns:
        The files.

    Raises:
        UserError: nothing can be written there.
    """
    make_writable(file.parent, "the comparison")
    if file.is_dir():
        raise UserError(f"--markdown {file} is a folder. Expected a file, such as {file / 'comparison.md'}.")
    plots = {
        file.with_name(f"{file.stem}-differences.png"): _draw_differences(comparison),
        file.with_name(f"{file.stem}-confusion.png"): _draw_confusions(comparison),
    }
    differences, confusion = (quote(plot.name) for plot in plots)
    values = context(comparison, lambda rows: markdown_table(rows[0], rows[1:]))
    values |= {"differences_plot": differences, "confusion_plot": confusion}
    page = render("commands/compare/comparison.md.jinja", values)
    try:
        for plot, content in plots.items():
            plot.write_bytes(content)
        file.write_text(page, encoding="utf-8")
    except OSError as error:
        raise UserError(f"--markdown {file}: cannot be written ({error.strerror}).") from None
    return [file, *plots]


def _draw_differences(comparison: Comparison) -> bytes:
    """Return a forest plot as a PNG file: right of 0 the second model is better, whatever the metric."""
    shares = {name: found for name, found in comparison.metrics.items() if name not in LESS_IS_BETTER}
    others = {name: found for name, found in comparison.metrics.items() if name in LESS_IS_BETTER}
    with style():
        drawing = Figure(figsize=(PAGE, 1.6 + 0.36 * len(comparison.metrics)), layout="constrained")
        # The log loss has no upper end, and would squeeze the shares on one axis with them.
        top, bottom = drawing.subplots(2, 1, height_ratios=[len(shares), 1.15 * len(others)])
        _draw_forest(shares, top)
        _draw_forest(others, bottom)
        first, second = (_short(name) for name in comparison.names)
        bottom.set_xlabel(f"← {first} better      {second} better →", fontsize=10)
        leaks = [f"LEAKY: {_short(found.revision)}: {found.leakage}" for found in comparison.leaky]
        title = "\n".join(leaks) or "Difference with its 95 % interval, paired by group"
        drawing.suptitle(title, fontsize=10, color=ALARM if leaks else "black")
        return png(drawing)


def _draw_forest(found: Mapping[str, Sequence[Estimate]], axes: Axes) -> None:
    """Draw the differences with their intervals, a line each."""
    axes.axvline(0, color=GREY, linewidth=1.5, zorder=0)
    reach = 0.01
    for place, (name, (one, other, difference)) in enumerate(found.items()):
        sign = -1 if name in LESS_IS_BETTER else 1
        value, *ends = (difference[part] for part in ("value", "lower", "upper"))
        if value is None:
            said = "not defined"
        else:
            lower, upper = (value if end is None else end for end in ends)
            least, most = sorted((sign * lower, sign * upper))
            color = BLUE if least > 0 else ALARM if most < 0 else UNDECIDED
            axes.plot([least, most], [place, place], color=color, linewidth=2)
            axes.scatter(sign * value, place, color=color, s=34, zorder=3)
            reach = max(reach, abs(least), abs(most))
            said = f"{decimal(one['value'])} → {decimal(other['value'])}"
        axes.text(1.02, place, said, transform=axes.get_yaxis_transform(), va="center", fontsize=9)
    axes.set_yticks(range(len(found)), map(metric_name, found), fontsize=9)
    axes.set(ylim=(len(found) - 0.5, -0.5), xlim=(-1.08 * reach, 1.08 * reach))
    axes.locator_params(axis="x", nbins=5)
    axes.tick_params(axis="x", labelsize=8)
    # Which way is better is what the axis says; the sign of a metric of which less is better is turned.
    axes.xaxis.set_major_formatter(lambda tick, _: f"{abs(tick):.3g}")


def _draw_confusions(comparison: Comparison) -> bytes:
    """Return the confusion matrices of both side by side, as a PNG file."""
    with style():
        drawing = Figure(figsize=(PAGE, 4.3), layout="constrained")
        for found, axes in zip((comparison.one, comparison.other), drawing.subplots(1, 2), strict=True):
            once = np.ones((1, len(found.split.label)))
            counts = (
                confusion(found.split.label, found.split.diagnosis, len(found.split.classes), once)[0]
                .astype(int)
                .tolist()
            )
            draw_confusion(counts, found.split.classes, axes)
            leak = "" if found.leakage == "none" else f"\nLEAKY: {found.leakage}"
            axes.set_title(_short(found.revision) + leak, fontsize=10, color=ALARM if leak else "black")
        return png(drawing)


def _short(name: str) -> str:
    """Return a name that fits: of a commit's hash, as much as Git shows."""
    if re.fullmatch("[0-9a-f]{40}", name):
        return name[:7]
    return shorten(name, 32)
