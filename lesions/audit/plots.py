"""Plot how the data is made up: what to look at before training."""

import io
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import NamedTuple

import matplotlib as mpl
import numpy as np
import pandas as pd
import seaborn as sns
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch
from PIL import Image

from lesions.audit.associations import lesion_of, size_of
from lesions.audit.normalise import count_values
from lesions.core.sanitize import shorten
from lesions.reporting.common.contact_sheet import contact_sheet
from lesions.reporting.common.plot_style import BLUE, GREY, PALE, WIDTH, png, style
from lesions.taxonomy import ordered

DESCRIPTIVE = {
    "age": "age",
    "sex": "sex",
    "site": "site",
    "dx_type": "confirmation",
    "source": "source",
    "lesion_id": "lesion",
    "patient_id": "patient",
}
"""The columns that may have gaps, and how a plot calls them."""

MANY_SITES = 16
MANY_KINDS = 6
MANY_SIZES = 5
"""How many values a plot names; the rest are one."""

_LONGEST = 24
BY_CLASS = (1.5, 0.33)
"""The height of plots with one row per class."""


class View(NamedTuple):
    """One plot.

    Attributes:
        key: names it.
        title: stands over it.
        columns: what it shows; where none of them varies, words say more.
        draw: puts it on axes.
        height: in inches, without classes and for each class.
    """

    key: str
    title: str
    columns: tuple[str, ...]
    draw: Callable[[pd.DataFrame, Axes], None]
    height: tuple[float, float]


def draw_views(images: pd.DataFrame) -> Iterator[tuple[View, bytes]]:
    """Draw each view of data/clean/images.csv that shows something, as a PNG of its own, without its title."""
    varies = {column: images[column].nunique() > 1 for view in VIEWS for column in view.columns}
    gaps = (_with_given_ages(images)[[*DESCRIPTIVE]] == "").mean()
    for view in VIEWS:
        if any(varies[column] for column in view.columns) or (view.key == "missing" and (gaps % 1 > 0).any()):
            height, each = view.height
            with style():
                figure = Figure(figsize=(WIDTH, height + each * images["label"].nunique()), layout="constrained")
                view.draw(images, figure.subplots())
                yield view, png(figure)


def plot_data(views: Sequence[tuple[View, bytes]], path: Path) -> None:
    """Put drawn views side by side in one image, under their titles.

    Args:
        views: as `draw_views` yields them.
        path: of the image.
    """
    cells = [(view.title, [np.asarray(Image.open(io.BytesIO(png)).convert("RGB").reduce(2))]) for view, png in views]
    contact_sheet(cells, path, columns=min(3, len(cells)))


def _with_given_ages(images: pd.DataFrame) -> pd.DataFrame:
    """Take filled ages out again: what was filled was missing."""
    return images.assign(age=images["age"].where(images["age_status"] == "given", ""))


def _draw_diagnosis(images: pd.DataFrame, axes: Axes) -> None:
    """Draw images per class, and lesions where the data names them, with their numbers."""
    order = ordered(set(images["label"]))
    counts = {"images": images["label"].value_counts()}
    if (images["lesion_id"] != "").any():
        counts["lesions"] = lesion_of(images).groupby(images["label"]).nunique()
    table = pd.concat([number.rename("number").reset_index().assign(of=name) for name, number in counts.items()])
    palette = [PALE, BLUE] if len(counts) > 1 else [BLUE]
    sns.barplot(
        table, x="number", y="label", order=order, hue="of", palette=palette, saturation=1, legend=False, ax=axes
    )
    _finish_counts(axes, " and ".join(counts))
    _name_rows(axes, order)
    if len(counts) > 1:
        axes.legend(handles=[Patch(color=PALE, label="images"), Patch(color=BLUE, label="lesions")], frameon=False)


def _draw_site(images: pd.DataFrame, axes: Axes) -> None:
    """Draw images per site, the commonest first, those without one last."""
    sites = _pooled(images["site"], MANY_SITES, "other sites")
    order = _by_frequency(sites)
    colours = [GREY if site in ("not stated", "other sites") else BLUE for site in order]
    counts = sites.value_counts()[order]
    sns.barplot(x=counts.to_numpy(), y=order, hue=order, palette=colours, saturation=1, legend=False, ax=axes)
    _finish_counts(axes, "images")
    axes.set_yticks(range(len(order)), [shorten(site, _LONGEST) for site in order])


