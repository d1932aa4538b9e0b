"""The card's plots, each a PNG file whose bytes depend on the metrics alone."""

from collections.abc import Callable
from pathlib import Path
from shutil import copyfile
from typing import Any

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from lesions.core.sanitize import shorten
from lesions.reporting.card.flow import HEIGHT, draw_flow
from lesions.reporting.common.numbers import interval
from lesions.reporting.common.plot_style import BLUE, GREY, WIDTH, png, style

DERMATOLOGISTS = (0.866, 0.713)
"""Sensitivity and specificity for melanoma of 58 dermatologists, by dermoscopy alone (Haenssle et al., Annals of
Oncology 29, 2018)."""
ALARM = "#bc4c00"
LEAST_COVERAGE = 0.5
"""With fewer images, classes are left out altogether, and the balanced accuracy jumps."""


def write_plots(
    report: dict[str, Any],
    split: str,
    flow: dict[str, Any],
    sources: list[dict[str, Any]],
    leak: str,
    folder: Path,
    *,
    with_readers: bool,
) -> set[str]:
    """Draw what there is something to draw of.

    Args:
        report: `reports/evaluation.json`.
        split: the split that the card is about.
        flow: images at each step, see `flow.image_flow`.
        sources: metrics of the sources, see `subgroups.source_rows`.
        leak: what leaks, or "".
        folder: gets the plots; made if it is not there.
        with_readers: whether the images are of skin, so that dermatologists stand beside the model.

    Returns:
        The plots' names: NAME.png is in the folder.
    """
    plots = {"flow": draw(draw_flow, flow, split, leak=leak, height=HEIGHT)}
    classes = [row["diagnosis"] for row in report[split]["classes"]]
    confusion = report[split]["confusion"]["counts"]
    plots["confusion"] = draw(draw_confusion, confusion, classes, leak=leak, height=1.4 + 0.42 * len(classes))
    curves = pd.read_csv(f"plots/evaluation/roc_{split}.csv")
    for name, task in report["tasks"].items():
        if split in task:
            positive = task["positive"][0] if name == "melanoma" else "malignant, against benign"
            curve = curves[(curves["diagnosis"] == positive) & (curves["reader"] == "model")]
            plots[f"roc_{name}"] = draw(
                draw_roc, curve, thresholds(task, split), with_readers and name == "melanoma", leak=leak
            )
    calibration = report["calibration"][split]
    bins = {when: calibration[when]["reliability"] for when in ("before", "after") if when in calibration}
    plots["reliability"] = draw(draw_reliability, bins, leak=leak)
    shown = calibration["after" if "after" in calibration else "before"]["tasks"]
    shown = {name: found["reliability"] for name, found in shown.items() if "reliability" in found}
    if shown:
        plots["reliability_of_tasks"] = draw(draw_reliability_of_tasks, shown, leak=leak)
    if sources:
        rows = sum(2 + len(found["sources"]) + bool(found["another_source"]) for found in sources)
        plots["sources"] = draw(draw_sources, sources, leak=leak, height=0.7 + 0.27 * rows)
    for name, (table, *how) in curves_to_draw(report, split).items():
        if len(table):
            plots[name] = draw(draw_curves, table, *how, leak=leak)
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in plots.items():
        (folder / f"{name}.png").write_bytes(content)
    copyfile("plots/embedding.png", folder / "embedding.png")
    return {*plots, "embedding"}


def thresholds(task: dict[str, Any], split: str) -> pd.DataFrame:
    """Return `sensitivity` and `specificity` of a binary task, a row a threshold."""
    metrics = ("sensitivity", "specificity")
    points = [point[split] for point in task["operating_points"] if split in point]
    return pd.DataFrame({name: [point[name]["value"] for point in points] for name in metrics}, dtype=float)


