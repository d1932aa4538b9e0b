"""Comparisons as a table, with how many there are and which of them survive Holm's adjustment for their number."""

from collections.abc import Sequence

from lesions.commands.study.comparisons import Comparison
from lesions.commands.study.study import METRICS
from lesions.reporting.common.names import metric_name
from lesions.reporting.common.numbers import interval_to, p_value, quantity
from lesions.reporting.common.tables import Markdown, markdown_table


def comparison_table(comparisons: Sequence[Comparison]) -> str:
    """Return the conclusion, and a table of differences with intervals and adjusted p, significant ones bold."""
    rows = [
        (Markdown(one.name), *(_cell(one, metric) for metric in METRICS), Markdown(one.holds)) for one in comparisons
    ]
    head = ("what", *map(metric_name, METRICS), "intervals hold")
    return f"{conclusion(comparisons)}\n\n{markdown_table(head, rows)}"


def conclusion(comparisons: Sequence[Comparison]) -> str:
    """Return how many comparisons there are, which of them survive, and why some have no interval."""
    cells = [(one, metric, one.differences[metric]) for one in comparisons for metric in METRICS]
    reasons = sorted({str(found["reason"]) for *_, found in cells if found["p_holm"] is None})
    number = sum(found["p_holm"] is not None for *_, found in cells)
    survivors = [
        [
            f"{one.name} in {metric_name(metric)}"
            for one, metric, _ in cells
            if one.is_significant(metric) and one.holds_no_seed == alone
        ]
        for alone in (False, True)
    ]
    sentences = []
    if number:
        sentences.append(
            f"{quantity(number, 'comparison')}: each 95 % interval is of one alone, and p is adjusted (Holm) for all."
        )
    if survivors[0]:
        sentences.append(f"At 5 % over all, {_differ(survivors[0])} (bold).")
    if survivors[1]:
        sentences.append(
            f"Between these networks, which tells nothing of other random seeds, {_differ(survivors[1])} (bold)."
        )
    if number and not any(survivors):
        sentences.append("None is shown to differ at 5 %, which does not show that they are alike.")
    elif number > sum(map(len, survivors)):
        sentences.append("Of the others this tells neither that they differ nor that they are alike.")
    if reasons:
        sentences.append(f"{len(cells) - number} have no interval: {'; '.join(reasons)}.")
    return " ".join(sentences)


def _differ(survivors: Sequence[str]) -> str:
    """Return how many differ, and which: 2 differ: a in accuracy; b in macro AUC."""
    return f"{quantity(len(survivors), 'differs', 'differ')}: {'; '.join(survivors)}"


def _cell(comparison: Comparison, metric: str) -> Markdown:
    found = comparison.differences[metric]
    text = interval_to(found, "+")
    if comparison.is_significant(metric):
        text = f"**{text}**"
    return Markdown(text if found["p_holm"] is None else f"{text}, {p_value(float(found['p_holm']))}")
