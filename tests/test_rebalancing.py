"""Augmented copies: which, how many, and always the same."""

from typing import Literal

import Augmentor
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lesions.errors import UserError
from lesions.params.rebalance import Rebalance, operations
from lesions.rebalancing import Copy, augment, plan
from stages.rebalance import make

PARAMS = Rebalance.check(
    {
        "target": 0.5,
        "seed": 7,
        "operations": [
            {"operation": "rotate", "probability": 0.7, "max_left_rotation": 10, "max_right_rotation": 10},
            {"operation": "random_brightness", "probability": 0.5, "min_factor": 0.8, "max_factor": 1.2},
        ],
    }
)
PIXELS = np.random.default_rng(0).integers(0, 256, (12, 20, 30, 3), np.uint8)
IDS = pd.Series([f"p{number}" for number in range(len(PIXELS))])


@given(
    st.lists(st.sampled_from(["mel", "nv", "df"]), min_size=1, max_size=60),
    st.one_of(st.floats(0.01, 0.99), st.integers(2, 50), st.just("max")),
    st.integers(0, 100),
)
def test_every_class_reaches_the_target_evenly(labels: list[str], target: float | Literal["max"], seed: int) -> None:
    train = pd.DataFrame({"image_id": [f"p{n}" for n in range(len(labels))], "label": labels})
    copies = pd.DataFrame(plan(train, target, seed), columns=["image_id", "number"]).merge(train, on="image_id")
    largest = train["label"].value_counts().max()
    wanted = largest if target == "max" else round(target * largest) if target < 1 else target
    for label, ours in train.groupby("label"):
        made = copies[copies["label"] == label]
        assert len(ours) + len(made) == max(len(ours), wanted)
        each = made["image_id"].value_counts().reindex(ours["image_id"], fill_value=0)
        assert each.max() - each.min() <= 1
    assert not copies.duplicated(["image_id", "number"]).any()
    mixed = train.sample(frac=1, random_state=seed)
    assert plan(mixed, target, seed) == plan(train, target, seed)


def test_no_copies_where_none_are_wanted() -> None:
    assert plan(pd.DataFrame({"image_id": ["a", "b", "c"], "label": ["nv", "nv", "df"]}), "none", 1) == []


def test_the_same_bits_with_one_or_four_workers_and_in_any_order() -> None:
    copies = [Copy(f"p{number % 12}", number // 12) for number in range(150)]
    one = list(make(copies, PIXELS, IDS, PARAMS, workers=1))
    four = list(make(copies, PIXELS, IDS, PARAMS, workers=4))
    backwards = list(make(copies[::-1], PIXELS, IDS, PARAMS, workers=1))[::-1]
    assert np.array_equal(one, four)
    assert np.array_equal(one, backwards)
    assert not np.array_equal(one[0], one[12])  # two copies of one picture differ
    other = list(make(copies, PIXELS, IDS, PARAMS.model_copy(update={"seed": 8}), workers=1))
    assert not np.array_equal(one, other)


@pytest.mark.parametrize("px", [32, 64, 96, 128, 200])
def test_a_rotation_leaves_no_dark_edge(px: int) -> None:
    pipeline = Augmentor.Pipeline()
    pipeline.rotate(1, 10, 10)
    white = np.full((px, px, 3), 255, np.uint8)
    for number in range(60):
        assert augment((white, Copy("white", number)), pipeline.operations, 1).min() > 250


@pytest.mark.parametrize("name", ["greyscale", "crop_random", "shear", "zoom_random", "random_erasing", "skew"])
def test_any_operation_keeps_shape_and_type(name: str) -> None:
    values = {
        "probability": 1,
        "percentage_area": 0.8,
        "max_shear_left": 5,
        "max_shear_right": 5,
        "rectangle_area": 0.2,
    }
    pipeline = Augmentor.Pipeline()
    getattr(pipeline, name)(**{key: values[key] for key in operations()[name] if key in values})
    made = augment((PIXELS[0], Copy("p0", 0)), pipeline.operations, 1)
    assert made.shape == PIXELS[0].shape
    assert made.dtype == np.uint8


def test_an_argument_that_only_fails_in_use_is_named() -> None:
    pipeline = Augmentor.Pipeline()
    pipeline.crop_by_size(probability=1, width=500, height=500)
    with pytest.raises(UserError, match="Augmentor's Crop fails on p0"):
        augment((PIXELS[0], Copy("p0", 0)), pipeline.operations, 1)
