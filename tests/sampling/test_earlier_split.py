"""An earlier split goes on: known images stay, new ones are assigned, and no group is in two splits."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from lesions.audit.groups import group_ids
from lesions.core.errors import UserError
from lesions.core.params import NO_FILE
from lesions.sampling.earlier_split import go_on_from, ids_in, read_kept, refuse_renamed
from lesions.sampling.split import LEFT_OUT, n_groups_in_two_splits, stratified_group_split
from tests.sampling.test_split import FRACTIONS, tables


@settings(deadline=None)
@given(tables(), st.integers(0, 100), st.integers(0, 2**32 - 1))
def test_known_images_keep_their_split(table: pd.DataFrame, seed: int, draws: int) -> None:
    table["group_id"] = group_ids(table)
    random = np.random.default_rng(draws)
    before = table[random.random(len(table)) < 0.8]
    assume(len(before))
    before = before.assign(group_id=group_ids(before))
    try:
        earlier = stratified_group_split(before, FRACTIONS, seed)
    except UserError:
        assume(condition=False)
    kept = dict(zip(before["image_id"], earlier, strict=True))
    split, of_group = go_on_from(table, kept)
    used = split != LEFT_OUT
    try:
        assigned = stratified_group_split(table[used], FRACTIONS, seed, of_group)
    except UserError:
        assume(condition=False)
    assert n_groups_in_two_splits(table[used].assign(split=assigned), "group_id") == 0
    for row in table.index[used]:
        assert assigned[row] == kept.get(table.loc[row, "image_id"], assigned[row])
    # Left out are known images alone, and none of test.
    assert {kept[image_id] for image_id in table.loc[~used, "image_id"]} <= {"train", "val"}
    mixed = table.sample(frac=1, random_state=1)
    again, groups = go_on_from(mixed, kept)
    assert again.sort_index().equals(split)
    assert stratified_group_split(mixed[again != LEFT_OUT], FRACTIONS, seed, groups).sort_index().equals(assigned)


def test_new_groups_fill_what_is_missing() -> None:
    """After a thousand images in train, new ones go to val and test alone, until the fractions are right."""
    table = pd.DataFrame({"image_id": [f"p{n:04}" for n in range(2000)], "label": ["mel", "nv"] * 1000})
    table["group_id"] = table["image_id"]
    split, of_group = go_on_from(table, {f"p{n:04}": ("train", "val", "test")[max(0, n - 997)] for n in range(1000)})
    assert (split == "").sum() == 1000
    assigned = stratified_group_split(table, FRACTIONS, 1, of_group)
    assert assigned.value_counts().to_dict() == {"train": 1300, "test": 400, "val": 300}
    assert (assigned[:998] == "train").all()


def test_joined_groups_leave_images_out_but_none_of_test() -> None:
    table = pd.DataFrame({"image_id": list("abcdef"), "group_id": list("aaabbf"), "label": "mel"})
    split, of_group = go_on_from(table, {"a": "train", "b": "test", "d": "val", "gone": "test"})
    assert split.tolist() == [LEFT_OUT, "test", "test", "val", "val", ""]
    assert of_group.to_dict() == {"a": "test", "b": "val"}


def test_what_was_left_out_stays_out() -> None:
    """Else an image that trained a model would come into test a year later, with its group."""
    table = pd.DataFrame({"image_id": list("abcde"), "group_id": list("aaadd"), "label": "mel"})
    split, of_group = go_on_from(table, {"a": LEFT_OUT, "b": "test", "d": LEFT_OUT})
    assert split.tolist() == [LEFT_OUT, "test", "test", LEFT_OUT, ""]
    assert of_group.to_dict() == {"a": "test"}


def merged(*image_ids: str) -> pd.DataFrame:
    collections = [image_id.partition("@")[2] for image_id in image_ids]
    return pd.DataFrame({"image_id": image_ids, "collection": collections, "diagnosis": "mel"})


def test_id_of_one_collection_is_known_in_the_merge() -> None:
    assert ids_in({"1": "test", "2@b": "val"}, merged("1@a", "2@b", "3@b")).tolist() == ["1", "2@b", ""]
    with pytest.raises(UserError, match=r"names '1', and each of the collections a and b has .*, as in 1@a\."):
        ids_in({"1": "test"}, merged("1@a", "1@b"))


@pytest.mark.parametrize("image_id", ["mel_1", "test_mel_1", "mel_1_2", "mel_1@a"])
def test_renamed_image_stops(image_id: str) -> None:
    """Else an image that trained would be new, and come into test."""
    with pytest.raises(UserError, match=rf"1, of split\.keep, is gone, and {image_id} is new"):
        refuse_renamed(merged(image_id, "3"), {"1": "train", "3": "test"})
    refuse_renamed(merged(image_id, "1"), {"1": "train"})
    refuse_renamed(merged("camel_1", "nv_1"), {"1": "train"})


@pytest.mark.parametrize(("kept", "words"), [({}, "it has no row"), ({"a.jpg": "train"}, "its first is 'a.jpg'")])
def test_split_of_other_images_stops(kept: dict[str, str], words: str) -> None:
    """Else all would be split anew without a word, and test would not be what it was."""
    table = pd.DataFrame({"image_id": ["a"], "group_id": ["a"], "label": "mel"})
    with pytest.raises(UserError, match=r"split\.keep names none of the images") as stopped:
        go_on_from(table, kept)
    assert words in str(stopped.value)


def test_table_is_read(tmp_path: Path) -> None:
    assert read_kept(NO_FILE) == {}
    (tmp_path / "split.csv").write_text("image_id,split,leakage\na,train,none\nb,left_out,none\nc,test,none\n")
    assert read_kept(str(tmp_path / "split.csv")) == {"a": "train", "b": LEFT_OUT, "c": "test"}


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("a,training\n", "'a' is in 'training'; expected each image in one split, train, val, test or left_out"),
        ("a,train\na,test\n", "'a' is in 'test' and in 'train'; expected"),
        ("a,\n", "line 2: expected an image_id and its split, found 'a' and ''"),
    ],
)
def test_wrong_table_stops_with_a_sentence(tmp_path: Path, rows: str, words: str) -> None:
    (tmp_path / "split.csv").write_text(f"image_id,split\n{rows}")
    with pytest.raises(UserError, match=r"split\.csv \(split\.keep\)") as stopped:
        read_kept(str(tmp_path / "split.csv"))
    assert words in str(stopped.value)
