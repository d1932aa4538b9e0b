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
TEMPLATE = "reporting/card/model_card.md.jinja"


def main() -> None:
    """Write the card."""
    CARD.parent.mkdir(exist_ok=True)
    say("Drawing the plots of the card ...")
    context = card_context(read_file(), PLOTS)
    # In Git, which has no image, is one without them.
    plain, whole = (render(TEMPLATE, context | {"with_images": with_images}) for with_images in (False, True))
    CARD.write_text(plain, encoding="utf-8", newline="\n")
    CARD.with_suffix(".html").write_text(page(whole, CARD.parent), encoding="utf-8", newline="\n")
    print(f"{CARD} and {CARD.with_suffix('.html')}: the model card")


if __name__ == "__main__":
    run_stage(main)
