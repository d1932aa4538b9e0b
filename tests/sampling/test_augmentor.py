"""One augmented image: any operation of Augmentor, no black corners, deterministic."""

import random
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import Augmentor
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from PIL import Image

from lesions.core.errors import UserError
from lesions.params.rebalance import Operation, operations
from lesions.sampling import augmentor as augmentation
from lesions.sampling.augmentor import AugmentedImage, augment
from lesions.sampling.reflect_padding import ReflectPadded

COLOUR = (200, 120, 90)
MOVING: list[dict[str, Any]] = [
    {"operation": "rotate", "max_left_rotation": 1, "max_right_rotation": 1},
    {"operation": "rotate", "max_left_rotation": 25, "max_right_rotation": 25},
    {"operation": "rotate_without_crop", "max_left_rotation": 45, "max_right_rotation": 45},
    {"operation": "rotate_without_crop", "max_left_rotation": 180, "max_right_rotation": 180, "expand": True},
    {"operation": "rotate90"},
    {"operation": "rotate180"},
    {"operation": "rotate270"},
    {"operation": "rotate_random_90"},
    {"operation": "flip_random"},
    {"operation": "flip_left_right"},
    {"operation": "flip_top_bottom"},
    {"operation": "zoom", "min_factor": 0.3, "max_factor": 2.0},
    {"operation": "zoom_random", "percentage_area": 0.5},
    {"operation": "crop_by_size", "width": 12, "height": 10},
    {"operation": "crop_centre", "percentage_area": 0.7},
    {"operation": "crop_random", "percentage_area": 0.7, "randomise_percentage_area": True},
    {"operation": "shear", "max_shear_left": 25, "max_shear_right": 25},
    {"operation": "skew"},
    {"operation": "skew_tilt"},
    {"operation": "skew_corner"},
    {"operation": "skew_left_right"},
    {"operation": "skew_top_bottom", "magnitude": 0.3},
    {"operation": "random_distortion", "grid_width": 4, "grid_height": 5, "magnitude": 8},
    {
        "operation": "gaussian_distortion",
        "grid_width": 3,
        "grid_height": 3,
        "magnitude": 9,
        "corner": "ul",
        "method": "out",
    },
    {"operation": "scale", "scale_factor": 1.7},
    {"operation": "resize", "width": 9, "height": 40},
]
"""Operations that move pixels, with arguments that make many of them leave black corners in Augmentor's own hands."""
COLOURING: list[dict[str, Any]] = [
    {"operation": "random_brightness", "min_factor": 0.8, "max_factor": 1.2},
    {"operation": "random_color", "min_factor": 0.5, "max_factor": 1.5},
    {"operation": "random_contrast", "min_factor": 0.5, "max_factor": 1.5},
    {"operation": "histogram_equalisation"},
    {"operation": "greyscale"},
    {"operation": "black_and_white"},
    {"operation": "invert"},
]
ERASING: list[dict[str, Any]] = [{"operation": "random_erasing", "rectangle_area": 0.5}]


def augmentor(*values: dict[str, Any]) -> list[Augmentor.Operations.Operation]:
    """Return Augmentor's own operations."""
    pipeline = Augmentor.Pipeline()
    for value in values:
        Operation.model_validate({"probability": 1, **value}).add_to(pipeline)
    return list(pipeline.operations)


