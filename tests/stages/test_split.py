"""The stage `split`: each method's table, audit and messages; and how a leak's name reaches the metrics."""

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from ruamel.yaml import YAML

from lesions.core import image_array
from lesions.core.csv_files import read_csv
from lesions.core.errors import UserError
from lesions.models.common import dataset
from lesions.params.split import Split
from lesions.sampling.split import SPLITS
from lesions.sampling.split_report import KEYS
from lesions.taxonomy import ordered
from stages import calibrate, evaluate, rebalance, split
from tests.conftest import ROOT, put_clean, put_network_outputs

PARAMS: dict[str, Any] = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
LEAKY = "split by image (leaky)"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def images_table(**changes: str) -> pd.DataFrame:
    """Two classes of forty lesions; every other one has two images."""
    rows = [
        (f"L{lesion:02}", f"{label}_{lesion:02}_{view}", label)
        for label in ("mel", "nv")
        for lesion in range(40)
        for view in range(1 + lesion % 2)
    ]
    table = pd.DataFrame(rows, columns=["lesion_id", "image_id", "label"])
    table["lesion_id"] = table["label"] + table["lesion_id"]
    table["group_id"] = table.groupby("lesion_id")["image_id"].transform("min")
    table["sha256"] = table["image_id"]
    empty = dict.fromkeys(("patient_id", "near_duplicate_id", "known_pair_id", "published_split", "collection"), "")
    return table.assign(diagnosis=table["label"], **empty).assign(**changes)


