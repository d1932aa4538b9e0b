"""Write the model card, as Markdown and as one page.

Nothing in it changes when nothing else does: no date, no time, no commit.
"""

from pathlib import Path

from lesions.core.params import read_file
from lesions.core.stage import run_stage, say
from lesions.reporting.card.context import card_context
from lesions.reporting.card.html import page
from lesions.reporting.common.templates import render

CARD = Path("reports/model_card.md")
PLOTS = Path("reports/card")


def main() -> None:
    """Write the card."""
    CARD.parent.mkdir(exist_ok=True)
    say("Drawing the plots of the card ...")
    card = render("reporting/card/model_card.md.jinja", card_context(read_file(), PLOTS))
    CARD.write_text(card, encoding="utf-8")
    CARD.with_suffix(".html").write_text(page(card, CARD.parent), encoding="utf-8")
    print(f"{CARD} and {CARD.with_suffix('.html')}: the model card")


if __name__ == "__main__":
    run_stage(main)