def _finish_counts(axes: Axes, xlabel: str) -> None:
    for bars in axes.containers:
        axes.bar_label(bars, fmt="{:,.0f}", padding=3, fontsize=8)  # type: ignore[arg-type]
    axes.margins(x=0.14)
    axes.set(xlabel=xlabel, ylabel="")
    axes.xaxis.set_major_formatter("{x:,.0f}")
    axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(5, integer=True))


def _draw_age(images: pd.DataFrame, axes: Axes) -> None:
    """Draw the given ages as a box per class."""
    given = images[images["age_status"] == "given"]
    _draw_boxes(images, given["age"].astype(float), axes)
    axes.set(xlabel="years, where given", xlim=(0, None))


def _draw_ita(images: pd.DataFrame, axes: Axes) -> None:
    """Draw the estimated individual typology angles as a box per class."""
    estimated = images[images["ita"] != ""]
    _draw_boxes(images, estimated["ita"].astype(float), axes)
    axes.set(xlabel="individual typology angle, in degrees")


def _draw_sizes(images: pd.DataFrame, axes: Axes) -> None:
    """Draw the sizes of the images: shares of each class if they are few, else megapixels as a box per class."""
    images = images.assign(size=size_of(images))
    if images["size"].nunique() <= MANY_SIZES:
        _draw_shares(images, axes, "size")
        return
    _draw_boxes(images, images["width"].astype(float) * images["height"].astype(float) / 1e6, axes, log_scale=True)
    axes.set(xlabel="million pixels, on a logarithmic scale")
    axes.xaxis.set_major_locator(mpl.ticker.LogLocator(subs=(1, 2, 5)))
    axes.xaxis.set_major_formatter("{x:g}")
    axes.xaxis.set_minor_locator(mpl.ticker.NullLocator())


def _draw_boxes(images: pd.DataFrame, values: "pd.Series[float]", axes: Axes, *, log_scale: bool = False) -> None:
    """Draw a box per class: median, quartiles, and whiskers of 1.5 times their distance."""
    order = ordered(set(images["label"]))
    # Saturation is 1 in all plots: with less, seaborn goes by Python's colorsys, whose last bits are the version's.
    sns.boxplot(
        x=values, y=images.loc[values.index, "label"], order=order, color=PALE, width=0.6, fliersize=2, linecolor=BLUE,
        linewidth=1.2, saturation=1, log_scale=log_scale or None, ax=axes,
    )  # fmt: skip
    axes.set(ylabel="")
    _name_rows(axes, order)


def _draw_images_per_lesion(images: pd.DataFrame, axes: Axes) -> None:
    """Draw how many lesions have one image, two, and so on."""
    lesions = images.loc[images["lesion_id"] != "", "lesion_id"].value_counts().value_counts().sort_index()
    bars = axes.bar(lesions.index, lesions, color=BLUE, width=0.7)
    axes.bar_label(bars, fmt="{:,.0f}", padding=3, fontsize=8)
    axes.set(xlabel="images of the lesion", ylabel="lesions, on a logarithmic scale", yscale="log")
    axes.set_ylim(0.5, lesions.max() * 3)
    axes.yaxis.set_major_formatter("{x:,g}")
    axes.yaxis.set_minor_locator(mpl.ticker.NullLocator())
    axes.xaxis.set_major_locator(mpl.ticker.MaxNLocator(10, integer=True))


