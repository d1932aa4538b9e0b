"""Report: what may one claim? The model card, as Markdown and as one page.

Nothing in it changes when nothing else does: no date, no time, no commit.
"""

from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from lesions.core.params import read_file
from lesions.core.stage import run_stage
from lesions.reporting.card import context as facts
from lesions.reporting.card import sentences as words
from lesions.reporting.card.html import page

CARD = Path("reports/model_card.md")
PICTURES = Path("reports/card")


def main() -> None:
    """Write the card."""
    CARD.parent.mkdir(exist_ok=True)
    templates = Environment(
        # It makes Markdown; whatever comes from outside goes through `md`, and the page obeys no tags.
        autoescape=False,  # noqa: S701
        loader=FileSystemLoader("lesions/reporting/card"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    templates.filters |= {"md": words.escaped, "n": words.count, "ci": words.interval}
    card = templates.get_template("model_card.md.jinja").render(facts.gather(read_file(), PICTURES))
    CARD.write_text(card, encoding="utf-8")
    CARD.with_suffix(".html").write_text(page(card, CARD.parent), encoding="utf-8")
    print(f"{CARD} and {CARD.with_suffix('.html')}: the model card")


if __name__ == "__main__":
    run_stage(main)
