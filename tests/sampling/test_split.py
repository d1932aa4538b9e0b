"""Groups and splits: properties that hold for any table."""

import re

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lesions.audit.groups import KEYS, group_ids
from lesions.core.errors import UserError
from lesions.sampling.split import (
    LEFT_OUT,
    SPLITS,
    leave_out_overlap,
    leave_source_out,
    n_groups_in_two_splits,
    published_split,
    shares_value_with,
    split_in_folds,
    split_off,
    stratified_group_split,
)

FRACTIONS = {"train": 0.65, "val": 0.15, "test": 0.2}


@st.composite
def tables(draw: st.DrawFn) -> pd.DataFrame:
    """Images with lesions, patients and bytes that are shared more or less often, and sometimes unknown."""
    count, values = draw(st.integers(1, 120)), draw(st.integers(1, 200))
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    table = pd.DataFrame({"image_id": [f"p{number:03}" for number in range(count)]})
    for key in KEYS:
        known = random.random(count) < draw(st.sampled_from([0.1, 0.5, 1]))
        names = [f"{key}{number}" for number in random.integers(0, values, count)]
        table[key] = np.where(known, names, "")
    table["label"] = random.choice(["mel", "nv", "bkl"], count)
    return table


@settings(deadline=None)
@given(tables())
def test_groups_are_connected_components(table: pd.DataFrame) -> None:
    table["group_id"] = group_ids(table)
    for key in KEYS:
        known = table[table[key] != ""]
        assert (known.groupby(key)["group_id"].nunique() <= 1).all()
    # Within a group each image reaches each other one by shared keys: merging sets, one row at a time.
    names = {image: {image} for image in table["image_id"]}
    for key in KEYS:
        for _, images in table[table[key] != ""].groupby(key)["image_id"]:
            joined = set().union(*(names[image] for image in images))
            names |= dict.fromkeys(joined, joined)
    assert [min(names[image]) for image in table["image_id"]] == list(table["group_id"])


@settings(deadline=None)
@given(tables(), st.integers(0, 100))
def test_groups_ignore_row_order(table: pd.DataFrame, seed: int) -> None:
    mixed = table.sample(frac=1, random_state=seed)
    assert group_ids(mixed).sort_index().equals(group_ids(table))


@st.composite
def one_diagnosis_a_group(draw: st.DrawFn) -> pd.DataFrame:
    """Images in groups of one diagnosis each, the sizes alike or with a heavy tail; three groups a class or more."""
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    tail = draw(st.sampled_from([1.3, 2, 5]))
    parts = []
    for label in draw(st.sampled_from([["nv"], ["mel", "nv", "bkl"]])):
        sizes = np.minimum(random.zipf(tail, draw(st.integers(3, 60))), 80)
        groups = [f"{label}{number}" for number in range(len(sizes))]
        parts.append(pd.DataFrame({"group_id": np.repeat(groups, sizes), "label": label}))
    table = pd.concat(parts, ignore_index=True)
    return table.assign(image_id=[f"p{number:04}" for number in range(len(table))])


def misses(table: pd.DataFrame, fractions: dict[str, float]) -> pd.DataFrame:
    """Return by how many images each class in each split misses its share."""
    counts = pd.crosstab(table["label"], table["split"]).reindex(columns=list(fractions), fill_value=0)
    return counts - np.outer(counts.sum(axis=1), list(fractions.values()))


def largest_group(table: pd.DataFrame) -> pd.Series:
    """Return each class's largest group, in images."""
    return table.groupby(["label", "group_id"]).size().groupby("label").max()


