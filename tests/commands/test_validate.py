"""`lesions validate`: evaluate's metrics of the same images, without the training images, with no class guessed."""

import errno
import io
import json
import os
import shutil
import sys
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lesions.audit.known_pairs import PAIRS
from lesions.audit.near_duplicates import fingerprint
from lesions.cli import main
from lesions.commands.validate import report as reports
from lesions.commands.validate.collection import parse_mapping
from lesions.commands.validate.folders import bring
from lesions.commands.validate.select_images import with_recalibration
from lesions.commands.validate.train_overlap import COLUMNS, ModelImages, find_overlap
from lesions.commands.validate.validate import validate
from lesions.core.csv_files import read_csv
from lesions.core.errors import UserError
from lesions.core.file_hash import sha256_of
from lesions.core.json_files import read_json, write_json
from lesions.core.merged_ids import merged_id
from lesions.evaluation.common.recalibration import IMAGES
from lesions.models.calibration import thresholds
from lesions.sources.common.raw_data import Fetched
from lesions.sources.merged.fetch import merge_tables
from stages import calibrate, clean, download, evaluate, predict, prepare, rebalance, split
from tests.conftest import ROOT, edit_params, lesions

FILES = ["left_out.csv", "predictions.csv", "validation.json", "validation.md"]
OWN_WORDS = {"mel": "Schwarzer Krebs", "nv": "Muttermal", "bkl": "Alterswarze"}
Evaluate = Callable[..., dict[str, Any]]