def curves_to_draw(report: dict[str, Any], split: str) -> dict[str, tuple[Any, ...]]:
    """Return by name of the plot what `draw_curves` takes, from the tables that evaluate wrote."""
    robustness = pd.read_csv("plots/evaluation/robustness_test.csv")
    decision = pd.read_csv("plots/evaluation/decision_curve_test.csv")
    abstention = pd.read_csv(f"plots/evaluation/abstention_{split}.csv")
    tasks = {
        f"decision_{name}": (
            decision[decision["task"] == name],
            {"threshold": "threshold probability", "net_benefit": "net benefit"},
            "strategy",
        )
        for name in report["tasks"]
    }
    return {
        "robustness": (
            robustness[robustness["metric"] == "balanced accuracy"],
            {"severity": "severity of the corruption", "value": "balanced accuracy"},
            "corruption",
        ),
        "abstention": (
            abstention[abstention["coverage"] >= LEAST_COVERAGE],
            {"coverage": "share of images that it answers", "value": "on these"},
            "metric",
        ),
        **tasks,
    }


def draw(plot: Callable[..., None], *given: Any, leak: str = "", height: float = 3.6) -> bytes:
    """Return a plot as a PNG file.

    Args:
        plot: one of the functions below, or `draw_flow`.
        given: what it takes before the axes.
        leak: what leaks, which then stands over the plot.
        height: in inches.
    """
    with style():
        figure = Figure(figsize=(WIDTH, height), layout="constrained")
        axes = figure.subplots()
        plot(*given, axes)
        if leak:
            axes.set_title(f"LEAKY: {leak}", color=ALARM, fontsize=9)
        return png(figure)


def draw_roc(curve: pd.DataFrame, points: pd.DataFrame, with_dermatologists: bool, axes: Axes) -> None:
    """Draw a ROC curve, what thresholds chosen on validation do, and the dermatologists.

    Args:
        curve: `false_positive_rate` and `true_positive_rate`.
        points: `sensitivity` and `specificity`, a row a threshold.
        with_dermatologists: whether the task is theirs.
        axes: to draw on.
    """
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label="chance")
    axes.plot(curve["false_positive_rate"], curve["true_positive_rate"], color=BLUE, label="model")
    axes.scatter(1 - points["specificity"], points["sensitivity"], color=BLUE, s=22, zorder=3, label="its thresholds")
    if with_dermatologists:
        axes.scatter(
            1 - DERMATOLOGISTS[1], DERMATOLOGISTS[0], color=ALARM, marker="D", s=30, zorder=4, label="58 readers (2018)"
        )
    axes.set(xlabel="1 - specificity", ylabel="sensitivity", xlim=(-0.01, 1.01), ylim=(-0.01, 1.02))
    axes.legend(frameon=False, loc="lower right")


def draw_confusion(confusion: list[list[int]], classes: list[str], axes: Axes) -> None:
    """Draw the share of each actual class by predicted class, with the numbers of images.

    Args:
        confusion: rows are actual.
        classes: their names.
        axes: to draw on.
    """
    counts = np.array(confusion)
    shares = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    sns.heatmap(
        shares, annot=counts, fmt=",d", cmap=sns.light_palette(BLUE, as_cmap=True), vmin=0, vmax=1, cbar=False,
        linewidths=1, linecolor="#e4e4e4", annot_kws={"fontsize": 8}, ax=axes,
    )  # fmt: skip
    shown = [shorten(name, 12) for name in classes]
    places = np.arange(len(shown)) + 0.5
    axes.set_xticks(places, shown, rotation=35, ha="right")
    axes.set_yticks(places, shown, rotation=0)
    axes.set(xlabel="predicted", ylabel="actual")


def draw_reliability(bins: dict[str, list[dict[str, float]]], axes: Axes) -> None:
    """Draw accuracy against confidence, in bins of equal mass.

    Args:
        bins: `confidence` and `accuracy` of each bin, by when (before and after calibration).
        axes: to draw on.
    """
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label="perfect calibration")
    looks = {"before": {"color": "#6f9cc4", "marker": "o"}, "after": {"color": BLUE, "marker": "s"}}
    for when, rows in bins.items():
        confidence, accuracy = ([row[name] for row in rows] for name in ("confidence", "accuracy"))
        axes.plot(confidence, accuracy, linewidth=1.2, markersize=4, label=f"{when} calibration", **looks[when])  # type: ignore[arg-type]
    axes.set(xlabel="confidence", ylabel="accuracy", xlim=(0, 1.01), ylim=(0, 1.02))
    axes.legend(frameon=False, loc="upper left")