@given(
    one_diagnosis_a_group(),
    st.sampled_from([FRACTIONS, {"train": 0.9, "val": 0.05, "test": 0.05}, {"train": 0.5, "test": 0.5}]),
    st.integers(0, 2**32 - 1),
)
def test_groups_stay_whole_and_shares_are_kept(table: pd.DataFrame, fractions: dict[str, float], seed: int) -> None:
    table["split"] = stratified_group_split(table, fractions, seed)
    assert table["split"].isin(list(fractions)).all()
    assert n_groups_in_two_splits(table, "group_id") == 0
    missed, largest = misses(table, fractions), largest_group(table)
    smallest_wish = table["label"].value_counts() * min(fractions.values())
    for label in largest.index:
        # No split may go without a class: where its share is less than a group, others may miss what it gets.
        sparse = smallest_wish[label] < largest[label]
        assert missed.loc[label].abs().max() < largest[label] * (len(fractions) - 1 if sparse else 1) + 1e-6
    assert (pd.crosstab(table["label"], table["split"]) > 0).all(axis=None)
    mixed = table.sample(frac=1, random_state=seed % 1000)
    assert stratified_group_split(mixed, fractions, seed).sort_index().equals(table["split"])


@settings(deadline=None)
@given(tables(), st.integers(0, 2**32 - 1))
def test_no_key_is_in_two_splits(table: pd.DataFrame, seed: int) -> None:
    table["group_id"] = group_ids(table)
    table["label"] = "nv"
    assume(table["group_id"].nunique() >= len(SPLITS))
    table["split"] = stratified_group_split(table, FRACTIONS, seed)
    for key in KEYS:
        assert n_groups_in_two_splits(table, key) == 0


def test_large_groups_reach_every_split() -> None:
    sizes = np.repeat([20, 2, 1], [2, 20, 60])
    table = pd.DataFrame({"group_id": np.repeat([f"g{n:02}" for n in range(len(sizes))], sizes), "label": "nv"})
    splits = [stratified_group_split(table, FRACTIONS, seed)[0] for seed in range(150)]
    for split, fraction in FRACTIONS.items():
        assert splits.count(split) / 150 == pytest.approx(fraction, abs=0.1)


@settings(max_examples=40, deadline=None)
@given(one_diagnosis_a_group(), st.integers(2, 5), st.integers(0, 2**32 - 1))
def test_folds_partition_the_images(table: pd.DataFrame, folds: int, seed: int) -> None:
    assume(table.groupby("label")["group_id"].nunique().min() > folds + 1)
    largest = largest_group(table)
    results = []
    for fold in range(folds):
        try:
            results.append(split_in_folds(table, folds, fold, 0.15, seed))
        except UserError as error:
            # The other folds may hold a class in one group only: too few for train and val.
            assert "train, val need at least one each" in str(error)  # noqa: PT017
            assume(False)
    in_test = pd.concat([result["split"] == "test" for result in results], axis=1)
    assert (in_test.sum(axis=1) == 1).all()
    for fold, result in enumerate(results):
        assert result["fold"].equals(results[0]["fold"])
        assert ((result["split"] == "test") == (result["fold"] == fold)).all()
        joined = table.join(result)
        assert n_groups_in_two_splits(joined, "group_id") == 0
        # Large enough classes only: see above for those that have too few groups.
        enough = table.groupby("label").size() * min(0.15, 1 / folds) >= largest
        missed = misses(joined, {"train": 1 - 0.15 - 1 / folds, "val": 0.15, "test": 1 / folds})
        for label in enough[enough].index:
            assert missed.loc[label, ["val", "test"]].abs().max() < largest[label] + 1e-6
    mixed = table.sample(frac=1, random_state=seed % 1000)
    assert split_in_folds(mixed, folds, 0, 0.15, seed).sort_index().equals(results[0])


@st.composite
def published_tables(draw: st.DrawFn) -> pd.DataFrame:
    """Images with a published split that knows nothing of groups; train holds enough of every class."""
    table = draw(one_diagnosis_a_group())
    random = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    splits = draw(st.sampled_from([["train", "val", "test"], ["train", "test"], ["train", "", "val"], ["train"]]))
    table["published_split"] = random.choice(splits, len(table))
    whole = pd.DataFrame(
        [(f"{label}-{number}", label, "train") for label in set(table["label"]) for number in range(6)],
        columns=["group_id", "label", "published_split"],
    )
    whole["image_id"] = "w" + whole["group_id"]
    return pd.concat([table, whole], ignore_index=True)


