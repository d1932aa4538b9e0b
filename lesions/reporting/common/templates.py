"""The templates: all sentences of pages and reports, in Jinja files beside the code that computes their values."""

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from jinja2 import Environment, FileSystemLoader, StrictUndefined, select_autoescape

from lesions.reporting.common import html, numbers, tables
from lesions.reporting.common.html import CSP, data_uri
from lesions.reporting.common.names import metric_name, split_name

PACKAGE = Path(__file__).parents[2]
NEW_LINE = re.compile(r"- (?!\|)|\| |\|-|[>#]")
"""How an item, a row, a quotation and a heading begin: they are never joined to the line before."""

ENVIRONMENT = Environment(
    # Of HTML alone: in Markdown, whatever comes from outside goes through `md` or a table.
    autoescape=select_autoescape(["html.jinja"]),
    loader=FileSystemLoader(PACKAGE),
    undefined=StrictUndefined,
    trim_blocks=True,
    lstrip_blocks=True,
    keep_trailing_newline=True,
)


def render(template: str, context: Mapping[str, Any]) -> str:
    """Fill a template in.

    Args:
        template: its path in `lesions/`. In one of Markdown (`.md.jinja`) a paragraph may have several lines: it
            becomes one, so that lines of Git's are sentences that changed.
        context: the values.
    """
    text = ENVIRONMENT.get_template(template).render(context)
    return unwrap(text) if template.endswith(".md.jinja") else text


def unwrap(markdown: str) -> str:
    """Return Markdown with each paragraph, item and row in one line, single empty lines, and none within lists."""
    lines: list[str] = []
    for line in re.split(r" *\n *", markdown.strip()):
        if lines and lines[-1] and line and not NEW_LINE.match(line):
            lines[-1] += line if line[0] in ".,;" else f" {line}"
        elif line or lines[-1]:
            if line.startswith("- ") and len(lines) > 1 and not lines[-1] and lines[-2].startswith("- "):
                lines.pop()
            lines.append(line)
    return "\n".join(lines) + "\n"


def one_line(text: str) -> str:
    """Return text in one line; a space that does not break stays one, and what is escaped stays so."""
    return type(text)(re.sub(r"[ \n]+", " ", text).strip())


ENVIRONMENT.globals |= {"csp": CSP}
ENVIRONMENT.filters |= {
    "md": tables.escape_markdown,
    "md_code": tables.escape_but_code,
    "code": html.code,
    "markdown": tables.Markdown,
    "table": tables.table_of,
    "ci": tables.cell,
    "n": numbers.count,
    "quantity": numbers.quantity,
    "percent": numbers.percent,
    "decimal": numbers.decimal,
    "percent_ci": numbers.percent_interval,
    "p_value": numbers.p_value,
    "joined": numbers.joined,
    "split_name": split_name,
    "metric_name": metric_name,
    "one_line": one_line,
    "data_uri": data_uri,
}