def draw_reliability_of_tasks(bins: dict[str, list[dict[str, Any]]], axes: Axes) -> None:
    """Draw the observed fraction of positives against the predicted probability, with intervals.

    Args:
        bins: `predicted` and `observed` of each bin, by task.
        axes: to draw on.
    """
    axes.plot([0, 1], [0, 1], color=GREY, linewidth=1, linestyle="--", label="perfect calibration")
    for (name, rows), color in zip(bins.items(), (BLUE, ALARM), strict=False):
        x, y = ([row["predicted"] for row in rows], [row["observed"]["value"] for row in rows])
        # Without bounds the line is a point.
        ends = [
            [row["observed"]["value"] if row["observed"][end] is None else row["observed"][end] for row in rows]
            for end in ("lower", "upper")
        ]
        reach = np.abs(np.array(ends) - np.array(y))
        axes.errorbar(x, y, yerr=reach, color=color, marker="o", markersize=4, linewidth=1.2, capsize=2, label=name)
    axes.set(xlabel="predicted probability", ylabel="observed fraction", xlim=(0, 1.01), ylim=(0, 1.02))
    axes.legend(frameon=False, loc="upper left")


def draw_curves(table: pd.DataFrame, names: dict[str, str], hue: str, axes: Axes) -> None:
    """Draw a line a group.

    Args:
        table: the columns that are named.
        names: the column of x and that of y, each with its label.
        hue: the column that tells the lines apart.
        axes: to draw on.
    """
    x, y = names
    kinds = list(dict.fromkeys(table[hue]))
    sns.lineplot(
        table, x=x, y=y, hue=hue, hue_order=kinds, style=hue, style_order=kinds, markers=len(table) < 100,
        dashes=len(table) >= 100, palette=sns.color_palette("colorblind", len(kinds)), errorbar=None, ax=axes,
    )  # fmt: skip
    axes.set(xlabel=names[x], ylabel=names[y])
    axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(5, integer=bool((table[x] % 1 == 0).all())))
    axes.legend(frameon=False, title=None, fontsize=8)


def draw_sources(metrics: list[dict[str, Any]], axes: Axes) -> None:
    """Draw a forest plot: a line a source, and under them what is pooled and what is expected of another source.

    Args:
        metrics: see `subgroups.source_rows`.
        axes: to draw on.
    """
    lines: list[tuple[str, dict[str, Any] | None, str]] = []
    for found in metrics:
        lines += [(found["metric"], None, ""), *((row["source"], row, BLUE) for row in found["sources"])]
        lines.append(("pooled", found["pooled"], ALARM))
        if found["another_source"]:
            lines.append(("another one", found["another_source"], GREY))
    for place, (_, row, color) in enumerate(lines):
        if row is None:
            continue
        if row["lower"] is not None:
            axes.plot([row["lower"], row["upper"]], [place, place], color=color, linewidth=1.6)
        if color != GREY:
            axes.plot(row["value"], place, color=color, marker="s" if color == BLUE else "D", markersize=5)
    shown = [shorten(name, 24) for name, *_ in lines]
    axes.set_yticks(range(len(lines)), shown)
    for tick, (_, row, _) in zip(axes.get_yticklabels(), lines, strict=True):
        tick.set_fontweight("bold" if row is None else "normal")
    right = axes.secondary_yaxis("right")
    right.set_yticks(range(len(lines)), ["" if row is None else interval(row) for _, row, _ in lines])
    for one in (axes, right):
        one.tick_params(axis="y", length=0, labelsize=8)
    right.spines["right"].set_visible(False)
    axes.spines["left"].set_visible(False)
    axes.set(xlim=(0, 1), ylim=(len(lines) - 0.5, -0.5), xlabel="with 95 % intervals")