@settings(deadline=None)
@given(published_tables(), st.integers(0, 2**32 - 1))
def test_published_test_stays_as_it_is(table: pd.DataFrame, seed: int) -> None:
    before = published_split(table)
    mended = leave_out_overlap(table, before)
    after = split_off(table, mended, {"val": 0.15, "test": 0.2}, seed)
    table["split"] = after
    assert n_groups_in_two_splits(table, "group_id") == 0
    assert set(after) >= set(SPLITS)
    assert after.isin([*SPLITS, LEFT_OUT]).all()
    if "test" in set(before):
        assert (after == "test").equals(before == "test")
        # No image is left out without need, and of val only for test's sake.
        left = after == LEFT_OUT
        held_out = table[before.isin(["val", "test"])]
        assert table.loc[left & (before == "train"), "group_id"].isin(held_out["group_id"]).all()
        tested = table.loc[before == "test", "group_id"]
        assert table.loc[left & (before == "val"), "group_id"].isin(tested).all()
    if "val" in set(mended):
        assert (after == "val").equals(mended == "val")
    mixed = table.sample(frac=1, random_state=seed % 1000)
    again = split_off(mixed, leave_out_overlap(mixed, published_split(mixed)), {"val": 0.15, "test": 0.2}, seed)
    assert again.sort_index().equals(after)


@settings(deadline=None)
@given(published_tables(), st.integers(0, 2**32 - 1))
def test_left_out_source_is_test_and_leaks_nothing(table: pd.DataFrame, seed: int) -> None:
    table["source"] = table.pop("published_split").map({"train": "a", "val": "b", "test": "c", "": ""})
    assume({"a", "b"} <= set(table["source"]))
    before = leave_source_out(table, "b")
    after = split_off(table, leave_out_overlap(table, before), {"val": 0.15}, seed)
    assert n_groups_in_two_splits(table.assign(split=after), "group_id") == 0
    assert set(after) >= set(SPLITS)
    assert (after == "test").equals(table["source"] == "b")
    tested = table["group_id"].isin(table.loc[table["source"] == "b", "group_id"])
    assert (after == LEFT_OUT).equals((table["source"] == "") | (tested & (table["source"] != "b")))


@pytest.mark.parametrize(
    ("sources", "found"), [(["a", "b", ""], r"a \(1\), b \(1\), not stated \(1\)"), (["c", "c", "c"], r"c \(3\)")]
)
def test_source_that_cannot_be_left_out_is_named(sources: list[str], found: str) -> None:
    with pytest.raises(UserError, match=rf"split.test_source is c; expected one of several sources.*has {found}"):
        leave_source_out(pd.DataFrame({"source": sources}), "c")


