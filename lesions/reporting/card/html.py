"""From the card's Markdown to one page that needs nothing else: readable on a telephone, by day and by night."""

import base64
import html
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import EnvType, OptionsDict

KINDS = {".png": "image/png", ".jpg": "image/jpeg"}

# The browser itself refuses every address: whatever stands in the data, nothing leaves the computer.
POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"

STYLE = """
:root { color-scheme: light dark; --text: #1f2328; --line: #d0d7de; --back: #ffffff;
        --alarm: #fff1e5; --edge: #bc4c00; }
@media (prefers-color-scheme: dark) {
  :root { --text: #e6edf3; --line: #3d444d; --back: #0d1117; --alarm: #33210f; --edge: #f0883e; } }
body { margin: 0 auto; padding: 1.5rem 1.25rem 4rem; max-width: 62rem; background: var(--back); color: var(--text);
       font: 16px/1.55 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif;
       overflow-wrap: break-word; }
h1 { margin: 0 0 .5rem; font-size: 1.75rem; line-height: 1.2; }
h2 { margin: 2.75rem 0 .5rem; padding-top: .75rem; border-top: 1px solid var(--line); font-size: 1.25rem; }
h3 { margin: 1.75rem 0 .25rem; font-size: 1rem; }
p, li, blockquote { max-width: 44rem; }
blockquote { margin: 1rem 0; padding: .5rem 1rem; border-left: .3rem solid var(--edge); background: var(--alarm); }
blockquote p { margin: .25rem 0; }
.table { overflow-x: auto; margin: .75rem 0; }
table { border-collapse: collapse; font-size: .9375rem; }
th, td { padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--line); text-align: left; vertical-align: top;
         font-variant-numeric: tabular-nums; }
th { font-weight: 600; }
th:first-child, td:first-child { min-width: 7rem; }
img { display: block; max-width: 100%; height: auto; border-radius: .25rem; background: #fff; }
code { font-size: .875em; overflow-wrap: anywhere; }
@media (max-width: 36rem) { table { font-size: .8125rem; } th, td { padding-right: .6rem; } }
@media print { body { max-width: none; padding: 0; font-size: 10pt; } h2 { break-after: avoid; }
               img, tr { break-inside: avoid; } }
"""


def page(markdown: str, folder: Path) -> str:
    """Return the page.

    Args:
        markdown: the card; tags in it are shown, not obeyed.
        folder: what the paths of its pictures start from. They become part of the page.
    """
    parser = MarkdownIt("commonmark", {"html": False}).enable("table")
    parser.add_render_rule("image", _embedded)
    parser.add_render_rule("table_open", _table_open)
    parser.add_render_rule("table_close", _table_close)
    body = parser.render(markdown, {"folder": folder, "tables": 0})
    title = markdown.partition("\n")[0].removeprefix("# ")
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta http-equiv="Content-Security-Policy" content="{POLICY}">
<title>{html.escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<main>
{body}</main>
</body>
</html>
"""


def _embedded(renderer: RendererHTML, tokens: Sequence[Token], number: int, options: OptionsDict, env: EnvType) -> str:
    path = env["folder"] / str(tokens[number].attrs["src"])
    words = renderer.renderInlineAsText(tokens[number].children or [], options, env)
    uri = f"data:{KINDS[path.suffix]};base64,{base64.b64encode(path.read_bytes()).decode()}"
    return f'<img src="{uri}" alt="{html.escape(words)}">'


def _table_open(
    _renderer: RendererHTML, _tokens: Sequence[Token], _number: int, _options: OptionsDict, env: EnvType
) -> str:
    # A table wider than a telephone scrolls by itself, by keyboard too, and so needs a name.
    env["tables"] += 1
    return f'<div class="table" role="region" tabindex="0" aria-label="Table {env["tables"]}"><table>\n'


def _table_close(*_: Any) -> str:
    return "</table></div>\n"
