"""Copies of one image: found whatever was done to them, and nothing else taken for one."""

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import joblib
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from lesions.audit import near_duplicates
from lesions.audit.duplicates import find_duplicates, near_duplicate_ids, under_two_lesions
from lesions.audit.label_conflicts import conflict_lines, describe_conflicts, label_conflicts
from lesions.audit.near_duplicates import (
    MIN_SIMILARITY,
    SIZE,
    Fingerprint,
    find_near_duplicates,
    fingerprint,
    vectors_of,
)
from lesions.audit.pair_cache import open_similarities
from lesions.images.decode import decode_image
from lesions.sources.synthetic.drawing import CAMERAS, draw
from lesions.sources.synthetic.kinds import KINDS

LESIONS = 60

CHANGES: dict[str, Callable[[Image.Image], Image.Image]] = {
    "recompressed": lambda image: image,
    "quartered": lambda image: image.resize((image.width // 4, image.height // 4)),
    "doubled": lambda image: image.resize((image.width * 2, image.height * 2)),
    "cropped": lambda image: image.crop((image.width * 3 // 100, 0, image.width * 99 // 100, image.height * 97 // 100)),
    "darker": lambda image: ImageEnhance.Brightness(image).enhance(0.9),
    "brighter": lambda image: ImageEnhance.Brightness(image).enhance(1.1),
    **{turn.name.lower(): lambda image, turn=turn: image.transpose(turn) for turn in Image.Transpose},  # type: ignore[misc]
}


def read(image: Image.Image, quality: int) -> Fingerprint:
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return fingerprint(decode_image(buffer.getvalue(), SIZE, SIZE))


@pytest.fixture(scope="module")
def drawn() -> list[Image.Image]:
    """Two views of each of many lesions, 600 pixels wide as HAM10000's."""
    kinds, cameras = sorted(KINDS), sorted(CAMERAS)
    return [
        draw(kinds[number % len(kinds)], cameras[number % len(cameras)], 1, number + 1, view).resize((600, 448))
        for number in range(LESIONS)
        for view in (1, 2)
    ]


def stacked(prints: list[Fingerprint]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    return np.stack([each.luma for each in prints]), np.stack([each.colour for each in prints])


@pytest.fixture(scope="module")
def originals(drawn: list[Image.Image]) -> list[Fingerprint]:
    return [read(image, 90) for image in drawn]


def test_different_images_are_no_duplicates(originals: list[Fingerprint]) -> None:
    assert find_near_duplicates(*stacked(originals)).empty


@pytest.mark.parametrize("change", CHANGES)
def test_a_changed_image_is_found(change: str, drawn: list[Image.Image], originals: list[Fingerprint]) -> None:
    changed = [read(CHANGES[change](image), 40) for image in drawn]
    found = find_near_duplicates(*stacked(originals + changed))
    missed = set(range(len(drawn))) - set(found["one"])
    assert len(missed) <= 1  # .99 of 120
    assert (found["other"] - found["one"] == len(drawn)).all()
    assert found["similarity"].between(MIN_SIMILARITY, 1).all()


def test_all_changes_at_once_are_found(drawn: list[Image.Image], originals: list[Fingerprint]) -> None:
    random = np.random.default_rng(1)

    def change(image: Image.Image) -> Fingerprint:
        for name in random.permutation(["cropped", "darker", "transverse"]):
            image = CHANGES[str(name)](image)
        shape = (np.array(image.size) * random.uniform(0.25, 2)).astype(int)
        return read(image.resize((int(shape[0]), int(shape[1]))), int(random.integers(40, 96)))

    found = find_near_duplicates(*stacked(originals + [change(image) for image in drawn]))
    assert len(set(range(len(drawn))) - set(found["one"])) <= 1
    assert (found["other"] - found["one"] == len(drawn)).all()


def test_workers_and_order_change_nothing(originals: list[Fingerprint], monkeypatch: pytest.MonkeyPatch) -> None:
    prints = originals[:40] + originals[:40:3]
    luma, colour = stacked(prints)
    found = []
    for workers in (1, 3):
        monkeypatch.setattr(joblib, "cpu_count", lambda workers=workers: workers)
        found.append(find_near_duplicates(luma, colour))
    pd.testing.assert_frame_equal(found[0], found[1])
    order = np.random.default_rng(2).permutation(len(prints))
    ids = [f"p{number:03}" for number in range(len(prints))]
    images = pd.DataFrame({"image_id": ids, "sha256": ids, "label": "nv", "lesion_id": ""})
    mixed = find_duplicates(images.iloc[order], luma[order], colour[order])
    pd.testing.assert_frame_equal(mixed, find_duplicates(images, luma, colour))
    assert len(mixed) == 14


@settings(max_examples=50, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(0, 7))
def test_vector_is_invariant_to_rotations(seed: int, turn: int) -> None:
    random = np.random.default_rng(seed)
    coarse = random.integers(0, 256, (8, 8, 3), dtype=np.uint8)
    pixels = np.asarray(Image.fromarray(coarse).resize((SIZE, SIZE), Image.Resampling.BICUBIC))
    turned = np.rot90(pixels, turn % 4)
    turned = turned[:, ::-1] if turn > 3 else turned
    one, other = (vectors_of(*stacked([fingerprint(view)])) for view in (pixels, turned))
    assert np.abs(one - other).max() < 2e-3


@pytest.mark.parametrize("value", [0, 255])
def test_blank_images(value: int) -> None:
    blank = fingerprint(np.full((SIZE, SIZE, 3), value, np.uint8))
    assert find_near_duplicates(*stacked([blank] * 5)).empty  # nothing says that they are one image


@pytest.mark.parametrize("number", [0, 1, 2])
def test_few_images_are_no_trouble(number: int, originals: list[Fingerprint]) -> None:
    luma = np.zeros((0, SIZE, SIZE), np.uint8), np.zeros((0, 2, 8, 8), np.float32)
    assert find_near_duplicates(*(stacked(originals[:number]) if number else luma)).empty


IMAGES = pd.DataFrame(
    {
        "image_id": ["a", "b", "c", "d", "e"],
        "label": ["mel", "nv", "nv", "nv", "mel"],
        "lesion_id": ["1", "2", "3", "4", ""],
        "sha256": ["1", "1", "3", "4", "5"],
    }
)


@pytest.fixture(scope="module")
def pairs(originals: list[Fingerprint]) -> pd.DataFrame:
    """a, b and e are one image, a and b with the same bytes."""
    return find_duplicates(IMAGES, *stacked([originals[0], originals[0], originals[2], originals[4], originals[0]]))


def test_pairs_say_whose_they_are(pairs: pd.DataFrame) -> None:
    expected = [["a", "b", "same bytes", "mel", "1", "nv", "2"], ["a", "e", "near-duplicate", "mel", "1", "mel", ""]]
    assert pairs.drop(columns="similarity").to_numpy().tolist() == expected
    assert list(under_two_lesions(pairs)) == [True, False]
    assert list(near_duplicate_ids(IMAGES, pairs)) == ["a", "a", "", "", "a"]
    assert list(near_duplicate_ids(IMAGES[1:], pairs)) == ["", "", "", ""]


def test_label_conflicts(pairs: pd.DataFrame) -> None:
    said = "the same image is diagnosed as mel and nv: a, b, e"
    assert list(label_conflicts(IMAGES, pairs, "drop")) == [said, said, "", "", said]
    assert list(label_conflicts(IMAGES, pairs, "keep_first")) == ["", said, "", "", ""]
    assert list(label_conflicts(IMAGES.iloc[::-1], pairs, "keep_first")) == ["", "", "", said, ""]
    assert (label_conflicts(IMAGES.assign(label="nv"), pairs, "error") == "").all()
    assert (label_conflicts(IMAGES, pairs, "keep") == "").all()


def test_no_classifier_is_right_on_all_contradicting_images(pairs: pd.DataFrame) -> None:
    images = IMAGES.assign(published_split="")
    found = describe_conflicts(images, pairs)
    assert (found["right_at_most"], found["images"]) == (4, 5)
    assert "right on 4 of 5 images (80.0%) at most" in "\n".join(conflict_lines(found))
    alike = describe_conflicts(images.assign(label="nv"), pairs.assign(label_one="nv", label_other="nv"))
    assert alike["right_at_most"] == 5


Compared = tuple[NDArray[np.uint8], NDArray[np.float32], NDArray[np.int64]]


@pytest.fixture(scope="module")
def compared(drawn: list[Image.Image]) -> Compared:
    """Images, each a second time in another quality, and pairs of them, a third of these near-duplicates."""
    luma, colour = stacked([read(image, quality) for quality in (95, 60) for image in drawn[:30]])
    pairs = [(one, (one + step) % 60) for one in range(60) for step in (1, 2, 30)]
    return luma, colour, np.sort(np.array(pairs), axis=1)


@settings(deadline=None, max_examples=20)
@given(st.integers(0, 2**32 - 1))
def test_similarity_depends_on_the_pair_alone(compared: Compared, seed: int) -> None:
    """To the bit, whichever pairs are compared with it: what the cache keeps is what would be computed."""
    luma, _, pairs = compared
    random = np.random.default_rng(seed)
    coarse = near_duplicates._relative(near_duplicates._shrink(luma, near_duplicates.COARSE))
    of_all = near_duplicates._compare(luma, coarse, np.arange(60), pairs)
    assert 0.2 < (of_all >= MIN_SIMILARITY).mean() < 0.6
    some = random.choice(len(pairs), random.integers(1, len(pairs)), replace=False)
    of_some = near_duplicates._compare(luma, coarse, np.arange(60), pairs[some])
    assert np.array_equal(of_some, of_all[some], equal_nan=True)


def test_known_pairs_are_not_compared_again(
    compared: Compared, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".dvc").mkdir()
    luma, colour, _ = compared
    images = pd.DataFrame({"image_id": [f"i{n:02}" for n in range(60)], "label": "nv", "lesion_id": ""})
    images["sha256"] = [f"{n:064x}" for n in range(60)]
    numbers: list[int] = []

    def compare(*given: Any) -> NDArray[np.float64]:
        numbers.append(len(given[3]))
        return computed(*given)

    computed = near_duplicates._compare
    expected = find_duplicates(images, luma, colour)
    assert len(expected) >= 30
    monkeypatch.setattr(near_duplicates, "_compare", compare)
    counts = []
    for rows in (slice(0, 55), slice(0, 60), slice(None, None, -1)):
        numbers.clear()
        with open_similarities() as cache:
            found = find_duplicates(images[rows], luma[rows], colour[rows], cache)
        counts.append(sum(numbers))
    pd.testing.assert_frame_equal(found, expected)
    assert 0 < counts[1] < counts[0] / 2
    assert counts[2] == 0