def test_group_in_three_splits_stays_in_test() -> None:
    table = pd.DataFrame({"group_id": [*"aaabbc"]})
    splits = pd.Series(["train", "val", "test", "train", "val", "train"])
    assert list(leave_out_overlap(table, splits)) == [LEFT_OUT, LEFT_OUT, "test", LEFT_OUT, "val", "train"]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["", ""], "no image has a published split.*Set split.method to grouped"),
        (["train", "fold1"], r"expected train, val or test, found 'fold1' \(1\), first at p1.*split.method to grouped"),
    ],
)
def test_unusable_published_split_is_refused(words: list[str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        published_split(pd.DataFrame({"image_id": ["p0", "p1"], "published_split": words}))


def test_class_without_training_image_is_refused() -> None:
    table = pd.DataFrame({"group_id": [*"abcdef"], "label": [*["nv"] * 5, "df"]})
    splits = pd.Series(["train", "train", "train", "val", "test", "test"])
    with pytest.raises(UserError, match="of df no image is left to train on"):
        split_off(table, splits, {"val": 0.2, "test": 0.2}, 1)


@settings(deadline=None)
@given(tables(), st.integers(0, 2**32 - 1))
def test_mixed_groups_reach_every_split(table: pd.DataFrame, seed: int) -> None:
    table["group_id"] = group_ids(table)
    try:
        table["split"] = stratified_group_split(table, FRACTIONS, seed)
    except UserError as error:
        assert re.search(r"group\(s\)|has no image in", str(error))  # noqa: PT017
    else:
        assert n_groups_in_two_splits(table, "group_id") == 0
        assert (pd.crosstab(table["label"], table["split"]) > 0).all(axis=None)


def test_rare_class_in_mixed_groups_is_spread() -> None:
    table = pd.DataFrame([("nv", f"P{patient:02}") for patient in range(30)] * 4, columns=["label", "group_id"])
    rare = pd.DataFrame([("mel", f"P{patient:02}") for patient in (1, 5, 9, 13, 20, 28)], columns=table.columns)
    table = pd.concat([table, rare], ignore_index=True)
    for seed in range(100):
        table["split"] = stratified_group_split(table, FRACTIONS, seed)
        assert set(table.loc[table["label"] == "mel", "split"]) == set(SPLITS)


def test_remainders_are_spread() -> None:
    table = pd.DataFrame(
        [(label, f"{label}{n}") for label in "abcdef" for n in range(8)], columns=["label", "group_id"]
    )
    for seed in range(20):
        sizes = stratified_group_split(table, {f"fold {n}": 1 / 5 for n in range(5)}, seed).value_counts()
        assert set(sizes) == {9, 10}


def test_another_seed_gives_another_split() -> None:
    table = pd.DataFrame({"image_id": [f"p{n}" for n in range(200)], "label": "nv"})
    table["group_id"] = table["image_id"]
    assert not stratified_group_split(table, FRACTIONS, 1).equals(stratified_group_split(table, FRACTIONS, 2))
    assert stratified_group_split(table, FRACTIONS, 1).value_counts().to_dict() == {"train": 130, "val": 30, "test": 40}


def test_too_few_lesions_of_a_class() -> None:
    table = pd.DataFrame({"label": ["nv"] * 5 + ["df"] * 5, "group_id": [*"abcde", *"ffggg"]})
    with pytest.raises(UserError, match=r"class 'df' has 2 group"):
        stratified_group_split(table, FRACTIONS, 1)


def test_overlap_is_counted() -> None:
    table = pd.DataFrame(
        {
            "lesion_id": ["a", "a", "b", "", "", "b"],
            "sha256": ["1", "2", "3", "4", "4", "5"],
            "split": ["train", "test", "val", "train", "test", LEFT_OUT],
        }
    )
    assert n_groups_in_two_splits(table, "lesion_id") == 1
    shared = shares_value_with(table, "train", ["lesion_id", "sha256"])
    assert list(shared[table["split"] == "test"]) == [True, True]
    assert list(shares_value_with(table, "train", ["lesion_id"])[table["split"] == "test"]) == [True, False]
    assert not shared[table["split"] == "val"].any()


@pytest.mark.parametrize("seed", range(5))
def test_group_sizes_are_spread_evenly(seed: int) -> None:
    """Lesions photographed more often are others than those photographed once: each split needs both."""
    sizes = [1] * 1500 + [2] * 600 + [3] * 200
    rows = [("mel", f"g{number:05}") for number, size in enumerate(sizes) for _ in range(size)]
    table = pd.DataFrame(rows, columns=["label", "group_id"])
    table["image_id"] = [f"p{number}" for number in range(len(table))]
    table["split"] = stratified_group_split(table, FRACTIONS, seed)
    groups = table.groupby("group_id").agg(images=("image_id", "size"), split=("split", "first"))
    shares = pd.crosstab(groups["images"], groups["split"], normalize="index")
    for split, fraction in FRACTIONS.items():
        assert shares[split].to_numpy() == pytest.approx(fraction, abs=0.1)


def test_same_seed_same_split_as_ever() -> None:
    table = pd.DataFrame({"group_id": [f"g{n // 2}" for n in range(40)], "label": ["mel"] * 16 + ["nv"] * 24})
    splits = stratified_group_split(table, FRACTIONS, 7)[::2]
    letter = {"train": "-", "val": "v", "test": "t"}
    assert "".join(letter[name] for name in splits) == "t-t---v--v-----v-tt-"
