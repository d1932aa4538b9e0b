"""The flow of the images from the data to the evaluation, as STARD 2015 asks of a study (item 19)."""

from textwrap import wrap
from typing import Any

from matplotlib.axes import Axes

from lesions.core.sanitize import shorten
from lesions.reporting.common.names import SPLITS
from lesions.reporting.common.numbers import count, quantity

Json = dict[str, Any]

MOST_REASONS = 3
"""Reasons with a line of their own in the box of what was set aside."""
LONGEST_REASON, LINE = 60, 27
"""Letters of a reason, and of a line."""
HEIGHT = 5.4
"""Inches."""
FONT_SIZE = 10
LINE_HEIGHT, PADDING = 1.2 * FONT_SIZE, 0.5 * FONT_SIZE
"""Points."""
COLOR = "#57606a"
FRAME = {"boxstyle": "round,pad=0.5", "facecolor": "white", "edgecolor": COLOR}
ARROW = {"arrowstyle": "-|>", "color": COLOR, "shrinkA": 0, "shrinkB": 0, "linewidth": 1}


def image_flow(data: Json, split: Json, evaluated: Json) -> Json:
    """Return how many images there were at each step.

    Args:
        data: `metrics/data.json`.
        split: `metrics/split.json`.
        evaluated: the evaluated split's part of `reports/evaluation.json`.

    Returns:
        `found`, `set_aside` and `reasons` for that, the most frequent first; `usable` and its `groups`; `splits`, the
        images and groups of each; `left_out` of all of them; `evaluated`, of which `correct` and `wrong` images.
    """
    counts = evaluated["confusion"]["counts"]
    correct = sum(row[place] for place, row in enumerate(counts))
    return {
        "found": data["images"] + data["set_aside"],
        "set_aside": data["set_aside"],
        "reasons": sorted(data["set_aside_for"].items(), key=lambda reason: -reason[1]),
        "usable": data["images"],
        "groups": data["groups"],
        "splits": {name: {key: split[name][key] for key in ("images", "groups")} for name in SPLITS},
        "left_out": data["images"] - sum(split[name]["images"] for name in SPLITS),
        "evaluated": evaluated["images"],
        "correct": correct,
        "wrong": evaluated["images"] - correct,
    }


def draw_flow(flow: Json, split_name: str, axes: Axes) -> None:
    """Draw the flow as boxes, from the top downwards; made for axes of `HEIGHT` inches.

    Args:
        flow: of `image_flow`.
        split_name: the evaluated split.
        axes: to draw on.
    """
    axes.set(xlim=(0, 1), ylim=(0, 1))
    axes.axis("off")
    found = _box(axes, 0.2, 0.95, ["found", quantity(flow["found"], "image")])
    usable = _box(axes, 0.2, 0.63, ["usable", quantity(flow["usable"], "image"), quantity(flow["groups"], "group")])
    _arrow(axes, found, usable)
    aside = [f"{shorten(reason, LONGEST_REASON)}: {count(number)}" for reason, number in flow["reasons"][:MOST_REASONS]]
    if rest := sum(number for _, number in flow["reasons"][MOST_REASONS:]):
        aside.append(f"other reasons: {count(rest)}")
    lines = [line for text in aside for line in wrap(text, LINE)]
    beside = [(0.8, [f"set aside: {count(flow['set_aside'])}", *lines])]
    if flow["left_out"]:
        beside.append((0.53, [f"left out of the split: {count(flow['left_out'])}"]))
    for y, texts in beside:
        axes.annotate("", (0.42, y), (0.2, y), arrowprops=ARROW)
        axes.text(0.45, y, "\n".join(texts), va="center", fontsize=FONT_SIZE, bbox=FRAME)
    splits = {
        name: _box(axes, x, 0.34, [SPLITS[name], quantity(ours["images"], "image"), quantity(ours["groups"], "group")])
        for x, (name, ours) in zip((0.14, 0.5, 0.86), flow["splits"].items(), strict=True)
    }
    for split in splits.values():
        _arrow(axes, usable, split)
    for x, answer in ((0.24, "correct"), (0.76, "wrong")):
        end = _box(axes, x, 0.065, [f"diagnosis {answer}", quantity(flow[answer], "image")])
        _arrow(axes, splits[split_name], end)


def _box(axes: Axes, x: float, y: float, lines: list[str]) -> tuple[float, float, float]:
    """Draw a box around a place, and return its middle, top and bottom."""
    axes.text(x, y, "\n".join(lines), ha="center", va="center", fontsize=FONT_SIZE, bbox=FRAME)
    half = (LINE_HEIGHT * len(lines) / 2 + PADDING) / 72 / HEIGHT
    return x, y + half, y - half


def _arrow(axes: Axes, start: tuple[float, float, float], end: tuple[float, float, float]) -> None:
    """Draw an arrow from under one box to another, by right angles."""
    (x, _, bottom), (to, top, _) = start, end
    middle = (bottom + top) / 2
    axes.plot([x, x, to], [bottom, middle, middle], color=COLOR, linewidth=1, solid_joinstyle="miter", zorder=1)
    axes.annotate("", (to, top), (to, middle), arrowprops=ARROW)
