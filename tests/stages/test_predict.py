"""What predict adds: worse images, and how unlike the training images an image is."""

from pathlib import Path

import numpy as np
import pytest

from lesions.core.errors import UserError
from lesions.images import ood_images as other_images
from lesions.inference.corruptions import CORRUPTIONS, STRENGTHS, corrupted


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
def test_a_corruption_changes_more_with_its_strength_and_is_the_same_each_time(
    name: str, shape: tuple[int, int]
) -> None:
    before = image(*shape)
    before.flags.writeable = False  # pixels are a memory map
    changed = []
    for strength in STRENGTHS:
        # Of many images, since one may be lucky.
        worse = [corrupted(before, name, strength, 1, f"p{number}") for number in range(12)]
        assert all(found.dtype == np.uint8 and found.shape == before.shape for found in worse)
        assert (worse[0] == corrupted(before, name, strength, 1, "p0")).all()
        changed.append(np.abs(np.array(worse, np.int64) - before).mean())
    assert 0 < changed[0] < changed[1] < changed[2]


@pytest.mark.parametrize("name", ["brightness", "colour cast", "rotation", "hairs"])
def test_what_is_drawn_depends_on_the_image_and_the_seed(name: str) -> None:
    assert len({corrupted(image(), name, 3, 1, f"p{number}").tobytes() for number in range(8)}) > 1
    assert len({corrupted(image(), name, 3, seed, "p").tobytes() for seed in range(8)}) > 1


def test_turning_brings_in_no_black_corners() -> None:
    for shape in ((48, 64), (20, 90)):
        bright = np.full((*shape, 3), 200, np.uint8)
        for strength in STRENGTHS:
            assert (corrupted(bright, "rotation", strength, 1, "p") == 200).all()


def test_hairs_are_dark_and_thin() -> None:
    bright = np.full((128, 128, 3), 200, np.uint8)
    shares = []
    for strength in STRENGTHS:
        worse = corrupted(bright, "hairs", strength, 1, "p")
        assert worse.max() == 200
        shares.append((worse[..., 0] < 150).mean())
    assert 0.005 < shares[0] < shares[1] < shares[2] < 0.3


def test_planted_outliers_are_unlike_and_the_reference_is_read_back(tmp_path: Path) -> None:
    random = np.random.default_rng(1)
    labels = random.integers(3, size=400)
    spread = np.array([5, 1, 1, 0.2, 0])  # one feature that never moves
    features = (random.normal(size=(400, 5)) * spread + 8 * np.eye(5)[labels]).astype(np.float32)
    reference = likeness.fit(features, labels)
    inside = likeness.score(reference, features)
    assert inside.mean() == pytest.approx(4, rel=0.3)
    for moved in ([0, 0, 0, 3, 0], [0, 0, 12, 0, 0], [0, 0, 0, 0, 1]):
        assert likeness.score(reference, features[:1] + moved)[0] > 2 * np.quantile(inside, 0.99)
    likeness.save(reference, tmp_path / "one.npz")
    likeness.save(likeness.fit(features, labels), tmp_path / "two.npz")
    assert (tmp_path / "one.npz").read_bytes() == (tmp_path / "two.npz").read_bytes()
    assert (likeness.score(likeness.load(tmp_path / "one.npz"), features) == inside).all()


def test_a_rare_class_counts_as_much_as_a_frequent_one() -> None:
    """Else its spread, here along another axis, would hardly be known, and half of its images be strange."""
    random = np.random.default_rng(1)
    labels = np.repeat([0, 1], [2000, 20])
    features = random.normal(size=(2020, 2)) * np.array([[3, 0.3], [0.3, 3]])[labels]
    inside = likeness.score(likeness.fit(features, labels), features)
    assert inside[labels == 1].mean() == pytest.approx(inside[labels == 0].mean(), rel=0.4)


def test_a_likeness_of_equal_images_is_finite() -> None:
    reference = likeness.fit(np.ones((2, 4), np.float32), np.array([0, 1]))
    assert likeness.score(reference, np.array([[1, 1, 1, 1], [1, 1, 1, 3]], np.float32)) == pytest.approx([0, 4])


def test_another_file_is_no_reference(tmp_path: Path) -> None:
    file = tmp_path / "ood.npz"
    file.write_bytes(b"no archive")
    with pytest.raises(UserError, match="is no reference"):
        likeness.load(file)
    np.savez(file, means=np.zeros((2, 3), np.float32), whitening=np.zeros((3, 3), object))
    with pytest.raises(UserError, match="is no reference"):
        likeness.load(file)
    np.savez(file, means=np.zeros((2, 3), np.float32), whitening=np.zeros((2, 3), np.float32))
    with pytest.raises(UserError, match="expected float32"):
        likeness.load(file)


def test_images_of_no_lesion_are_the_same_each_time() -> None:
    drawn = list(other_images.generated(32, 40, 1))
    assert {kind for _, kind, _ in drawn} == set(other_images.KINDS)
    assert all(pixels.shape == (32, 40, 3) and pixels.dtype == np.uint8 for *_, pixels in drawn)
    again = [pixels.tobytes() for *_, pixels in other_images.generated(32, 40, 1)]
    assert [pixels.tobytes() for *_, pixels in drawn] == again
    photographs = list(other_images.shipped())
    assert {kind for _, kind, _ in photographs} == {"china", "flower", "grace_hopper"}
    names = [name for name, *_ in (*drawn, *photographs)]
    assert len(set(names)) == len(names)
