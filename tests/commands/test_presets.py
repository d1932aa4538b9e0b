"""Presets: each is whole and builds, and putting one into params.yaml changes its values and nothing else."""

import re
from pathlib import Path
from shutil import copyfile, copytree
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides
from hypothesis import given, settings
from hypothesis import strategies as st
from ruamel.yaml import YAML

from lesions.commands.presets import (
    apply_preset,
    as_override,
    exchange,
    leaves,
    list_presets,
    merged,
    read_preset,
    set_param,
)
from lesions.core.errors import UserError
from lesions.core.params import read_file
from lesions.params.all import check_all, check_sections
from lesions.params.prepare import Prepare
from tests.conftest import ROOT, edit_params, run

FOLDER = ROOT / "presets"
NAMES = sorted(file.stem for file in FOLDER.glob("*.yaml"))
PUBLISHED = [name.removesuffix("-honest") for name in NAMES if name.endswith("-honest")]
DEFAULTS = read_file(ROOT / "params.yaml")


@pytest.fixture
def params(tmp_path: Path) -> Path:
    return Path(copyfile(ROOT / "params.yaml", tmp_path / "params.yaml"))


def comments(file: Path) -> list[str]:
    return [line for line in file.read_text().splitlines() if line.strip().startswith("#")]


@pytest.mark.parametrize("name", NAMES)
def test_preset_is_applied_and_comments_stay(name: str, params: Path) -> None:
    before = comments(params)
    diff = apply_preset(name, params, FOLDER)
    check_all(params)
    assert read_file(params) == merged(DEFAULTS, read_preset(name, FOLDER))
    assert comments(params) == before
    changed = [line for line in diff.splitlines() if line.startswith("-") and not line.startswith("---")]
    assert bool(changed) == (name != "synthetic")
    assert apply_preset(name, params, FOLDER) == ""
    apply_preset("synthetic", params, FOLDER)
    assert read_file(params) == DEFAULTS


def test_synthetic_is_every_default() -> None:
    assert read_preset("synthetic", FOLDER) == DEFAULTS


@pytest.mark.parametrize("name", NAMES)
def test_preset_as_set_param(name: str, params: Path) -> None:
    options = set_param(name, params, FOLDER).split(" ")
    assert set(options[::2]) == {"--set-param"}
    # A shell leaves what a command printed as it is, a ~ too.
    assert not re.search(r"""['"$`\\*?;&|<>()]""", " ".join(options))
    apply_overrides(params, options[1::2])
    assert read_file(params) == merged(DEFAULTS, read_preset(name, FOLDER))


def test_preset_as_set_param_without_what_has_defaults(params: Path) -> None:
    content = read_file(params)
    for key in ("augment", "loss"):
        del content["train"][key]
    del content["calibrate"]["costs"], content["pretrained"]["further_members"]
    YAML().dump(content, params)
    check_all(params)
    apply_overrides(params, set_param("everything", params, FOLDER).split(" ")[1::2])
    assert read_file(params) == merged(DEFAULTS, read_preset("everything", FOLDER))


@given(st.text(st.characters(codec="utf-8", exclude_categories=["C", "Z"]) | st.sampled_from("\\' ,:=[]{}#\"")))
def test_any_text_reaches_an_experiment(tmp_path_factory: pytest.TempPathFactory, text: str) -> None:
    file = tmp_path_factory.mktemp("params") / "params.yaml"
    if "${" in text:
        with pytest.raises(UserError, match="cannot be passed to an experiment"):
            as_override(text)
        return
    file.write_text("download:\n  folder: x\n")
    value = {"new": [text, 1, 1.5, True, {"of": text}]}
    apply_overrides(file, [f"++download.folder={as_override(text)}", f"++split={as_override(value)}"])
    assert read_file(file) == {"download": {"folder": text}, "split": value}


@pytest.mark.parametrize("name", PUBLISHED)
def test_forms_differ_in_the_split_alone(name: str) -> None:
    published, without_leak = (merged(DEFAULTS, read_preset(form, FOLDER)) for form in (name, f"{name}-honest"))
    splits = [(form["split"]["method"], form["split"]["group_overlap"]) for form in (published, without_leak)]
    assert splits in (
        [("published", "keep"), ("published", "leave_out")],
        [("image", "leave_out"), ("grouped", "leave_out")],
    )
    without_leak["split"] |= {
        "method": published["split"]["method"],
        "group_overlap": published["split"]["group_overlap"],
    }
    assert without_leak["rebalance"]["when"] == "after_split"
    without_leak["rebalance"]["when"] = published["rebalance"]["when"]
    assert published == without_leak


def unread(params: dict[str, Any]) -> tuple[str, ...]:
    """Return how the keys begin that nothing reads with these parameters."""
    download, train, rebalance = params["download"], params["train"], params["rebalance"]
    conditions = {
        "download.merge": download["source"] != "merged",
        "download.folder": download["source"] != "folder",
        "download.year": download["source"] != "isic_challenge",
        "split.group_overlap": params["split"]["method"] != "published",
        "rebalance.operations": rebalance["target"] == rebalance["copies_per_class"] == "none",
        "pretrained.": train["architecture"] != "pretrained",
        "train.reduce_lr_on_plateau.": train["schedule"] != "plateau",
        "train.focal_gamma": train["loss"] != "focal",
    }
    return tuple(key for key, holds in conditions.items() if holds)


@pytest.mark.parametrize("name", NAMES)
def test_no_value_stays_of_another_preset(name: str) -> None:
    preset = read_preset(name, FOLDER)
    expected = merged(DEFAULTS, preset)
    for other in NAMES:
        found = dict(leaves(merged(merged(DEFAULTS, read_preset(other, FOLDER)), preset)))
        stays = {key for key, value in leaves(expected) if found[key] != value}
        assert not {key for key in stays if not key.startswith(unread(expected))}, other