@pytest.fixture
def evaluated(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Evaluate:
    """Evaluate the small clone's model on a folder; all else is the clone's by default."""
    monkeypatch.chdir(workspace)

    def evaluated(folders: Path | list[Path], *mapping: str, **other: Path) -> dict[str, Any]:
        folders = [folders] if isinstance(folders, Path) else folders
        paths = {"models": Path("models"), "data": Path("data"), "out": tmp_path / "out"} | other
        validate(folders=folders, mapping=mapping, resamples=None, **paths)
        assert sorted(file.name for file in paths["out"].iterdir()) == FILES
        report: dict[str, Any] = read_json(paths["out"] / "validation.json")
        return report

    return evaluated


def images_of(split_name: str) -> tuple[pd.DataFrame, dict[str, bytes]]:
    """Return the raw table's rows of one split, and the bytes of each image."""
    images = read_csv(Path("data/clean/images.csv")).merge(read_csv(Path("data/split/split.csv")), on="image_id")
    images = images[images["split"] == split_name]
    contents: dict[str, bytes] = {}
    for archive, rows in images.groupby("archive"):
        with zipfile.ZipFile(Path("data/raw", str(archive))) as opened:
            contents |= {
                name: opened.read(member) for name, member in zip(rows["image_id"], rows["member"], strict=True)
            }
    table = read_csv(Path("data/raw/metadata.csv"))
    return table[table["image_id"].isin(list(contents))], contents


def put(folder: Path, table: pd.DataFrame, contents: dict[str, bytes]) -> Path:
    """Write a collection in HAM10000's layout, its images loose."""
    folder.mkdir(parents=True)
    table.to_csv(folder / "table.csv", index=False)
    for name, content in contents.items():
        (folder / f"{name}.jpg").write_bytes(content)
    return folder


def resized(content: bytes, width: int = 100) -> bytes:
    """Return an image in another size, compressed again."""
    file = io.BytesIO()
    Image.open(io.BytesIO(content)).resize((width, width * 3 // 4)).save(file, "JPEG", quality=80)
    return file.getvalue()


def renamed(found: Any) -> Any:
    """Return evaluate's report of test as validate would call it."""
    if isinstance(found, dict):
        return {"collection" if key == "test" else key: renamed(value) for key, value in found.items() if key != "val"}
    return [renamed(value) for value in found] if isinstance(found, list) else found


def assert_equal_to_evaluate(found: dict[str, Any]) -> None:
    """All metrics of test, with their intervals."""
    due = read_json(Path("reports/evaluation.json"))
    assert found["collection"] == due["test"]
    assert found["tasks"] == renamed(due["tasks"])
    assert {key: found["calibration"][key] for key in ("before", "after")} == due["calibration"]["test"]
    assert found["calibration"]["temperature"] == due["calibration"]["temperature"]
    assert found["abstention"] == due["abstention"]["test"]
    assert found["subgroups"] == due["subgroups_of_test"]
    assert found["subgroup_comparisons"] == due["subgroup_comparisons_of_test"]
    assert found["decision_curves"] == due["decision_curves_of_test"]
    assert found["majority_class"] == due["majority_class_of_train"]
    assert found["decision_rule"]["costs"] == due["decision_rule"]["costs"] is not None
    assert found["metadata"]["image_only"] == due["image_only"]["test"]
    assert found["ood"] == {"ood_threshold": due["ood"]["ood_threshold"], **due["ood"]["test"]}


def test_metrics_equal_evaluates(evaluated: Evaluate, tmp_path: Path) -> None:
    found = evaluated(put(tmp_path / "theirs", *images_of("test")))
    assert_equal_to_evaluate(found)
    (warning,) = found["warnings"]
    assert "trained on drawings" in warning
    assert found["train_overlap"]["left_out"] == 0
    assert found["train_overlap"]["train_and_val"] == found["train_overlap"]["with_fingerprint"] > 50
    ours, theirs = (
        read_csv(file) for file in (tmp_path / "out/predictions.csv", Path("data/predictions/predictions.csv"))
    )
    theirs = theirs[theirs["split"] == "test"].reset_index(drop=True)
    pd.testing.assert_frame_equal(ours.drop(columns="split"), theirs.drop(columns="split"))


def test_own_train_and_val_are_left_out(evaluated: Evaluate, tmp_path: Path) -> None:
    found = evaluated(Path("data/raw"))
    assert_equal_to_evaluate(found)
    left_out = read_csv(tmp_path / "out/left_out.csv")
    splits = read_csv(Path("data/split/split.csv"))
    overlap = splits.loc[splits["split"] != "test", "image_id"]
    assert set(left_out.loc[left_out["kind"] == "train overlap", "image_id"]) == set(overlap)
    assert found["train_overlap"]["left_out"] == len(overlap)


def test_mapped_folder_names_give_equal_metrics(evaluated: Evaluate, tmp_path: Path) -> None:
    table, contents = images_of("test")
    for name, dx in zip(table["image_id"], table["dx"], strict=True):
        place = tmp_path / "theirs" / OWN_WORDS.get(dx, dx.upper())
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{name}.jpg").write_bytes(contents[name])
    mapping = [f"{theirs}={ours}" for ours, theirs in OWN_WORDS.items()]
    found = evaluated(tmp_path / "theirs", *mapping)["collection"]
    due = read_json(Path("reports/evaluation.json"))["image_only"]["test"]
    # Folders name no patients, and no lesions: the intervals are other ones.
    assert {name: entry["value"] for name, entry in found["metrics"].items()} == {
        name: entry["value"] for name, entry in due.items()
    }
    assert found["metrics_by_lesion"] == {"reason": "the data name no lesions"}
    report = read_json(tmp_path / "out/validation.json")
    assert report["metadata"] == {
        "known": {"age": 0, "sex": 0, "site": 0},
        "image_only": found["metrics"],
    }
    assert {row["theirs"]: row["ours"] for row in report["mapping"]}["muttermal"] == "nv"
    # Nothing is guessed: without the mapping these are counted apart.
    report = evaluated(tmp_path / "theirs")
    assert {row["diagnosis"] for row in report["unknown_classes"]} == {word.lower() for word in OWN_WORDS.values()}
    assert report["collection"]["images"] == len(table) - table["dx"].isin(list(OWN_WORDS)).sum()


def test_train_overlap_is_left_out(evaluated: Evaluate, tmp_path: Path) -> None:
    table, contents = images_of("test")
    before = evaluated(put(tmp_path / "clean", table, contents))
    reasons: dict[str, str] = {}
    for number, split_name in enumerate(("train", "val")):
        rows, ours = images_of(split_name)
        first, second, third = rows["image_id"].iloc[:3]
        names = [f"{kind}_{split_name}" for kind in ("bytes", "resized", "lesion", "group")]
        noise = np.random.default_rng(number).integers(256, size=(2, 40, 40, 3), dtype=np.uint8)
        drawn = [io.BytesIO(), io.BytesIO()]
        for file, pixels in zip(drawn, noise, strict=True):
            Image.fromarray(pixels).save(file, "PNG")
        new = [ours[first], resized(ours[second]), *(file.getvalue() for file in drawn)]
        contents |= dict(zip(names, new, strict=True))
        lesion = rows.set_index("image_id").loc[third, "lesion_id"]
        # The last is of a lesion that only the collection knows, as is a near-duplicate of an image of the model.
        lesions = ["", f"of_{split_name}", lesion, f"of_{split_name}"]
        more = pd.DataFrame({"image_id": names, "dx": "nv", "lesion_id": lesions})
        table = pd.concat([table, more]).fillna("")
        reasons |= {
            names[0]: f"the same bytes as an image of {split_name}: {first}",
            names[1]: f"near-duplicate of an image of {split_name}: {second}",
            names[2]: f"of a lesion of {split_name}: {lesion}",
            names[3]: "in one group with an image of train or val",
        }
    found = evaluated(put(tmp_path / "mixed", table, contents))
    left_out = read_csv(tmp_path / "out/left_out.csv").set_index("image_id")
    assert set(left_out["kind"]) == {"train overlap"}
    assert set(left_out.index) == set(reasons)
    for name, reason in reasons.items():
        assert str(left_out.loc[name, "reason"]).startswith(reason)
    assert found["train_overlap"]["left_out"] == 8
    assert found["collection"] == before["collection"]
    page = (tmp_path / "out/validation.md").read_text(encoding="utf-8")
    assert "8 images of the collection are duplicates or near-duplicates of such an image" in page


def test_unknown_diagnoses_are_counted_apart(evaluated: Evaluate, tmp_path: Path) -> None:
    table, contents = images_of("test")
    scars = table["image_id"].iloc[:3]
    known = table[~table["lesion_id"].isin(table["lesion_id"].iloc[:3])]
    without = evaluated(put(tmp_path / "known", known, {name: contents[name] for name in known["image_id"]}))
    table = pd.concat([known, table[table["image_id"].isin(scars)].assign(dx="sc|ar", lesion_id="")])
    found = evaluated(put(tmp_path / "both", table, {name: contents[name] for name in table["image_id"]}))
    assert found["collection"] == without["collection"]
    (entry,) = found["unknown_classes"]
    assert (entry["diagnosis"], entry["images"], sum(entry["predicted"].values())) == ("sc|ar", 3, 3)
    predictions = read_csv(Path("data/predictions/predictions.csv")).set_index("image_id").loc[scars]
    least = thresholds.load(Path("models")).value("melanoma", "sensitivity", 0.9)
    due = None if least is None else round(float((predictions["mel"].astype(float) >= least).mean()), 4)
    assert entry["alert_melanoma"] == due
    left_out = read_csv(tmp_path / "out/left_out.csv")
    assert set(left_out["kind"]) == {"unknown class"}
    assert "| sc\\|ar | not known |  | 3 | 0 |" in (tmp_path / "out/validation.md").read_text(encoding="utf-8")


def test_training_data_map_joined_diagnoses(evaluated: Evaluate, tmp_path: Path) -> None:
    """As where clean.classes joined diagnoses into coarser classes."""
    table, contents = images_of("test")
    folder = put(tmp_path / "theirs", table.assign(dx=table["dx"].replace("nv", "Own mole")), contents)
    shutil.copytree("data", tmp_path / "data")
    classes = read_csv(Path("data/clean/classes.csv"))
    classes["diagnoses"] = classes["diagnoses"].replace("nv", "nv; own mole")
    classes.to_csv(tmp_path / "data/clean/classes.csv", index=False)
    found = evaluated(folder, data=tmp_path / "data")
    assert_equal_to_evaluate(found)
    rows = {row["theirs"]: (row["ours"], row["by"]) for row in found["mapping"]}
    assert (rows["Own mole"], rows["mel"]) == (("nv", "the training data"), ("mel", "its name"))
    # Nothing is taken from another model's data.
    write_json(tmp_path / "data/network_outputs/model.json", {"sha256": {}})
    found = evaluated(folder, data=tmp_path / "data")
    assert [entry["diagnosis"] for entry in found["unknown_classes"]] == ["own mole"]


def test_unreadable_images_are_listed(evaluated: Evaluate, tmp_path: Path) -> None:
    table, contents = images_of("test")
    first, second = table["image_id"].iloc[:2]
    contents[first] = contents[first][: len(contents[first]) // 2]
    del contents[second]
    found = evaluated(put(tmp_path / "theirs", table, contents))
    left_out = read_csv(tmp_path / "out/left_out.csv").set_index("image_id")
    assert set(left_out.index) == {first, second}
    assert left_out.loc[second, "reason"] == "listed, but not in any archive"
    assert left_out.loc[first, "reason"]
    assert found["collection"]["images"] == len(table) - 2
    assert found["left_out"]["unusable"]["images"] == 2


def test_missing_training_images_are_reported(evaluated: Evaluate, tmp_path: Path) -> None:
    table, contents = images_of("test")
    folder = put(tmp_path / "theirs", table, contents)
    found = evaluated(folder, data=tmp_path / "nothing")
    assert "is missing: the model's training images are not known" in found["warnings"][1]
    assert found["baselines_are_of"].startswith("this collection")
    page = (tmp_path / "out/validation.md").read_text(encoding="utf-8")
    assert "**Overlap with the training images is not known**" in page

    # Tables alone: by bytes, lesions and patients, without fingerprints; nothing says of which model.
    for name in ("clean/images.csv", "split/split.csv"):
        (tmp_path / "tables" / name).parent.mkdir(parents=True)
        shutil.copyfile(Path("data", name), tmp_path / "tables" / name)
    more, ours = images_of("train")
    rows = more.iloc[:1].assign(image_id="same", lesion_id="")
    content = ours[more["image_id"].iloc[0]]
    put(tmp_path / "mixed", pd.concat([table, rows]), contents | {"same": content})
    found = evaluated(tmp_path / "mixed", data=tmp_path / "tables")
    assert "model.json does not say that" in found["warnings"][1]
    assert "has no images_part_1.zip" in found["warnings"][2]
    assert (found["train_overlap"]["left_out"], found["train_overlap"]["with_fingerprint"]) == (1, 0)
    assert found["baselines_are_of"].startswith("this collection")


def test_drawings_and_leakage_are_the_first_warnings(evaluated: Evaluate, tmp_path: Path) -> None:
    shutil.copytree("models", tmp_path / "models")
    found = read_json(tmp_path / "models/thresholds.json")
    write_json(tmp_path / "models/thresholds.json", found | {"leakage": "split by image (leaky)"})
    folder = put(tmp_path / "theirs", *images_of("test"))
    assert evaluated(folder, models=tmp_path / "models")["leakage"] == "split by image (leaky)"
    page = (tmp_path / "out/validation.md").read_text(encoding="utf-8").split("\n\n")
    assert page[1].startswith("**Warning:** the model was trained on drawings")
    assert page[2].startswith(
        "**Warning:** the model's thresholds and calibration are of a leaky split: split by image"
    )
    assert set(read_csv(tmp_path / "out/predictions.csv")["leakage"]) == {"split by image (leaky)"}


def test_targets_that_no_threshold_reaches(evaluated: Evaluate, tmp_path: Path) -> None:
    """And without the task melanoma."""
    models = shutil.copytree("models", tmp_path / "models")
    chosen = read_json(models / "thresholds.json")
    del chosen["tasks"]["melanoma"]
    of_others = [
        one | {"value": None} if one["task"] == "malignant" else one
        for one in chosen["thresholds"]
        if one["task"] != "melanoma"
    ]
    write_json(models / "thresholds.json", chosen | {"thresholds": of_others})
    table, contents = images_of("test")
    table["dx"] = table["dx"].replace("df", "scar")
    found = evaluated(put(tmp_path / "theirs", table, contents), models=tmp_path / "models")
    assert "do not allow the task melanoma" in found["tasks"]["melanoma"]["reason"]
    points = found["tasks"]["malignant"]["operating_points"]
    assert all(point["threshold"] is None and point["reason"] for point in points)
    assert found["tasks"]["malignant"]["collection"]["auc"]["value"] is not None
    (entry,) = found["unknown_classes"]
    assert entry["alert_malignant"] is None
    assert found["collection"]["metrics"]["macro_auc"]["reason"] == "a class does not occur, or no other does"


def test_patients_and_mirrored_duplicates_are_found() -> None:
    random = np.random.default_rng(1)
    pixels = [smooth(random.integers(256, size=(8, 8, 3))) for _ in range(6)]
    prints = [fingerprint(image) for image in [*pixels[:3], pixels[3][:, ::-1], *pixels[3:]]]
    luma, colour = (np.stack([getattr(found, name) for found in prints]) for name in ("luma", "colour"))
    ours = pd.DataFrame(
        {"image_id": ["a", "b", "c", "d"], "label": "nv", "lesion_id": "", "patient_id": ["", "p", "", ""]}
    ).assign(collection="")
    theirs = pd.DataFrame(
        {"image_id": ["a", "b", "c"], "split": ["train", "val", "val"], "label": "nv", "lesion_id": ""}
    ).assign(patient_id=["", "", "p"], collection="")
    ours["sha256"], theirs["sha256"] = list("1234"), list("567")
    model_images = ModelImages(theirs[COLUMNS], luma[4:], colour[4:], [], of_this_model=True)
    pairs, reason = find_overlap(ours, luma[:4], colour[:4], model_images)
    assert pairs.empty
    assert list(reason[:3]) == ["", "of a patient of val: p, as c", ""]
    assert reason[3].startswith("near-duplicate of an image of train: a, similarity ")


def test_other_image_of_a_known_pair_is_left_out() -> None:
    one, other = PAIRS[0]
    random = np.random.default_rng(2)
    prints = [fingerprint(smooth(random.integers(256, size=(8, 8, 3)))) for _ in range(3)]
    luma, colour = (np.stack([getattr(found, name) for found in prints]) for name in ("luma", "colour"))
    unknown = {"label": "nv", "lesion_id": "", "patient_id": "", "collection": ""}
    ours = pd.DataFrame({"image_id": [other, "mine"], "sha256": ["1", "2"], **unknown})
    theirs = pd.DataFrame({"image_id": [one], "split": "train", "sha256": ["3"], **unknown})
    model_images = ModelImages(theirs[COLUMNS], luma[2:], colour[2:], [], of_this_model=True)
    _, reason = find_overlap(ours, luma[:2], colour[:2], model_images)
    assert list(reason) == ["in one group with an image of train or val", ""]


@pytest.mark.parametrize(
    ("collections", "left_out"),
    [
        (["", "", ""], [True, True, False]),  # a single one: the lesion may be of either collection of the model's
        (["a", "a", "a"], [True, False, False]),
        (["c", "c", "c"], [True, True, False]),  # its name says nothing: as ids are
    ],
)
def test_lesions_of_merged_training_data_are_found(collections: list[str], left_out: list[bool]) -> None:
    random = np.random.default_rng(3)
    prints = [fingerprint(smooth(random.integers(256, size=(8, 8, 3)))) for _ in range(5)]
    luma, colour = (np.stack([getattr(found, name) for found in prints]) for name in ("luma", "colour"))
    unknown = {"label": "nv", "patient_id": ""}
    lesions = [merged_id(own, name) for own, name in zip(["L1", "L2", "L3"], collections, strict=True)]
    ours = pd.DataFrame({"image_id": list("xyz"), "lesion_id": lesions, "collection": collections, **unknown})
    theirs = pd.DataFrame({"image_id": ["p@a", "q@b"], "lesion_id": ["L1@a", "L2@b"], "collection": ["a", "b"]})
    theirs = theirs.assign(split="train", sha256=["4", "5"], **unknown)
    model_images = ModelImages(theirs[COLUMNS], luma[3:], colour[3:], [], of_this_model=True)
    _, reason = find_overlap(ours.assign(sha256=list("123")), luma[:3], colour[:3], model_images)
    assert list(reason != "") == left_out
    assert reason[0] == "of a lesion of train: L1@a, as p@a"


@pytest.mark.parametrize(
    ("collection", "left_out"),
    [("", [True, True, True, False]), ("a", [True, False, True, False]), ("c", [True, True, True, False])],
)
def test_lesions_of_merged_and_recalibrated_model_are_found(
    tmp_path: Path, collection: str, left_out: list[bool]
) -> None:
    unknown = {"label": "nv", "patient_id": ""}
    none = np.zeros((0, 64, 64), np.uint8), np.zeros((0, 2, 8, 8), np.float32)
    trained = pd.DataFrame({"image_id": ["p@a", "q@b"], "lesion_id": ["L1@a", "L2@b"], "collection": ["a", "b"]})
    trained = trained.assign(split="train", sha256=["5", "6"], **unknown)
    fitted = pd.DataFrame({"image_id": ["r", "s"], "lesion_id": ["L3", ""], "collection": "", "split": "val"})
    fitted.assign(sha256=["7", "8"], **unknown)[COLUMNS].to_csv(tmp_path / IMAGES, index=False)
    model_images = ModelImages(trained[COLUMNS], *none, [], of_this_model=True)
    model_images = with_recalibration(model_images, tmp_path, sha256_of(tmp_path / IMAGES))
    random = np.random.default_rng(4)
    prints = [fingerprint(smooth(random.integers(256, size=(8, 8, 3)))) for _ in range(4)]
    luma, colour = (np.stack([getattr(found, name) for found in prints]) for name in ("luma", "colour"))
    lesions = [merged_id(own, collection) for own in ("L1", "L2", "L3", "")]
    ours = pd.DataFrame({"image_id": list("wxyz"), "lesion_id": lesions, "collection": collection, **unknown})
    _, reason = find_overlap(ours.assign(sha256=list("1234")), luma, colour, model_images)
    assert list(reason != "") == left_out
    assert reason[0] == "of a lesion of train: L1@a, as p@a"


def test_several_collections_are_evaluated_each(evaluated: Evaluate, tmp_path: Path) -> None:
    """Test's images in two folders; the second also holds copies of the first's, which count once."""
    alone = evaluated(put(tmp_path / "whole", *images_of("test")))
    table, contents = images_of("test")
    first = table["lesion_id"].isin(sorted(set(table["lesion_id"]))[::2])
    again = table[first].iloc[:3].assign(lesion_id="")
    small = {f"small_{name}": resized(contents[name]) for name in again["image_id"]}
    second = pd.concat([table[~first], again.assign(image_id=list(small))])
    folders = [
        put(tmp_path / "Clinic", table[first], {name: contents[name] for name in table.loc[first, "image_id"]}),
        put(tmp_path / "other", second, small | {name: contents[name] for name in table.loc[~first, "image_id"]}),
    ]
    found = evaluated(folders)
    left_out = read_csv(tmp_path / "out/left_out.csv")
    assert set(left_out["image_id"]) == {f"{name}@other" for name in small}
    assert set(left_out["kind"]) == {"duplicate"}
    for name, entry in alone["collection"]["metrics"].items():
        assert found["collection"]["metrics"][name]["value"] == pytest.approx(entry["value"], abs=2e-4), name
    assert found["collection"]["groups"] == alone["collection"]["groups"]
    rows = {row["subgroup"]: row for row in found["subgroups"]["collection"]}
    assert {name: row["images"] for name, row in rows.items()} == {"clinic": first.sum(), "other": (~first).sum()}
    assert "collection" in found["subgroup_comparisons"]["columns"]
    page = (tmp_path / "out/validation.md").read_text(encoding="utf-8")
    assert "They are of 2 collections" in page
    assert "| collection |" in page
    printed = reports.headline(found, tmp_path / "out")
    assert "By collection, with 95 % intervals:" in printed
    assert "collection" not in alone["subgroups"]
    # As the pipeline leaves a merge: each in its folder, under one table.
    raw = tmp_path / "raw"
    for name, folder in zip(("clinic", "other"), folders, strict=True):
        (raw / name).mkdir(parents=True)
        with zipfile.ZipFile(raw / name / "images.zip", "w") as archive:
            for file in sorted(folder.glob("*.jpg")):
                archive.write(file, file.name)
    fetched = {name: Fetched(read_csv(file / "table.csv"), {}) for name, file in zip(rows, folders, strict=True)}
    merge_tables(fetched).to_csv(raw / "metadata.csv", index=False)
    of_raw = evaluated(raw)
    assert of_raw["collection"] == found["collection"]
    assert of_raw["subgroups"]["collection"] == found["subgroups"]["collection"]


def test_collections_with_one_name(evaluated: Evaluate, tmp_path: Path) -> None:
    folders = [tmp_path / name for name in ("a", "b/A", "a/in", "our clinic")]
    for number, words in (
        (1, "are both called a"),
        (2, "or lies in it"),
        (0, "or lies in it"),
        (3, "expected letters, digits"),
    ):
        with pytest.raises(UserError) as error:
            evaluated([folders[0], folders[number]])
        assert words in str(error.value)


@pytest.mark.parametrize("text", ["image_id,dx,Collection\na,nævus,2019\n", "image_id;dx;collection\na;nævus;2019\n"])
def test_own_table_with_a_column_collection(tmp_path: Path, text: str) -> None:
    folder, raw = tmp_path / "clinic", tmp_path / "raw"
    folder.mkdir()
    raw.mkdir()
    (folder / "a.jpg").write_bytes(b"image")
    table = folder / "metadata.csv"
    table.write_text(text, encoding="utf-8")
    assert bring([folder], raw).table.to_dict("records") == [{"image_id": "a", "dx": "nævus"}]
    table.write_text(text, encoding="latin-1")
    with pytest.raises(UserError, match=r"metadata.csv is not UTF-8 text \(line 2\).*Save it again as UTF-8"):
        bring([folder], raw)


def smooth(coarse: np.ndarray) -> np.ndarray:
    """Return a smooth image of 64 by 64 pixels."""
    return np.asarray(Image.fromarray(coarse.astype(np.uint8)).resize((64, 64), Image.Resampling.BICUBIC))


def test_full_disk_keeps_the_earlier_report(
    evaluated: Evaluate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = put(tmp_path / "theirs", *images_of("test"))
    evaluated(folder)
    before = [(tmp_path / "out" / name).read_bytes() for name in FILES]

    def page(_: dict[str, Any]) -> str:
        raise OSError(errno.ENOSPC, "no room", "validation.md")

    monkeypatch.setattr(reports, "page", page)
    with pytest.raises(UserError, match=r"validation.md: No space left on device. Make room on the disk"):
        evaluated(folder)
    assert [(tmp_path / "out" / name).read_bytes() for name in FILES] == before
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == FILES


def test_errors_keep_the_earlier_report(evaluated: Evaluate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table, contents = images_of("test")
    good = put(tmp_path / "good", table, contents)
    evaluated(good)
    before = [(tmp_path / "out" / name).read_bytes() for name in FILES]

    (tmp_path / "empty").mkdir()
    wrong = put(tmp_path / "wrong", table.rename(columns={"dx": "diagnose"}), contents)
    strange = put(
        tmp_path / "strange",
        table.assign(dx=["scar", "burn"] * (len(table) // 2) + ["scar"] * (len(table) % 2)),
        contents,
    )
    own = put(tmp_path / "own", *images_of("train"))
    two_runs = shutil.copytree("models", tmp_path / "two_runs")
    (two_runs / "preprocessing.json").write_bytes((two_runs / "preprocessing.json").read_bytes() + b"\n")
    early = shutil.copytree("models", tmp_path / "early")
    found = read_json(early / "thresholds.json")
    del found["tasks"]["melanoma"]["negative"]
    write_json(early / "thresholds.json", found)
    diverged = tmp_path / "split_only"
    (diverged / "clean").mkdir(parents=True)
    (diverged / "split").mkdir()
    (diverged / "clean/images.csv").write_text("image,archive\na,b\n")
    (diverged / "split/split.csv").write_text("image_id,split\na,train\n")
    cases: list[tuple[Path, list[str], dict[str, Path], str]] = [
        (good, [], {"models": tmp_path / "none"}, "so there is no model to run. Make one with `dvc repro`"),
        (good, [], {"models": two_runs}, "They are of two runs, or a file was changed"),
        (good, [], {"models": early}, "(tasks.melanoma.negative: Field required)"),
        (good, [], {"data": diverged}, "lack the column"),
        (good, [], {"out": good / "report"}, "lies in the collection's folder"),
        (good, [], {"out": good / "table.csv" / "report"}, "lies in the collection's folder"),
        (good, [], {"out": Path("params.yaml")}, "is no folder to write a report into"),
        (tmp_path / "empty", [], {}, "holds no images"),
        (tmp_path / "missing", [], {}, "does not exist"),
        (wrong, [], {}, "table.csv has no column dx"),
        (strange, [], {}, "knows none of the diagnoses"),
        (own, [], {}, "is left to evaluate:"),
        (good, ["nv"], {}, "expected THEIRS=OURS"),
        (good, ["nv=nevis"], {}, "the model has no class nevis; known: akiec, bcc"),
        (good, ["scar=nv"], {}, "has no such diagnosis"),
        (good, ["mel=nv", "MEL=bcc"], {}, "to nv and to bcc; expected one"),
    ]
    for folder, mapping, other, message in cases:
        with pytest.raises(UserError) as error:
            evaluated(folder, *mapping, **other)
        assert message in str(error.value), error.value
        assert [(tmp_path / "out" / name).read_bytes() for name in FILES] == before
        assert sorted(file.name for file in (tmp_path / "out").iterdir()) == FILES
    with pytest.raises(UserError, match="expected 100 to 100,000, found 5"):
        validate([good], Path("models"), [], Path("data"), tmp_path / "out", 5)

    monkeypatch.setattr(sys, "argv", ["lesions", "validate", str(tmp_path / "empty"), "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert str(ended.value.code).startswith(f"ERROR: {tmp_path / 'empty'} holds no images")


@pytest.mark.usefixtures("evaluated")
def test_command_prints_mapping_and_metrics(workspace: Path, tmp_path: Path) -> None:
    table, contents = images_of("test")
    table = table.assign(dx=table["dx"].replace({"nv": "Naevus benignus", "mel": "MEL"}))
    table.loc[table[table["dx"] == "MEL"].index[0], "dx"] = "Melanoma"  # two spellings of one diagnosis
    folder = put(tmp_path / "theirs", table, contents)
    options = ["--class", "naevus_benignus=nv", "--out", str(tmp_path / "out"), "--resamples", "100"]
    done = lesions(workspace, "validate", folder, *options)
    printed = done.stdout + done.stderr
    assert done.status == 0, printed
    count = int((table["dx"] == "Naevus benignus").sum())
    rows = [line.split() for line in printed.splitlines()]
    assert ["Naevus", "benignus", "nv", "--class", str(count), str(count)] in rows
    assert ["Melanoma", "mel", "its", "name", "1", "1"] in rows
    due = read_json(workspace / "reports/evaluation.json")["test"]["metrics"]["accuracy"]["value"]
    assert ["accuracy", f"{due:.3f}"] in [row[:2] for row in rows]
    assert "Traceback" not in printed


def test_mapping_is_parsed() -> None:
    classes = ["mel", "nv"]
    assert parse_mapping(["Nevi = NV", "a=b=mel"], classes) == {"nv": "nv", "a=b": "mel"}
    for option, message in (("=nv", "expected THEIRS=OURS"), ("a=", "expected THEIRS=OURS"), ("a=bcc", "no class bcc")):
        with pytest.raises(UserError, match=message):
            parse_mapping([option], classes)


@pytest.mark.long
@pytest.mark.skipif("HAM10000_DIR" not in os.environ, reason="HAM10000_DIR is not set")
def test_real_source_metrics_equal_evaluates(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """One source is test, and then a collection; the model is one of synthetic images."""
    source = Path(os.environ["HAM10000_DIR"])
    shutil.copytree(workspace / "models", tmp_path / "models")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    Path("none").mkdir()
    for name in ("all", "theirs"):
        Path(name).mkdir()
        for archive in source.glob("*.zip"):
            shutil.copyfile(archive, Path(name, archive.name))
    table = next(read_csv(file) for file in source.iterdir() if "metadata" in file.name and file.is_file())
    theirs = table["dataset"] == "vienna_dias"
    table.assign(split=np.where(theirs, "test", "train")).to_csv("all/metadata.csv", index=False)
    table[theirs].to_csv("theirs/metadata.csv", index=False)
    edit_params(
        tmp_path,
        download={"source": "folder", "folder": "all"},
        split={"method": "published"},
        prepare={"image_size": 24},
        rebalance={"target": "none"},
        calibrate={"use_metadata": True, "optimise": "balanced_accuracy"},
    )
    for stage in (download, clean, split, prepare, rebalance, predict, calibrate, evaluate):
        stage.main()
    print(validate([Path("theirs")], Path("models"), [], Path("data"), Path("out")))
    found = json.loads(Path("out/validation.json").read_text())
    assert_equal_to_evaluate(found)
    assert found["collection"]["images"] > 400
    assert found["train_overlap"]["with_fingerprint"] > 9_000