def drawn(height: int, width: int, seed: int = 0) -> NDArray[np.uint8]:
    """Return an image without dark pixels: smooth, with some structure."""
    small = np.random.default_rng(seed).integers(90, 256, (height // 4 + 1, width // 4 + 1, 3), np.uint8)
    return np.asarray(Image.fromarray(small).resize((width, height), Image.Resampling.BILINEAR))


def ramps(height: int, width: int) -> NDArray[np.uint8]:
    """Return an image whose colours say where a pixel comes from."""
    y, x = np.mgrid[:height, :width]
    return np.stack([60 + 2 * x, 60 + 3 * y, 100 + x - y], axis=2).astype(np.uint8)


def test_every_operation_is_covered() -> None:
    assert {value["operation"] for value in MOVING + COLOURING + ERASING} == set(operations())


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(MOVING), st.tuples(st.integers(32, 64), st.integers(32, 64)), st.integers(0, 10**6), st.booleans()
)
def test_no_black_corners(value: dict[str, Any], shape: tuple[int, int], number: int, twice: bool) -> None:
    image = np.full((*shape, 3), COLOUR, np.uint8)
    try:
        made = augment((image, AugmentedImage("p", number)), augmentor(*[value] * (1 + twice)), 1)
    except UserError as error:  # Augmentor's own crop, of an image almost twice as long as wide that is turned far
        said = str(error)
        assert value["operation"] == "rotate"
        assert max(shape) > 1.6 * min(shape)
        assert "nothing is left of the image" in said
    else:
        assert np.array_equal(made, image)


@pytest.mark.parametrize("value", COLOURING, ids=lambda value: value["operation"])
def test_colour_operations_treat_pixels_alike(value: dict[str, Any]) -> None:
    made = augment((np.full((20, 30, 3), COLOUR, np.uint8), AugmentedImage("p", 0)), augmentor(value), 1)
    assert made.shape == (20, 30, 3)
    assert (made == made[0, 0]).all()


def test_erasing_leaves_the_rest() -> None:
    image = drawn(40, 40)
    made = augment((image, AugmentedImage("p", 0)), augmentor(*ERASING), 1)
    assert 0 < (made != image).any(axis=2).mean() < 0.5


@pytest.mark.parametrize("value", MOVING + COLOURING, ids=lambda value: "-".join(map(str, value.values())))
def test_same_result_as_augmentor_without_black(value: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    operation = augmentor(value)
    planned = [
        AugmentedImage("p", number) for number in range(4 if value["operation"] == "gaussian_distortion" else 30)
    ]
    # These are interpolated once, not twice: on an image without structure both come to the same.
    once = value["operation"] in ("rotate", "shear")
    pixels = ramps(48, 64) if once else drawn(48, 64)
    ours = [augment((pixels, image), operation, 1) for image in planned]
    monkeypatch.setattr(augmentation, "ReflectPadded", lambda image: image)
    theirs = [augment((pixels, image), operation, 1) for image in planned]
    compared = 0
    for our, their in zip(ours, theirs, strict=True):
        if value in COLOURING or their.min() > 50:
            differ = our.astype(int) - their
            if once:
                differ = differ[5:-5, 5:-5]
                assert np.abs(differ).max() <= 2
                assert np.abs(differ.mean(axis=(0, 1))).max() < 0.2  # a tenth of a pixel's shift would show
            else:
                assert np.abs(differ).max() <= 1
            compared += 1
    assert compared or value["operation"] in ("rotate_without_crop", "random_distortion", "gaussian_distortion")


@given(
    st.integers(1, 12), st.integers(1, 12), st.integers(-30, 30), st.integers(-30, 30), st.integers(1, 40), st.data()
)
def test_edges_are_reflected(height: int, width: int, left: int, upper: int, length: int, data: st.DataObject) -> None:
    image = np.random.default_rng(height * width).integers(0, 256, (height, width, 3), np.uint8)
    wide = np.pad(image, ((80, 80), (80, 80), (0, 0)), mode="reflect")
    whole = ReflectPadded(Image.fromarray(image)).crop((left, upper, left + length, upper + length))
    inner = data.draw(st.integers(0, length - 1))
    for found in (whole, whole.crop((inner, 0, length, length))):
        start = 80 + left + length - found.width
        expected = wide[80 + upper : 80 + upper + length, start : start + found.width]
        assert np.array_equal(np.asarray(found), expected)


def test_corner_colour_is_used() -> None:
    value = {"operation": "rotate_without_crop", "max_left_rotation": 45, "max_right_rotation": 45}
    operation = augmentor(value | {"fillcolor": [0, 255, 0]})
    made = [
        augment((np.full((32, 32, 3), COLOUR, np.uint8), AugmentedImage("p", number)), operation, 1)
        for number in range(9)
    ]
    assert any((image[0, 0] == (0, 255, 0)).all() for image in made)


@settings(max_examples=50)
@given(st.integers(0, 99), st.integers(0, 99), st.integers(0, 99), st.integers(1, 99))
def test_augmentation_is_deterministic(seed: int, number: int, before: int, noise: int) -> None:
    chain = augmentor(
        {"operation": "flip_random", "probability": 0.5},
        {"operation": "rotate", "probability": 0.7, "max_left_rotation": 10, "max_right_rotation": 10},
        {"operation": "random_brightness", "probability": 0.9, "min_factor": 0.8, "max_factor": 1.2},
        {"operation": "random_erasing", "probability": 0.5, "rectangle_area": 0.3},
    )
    image = drawn(24, 24)
    kept = image.copy()
    first = augment((image, AugmentedImage("p", number)), chain, seed)
    for other in range(before % 3):
        augment((drawn(16, 16, other), AugmentedImage("q", other)), chain, seed + 1)
    random.seed(noise)
    np.random.seed(noise)
    assert np.array_equal(augment((image, AugmentedImage("p", number)), chain, seed), first)
    assert np.array_equal(image, kept)


def test_other_seeds_and_numbers_differ() -> None:
    operation = augmentor({"operation": "random_brightness", "min_factor": 0.5, "max_factor": 1.5})
    pixels = drawn(16, 16)
    made = [
        augment((pixels, image), operation, seed)
        for image, seed in (
            (AugmentedImage("p", 0), 1),
            (AugmentedImage("p", 1), 1),
            (AugmentedImage("q", 0), 1),
            (AugmentedImage("p", 0), 2),
        )
    ]
    assert len({result.tobytes() for result in made}) == 4


def test_global_random_state_is_untouched(monkeypatch: pytest.MonkeyPatch) -> None:
    """Such as another thread, in the middle of an operation."""
    chain = augmentor(MOVING[1], COLOURING[0], *ERASING)
    items = [(drawn(32, 32, number), AugmentedImage("p", number)) for number in range(40)]
    expected = [augment(item, chain, 1) for item in items]

    def seeding(image: Image.Image) -> ReflectPadded:
        random.seed(5)
        np.random.seed(5)
        time.sleep(0.0005)
        return ReflectPadded(image)

    monkeypatch.setattr(augmentation, "ReflectPadded", seeding)
    with ThreadPoolExecutor(8) as pool:
        assert np.array_equal(list(pool.map(lambda item: augment(item, chain, 1), items)), expected)
    random.seed(5)
    np.random.seed(5)
    uncorrupted = random.getstate(), np.random.random()
    random.seed(5)
    np.random.seed(5)
    augment(items[0], chain, 1)
    assert (random.getstate(), np.random.random()) == uncorrupted


@pytest.mark.parametrize(
    ("value", "words"),
    [
        ({"operation": "crop_by_size", "width": 500, "height": 500}, "Crop fails on p, an image of 40×30 pixels"),
        ({"operation": "random_erasing", "rectangle_area": 0.05}, "RandomErasing fails on p"),
        (
            {"operation": "random_distortion", "grid_width": 4, "grid_height": 4, "magnitude": 10**6},
            "looks more than 8 lengths beyond the image's edge",
        ),
        ({"operation": "shear", "max_shear_left": 25, "max_shear_right": 25}, "nothing is left of the image"),
        ({"operation": "zoom", "min_factor": 0.001, "max_factor": 0.001}, "Zoom fails on p"),
        (
            {"operation": "resize", "width": 9, "height": 9, "resample_filter": "ANTIALIAS"},
            "mend its arguments (probability 1.0, width 9, height 9, resample_filter 'ANTIALIAS')",
        ),
    ],
)
def test_failing_argument_is_named(value: dict[str, Any], words: str) -> None:
    shape = (90, 16) if value["operation"] == "shear" else (30, 40)
    with pytest.raises(UserError) as error:
        [augment((drawn(*shape), AugmentedImage("p", number)), augmentor(value), 1) for number in range(20)]
    assert words in str(error.value)
