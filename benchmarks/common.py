"""Rows of the table of benchmarks/RESULTS.md, and the command line that prints them."""

import argparse
import statistics
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pandas as pd

ROOT = Path(__file__).parent.parent
Row = dict[str, str]
"""With the texts `claim`, `ours`, `theirs`, `ratio` and `spread`."""


def compared(
    claim: str,
    ours: Sequence[float],
    theirs: Sequence[float],
    form: str = "{:,.0f} images/s",
    ratio_form: str = "{:.2f}",
) -> Row:
    """Return a row that compares two ways.

    Args:
        claim: what was measured.
        ours: a number per round.
        theirs: of the same rounds.
        form: how a number is written.
        ratio_form: how a ratio is written.

    Returns:
        The medians, the median of the rounds' ratios, and the least and the largest ratio.
    """
    ratios = sorted(our / their for our, their in zip(ours, theirs, strict=True))
    return {
        "claim": claim,
        "ours": form.format(statistics.median(ours)),
        "theirs": form.format(statistics.median(theirs)),
        "ratio": ratio_form.format(statistics.median(ratios)),
        "spread": f"{ratio_form} to {ratio_form}".format(ratios[0], ratios[-1]),
    }


def measured(claim: str, ours: str, theirs: str = "", ratio: str = "", spread: str = "") -> Row:
    """Return a row of texts, which need not compare anything."""
    return {"claim": claim, "ours": ours, "theirs": theirs, "ratio": ratio, "spread": spread}


def print_table(rows: Callable[..., list[Row]], scale: Callable[..., list[Row]] | None = None, **options: Any) -> None:
    """Parse the command line, and print the table of `rows`, or with --scale that of `scale`.

    Args:
        rows: takes the options by name.
        scale: takes none.
        options: those of the command line with their defaults; a tuple stands for several values.
    """
    parser = argparse.ArgumentParser()
    for name, default in options.items():
        several = isinstance(default, tuple)
        kind = type(default[0] if several else default)
        parser.add_argument(f"--{name.replace('_', '-')}", type=kind, nargs="+" if several else None, default=default)
    if scale:
        parser.add_argument("--scale", action="store_true")
    given = vars(parser.parse_args())
    table = scale() if given.pop("scale", False) and scale else rows(**given)
    pd.set_option("display.max_colwidth", None)
    print(pd.DataFrame(table).to_string(index=False))
