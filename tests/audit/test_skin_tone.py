"""The individual typology angle: colours against published values, and what at the rim is taken for skin."""

import math

import numpy as np
import pytest
from numpy.typing import NDArray

from lesions.audit.skin_tone import SKIN_TONES, estimate_ita, lab_of_linear, skin_tone

SKIN = (224, 172, 140)


def plain(colour: tuple[int, int, int] = SKIN) -> NDArray[np.uint8]:
    return np.full((64, 64, 3), colour, np.uint8)


def angle(lightness: float, yellowness: float) -> float:
    return math.degrees(math.atan((lightness - 50) / yellowness))


@pytest.mark.parametrize(
    ("linear", "lab"),
    [
        ((1, 1, 1), (100, 0, 0)),
        ((0, 0, 0), (0, 0, 0)),
        # The primaries of sRGB in CIELAB under D65, as colour calculators publish them.
        ((1, 0, 0), (53.24, 80.09, 67.20)),
        ((0, 1, 0), (87.73, -86.18, 83.18)),
        ((0, 0, 1), (32.30, 79.19, -107.86)),
    ],
)
def test_cielab_of_srgb(linear: tuple[float, ...], lab: tuple[float, ...]) -> None:
    assert lab_of_linear(*linear) == pytest.approx(lab, abs=0.03)


def test_angle_of_plain_skin() -> None:
    # L* and b* of sRGB 224, 172, 140 by a colour calculator: 74.0 and 23.8.
    assert estimate_ita(plain()) == pytest.approx(angle(74.0, 23.8), abs=0.5)
    tones = [skin_tone(f"{estimate_ita(plain(colour))}") for colour in ((255, 220, 195), SKIN, (141, 85, 54))]
    assert tones == ["very light", "light", "dark"]


def test_lesion_hairs_corners_and_glare_are_no_skin() -> None:
    image = plain()
    image[12:52, 12:64] = (90, 50, 40)  # a lesion that reaches one edge
    image[:, ::9] = (40, 30, 25)  # hairs
    y, x = np.mgrid[:64, :64]
    image[np.hypot(y - 32, x - 32) > 38] = 0  # dark corners
    image[5:8, 20:40] = 255  # glare
    assert estimate_ita(image) == estimate_ita(plain())
    assert estimate_ita(image[::-1, ::-1]) == estimate_ita(plain())  # sums do not depend on the order


def test_no_estimate_without_skin() -> None:
    covered = plain((0, 0, 0))
    covered[12:52, 12:52] = SKIN
    for image in (covered, plain((0, 0, 0)), plain((255, 255, 255)), plain((200, 170, 190))):
        assert estimate_ita(image) is None


def test_bands() -> None:
    written = ["90.0", "55.1", "55.0", "41.1", "41.0", "28.1", "28.0", "10.1", "10.0", "-89.9", ""]
    bands = list(SKIN_TONES)
    assert [skin_tone(ita) for ita in written] == [bands[0], *[band for band in bands for _ in (0, 1)][1:], ""]
