"""Markdown: text from outside that is shown and not obeyed, and tables."""

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from lesions.reporting.common.numbers import count, decimal, interval


class Markdown(str):
    """Text that is Markdown already."""

    __slots__ = ()


def escape_markdown(text: object) -> Markdown:
    """Return text as Markdown that shows it in one line and obeys nothing of it."""
    return Markdown(re.sub(r"([\\`*_\[\]<>#|&~!])", r"\\\1", " ".join(str(text).split())))


def escape_but_code(text: object) -> Markdown:
    """Return a sentence of ours as Markdown: what stands between backquotes is code, all else as `escape_markdown`."""
    return Markdown(
        re.sub(r"\\`([^`]+)\\`", lambda found: "`" + re.sub(r"\\(.)", r"\1", found[1]) + "`", escape_markdown(text))
    )


def cell(value: object) -> str:
    """Return a value as Markdown: a metric with its interval, a count, a number in three digits, or escaped text."""
    if isinstance(value, Mapping):
        return interval(value) if value["value"] is not None else escape_markdown(interval(value))
    if isinstance(value, Markdown):
        return value
    if value is None or isinstance(value, float):
        return decimal(value)
    return count(value) if isinstance(value, int) else escape_markdown(value)


def markdown_table(head: Sequence[object], rows: Iterable[Sequence[object]]) -> str:
    """Return a table; columns of numbers alone stand to the right.

    Args:
        head: the columns' names.
        rows: the cells, as `cell` takes them.
    """
    rows = list(rows)
    numbers = [all(isinstance(row[column], int | float | None) for row in rows) for column in range(len(head))]
    lines = [
        list(map(cell, head)),
        ["--:" if number else "---" for number in numbers],
        *(map(cell, row) for row in rows),
    ]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def table_of(rows: Iterable[Mapping[str, Any]], columns: Mapping[str, str]) -> str:
    """Return a table of mappings.

    Args:
        rows: the rows.
        columns: by the name of each column, the key of its cells; a row without that key has an empty cell.
    """
    return markdown_table(list(columns), [[row.get(key, "") for key in columns.values()] for row in rows])