def _draw_missing(images: pd.DataFrame, axes: Axes) -> None:
    """Draw the share of images without a value, by class and column; no column that is empty for all."""
    table = _with_given_ages(images)
    columns = {column: name for column, name in DESCRIPTIVE.items() if (table[column] != "").any()}
    order = ordered(set(images["label"]))
    shares = 100 * (table[[*columns]] == "").groupby(images["label"]).mean().loc[order]
    marks = shares.map(lambda share: "" if share == 0 else "<1" if share < 1 else f"{share:.0f}")
    sns.heatmap(
        shares, annot=marks, fmt="", cmap=sns.light_palette("#b5523b", as_cmap=True), vmin=0, vmax=100, cbar=False,
        linewidths=1, linecolor="#e4e4e4", ax=axes,
    )  # fmt: skip
    axes.set(xlabel="% of the class's images without a value", ylabel="")
    axes.set_xticks(np.arange(len(columns)) + 0.5, list(columns.values()), rotation=35, ha="right")
    axes.set_yticks(np.arange(len(order)) + 0.5, [shorten(label, _LONGEST) for label in order], rotation=0)


def _draw_shares(images: pd.DataFrame, axes: Axes, column: str) -> None:
    """Draw a bar per class, of the shares of its values, with the number of images of each in the legend."""
    values = _pooled(images[column], MANY_KINDS, "other")
    kinds = _by_frequency(values)
    palette = [*sns.color_palette("colorblind", len(kinds))]
    colours = {
        kind: mpl.colors.to_hex(GREY if kind in ("not stated", "other") else colour)
        for kind, colour in zip(kinds, palette, strict=True)
    }
    order = ordered(set(images["label"]))
    table = pd.DataFrame({"label": pd.Categorical(images["label"], order), "kind": pd.Categorical(values, kinds)})
    sns.histplot(
        table, y="label", hue="kind", hue_order=kinds[::-1], palette=colours, multiple="fill", discrete=True,
        shrink=0.75, alpha=1, legend=False, ax=axes,
    )  # fmt: skip
    counts = values.value_counts()
    # A name with an underscore before it would be left out of a legend.
    handles = [
        Patch(color=colours[kind], label=f"{shorten(kind, _LONGEST).lstrip('_')}  {counts[kind]:,}") for kind in kinds
    ]
    axes.legend(handles=handles, frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2, borderaxespad=0.2)
    axes.set(xlabel="share of the class's images", ylabel="", xlim=(0, 1))
    axes.xaxis.set_major_formatter(mpl.ticker.PercentFormatter(1, decimals=0))
    _name_rows(axes, order)


def _name_rows(axes: Axes, order: list[str]) -> None:
    axes.set_yticks(range(len(order)), [shorten(name, _LONGEST) for name in order])
    axes.tick_params(axis="y", length=0)


def _pooled(values: "pd.Series[str]", most: int, rest: str) -> "pd.Series[str]":
    """Name the gaps, and put all but the commonest values together."""
    named = values.replace("", "not stated")
    kept = _by_frequency(named[named != "not stated"])
    if len(kept) <= most:
        return named
    return named.where(named.isin([*kept[: most - 1], "not stated"]), rest)


def _by_frequency(values: "pd.Series[str]") -> list[str]:
    """Return the values, the commonest first; what is no value of its own last."""
    counts = count_values(values)
    last = [name for name in ("other sites", "other", "not stated") if name in counts]
    return [str(name) for name in counts if name not in last] + last


SHARES = {column: partial(_draw_shares, column=column) for column in ("dx_type", "source", "sex")}
VIEWS = (
    View("diagnosis", "Images by class", ("label",), _draw_diagnosis, (0.9, 0.45)),
    View("lesions", "Images per lesion", ("lesion_id",), _draw_images_per_lesion, (3.4, 0)),
    View("confirmation", "Confirmation of the diagnosis by class", ("dx_type",), SHARES["dx_type"], BY_CLASS),
    View("source", "Source by class", ("source",), SHARES["source"], BY_CLASS),
    View("sizes", "Size of the images by class, width by height", ("width", "height"), _draw_sizes, BY_CLASS),
    View("age", "Age by class", ("age",), _draw_age, BY_CLASS),
    View("sex", "Sex by class", ("sex",), SHARES["sex"], BY_CLASS),
    View("skin_tone", "Skin tone by class, estimated from the image", ("ita",), _draw_ita, BY_CLASS),
    View("site", "Site", ("site",), _draw_site, (4.6, 0)),
    View("missing", "Missing values by class", (), _draw_missing, (1.6, 0.3)),
)
"""In the order of the report."""
