"""Which images are augmented how often, and the splits of the augmented images."""

from typing import Any, Literal

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lesions.core.errors import UserError
from lesions.params.rebalance import Rebalance
from lesions.sampling.augmentor import AugmentedImage
from lesions.sampling.oversampling import assign_split, plan_oversampling

OPERATION = {"operation": "flip_random", "probability": 0.5}
LABELS = st.lists(st.sampled_from(["mel", "nv", "df"]), min_size=1, max_size=60)


def images(labels: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"image_id": [f"p{number}" for number in range(len(labels))], "label": labels})


def made_of(originals: pd.DataFrame, planned: list[AugmentedImage]) -> "pd.Series[int]":
    """Return how many augmented images each image has."""
    return pd.Series([image.original for image in planned]).value_counts().reindex(originals["image_id"], fill_value=0)


@given(LABELS, st.one_of(st.floats(0.01, 0.99), st.integers(2, 50), st.just("max")), st.integers(0, 100))
def test_every_class_reaches_the_target(labels: list[str], target: float | Literal["max"], seed: int) -> None:
    originals = images(labels)
    each = made_of(originals, plan_oversampling(originals, target, "none", seed))
    largest = originals["label"].value_counts().max()
    wanted = largest if target == "max" else round(target * largest) if target < 1 else target
    for _, ours in originals.groupby("label")["image_id"]:
        assert len(ours) + each[ours].sum() == max(len(ours), wanted)


@given(LABELS, st.integers(1, 200), st.integers(0, 100))
def test_every_class_gets_the_same_number(labels: list[str], extra: int, seed: int) -> None:
    originals = images(labels)
    each = made_of(originals, plan_oversampling(originals, "none", extra, seed))
    for _, ours in originals.groupby("label")["image_id"]:
        assert each[ours].sum() == extra


@given(LABELS, st.one_of(st.floats(0.01, 0.99), st.integers(2, 50), st.just("max")), st.integers(1, 200), st.booleans())
def test_originals_take_turns(labels: list[str], target: float | Literal["max"], extra: int, use_extra: bool) -> None:
    originals = images(labels)
    planned = (
        plan_oversampling(originals, "none", extra, 1) if use_extra else plan_oversampling(originals, target, "none", 1)
    )
    each = made_of(originals, planned)
    for _, ours in originals.groupby("label")["image_id"]:
        assert each[ours].max() - each[ours].min() <= 1
    # The numbers of an image's augmented images leave no gap, and each is there once.
    assert planned == sorted(
        AugmentedImage(str(original), number) for original, count in each.items() for number in range(count)
    )


@given(LABELS, st.integers(0, 100))
def test_plan_ignores_row_order(labels: list[str], seed: int) -> None:
    originals = images(labels)
    planned = plan_oversampling(originals, "max", "none", seed)
    assert plan_oversampling(originals.sample(frac=1, random_state=seed), "max", "none", seed) == planned
    others = images(["nv"] * 40 + ["df"] * 20)
    firsts = {tuple(plan_oversampling(others, 30, "none", seed + more)) for more in range(3)}
    assert len(firsts) == 3


def test_no_target_no_augmented_images() -> None:
    assert plan_oversampling(images(["nv", "nv", "df"]), "none", "none", 1) == []


def test_assign_split_is_random_and_independent() -> None:
    planned = [AugmentedImage(f"p{number}", number % 7) for number in range(4000)]
    splits = assign_split(planned, 0.2, 1)
    assert 0.17 < splits.count("val") / len(splits) < 0.23
    assert set(splits) == {"train", "val"}
    assert assign_split(planned[1000:], 0.2, 1) == splits[1000:]
    assert assign_split(planned, 0.2, 2) != splits


def test_same_seed_same_assignment_as_ever() -> None:
    splits = assign_split([AugmentedImage(f"p{number}", number % 3) for number in range(24)], 0.3, 7)
    assert "".join(name[0] for name in splits) == "tttttvvvvvttvvttvvtvttvt"


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {"target": 0.5, "copies_per_class": 500},
            "target is 0.5 and copies_per_class is 500, and only one can say how many augmented images there are: "
            "set target to none, or copies_per_class to none",
        ),
        (
            {"copies_per_class": 0},
            "rebalance.copies_per_class: expected none, or a whole number of augmented images per class from 1 to "
            "100000; found 0",
        ),
        ({"copies_per_class": 2.5}, "rebalance.copies_per_class: expected none"),
        ({"copies_per_class": True}, "rebalance.copies_per_class: expected none"),
        ({"copies_per_class": "max"}, "rebalance.copies_per_class: expected none"),
        ({"when": "before"}, "rebalance.when: input should be 'after_split' or 'before_split'; found 'before'"),
        ({"operations": []}, "rebalance.operations"),
        ({"operations": [{"operation": "rotate", "probability": 0}]}, "probability: input should be greater than 0"),
        ({"operations": [{"operation": "greyscal", "probability": 1}]}, "no operation 'greyscal'; did you mean \"grey"),
        (
            {"operations": [{"operation": "shear", "probability": 1, "max_shear": 5}]},
            "shear takes no 'max_shear'; did you mean \"max_shear_left\"?",
        ),
        (
            {"operations": [{"operation": "rotate", "probability": 1, "max_left_rotation": 5}]},
            "Augmentor refuses rotate: Pipeline.rotate() missing 1 required positional argument: 'max_right_rotation'",
        ),
    ],
)
def test_invalid_parameters_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as error:
        Rebalance.check({"target": "none", "operations": [OPERATION], "seed": 1, **values})
    assert words in str(error.value)


@pytest.mark.parametrize(
    "values", [{}, {"copies_per_class": 500}, {"copies_per_class": 500.0}, {"target": "max"}, {"target": 0.3}]
)
def test_one_of_both_or_none(values: dict[str, Any]) -> None:
    params = Rebalance.check(
        {"target": "none", "copies_per_class": "none", "operations": [OPERATION], "seed": 1, **values}
    )
    assert params.copies_per_class == values.get("copies_per_class", "none")
    assert isinstance(params.copies_per_class, int | str)
    assert params.when == "after_split"
