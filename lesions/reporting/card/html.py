"""From the card's Markdown to one page that needs nothing else: readable on a telephone, by day and by night."""

from collections.abc import Sequence
from html import escape
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
    body = parser.render(markdown, {"folder": folder, "tables": 0})
    title = markdown.partition("\n")[0].removeprefix("# ")
    return render("reporting/common/frame.html.jinja", {"title": title, "body": Markup(body)})  # noqa: S704


def _embedded(renderer: RendererHTML, tokens: Sequence[Token], number: int, options: OptionsDict, env: EnvType) -> str:
    image = env["folder"] / str(tokens[number].attrs["src"])
    words = renderer.renderInlineAsText(tokens[number].children or [], options, env)
    return f'<img src="{data_uri(image.read_bytes())}" alt="{escape(words)}">'


def _table_open(*given: Any) -> str:
    # A table wider than a telephone scrolls by itself, by keyboard too, and so needs a name.
    env = given[-1]
    env["tables"] += 1
    return f'<div class="table" role="region" tabindex="0" aria-label="Table {env["tables"]}"><table>\n'
