"""params.yaml: what is accepted, and the messages of what is not."""

from copy import deepcopy
from functools import reduce
from itertools import pairwise
from operator import getitem
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from lesions.core.errors import UserError
from lesions.core.params import RENAMED, did_you_mean
from lesions.params.all import SECTIONS, check_all, check_sections
from lesions.params.clean import OwnClass
from lesions.params.prepare import Prepare
from lesions.params.split import Split
from tests.conftest import ROOT, run

PARAMS: dict[str, Any] = YAML(typ="safe").load((ROOT / "params.yaml").read_text())


def changed(folder: Path, text: dict[str, Any]) -> Path:
    file = folder / "params.yaml"
    YAML().dump(text, file)
    return file


def test_own_values_are_valid() -> None:
    check_all(ROOT / "params.yaml")
    assert list(PARAMS) == list(SECTIONS)


def test_every_key_has_a_comment() -> None:
    lines = (ROOT / "params.yaml").read_text().splitlines()
    for before, line in pairwise(lines):
        if line.startswith("  ") and line[2] not in " #-" and ":" in line:
            assert before.strip().startswith("#"), line


@pytest.mark.parametrize(
    ("section", "key", "value", "words"),
    [
        ("download", "source", "sythetic", 'download.source: no such source; did you mean "synthetic"?'),
        ("train", "architecture", "plane", 'train.architecture: no such architecture; did you mean "plain"?'),
        ("split", "method", "declared", "split.method: declared is now called published"),
        ("train", "epoch", 3, 'train.epoch: unknown key; did you mean "epochs"?'),
        ("train", "epochs", 0, "train.epochs: input should be greater than or equal to 1; found 0"),
        ("train", "epochs", "ten", "train.epochs: input should be a valid integer; found 'ten'"),
        ("train", "learning_rate", "1e-3", "train.learning_rate: input should be a valid number"),
        ("split", "test_source", "vidir", "split: method is grouped and test_source is vidir: with leave_source_out"),
        ("split", "method", "leave_source_out", "test_source is none: with leave_source_out name the source"),
        ("split", "val_fraction", 0.9, "split: val_fraction + test_fraction must be below 1"),
        ("prepare", "image_size", [64], "expected one number, or [height, width]"),
        (
            "prepare",
            "image_size",
            4,
            "prepare.image_size: expected one number, or [height, width], from 16 to 1024 pixels; found 4",
        ),
        ("rebalance", "target", 1, "rebalance.target: expected max"),
        ("rebalance", "target", 1.0, "rebalance.target: expected max"),
        ("rebalance", "target", 2.5, "rebalance.target: expected max"),
        ("rebalance", "target", "half", "rebalance.target: expected max"),
        ("rebalance", "target", 10**9, "rebalance.target: expected max"),
        ("download", "folder", "~/images", "download.folder: write the whole path; ~ is not replaced"),
        ("download", "folder", "a\0b", "download.folder: no folder has the character NUL in its name"),
        ("download", "folder", None, "download.folder: input should be a valid string; found None"),
        ("download", "folder", 5, "download.folder: input should be a valid string; found 5"),
        ("download", "folder", ["a"], "download.folder: input should be a valid string; found ['a']"),
        ("clean", "known_groups", "groups.xlsx", "clean.known_groups: expected a file .csv, or data/none for none"),
        ("pretrained", "path", "a\0b.h5", "pretrained.path: no file has the character NUL in its name"),
        ("pretrained", "further_members", [{"model": "MobilNet"}], 'did you mean "MobileNet"?'),
        ("pretrained", "further_members", [{"model": "MobileNet", "alpha": 0.3}], "set alpha to 0.25"),
        ("pretrained", "further_members", [{"model": "MobileNet", "alpha": 0.25}], "set model to the first"),
        ("download", "folder", "", "download.folder: string should have at least 1 character"),
        ("rebalance", "operations", [{"operation": "rotat", "probability": 1}], 'did you mean "rotate"?'),
        (
            "rebalance",
            "operations",
            [{"operation": "zoom", "probability": 1, "min_faktor": 1.1, "max_factor": 1.2}],
            "zoom takes no 'min_faktor'; did you mean \"min_factor\"?",
        ),
        (
            "rebalance",
            "operations",
            [{"operation": "rotate", "probability": 1, "max_left_rotation": 90, "max_right_rotation": 1}],
            "Augmentor refuses rotate: The max_left_rotation argument must be between 0 and 25.",
        ),
        ("evaluate", "splits", ["train"], "evaluate.splits"),
        ("calibrate", "optimise", "expected_cost", "calibrate: costs and optimise: expected_cost belong together"),
        ("calibrate", "costs", {"mel": {"nv": 20}}, "calibrate: costs and optimise: expected_cost belong together"),
        ("calibrate", "optimise", "best", "calibrate.optimise"),
        ("calibrate", "costs", {"mel": {"mel": 2}, "nv": {"mel": 3}}, "calibrate"),
        ("calibrate", "costs", {"mel": {"nv": -1}}, "calibrate.costs"),
        ("clean", "max_rejected", 2, "clean.max_rejected: input should be less than or equal to 1; found 2"),
    ],
)
def test_wrong_value_is_named(tmp_path: Path, section: str, key: str, value: object, words: str) -> None:
    file = changed(tmp_path, PARAMS | {section: PARAMS[section] | {key: value}})
    with pytest.raises(UserError) as error:
        check_all(file)
    assert words in str(error.value)


