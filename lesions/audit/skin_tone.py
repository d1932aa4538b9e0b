"""Estimate the skin tone from the skin at the rim of an image, by the individual typology angle (ITA).

ITA = arctan((L* - 50) / b*), in degrees, of the skin's colour in CIELAB; the bands are those of Chardon, Cretois and
Hourseau (International Journal of Cosmetic Science 13, 1991), as Kinyanjui et al. join them (Fairness of classifiers
across skin tones in dermatology, MICCAI 2020; arXiv 1910.13268, table 1). It was made for a colorimeter under white
light. In an image it holds camera, light and white balance as well: docs/audit.md says what it is worth.

All sums are of integers, so that they are the same in any order and on any machine; floats begin with the one mean
colour of an image.
"""

import math
from functools import cache

import numpy as np
from numpy.typing import NDArray

SKIN_TONES = {"very light": 55.0, "light": 41.0, "intermediate": 28.0, "tan": 10.0, "dark": -90.0}
"""The bands, and the angle in degrees that each lies above."""

RIM = 0.16
"""Width of the rim, of the image's height and width: lesions are in the middle."""
DARK = 0.4
"""What is darker in red than this part of the image's own upper quartile is a border, a corner or a hair."""
BAND = (0.7, 1.4)
"""Skin has a luminance within these multiples of the rim's upper quartile: below are hairs and lesions, above glare."""
MIN_SKIN = 0.025
"""The part of the image's pixels that must be skin."""
MIN_YELLOWNESS = 5.0
"""Lowest b* of skin in white light: skin that looks bluer was not taken in it. The five skin tones of 120 people that
were measured (International Association for Dental Research 2009, abstract 120461) have 12 to 19."""

_UNIT = 65535


def _linear(value: int) -> int:
    """Return a value of sRGB, 0 to 255, in linear light, 0 to 65535 (IEC 61966-2-1)."""
    share = value / 255
    return round(_UNIT * (share / 12.92 if share <= 0.04045 else ((share + 0.055) / 1.055) ** 2.4))


_LINEAR = np.array([_linear(value) for value in range(256)], np.int64)
_XYZ = ((4124, 3576, 1805), (2126, 7152, 722), (193, 1192, 9505))
"""What linear red, green and blue add to X, Y and Z, in 1/10,000 (IEC 61966-2-1)."""


def skin_tone(ita: str) -> str:
    """Return the band of an angle as written in images.csv; "" of "".

    >>> skin_tone("55.1"), skin_tone("55.0"), skin_tone("-3.2"), skin_tone("")
    ('very light', 'light', 'dark', '')
    """
    return next(band for band, above in SKIN_TONES.items() if float(ita) > above) if ita else ""


def estimate_ita(pixels: NDArray[np.uint8]) -> float | None:
    """Estimate the individual typology angle of the skin.

    Args:
        pixels: (height, width, 3), sRGB, all of an image, shrunk.

    Returns:
        Degrees with one decimal, from -90 to 90; None where too little at the rim is skin, or it is bluer than skin is.
    """
    planes = pixels.reshape(-1, 3).T
    rim = planes[:, _rim(*pixels.shape[:2])]
    # Red, in which reddish skin is far from black.
    bright = rim[0] >= DARK * _upper_quartile(planes[0])
    linear = _LINEAR[rim.compress(bright, axis=1)]
    luminance = np.array(_XYZ[1]) @ linear
    low, high = (part * _upper_quartile(luminance) for part in BAND)
    skin = linear.compress((luminance >= low) & (luminance <= high), axis=1)
    number = skin.shape[1]
    if number < MIN_SKIN * planes.shape[1]:
        return None
    mean = [int(total) / number / _UNIT for total in skin.sum(axis=1)]
    lightness, _, yellowness = lab_of_linear(*mean)
    if yellowness < MIN_YELLOWNESS:
        return None
    return round(math.degrees(math.atan((lightness - 50) / yellowness)), 1) + 0.0  # no -0.0


@cache
def _rim(height: int, width: int) -> NDArray[np.intp]:
    """Return the numbers of the pixels at the rim, row by row."""
    rows, columns = round(RIM * height), round(RIM * width)
    rim = np.ones((height, width), bool)
    rim[rows:-rows, columns:-columns] = False
    return np.flatnonzero(rim)


def _upper_quartile(values: NDArray[np.integer]) -> int:
    """Return the value that three quarters lie below: one of them, so that it is exact."""
    place = len(values) * 3 // 4
    return int(np.partition(values, place)[place]) if len(values) else 0


def lab_of_linear(red: float, green: float, blue: float) -> tuple[float, float, float]:
    """Return L*, a* and b* of linear sRGB, each 0 to 1, for the white of D65 (CIE 15:2004).

    Args:
        red: in linear light.
        green: the same.
        blue: the same.
    """
    x, y, z = (
        _lab_curve((r * red + g * green + b * blue) / (r + g + b))  # of white, X, Y and Z are the rows' sums
        for r, g, b in _XYZ
    )
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)


def _lab_curve(share: float) -> float:
    return math.cbrt(share) if share > (6 / 29) ** 3 else share / (3 * (6 / 29) ** 2) + 4 / 29
