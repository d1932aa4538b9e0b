"""Is the second experiment better than the first, and is that more than chance?"""

import textwrap

import numpy as np
import pandas as pd

from lesions.comparing.paired import LESS_IS_BETTER, check_alike, estimates
from lesions.comparing.revisions import Answers, answers
from lesions.comparing.significance import delong, mcnemar
from lesions.errors import UserError
from lesions.evaluation.intervals import Bootstrap, Json
from lesions.params.evaluate import Evaluate

FEWEST = 100
"""Resamples, as for `evaluate.resamples`."""


def compare(first: str, second: str, name: str, resamples: int | None) -> str:
    """Return, for a person, how two experiments differ on one set of pictures.

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
    return "\n".join(
        [
            test_set(one),
            "",
            figures_in_words(estimates(one, other, bootstrap), (first, second)),
            "",
            *tests_in_words(one, other),
            "",
            f"Intervals are of {bootstrap.resamples:,} paired resamples of the lesions. They do not hold what another "
            "seed of",
            "training would change; of twenty figures without a difference, one leaves its interval by chance.",
            *([] if name == "test" else ["Chosen by these figures? Then report those of --side test, looked at once."]),
            *(
                f"WARNING: {found.revision}: {found.protocol}. Its figures are too good; see metrics/split.json."
                for found in (one, other)
                if found.protocol != "honest"
            ),
        ]
    )


def test_set(answers: Answers) -> str:
    """Return what the figures are of: `test: 2,004 pictures of 1,513 lesions, 137 of these melanoma`."""
    side = answers.side
    words = f"{answers.name}: {len(side.label):,} pictures of {side.lesions:,} lesions"
    if answers.melanoma is None:
        return words
    rows = (side.table["label"] == answers.melanoma).to_numpy()
    return f"{words}, {len(set(side.groups[rows])):,} of these melanoma"


def figures_in_words(found: dict[str, list[Json]], names: tuple[str, str]) -> str:
    """Return a table, a row a figure: of both, the difference and its interval, and which of the two is better."""
    rows = []
    for figure, (one, other, difference) in found.items():
        surplus, lower, upper = (as_number(difference[part]) for part in ("value", "lower", "upper"))
        better = ""
        if lower is not None and upper is not None and (lower > 0 or upper < 0):
            better = names[int((lower > 0) != (figure in LESS_IS_BETTER))]
        rows.append(
            (
                *(in_words(entry["value"]) for entry in (one, other)),
                in_words(surplus, "+"),
                "-" if lower is None else f"{lower:+.3f} to {upper:+.3f}",
                better,
            )
        )
    labels = [f"{figure}{' (less is better)' * (figure in LESS_IS_BETTER)}" for figure in found]
    table = pd.DataFrame(rows, index=labels, columns=[*names, "difference", "95 % interval", "better"])
    without: dict[str, list[str]] = {}
    for figure, (_, _, difference) in found.items():
        if difference["lower"] is None:
            # As `why` has it where there is no figure; of an interval that speaks of wrong answers, not of differences.
            why = "the same difference in every resample" if difference["value"] is not None else str(difference["why"])
            without.setdefault(why, []).append(figure)
    lines = [textwrap.fill(f"- {', '.join(figures)}: {why}", 100) for why, figures in without.items()]
    return "\n".join([table.to_string(), *lines])


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


def in_words(value: float | str | None, sign: str = "") -> str:
    """Return a figure in three digits; "-" where it is undefined."""
    return "-" if value is None else f"{float(value):{sign}.3f}"


def p_in_words(p: float) -> str:
    """Return a p as it is reported: never 0."""
    return f"p = {p:.3f}" if p >= 0.0005 else "p < 0.001"