MERGED: dict[str, Any] = {
    "download.source": "merged",
    "download.folder": "data/incoming",
    "download.merge": [{"source": "folder", "folder": f"data/incoming/{name}"} for name in ("north", "south")],
}
COSTS: dict[str, Any] = {
    "calibrate.optimise": "expected_cost",
    "clean.classes": {"mel": {"diagnoses": ["mel"]}, "rest": {"diagnoses": ["nv"], "malignancy": "benign"}},
}
PRETRAINED: dict[str, Any] = {
    "train.architecture": "pretrained",
    "pretrained.model": "MobileNet",
    "pretrained.alpha": 0.25,
}


def combined(values: dict[str, Any]) -> dict[str, Any]:
    params = deepcopy(PARAMS)
    for place, value in values.items():
        *groups, key = place.split(".")
        reduce(getitem, groups, params)[key] = value
    return params


@pytest.mark.parametrize(
    ("values", "words"),
    [
        (
            {"train.augment.transpose": True, "prepare.image_size": [75, 100]},
            "train.augment.transpose is true, and prepare.image_size is [75, 100]",
        ),
        (
            {"train.architecture": "notebook_basic", "train.ensemble_size": 2},
            "train.ensemble_size is 2, and notebook_basic can be no member",
        ),
        (
            {"train.architecture": "residual", "prepare.image_size": [64, 31]},
            "prepare.image_size is [64, 31], and residual needs at least 32 pixels",
        ),
        (PRETRAINED | {"prepare.image_size": 31}, "image_size is 31, and MobileNet needs at least 32 pixels"),
        (
            PRETRAINED | {"train.ensemble_size": 2, "pretrained.further_members": [{"model": "Xception"}]},
            "image_size is 64, and Xception needs at least 71 pixels",
        ),
        ({"train.balance": "collection"}, "train.balance is collection, and the data are of one collection"),
        (
            MERGED | {"download.merge": MERGED["download.merge"][:1], "train.balance": "both"},
            "train.balance is both, and the data are of one collection",
        ),
        (
            {"split.method": "leave_collection_out", "split.test_source": "north"},
            "split.method is leave_collection_out, and the data are of one collection",
        ),
        (
            MERGED | {"split.method": "leave_collection_out", "split.test_source": "nort"},
            'split.test_source is nort, which is none of the merged collections; did you mean "north"?',
        ),
        (
            COSTS | {"calibrate.costs": {"mle": {"rest": 20}}},
            'there is no class mle in clean.classes; did you mean "mel"?',
        ),
        (
            {"calibrate.optimise": "expected_cost", "calibrate.costs": {"mel": {"nevus": 20}}},
            'calibrate.costs: there is no class nevus; write it as the tables do, "nv"',
        ),
    ],
)
def test_values_that_do_not_fit_together(values: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as error:
        check_sections(combined(values))
    assert words in str(error.value)


@pytest.mark.parametrize(
    "values",
    [
        PRETRAINED | {"train.ensemble_size": 2, "train.augment.transpose": True},
        MERGED | {"train.balance": "both", "split.method": "leave_collection_out", "split.test_source": "north"},
        COSTS | {"calibrate.costs": {"mel": {"rest": 20}}},
        COSTS | {"calibrate.costs": {"mel": {"my own": 20}}, "clean.unmapped_diagnoses": "keep"},
    ],
)
def test_values_that_fit_together(values: dict[str, Any]) -> None:
    check_sections(combined(values))


def test_all_errors_at_once(tmp_path: Path) -> None:
    file = changed(tmp_path, PARAMS | {"trian": {}, "split": {"val_fraction": 0.1}, "predict": None})
    with pytest.raises(UserError) as error:
        check_all(file)
    for words in (
        'unknown section `trian`; did you mean "train"?',
        "split.test_fraction: missing",
        "no section `predict`",
    ):
        assert words in str(error.value)


@pytest.mark.parametrize("place", RENAMED)
def test_old_key_is_named(tmp_path: Path, place: str) -> None:
    section, *keys = place.replace("*", "malignant").split(".")
    edited: object = 1
    for key in reversed(keys):
        edited = {key: edited}
    assert isinstance(edited, dict)
    file = changed(tmp_path, PARAMS | {section: PARAMS[section] | edited})
    with pytest.raises(UserError, match=rf"{keys[-1]}: {keys[-1]} is now called {RENAMED[place]}"):
        check_all(file)


def test_new_names_exist() -> None:
    for place, new in RENAMED.items():
        section, _, key = new.rpartition(".")
        own_class = place.startswith("clean.classes.")
        assert key in (OwnClass if own_class else SECTIONS[section or place.partition(".")[0]]).model_fields


def test_old_section_weights_is_named(tmp_path: Path) -> None:
    file = changed(tmp_path, PARAMS | {"weights": {"network": "none", "width": 1.0, "initial": "imagenet"}})
    words = "weights is now called pretrained, with the keys model, alpha, weights and path"
    with pytest.raises(UserError, match=words):
        check_all(file)


@pytest.mark.parametrize(
    ("text", "words"), [("a: [", "no valid YAML"), ("- 1", "named sections"), (None, "is missing")]
)
def test_no_parameters(tmp_path: Path, text: str | None, words: str) -> None:
    file = tmp_path / "params.yaml"
    if text is not None:
        file.write_text(text)
    with pytest.raises(UserError, match=words):
        check_all(file)


@given(st.floats(0.01, 0.98), st.floats(0.01, 0.98))
def test_something_always_trains(val: float, test: float) -> None:
    values = {"val_fraction": val, "test_fraction": test, "seed": 1}
    if val + test < 1:
        assert Split.check(values).test_fraction == test
    else:
        with pytest.raises(UserError):
            Split.check(values)


def test_image_size_is_height_and_width() -> None:
    assert Prepare.check({"image_size": 64}).shape == (64, 64)
    assert Prepare.check({"image_size": [75, 100]}).shape == (75, 100)


@given(st.text(min_size=1), st.lists(st.text(min_size=1), min_size=1))
def test_hint_names_what_is_known(word: str, known: list[str]) -> None:
    hint = did_you_mean(word, known)
    assert any(name in hint for name in known)


def test_command_exits_with_1(tmp_path: Path) -> None:
    assert "holds what the stages expect" in run("lesions check", ROOT)
    changed(tmp_path, PARAMS | {"predict": {"tta": "yes", "seed": 1}})
    printed = run("lesions check", tmp_path, fails=True)
    assert "predict.tta: input should be a valid boolean; found 'yes'" in printed
    assert "Traceback" not in printed


@pytest.mark.parametrize("name", ["", " ", "label", "<b>", "=1+1", "a\u202eb"])
def test_class_that_no_table_can_name(tmp_path: Path, name: str) -> None:
    classes = {name: {"diagnoses": ["mel"], "malignancy": "malignant"}, "nv": {"diagnoses": ["nv"]}}
    file = changed(tmp_path, PARAMS | {"clean": PARAMS["clean"] | {"classes": classes}})
    with pytest.raises(UserError, match="is no name of a class"):
        check_all(file)
