"""How plots that stand in a page are drawn: one style, and the same bytes for the same metrics."""

import io
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import matplotlib as mpl
import seaborn as sns
from matplotlib.figure import Figure

mpl.use("Agg")

WIDTH = 5.2
"""Inches: narrow, so that the letters can still be read where a telephone shows the plot 9 cm wide."""

BLUE, PALE, GREY = "#2f6690", "#a9c5dd", "#c8c8c8"

# Names from tables are no formulas, whatever dollar signs they hold.
STYLE: Any = {
    **sns.axes_style("white"),
    **sns.plotting_context("notebook", font_scale=0.9),
    "text.parse_math": False,
    "font.family": "DejaVu Sans",  # comes with matplotlib: the same letters on every machine
    "axes.spines.top": False,
    "axes.spines.right": False,
}


@contextmanager
def style() -> Iterator[None]:
    """Draw in the project's style."""
    with mpl.rc_context(STYLE), warnings.catch_warnings():
        # A name in a script that the font lacks is drawn as boxes; the tables beside it have it right.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        yield


def png(figure: Figure) -> bytes:
    """Return a figure as a PNG file."""
    buffer = io.BytesIO()
    # Without the software's name and version, which would change the file's hash.
    figure.savefig(buffer, dpi=160, metadata={"Software": None})
    return buffer.getvalue()
