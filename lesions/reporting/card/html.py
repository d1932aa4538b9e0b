"""From the card's Markdown to one page that needs nothing else: readable on a telephone, by day and by night."""

import re
from collections.abc import Sequence
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict
from markupsafe import Markup

from lesions.reporting.common.html import data_uri
from lesions.reporting.common.templates import render


def page(markdown: str, folder: Path) -> str:
    """Return the page.

    Args:
        markdown: the card; tags in it are shown, not obeyed.
        folder: what the paths of its images start from. They become part of the page.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule("image", _embedded)
    parser.add_render_rule("table_open", _table_open)
    parser.add_render_rule("table_close", lambda *_: "</table></div>\n")
    env = {"folder": folder, "tables": 0}
    tokens = parser.parse(markdown, env)
    contents = _contents(tokens)
    body = parser.renderer.render(tokens, parser.options, env).replace("<h2", f"{contents}<h2", 1)
    title = _text(tokens[1])  # of the heading that the card begins with
    return render("reporting/common/frame.html.jinja", {"title": title, "body": Markup(body)})  # noqa: S704


def _contents(tokens: Sequence[Token]) -> str:
    """Return a list of links to the sections, each of which gets an id."""
    links = []
    for opening, heading in pairwise(tokens):
        if (opening.type, opening.tag) == ("heading_open", "h2"):
            title = _text(heading)
            anchor = re.sub(r"\W+", "-", title.lower()).strip("-")
            opening.attrSet("id", anchor)
            links.append(f'<li><a href="#{anchor}">{escape(title)}</a></li>')
    return f'<nav aria-label="Contents"><ul>{"".join(links)}</ul></nav>\n' if links else ""


def _text(heading: Token) -> str:
    """Return a heading's text, without what Markdown needs, such as the escapes in an experiment's name."""
    return "".join(part.content for part in heading.children or [])


def _embedded(renderer: RendererHTML, tokens: Sequence[Token], number: int, options: OptionsDict, env: EnvType) -> str:
    image = env["folder"] / str(tokens[number].attrs["src"])
    words = renderer.renderInlineAsText(tokens[number].children or [], options, env)
    return f'<img src="{data_uri(image.read_bytes())}" alt="{escape(words)}">'


def _table_open(*given: Any) -> str:
    # A table wider than a telephone scrolls by itself, by keyboard too, and so needs a name.
    env = given[-1]
    env["tables"] += 1
    return f'<div class="table" role="region" tabindex="0" aria-label="Table {env["tables"]}"><table>\n'
