"""Is the second experiment better than the first, and is that more than chance?"""

import textwrap
from dataclasses import dataclass

import numpy as np
import pandas as pd

from lesions.commands.compare.paired import LESS_IS_BETTER, check_alike, estimates
from lesions.commands.compare.revisions import Answers, answers
from lesions.commands.compare.significance import delong, mcnemar
from lesions.core.errors import UserError
from lesions.evaluation.bootstrap import Bootstrap, Json
from lesions.params.evaluate import Evaluate

FEWEST = 100
"""Resamples, as for `evaluate.resamples`."""


@dataclass(frozen=True)
class Comparison:
    """What was found of two experiments on one set of pictures.

    Attributes:
        one: what the first said.
        other: what the second said of the same pictures.
        figures: by name, three entries each: the first's, the second's, and the difference, with intervals.
        resamples: of the bootstrap.
    """

    one: Answers
    other: Answers
    figures: dict[str, list[Json]]
    resamples: int

    @property
    def names(self) -> tuple[str, str]:
        """Both experiments, by the names that were given."""
        return self.one.revision, self.other.revision

    @property
    def side(self) -> str:
        """Which pictures: val or test."""
        return self.one.name

    @property
    def leaky(self) -> list[Answers]:
        """Those of the two whose protocol leaks."""
        return [found for found in (self.one, self.other) if found.protocol != "honest"]


@dataclass(frozen=True)
class Row:
    """A figure of both, in words: `better` names one of the two, or nobody where 0 is in the interval."""

    figure: str
    first: str
    second: str
    difference: str
    interval: str
    better: str


def compare(first: str, second: str, name: str, resamples: int | None) -> Comparison:
    """Return how two experiments differ on one set of pictures.

    Args:
        first: an experiment's name, or any Git revision, or `workspace`.
        second: as `first`.
        name: val or test.
        resamples: of the bootstrap; None takes `evaluate.resamples` of params.yaml, whose `evaluate.seed` is taken too.

    Raises:
        UserError: one of the two cannot be read, or they have other pictures, labels or classes.
    """
    params = Evaluate.read()
    bootstrap = Bootstrap(params.resamples if resamples is None else resamples, params.seed)
    if bootstrap.resamples < FEWEST:
        raise UserError(f"--resamples: expected at least {FEWEST}, found {bootstrap.resamples}.")
    one, other = answers(first, name), answers(second, name)
    check_alike(one, other)
    return Comparison(one, other, estimates(one, other, bootstrap), bootstrap.resamples)


def in_words(comparison: Comparison) -> str:
    """Return the comparison for a terminal."""
    rows = differences(comparison)
    table = pd.DataFrame(
        [(row.first, row.second, row.difference, row.interval, row.better) for row in rows],
        index=[row.figure for row in rows],
        columns=[*comparison.names, "difference", "95 % interval", "better"],
    )
    return "\n".join(
        [
            test_set(comparison.one),
            "",
            table.to_string(),
            *(textwrap.fill(f"- {line}", 100) for line in without_interval(comparison)),
            "",
            *tests_in_words(comparison.one, comparison.other),
            "",
            *(textwrap.fill(note, 100) for note in notes(comparison)),
            *warnings(comparison),
        ]
    )


def notes(comparison: Comparison) -> list[str]:
    """Return what is to be borne in mind with the figures."""
    return [
        f"Intervals are of {comparison.resamples:,} paired resamples of the lesions. They do not hold what another "
        "seed of training would change; of twenty figures without a difference, one leaves its interval by chance.",
        *(
            []
            if comparison.side == "test"
            else ["Chosen by these figures? Then report those of --side test, looked at once."]
        ),
    ]


def warnings(comparison: Comparison) -> list[str]:
    """Return a warning for each of the two that leaks."""
    return [
        f"WARNING: {found.revision}: {found.protocol}. Its figures are too good; see metrics/split.json."
        for found in comparison.leaky
    ]


def test_set(answers: Answers) -> str:
    """Return what the figures are of: `test: 2,004 pictures of 1,513 lesions, 137 of these melanoma`."""
    side = answers.side
    words = f"{answers.name}: {len(side.label):,} pictures of {side.lesions:,} lesions"
    if answers.melanoma is None:
        return words
    rows = (side.table["label"] == answers.melanoma).to_numpy()
    return f"{words}, {len(set(side.groups[rows])):,} of these melanoma"


def differences(comparison: Comparison) -> list[Row]:
    """Return a row a figure: of both, the difference and its interval, and which of the two is better."""
    rows = []
    for figure, (one, other, difference) in comparison.figures.items():
        surplus, lower, upper = (as_number(difference[part]) for part in ("value", "lower", "upper"))
        better = ""
        if lower is not None and upper is not None and (lower > 0 or upper < 0):
            better = comparison.names[int((lower > 0) != (figure in LESS_IS_BETTER))]
        rows.append(
            Row(
                f"{figure}{' (less is better)' * (figure in LESS_IS_BETTER)}",
                figure_in_words(one["value"]),
                figure_in_words(other["value"]),
                figure_in_words(surplus, "+"),
                "-" if lower is None else f"{lower:+.3f} to {upper:+.3f}",
                better,
            )
        )
    return rows


def without_interval(comparison: Comparison) -> list[str]:
    """Return why some differences have no interval."""
    without: dict[str, list[str]] = {}
    for figure, (_, _, difference) in comparison.figures.items():
        if difference["lower"] is None:
            # As `why` has it where there is no figure; of an interval that speaks of wrong answers, not of differences.
            why = "the same difference in every resample" if difference["value"] is not None else str(difference["why"])
            without.setdefault(why, []).append(figure)
    return [f"{', '.join(figures)}: {why}" for why, figures in without.items()]


def tests_in_words(one: Answers, other: Answers) -> list[str]:
    """Return what the two tests say."""
    label, groups = one.side.label, one.side.groups
    right = [found.side.probability.argmax(axis=1) == label for found in (one, other)]
    surplus = right[1].astype(np.int64) - right[0]
    lines = [
        f"Accuracy: {one.revision} alone is right on {(surplus < 0).sum():,} pictures, {other.revision} alone on "
        f"{(surplus > 0).sum():,}.",
        f"McNemar's exact test, exchanging whole lesions: {p_in_words(mcnemar(surplus, groups))}",
    ]
    if one.melanoma is None:
        return [*lines, "No class is melanoma alone: no test of its AUC."]
    number = one.side.classes.index(one.melanoma)
    scores = np.stack([found.side.probability[:, number] for found in (one, other)])
    areas = delong(label == number, scores, groups)
    if areas is None:
        said = "needs two lesions that are melanoma, and two that are not"
    elif areas.p is None:
        said = "both rank every pair alike"
    else:
        said = p_in_words(areas.p)
    return [*lines, f"DeLong's test of the melanoma AUC, its variance by lesion: {said}"]


def as_number(value: float | str | None) -> float | None:
    """Return an entry's number."""
    return None if value is None else float(value)


def figure_in_words(value: float | str | None, sign: str = "") -> str:
    """Return a figure in three digits; "-" where it is undefined."""
    return "-" if value is None else f"{float(value):{sign}.3f}"


def p_in_words(p: float) -> str:
    """Return a p as it is reported: never 0."""
    return f"p = {p:.3f}" if p >= 0.0005 else "p < 0.001"
