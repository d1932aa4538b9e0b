"""Groups and sides: properties that hold for any table."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lesions.errors import UserError
from lesions.grouping import KEYS, group_ids
from lesions.splitting import SIDES, deal, divided

FRACTIONS = {"train": 0.65, "val": 0.15, "test": 0.2}


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """Pictures with lesions, patients and bytes that are shared more or less often, and sometimes unknown."""
    count, values = draw(st.integers(1, 120)), draw(st.integers(1, 200))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    table = pd.DataFrame({"image_id": [f"p{number:03}" for number in range(count)]})
    for key in KEYS:
        known = random.random(count) < draw(st.sampled_from([0.1, 0.5, 1]))
        names = [f"{key}{number}" for number in random.integers(0, values, count)]
        table[key] = np.where(known, names, "")
    table["label"] = random.choice(["mel", "nv", "bkl"], count)
    return table


@given(tables())
def test_groups_join_all_that_share_a_key_and_nothing_else(table: pd.DataFrame) -> None:
    table["group_id"] = group_ids(table)
    for key in KEYS:
        known = table[table[key] != ""]
        assert (known.groupby(key)["group_id"].nunique() <= 1).all()
    # Within a group each picture reaches each other one by shared keys: merging sets, one row at a time.
    names = {image: {image} for image in table["image_id"]}
    for key in KEYS:
        for _, images in table[table[key] != ""].groupby(key)["image_id"]:
            joined = set().union(*(names[image] for image in images))
            names |= dict.fromkeys(joined, joined)
    assert [min(names[image]) for image in table["image_id"]] == list(table["group_id"])


@given(tables(), st.integers(0, 100))
def test_groups_do_not_depend_on_the_order_of_rows(table: pd.DataFrame, seed: int) -> None:
    mixed = table.sample(frac=1, random_state=seed)
    assert group_ids(mixed).sort_index().equals(group_ids(table))


@settings(max_examples=200)
@given(tables(), st.integers(0, 2**32 - 1))
def test_a_split_divides_no_group_and_keeps_the_shares(table: pd.DataFrame, seed: int) -> None:
    table["group_id"] = group_ids(table)
    table["label"] = table.groupby("group_id")["label"].transform("first")  # mixed groups: see below
    groups = table.groupby("label")["group_id"].transform("nunique")
    table = table[groups >= len(SIDES)]  # fewer are refused: see below
    assume(len(table))
    table["split"] = deal(table, FRACTIONS, seed)
    assert table["split"].isin(SIDES).all()
    assert divided(table, "group_id") == 0
    for key in KEYS:
        assert divided(table, key) == 0
    for _, ours in table.groupby("label"):
        largest = ours["group_id"].value_counts().max()
        for side, fraction in FRACTIONS.items():
            pictures = (ours["split"] == side).sum()
            assert pictures >= 1
            # No side gets a group once it has its share, so none exceeds it by more than one group.
            assert pictures <= fraction * len(ours) + largest
    mixed = table.sample(frac=1, random_state=seed % 1000)
    assert deal(mixed, FRACTIONS, seed).sort_index().equals(table["split"])


@given(tables(), st.integers(0, 2**32 - 1))
def test_with_mixed_groups_every_class_is_on_every_side_or_it_is_said(table: pd.DataFrame, seed: int) -> None:
    table["group_id"] = group_ids(table)
    try:
        table["split"] = deal(table, FRACTIONS, seed)
    except UserError as error:
        assert re.search("independent lesion|has no picture in", str(error))  # noqa: PT017
    else:
        assert divided(table, "group_id") == 0
        assert (pd.crosstab(table["label"], table["split"]) > 0).all(axis=None)


def test_a_rare_class_within_patients_of_a_common_one_is_spread() -> None:
    table = pd.DataFrame([("nv", f"P{patient:02}") for patient in range(30)] * 4, columns=["label", "group_id"])
    rare = pd.DataFrame([("mel", f"P{patient:02}") for patient in (1, 5, 9, 13, 20, 28)], columns=table.columns)
    table = pd.concat([table, rare], ignore_index=True)
    for seed in range(100):
        table["split"] = deal(table, FRACTIONS, seed)
        assert set(table.loc[table["label"] == "mel", "split"]) == set(SIDES)


def test_another_seed_deals_otherwise() -> None:
    table = pd.DataFrame({"image_id": [f"p{n}" for n in range(200)], "label": "nv"})
    table["group_id"] = table["image_id"]
    assert not deal(table, FRACTIONS, 1).equals(deal(table, FRACTIONS, 2))
    assert deal(table, FRACTIONS, 1).value_counts().to_dict() == {"train": 130, "val": 30, "test": 40}


def test_too_few_lesions_of_a_class() -> None:
    table = pd.DataFrame({"label": ["nv"] * 5 + ["df"] * 5, "group_id": [*"abcde", *"ffggg"]})
    with pytest.raises(UserError, match=r"class 'df' has 2 independent lesion"):
        deal(table, FRACTIONS, 1)


def test_the_audit_sees_what_stands_on_two_sides() -> None:
    table = pd.DataFrame({"lesion_id": ["a", "a", "b", "", ""], "split": ["train", "test", "val", "train", "test"]})
    assert divided(table, "lesion_id") == 1
