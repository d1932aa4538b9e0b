"""Find the bright field of a dermatoscope: an image without black borders or the corners of a circular vignette.

Nothing else is to be cut: a dark lesion or dark hair at the edge of an image is no border. So a border is only
what is dark in at least two corners, hangs together with them, and leaves a convex field: a rectangle or circle
does, while a lesion in a corner bulges into the image.
"""

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops

from lesions.images.decode import WHOLE, CropBox

CORNER = 3
"""Width in pixels of the corners that decide whether there is a border; images are some 100 pixels wide here."""
DARK = 0.4
"""What is darker than this part of the image's own bright tone (its upper quartile) may be border."""
BULGE = 0.1
"""The part of a border that may lie within the field's convex hull."""
TOUCH = 0.05
"""The part of a field's outermost row or column that may be border: cut further, and lesion goes with it."""
LEAST = 0.4
"""The part of the width and of the height that must remain; where less would, the image is left as it is."""


def bright_field(image: Image.Image) -> CropBox:
    """Find what of an image is not border.

    Args:
        image: RGB, some 100 pixels wide.

    Returns:
        A rectangle free of border, but for a few of its outermost pixels; `WHOLE` where there is no border.
    """
    # The brightest channel: reddish and bluish skin is far from black in it.
    red, green, blue = image.split()
    tone = np.asarray(ImageChops.lighter(ImageChops.lighter(red, green), blue))
    dark = tone < DARK * np.percentile(tone, 75)
    corners = [dark[rows, columns] for rows in (_FIRST, _LAST) for columns in (_FIRST, _LAST)]
    if sum(bool(corner.all()) for corner in corners) < 2:
        return WHOLE
    border = _joined_to_corners(dark)
    if not _leaves_convex_field(border):
        return WHOLE
    return _free_of(border)


_FIRST, _LAST = slice(None, CORNER), slice(-CORNER, None)


def _joined_to_corners(dark: NDArray[np.bool_]) -> NDArray[np.bool_]:
    from scipy.ndimage import label  # a second, and of no use without dark corners

    regions, _ = label(dark)
    corners = [regions[0, 0], regions[0, -1], regions[-1, 0], regions[-1, -1]]
    joined: NDArray[np.bool_] = np.isin(regions, [number for number in corners if number])
    return joined


def _leaves_convex_field(border: NDArray[np.bool_]) -> bool:
    from scipy.spatial import ConvexHull, QhullError

    rows = [(row, columns[[0, -1]]) for row, line in enumerate(~border) if len(columns := np.flatnonzero(line))]
    ends = np.array([(row, column) for row, pair in rows for column in pair])
    try:
        edges = ConvexHull(ends).equations  # rows of a, b, c: inside, a·row + b·column + c <= 0
    except (QhullError, ValueError):  # of a line, or of nothing
        return False
    distances = np.argwhere(border) @ edges[:, :2].T + edges[:, 2]
    return bool((distances < -1e-9).all(axis=1).mean() <= BULGE)


def _free_of(border: NDArray[np.bool_]) -> CropBox:
    """Cut rows and columns off, always that with the most border, until little of it is left at any edge."""
    height, width = border.shape
    top, bottom, left, right = 0, height, 0, width
    while True:
        edges = {
            "top": border[top, left:right].mean(),
            "bottom": border[bottom - 1, left:right].mean(),
            "left": border[top:bottom, left].mean(),
            "right": border[top:bottom, right - 1].mean(),
        }
        worst = max(edges, key=lambda edge: edges[edge])
        if edges[worst] <= TOUCH:
            return CropBox(left / width, top / height, right / width, bottom / height)
        top += worst == "top"
        bottom -= worst == "bottom"
        left += worst == "left"
        right -= worst == "right"
        if bottom - top < LEAST * height or right - left < LEAST * width:
            return WHOLE
