"""Contact sheets: rows of small images with text over each row."""

import io
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

GAP = 4
LINE = 20
"""Pixels between images, and for a line of text."""


def contact_sheet(cells: Sequence[tuple[str, Sequence[NDArray[np.uint8]]]], path: Path, columns: int = 1) -> None:
    """Write an image of cells, each text over a row of images.

    Args:
        cells: for each its text, of one or more lines, and its images, uint8, (height, width, 3); the largest of all
            gives a cell its size.
        path: of the image, whose suffix says in which format.
        columns: how many cells stand side by side.
    """
    shapes = [image.shape[:2] for _, images in cells for image in images] or [(0, 300)]
    height, width = np.max(shapes, axis=0).tolist()
    across = max([len(images) for _, images in cells] + [1]) * (width + GAP)
    above = LINE * max([text.count("\n") + 1 for text, _ in cells] + [1])
    step = above + height + GAP
    size = (GAP + columns * across, GAP + -(-len(cells) // columns) * step)
    sheet = Image.new("RGB", size, "white")
    draw = ImageDraw.Draw(sheet)
    font = ImageFont.load_default(13)
    for number, (text, images) in enumerate(cells):
        left, top = GAP + number % columns * across, GAP + number // columns * step
        draw.text((left, top), text, fill="black", font=font)
        for place, image in enumerate(images):
            sheet.paste(Image.fromarray(np.asarray(image)), (left + place * (width + GAP), top + above))
    path.parent.mkdir(parents=True, exist_ok=True)
    # Of photographs as JPEG: as PNG the sheet of HAM10000's duplicates has 6 MB, and takes two seconds to write.
    content = io.BytesIO()  # of a full disk Pillow does not say that it wrote a part
    sheet.save(content, Image.registered_extensions()[path.suffix], quality=90)
    path.write_bytes(content.getvalue())