def run_split(table: pd.DataFrame, **params: object) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Run the stage, and return split.csv and metrics/split.json."""
    Path("data/clean").mkdir(parents=True, exist_ok=True)
    table.to_csv("data/clean/images.csv", index=False)
    pd.DataFrame({"label": ordered(set(table["label"]))}).to_csv("data/clean/labels.csv", index=False)
    YAML().dump(PARAMS | {"split": PARAMS["split"] | params}, Path("params.yaml"))
    split.main()
    result = read_csv(Path("data/split/split.csv"))
    assert list(result["image_id"]) == list(table["image_id"])
    return result, json.loads(Path("metrics/split.json").read_text())


def test_grouped_split_does_not_leak(capsys: pytest.CaptureFixture[str]) -> None:
    result, audit = run_split(images_table())
    assert list(result) == ["image_id", "split", "leakage"]
    assert set(result["leakage"]) == {"none"}
    assert (audit["method"], audit["leakage"]) == ("grouped", "none")
    assert [audit[f"{what}_in_two_splits"] for what in KEYS] == [0, None, 0, 0, 0]
    assert audit["reasons"] == ["patients: the data name none"]
    for split_name in SPLITS:
        ours = result[result["split"] == split_name]
        assert audit[split_name]["images"] == len(ours)
        lesions = images_table().set_index("image_id").loc[ours["image_id"]].groupby("label")["lesion_id"].nunique()
        assert audit[split_name]["lesions_by_class"] == audit[split_name]["groups_by_class"] == lesions.to_dict()
    assert audit["test"]["seen_in_train"] == audit["val"]["seen_in_train"] == 0
    assert "seen_in_train" not in audit["train"]
    assert "WARNING" not in capsys.readouterr().out


def test_split_by_image_is_measured_and_named(capsys: pytest.CaptureFixture[str]) -> None:
    # The same image under another lesion: known by its bytes, or as a near-duplicate.
    table = images_table()
    for number, key in ((0, "sha256"), (3, "near_duplicate_id")):
        table.loc[[number, 60 + number], key] = f"duplicate{number}"
    for seed in range(4):
        result, audit = run_split(table, method="image", seed=seed)
        assert set(result["leakage"]) == {LEAKY}
        joined = table.merge(result, on="image_id")
        train, test = (joined[joined["split"] == split_name] for split_name in ("train", "test"))
        seen = [
            any(
                (row[key] != "") and (row[key] == train[key]).any()
                for key in ("lesion_id", "near_duplicate_id", "sha256")
            )
            for _, row in test.iterrows()
        ]
        assert audit["test"]["seen_in_train"] == pytest.approx(np.mean(seen), abs=6e-5)
        of_mel = np.mean(np.array(seen)[test["label"] == "mel"])
        assert audit["test"]["seen_in_train_by_class"]["mel"] == pytest.approx(of_mel, abs=6e-5)
        assert audit["lesions_in_two_splits"] > 0
        for split_name, fraction in (("val", 0.15), ("test", 0.2)):
            for label in ("mel", "nv"):
                assert audit[split_name]["images_by_class"][label] == pytest.approx(60 * fraction, abs=1)
        printed = capsys.readouterr().out
        assert f"WARNING: {LEAKY}: of {audit['test']['seen_in_train']:.1%} of the test images" in printed


def test_split_by_image_without_overlap_is_named() -> None:
    table = images_table()
    alone = table["image_id"]
    _, audit = run_split(table.assign(group_id=alone, lesion_id=alone), method="image")
    assert (audit["leakage"], audit["groups_in_two_splits"], audit["test"]["seen_in_train"]) == (LEAKY, 0, 0)


@pytest.mark.skipif("HAM10000_DIR" not in os.environ, reason="HAM10000_DIR is not set")
def test_split_by_image_on_ham10000() -> None:
    ham = read_csv(Path(os.environ["HAM10000_DIR"], "HAM10000_metadata")).sort_values("image_id", ignore_index=True)
    table = (
        images_table().reindex(ham.index).assign(image_id=ham["image_id"], label=ham["dx"], lesion_id=ham["lesion_id"])
    )
    table = table.fillna("").assign(group_id=table["lesion_id"])
    _, audit = run_split(table, method="image", val_fraction=0.0005, test_fraction=0.2)
    # Of n images of a lesion, each other one is in train with a chance of 0.8.
    others = table.groupby("lesion_id")["image_id"].transform("size") - 1
    expected = 1 - 0.2**others
    assert audit["test"]["seen_in_train"] == pytest.approx(expected.mean(), abs=0.02) == pytest.approx(0.39, abs=0.005)
    of_mel = expected[table["label"] == "mel"].mean()
    assert audit["test"]["seen_in_train_by_class"]["mel"] == pytest.approx(of_mel, abs=0.1)
    _, audit = run_split(table)
    assert audit["lesions_in_two_splits"] == audit["test"]["seen_in_train"] == 0


def test_unknown_lesions_give_no_metric(capsys: pytest.CaptureFixture[str]) -> None:
    _, audit = run_split(images_table(lesion_id=""), method="image")
    assert audit["reasons"] == ["patients: the data name none", "lesions: the data name none"]
    for value in (audit["lesions_in_two_splits"], audit["test"]["lesions"], audit["test"]["seen_in_train"]):
        assert value is None
    assert audit["test"]["lesion_unknown"] == audit["test"]["images"]
    assert "of an unknown share of the test images" in capsys.readouterr().out


def test_source_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    table = images_table()
    table["source"] = np.where(table["lesion_id"].str.endswith("5"), "clinic b", "clinic a")
    table.loc[table["image_id"] == "mel_05_0", "source"] = "clinic a"  # its group has an image of the other, too
    result, audit = run_split(table, method="leave_source_out", test_source="clinic b")
    assert set(table.loc[result["split"] == "test", "source"]) == {"clinic b"}
    assert list(result.loc[result["split"] == "left_out", "image_id"]) == ["mel_05_0"]
    assert audit["leave_source_out"] == {
        "left_out_by": "source",
        "test_source": "clinic b",
        "other_sources": ["clinic a"],
        "without_a_source": 0,
        "groups_in_test_and_another_source": 1,
        "left_out": 1,
        "left_out_by_class": {"mel": 1, "nv": 0},
    }
    assert (audit["leakage"], audit["test"]["seen_in_train"]) == ("none", 0)
    assert "Test is the source clinic b; train and val: clinic a. 1 images are left out" in capsys.readouterr().out


def with_published_test() -> pd.DataFrame:
    """A published test set that has one of two images of three lesions; five images have no published split."""
    table = images_table(published_split="train")
    table.loc[table["lesion_id"].isin([f"{label}L{n:02}" for label in ("mel", "nv") for n in range(8)]), "d"] = "test"
    table["published_split"] = table.pop("d").fillna("train")
    table.loc[table["image_id"].isin(["mel_01_0", "mel_03_0", "nv_05_1"]), "published_split"] = "train"
    table.loc[table["lesion_id"].isin(["nvL31", "nvL33", "nvL36"]), "published_split"] = ""
    return table


def test_published_split_is_mended_and_completed(capsys: pytest.CaptureFixture[str]) -> None:
    table = with_published_test()
    result, audit = run_split(table, method="published")
    in_test = table["published_split"] == "test"
    assert ((result["split"] == "test") == in_test).all()
    assert set(result["image_id"][result["split"] == "left_out"]) == {"mel_01_0", "mel_03_0", "nv_05_1"}
    assert set(result["leakage"]) == {"none"}
    assert audit["groups_in_two_splits"] == audit["test"]["seen_in_train"] == 0
    train = len(table) - in_test.sum() - 3
    assert audit["val"]["images"] == pytest.approx(0.15 * train, abs=2)
    assert audit["published"] == {
        "images": {"train": len(table) - in_test.sum() - 5, "val": 0, "test": in_test.sum()},
        "without_a_published_split": 5,
        "split_off_from_train": ["val"],
        "groups_in_two_published_splits": 3,
        "group_overlap": "leave_out",
        "left_out": 3,
        "left_out_by_class": {"mel": 2, "nv": 1},
    }
    printed = capsys.readouterr().out
    assert "The published split has 3 groups in two splits: 3 images of them were left out" in printed
    assert "It has no val: split off its training part" in printed


def test_published_validation_whose_groups_are_in_test_is_replaced(capsys: pytest.CaptureFixture[str]) -> None:
    table = with_published_test()
    shared = table["group_id"].isin(table.loc[table["published_split"] == "test", "group_id"])
    table.loc[shared & (table["published_split"] == "train"), "published_split"] = "val"
    _, audit = run_split(table, method="published")
    assert audit["published"]["split_off_from_train"] == ["val"]
    assert "It has no val: split off its training part" in capsys.readouterr().out


def test_published_split_with_overlap_is_leaky(capsys: pytest.CaptureFixture[str]) -> None:
    table = with_published_test()
    result, audit = run_split(table, method="published", group_overlap="keep")
    assert not (result["split"] == "left_out").any()
    assert set(result["leakage"]) == {"published split that divides lesions (leaky)"}
    assert audit["groups_in_two_splits"] == 3
    assert audit["test"]["seen_in_train"] > 0
    assert "WARNING: published split that divides lesions (leaky)" in capsys.readouterr().out
    whole = table.groupby("group_id")["published_split"].transform("max")
    result, audit = run_split(table.assign(published_split=whole), method="published", group_overlap="keep")
    assert set(result["leakage"]) == {"none"}
    assert audit["published"]["groups_in_two_published_splits"] == 0


@pytest.mark.parametrize("method", ["grouped", "image"])
def test_each_image_is_in_one_test_fold(method: str) -> None:
    results = [run_split(images_table(), method=method, folds=5, fold=fold) for fold in range(5)]
    tests = [set(table["image_id"][table["split"] == "test"]) for table, _ in results]
    assert sum(map(len, tests)) == len(set().union(*tests)) == len(images_table())
    for fold, (table, audit) in enumerate(results):
        assert list(table) == ["image_id", "split", "leakage", "fold"]
        assert table["fold"].equals(results[0][0]["fold"])
        assert (audit["folds"], audit["fold"]) == (5, fold)
        assert audit["test"]["images"] == pytest.approx(24, abs=2)
        assert audit["val"]["images"] == pytest.approx(18, abs=2)
        assert (audit["leakage"] == "none") == (audit["groups_in_two_splits"] == 0) == (method == "grouped")


def test_later_stages_carry_the_leak(capsys: pytest.CaptureFixture[str]) -> None:
    table = with_published_test()
    result, _ = run_split(table, method="published")
    splits = result.set_index("image_id")["split"]
    index = table[["image_id", "label"]]
    pixels = np.random.default_rng(0).integers(0, 256, (len(index), 16, 16, 3), np.uint8)
    image_array.write(Path("data/prepared"), index, iter(pixels), (16, 16))
    YAML().dump(read_params() | {"rebalance": PARAMS["rebalance"] | {"target": 80}}, Path("params.yaml"))
    rebalance.main()
    augmented = read_csv(Path("data/rebalanced/index.csv"))
    assert len(augmented) > 0
    assert set(splits[augmented["original"]]) == {"train"}

    data = dataset.load(Path("data"))
    assert data.leakage == "none"
    rows = np.concatenate([data.rows(split_name) for split_name in SPLITS])
    assert len(rows) == len(index) + len(augmented) - 3

    # Another split, leaky: its name is in split.csv, and goes by the network's outputs to the metrics.
    result, _ = run_split(table, method="image")
    assert dataset.load(Path("data")).leakage == LEAKY
    put_clean(Path(), table)
    evaluated = result[result["split"].isin(["val", "test"])].merge(index, on="image_id")
    for leakage in ("none", LEAKY):
        capsys.readouterr()
        table = evaluated[["image_id", "split", "label"]].assign(leakage=leakage, mel=0.25, nv=0.75)
        put_network_outputs(Path(), table)
        calibrate.main()
        evaluate.main()
        for file in ("models/thresholds.json", "metrics/evaluate.json", "reports/evaluation.json"):
            assert json.loads(Path(file).read_text())["leakage"] == leakage
        assert (f"WARNING: {LEAKY}" in capsys.readouterr().out) == (leakage == LEAKY)


def read_params() -> dict[str, Any]:
    """Return the params.yaml of the folder that the test runs in."""
    content: dict[str, Any] = YAML(typ="safe").load(Path("params.yaml").read_text())
    return content


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {"method": "stratified"},
            "split.method: input should be 'grouped', 'published', 'leave_source_out', 'leave_collection_out'",
        ),
        ({"group_overlap": "drop"}, "split.group_overlap: input should be 'leave_out' or 'keep'"),
        ({"folds": 1}, "split.folds: expected none, or a whole number from 2 to 100; found 1"),
        ({"folds": True}, "split.folds: expected none, or a whole number"),
        ({"folds": "five"}, "split.folds: expected none, or a whole number"),
        ({"folds": 5, "fold": 5}, "split: fold must be from 0 to 4, since folds is 5; it is 5"),
        ({"folds": 5, "fold": -1}, "split.fold: input should be greater than or equal to 0; found -1"),
        ({"fold": 3}, "split: fold is 3, but folds is none: set split.folds"),
        ({"folds": 5, "method": "published"}, "split: method published has one test set, and so no folds"),
        ({"folds": 2, "val_fraction": 0.5}, "split: val_fraction and one fold of 2 must be below 1 together"),
    ],
)
def test_inconsistent_parameters_are_refused(values: dict[str, object], words: str) -> None:
    with pytest.raises(UserError) as error:
        Split.check({"val_fraction": 0.15, "test_fraction": 0.2, "seed": 1, **values})
    assert words in str(error.value)


def test_folds_ignore_the_test_fraction() -> None:
    assert Split.check({"val_fraction": 0.5, "test_fraction": 0.9, "seed": 1, "folds": 5}).folds == 5


def test_earlier_split_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    """With nine new lesions; one image is gone, and one new image joins two known groups."""
    table = images_table()
    known = table[~table["lesion_id"].str.endswith(("07", "17", "27"))]
    earlier, _ = run_split(known)
    earlier.to_csv("earlier.csv", index=False)
    split_of = earlier.set_index("image_id")["split"]
    one, other = (known[known["image_id"].map(split_of) == name].iloc[0] for name in ("train", "test"))
    today = table.drop(index=known.index[-1])
    joined = today["group_id"].replace(one["group_id"], other["group_id"])
    result, report = run_split(today.assign(group_id=joined), keep="earlier.csv")
    now = result.set_index("image_id")["split"]
    shared = now.index.intersection(split_of.index)
    changed = now[shared][now[shared] != split_of[shared]]
    assert set(changed) == {"left_out"}
    assert list(changed.index) == list(known.loc[known["group_id"] == one["group_id"], "image_id"])
    assert report["groups_in_two_splits"] == 0
    new = len(today) - len(shared)
    assert report["keep"]["kept"] == len(shared) - len(changed)
    assert (report["keep"]["new"], sum(report["keep"]["new_by_split"].values())) == (new, new)
    assert (report["keep"]["gone"], report["keep"]["left_out"]) == (1, len(changed))
    assert f"keep their earlier split: {len(shared) - len(changed)}; new: {new} (train " in capsys.readouterr().out


def test_earlier_split_of_the_same_images_is_that_split() -> None:
    earlier, _ = run_split(images_table())
    earlier.to_csv("earlier.csv", index=False)
    again, report = run_split(images_table(), keep="earlier.csv", seed=7)
    pd.testing.assert_frame_equal(again, earlier)
    assert report["keep"]["new"] == 0
