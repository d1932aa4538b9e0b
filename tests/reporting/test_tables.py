"""Markdown tables and templates."""

import re

from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from lesions.reporting.common.html import code
from lesions.reporting.common.tables import Markdown, escape_but_code, escape_markdown, markdown_table, table_of
from lesions.reporting.common.templates import unwrap

HOSTILE = "<script>alert(1)</script> | ![x](http://example.org/x.png) `*_[]\n# x"


def test_cells() -> None:
    undefined = {"value": None, "lower": None, "upper": None, "reason": "no_class"}
    table = markdown_table(["a", "b", "c"], [("x_y", 2004, undefined), (Markdown("**z**"), 1, 0.5)])
    assert table.splitlines() == [
        "| a | b | c |",
        "| --- | --: | --- |",
        r"| x\_y | 2,004 | not defined: no\_class |",
        "| **z** | 1 | 0.500 |",
    ]


def test_table_of_mappings() -> None:
    rows: list[dict[str, object]] = [{"n": 1, "name": "a"}, {"n": 2}]
    assert table_of(rows, {"number": "n", "class": "name"}).splitlines()[2:] == ["| 1 | a |", "| 2 |  |"]


def test_hostile_text_is_shown() -> None:
    html = MarkdownIt("commonmark", {"html": True}).enable("table").render(markdown_table(["a"], [(HOSTILE,)]))
    assert "<script" not in html
    assert "<img" not in html
    assert html.count("<td") == 1
    assert "\n" not in escape_markdown(HOSTILE)


def test_commands_in_a_sentence() -> None:
    said = "Run `lesions study <b>_a_` for *x*, or `y"
    assert escape_but_code(said) == r"Run `lesions study <b>_a_` for \*x\*, or \`y"
    assert code(said) == "Run <code>lesions study &lt;b&gt;_a_</code> for *x*, or `y"


@given(st.text("`\\\\<b>*_![]()# \nx&|", max_size=30))
def test_nothing_of_a_sentence_is_obeyed_but_code(said: str) -> None:
    page = MarkdownIt("commonmark", {"html": True}).enable("table").render(f"- {escape_but_code(said)}")
    assert set(re.findall("<[^>]*>", page)) <= {"<ul>", "</ul>", "<li>", "</li>", "<code>", "</code>"}
    assert set(re.findall("<[^>]*>", code(said))) <= {"<code>", "</code>"}


def test_unwrap() -> None:
    text = "# Title\n\n\nA\nsentence\n; more\n.\n\n- one\n\n- two\n  lines\n\n| a |\n|---|\n| b |\n- |\n"
    assert unwrap(text) == "# Title\n\nA sentence; more.\n\n- one\n- two lines\n\n| a |\n|---|\n| b | - |\n"
