"""Corruptions of images: stronger with their severity, and a function of the seed and the image."""

import numpy as np
import pandas as pd
import pytest

from lesions.inference.corruptions import CORRUPTIONS, SEVERITIES, choose_sample, corrupt


def image(height: int = 48, width: int = 64) -> np.ndarray:
    """A dark, spotted ellipse on skin."""
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    inside = (x / 0.6) ** 2 + (y / 0.5) ** 2 < 1
    spots = np.sin(18 * x) * np.sin(15 * y) > 0
    skin, lesion = np.array([210, 160, 140]), np.array([110, 60, 40])
    shown = np.where((inside & spots)[..., None], lesion - 25, np.where(inside[..., None], lesion, skin))
    return shown.astype(np.uint8)


@pytest.mark.parametrize("name", CORRUPTIONS)
@pytest.mark.parametrize("shape", [(48, 64), (40, 40)])
def test_strength_of_a_corruption(name: str, shape: tuple[int, int]) -> None:
    before = image(*shape)
    before.flags.writeable = False  # pixels are a memory map
    changed = []
    for severity in SEVERITIES:
        # Of many images, since one may be lucky.
        worse = [corrupt(before, name, severity, 1, f"p{number}") for number in range(12)]
        assert all(found.dtype == np.uint8 and found.shape == before.shape for found in worse)
        assert (worse[0] == corrupt(before, name, severity, 1, "p0")).all()
        changed.append(np.abs(np.array(worse, np.int64) - before).mean())
    assert 0 < changed[0] < changed[1] < changed[2]


@pytest.mark.parametrize("name", ["brightness", "colour cast", "rotation", "hairs"])
def test_randomness_is_of_image_and_seed(name: str) -> None:
    assert len({corrupt(image(), name, 3, 1, f"p{number}").tobytes() for number in range(8)}) > 1
    assert len({corrupt(image(), name, 3, seed, "p").tobytes() for seed in range(8)}) > 1


def test_sample_has_as_many_of_each_class() -> None:
    labels = ["nv"] * 50 + ["mel"] * 8 + ["df"] * 3
    table = pd.DataFrame({"image_id": [f"p{number:02}" for number in range(61)], "label": labels})
    chosen = choose_sample(table, 1, 20)
    assert table.loc[chosen, "label"].value_counts().to_dict() == {"nv": 9, "mel": 8, "df": 3}
    assert (np.diff(chosen) > 0).all()
    mixed = table.sample(frac=1, random_state=3).reset_index(drop=True)
    assert set(mixed.loc[choose_sample(mixed, 1, 20), "image_id"]) == set(table.loc[chosen, "image_id"])
    assert set(choose_sample(table, 2, 20)) != set(chosen)
    assert list(choose_sample(table, 1, 100)) == list(range(61))
    assert len(choose_sample(table.iloc[:0], 1)) == 0


def test_rotation_has_no_black_corners() -> None:
    for shape in ((48, 64), (20, 90)):
        bright = np.full((*shape, 3), 200, np.uint8)
        for severity in SEVERITIES:
            assert (corrupt(bright, "rotation", severity, 1, "p") == 200).all()


def test_hairs_are_dark_and_thin() -> None:
    bright = np.full((128, 128, 3), 200, np.uint8)
    shares = []
    for severity in SEVERITIES:
        worse = corrupt(bright, "hairs", severity, 1, "p")
        assert worse.max() == 200
        shares.append((worse[..., 0] < 150).mean())
    assert 0.005 < shares[0] < shares[1] < shares[2] < 0.3
