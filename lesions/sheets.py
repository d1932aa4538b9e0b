"""Contact sheets: rows of small pictures with a line of text over each row."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

GAP = 4
LINE = 20
"""Pixels between pictures, and for a row's text."""


def contact_sheet(rows: Sequence[tuple[str, Sequence[NDArray[np.uint8]]]], path: Path) -> None:
    """Write a PNG of rows of pictures.

    Args:
        rows: for each its text and its pictures, uint8, (height, width, 3), all of one shape.
        path: of the PNG.
    """
    height, width, _ = rows[0][1][0].shape
    columns = max(len(pictures) for _, pictures in rows)
    step = LINE + height + GAP
    sheet = Image.new("RGB", (GAP + columns * (width + GAP), GAP + len(rows) * step), "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(13)
    for row, (text, pictures) in enumerate(rows):
        top = GAP + row * step
        draw.text((GAP, top), text, fill="black", font=font)
        for column, picture in enumerate(pictures):
            sheet.paste(Image.fromarray(np.asarray(picture)), (GAP + column * (width + GAP), top + LINE))
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)