def test_published_systems() -> None:
    stated = {  # network, px, epochs, copies per class
        "notebook-basic": ("notebook_basic", 180, 20, "none"),
        "notebook-dropout": ("notebook_dropout", 180, 20, "none"),
        "notebook-rebalanced": ("notebook_dropout", 180, 30, 500),
        "notebook-5x5": ("notebook_5x5", 180, 50, 500),
        "notebook-generator": ("notebook_generator", 180, 50, "none"),
        "lifecycle": ("lifecycle", [75, 100], 50, "none"),
    }
    assert sorted(stated) == sorted(PUBLISHED)
    for name, (network, px, epochs, copies_per_class) in stated.items():
        preset = read_preset(name, FOLDER)
        train = preset["train"]
        size, each = preset["prepare"]["image_size"], preset["rebalance"]["copies_per_class"]
        found = (train["architecture"], size, train["epochs"], each)
        assert found == (network, px, epochs, copies_per_class)
        assert (train["optimizer"], train["loss"]) == ("adam", "crossentropy")
        assert preset["rebalance"]["when"] == ("before_split" if copies_per_class == 500 else "after_split")
    plateau = read_preset("lifecycle", FOLDER)["train"]["reduce_lr_on_plateau"]
    assert [plateau[key] for key in ("monitor", "patience", "factor", "min_learning_rate")] == [
        *("val_accuracy", 3, 0.5, 1e-5),
    ]


@pytest.mark.parametrize("name", NAMES)
def test_network_of_a_preset_builds(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import importlib

    import lesions.models.common.determinism  # noqa: F401 - before all that imports Keras
    from lesions.core.json_files import write_json

    preset = merged(DEFAULTS, read_preset(name, FOLDER))
    classes = 9 if preset["download"]["source"] == "folder" else 7
    monkeypatch.chdir(tmp_path)
    pretrained = {"model": preset["pretrained"]["model"], "alpha": preset["pretrained"]["alpha"], "file": None}
    write_json(Path("data/weights/weights.json"), pretrained)
    architecture = importlib.import_module(f"lesions.models.architectures.{preset['train']['architecture']}")
    shape = (*Prepare.check(preset["prepare"]).shape, 3)
    assert architecture.build(shape, classes).output.shape == (None, classes)


def test_descriptions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    lines = list_presets(FOLDER).splitlines()
    assert [line.split()[0] for line in lines if not line.startswith(" ")] == NAMES
    assert all(len(line) <= 80 for line in lines)
    assert len(lines) > len(NAMES)


def test_unknown_preset(params: Path) -> None:
    with pytest.raises(UserError, match='no preset "ham1000"; did you mean "ham10000'):
        apply_preset("ham1000", params, FOLDER)


def test_invalid_preset_is_not_applied(params: Path, tmp_path: Path) -> None:
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets/wrong.yaml").write_text("# Wrong.\ntrain:\n  epochs: 3\n  epoch: 3\nevaluat:\n  a: 1\n")
    before = params.read_bytes()
    with pytest.raises(UserError) as error:
        apply_preset("wrong", params, tmp_path / "presets")
    assert 'train.epoch: unknown key; did you mean "epochs"?' in str(error.value)
    assert "unknown section `evaluat`" in str(error.value)
    assert params.read_bytes() == before
    assert sorted(file.name for file in tmp_path.iterdir()) == ["params.yaml", "presets"]


def test_comments_and_spacing_stay() -> None:
    text = (
        "# Größe\nsplit:   # mine\n  method: 'grouped' # honest\n\n  val:   0.15\n\nclean:\n"
        "  classes: {}  # none\n  # after\n"
        "rebalance:\n    operations:\n      - {operation: a}\n    # over seed\n    seed: 1\n"
    )
    preset = (
        "split:\n  method: image\n  val: 0.2\n  fold: 0\nclean:\n  classes:\n    a:\n      diagnoses: [b]\n"
        "rebalance:\n  operations: [{operation: rotate}]\n"
    )
    assert exchange(text, preset) == (
        "# Größe\nsplit:   # mine\n  method: image # honest\n\n  val: 0.2\n  fold: 0\n\nclean:\n"
        "  classes:\n    a:\n      diagnoses: [b]  # none\n  # after\n"
        "rebalance:\n    operations: [{operation: rotate}]\n"
        "    # over seed\n    seed: 1\n"
    )


@settings(max_examples=10)
@given(st.data())
def test_any_preset_over_any_other(data: st.DataObject) -> None:
    text, content = (ROOT / "params.yaml").read_text(), DEFAULTS
    for name in data.draw(st.lists(st.sampled_from(NAMES), min_size=2, max_size=3)):
        text = exchange(text, (FOLDER / f"{name}.yaml").read_text())
        content = merged(content, read_preset(name, FOLDER))
        assert YAML(typ="safe").load(text) == content
    check_sections(content)


def test_command(params: Path) -> None:
    folder = params.parent
    copytree(FOLDER, folder / "presets")
    assert "isic2018" in run("lesions preset", folder)
    printed = run("lesions preset lifecycle", folder)
    assert "-  image_size: 64\n+  image_size: [75, 100]\n" in printed
    assert "holds the preset lifecycle already" in run("lesions preset lifecycle", folder)
    edit_params(folder, split={"folds": 5})
    printed = run("lesions preset notebook-basic", folder, fails=True)
    assert "params.yaml was not changed, since with the preset notebook-basic" in printed
    assert "Traceback" not in printed
    assert "There is no folder presets/ with presets here" in run("lesions preset", folder / "presets", fails=True)
