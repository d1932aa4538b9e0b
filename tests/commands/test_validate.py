"""Judging another collection: evaluate's metrics of the same images, nothing seen before, nothing guessed."""

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

from lesions.audit.near_duplicates import fingerprint
from lesions.cli import main
from lesions.commands.validate import collection
from lesions.commands.validate import report as reports
from lesions.commands.validate import seen as seen_by_model
from lesions.commands.validate.validate import Request, validate
from lesions.core.csv_files import read_csv
from lesions.core.errors import UserError
from lesions.core.json_files import read_json, write_json
from stages import clean, download, evaluate, predict, prepare, rebalance, split
from tests.conftest import ROOT, edit_params, run

FILES = ["left_out.csv", "predictions.csv", "validation.json", "validation.md"]
OWN_WORDS = {"mel": "Schwarzer Krebs", "nv": "Muttermal", "bkl": "Alterswarze"}
Judge = Callable[..., dict[str, Any]]


@pytest.fixture
def judge(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Judge:
    """Judge the small clone's model on a folder; what is not said otherwise is the clone's."""
    monkeypatch.chdir(workspace)

    def judge(folder: Path, *mapping: str, **other: Path) -> dict[str, Any]:
        paths = {"models": Path("models"), "data": Path("data"), "out": tmp_path / "out"} | other
        validate(Request(folder=folder, mapping=mapping, resamples=None, **paths))
        assert sorted(file.name for file in paths["out"].iterdir()) == FILES
        report: dict[str, Any] = read_json(paths["out"] / "validation.json")
        return report

    return judge


def images_of(split_name: str) -> tuple[pd.DataFrame, dict[str, bytes]]:
    """Return the rows of the raw table of one split_name of the split, and the bytes of each image."""
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


def otherwise(content: bytes, split_name: int = 100) -> bytes:
    """Return an image in another size, compressed again."""
    file = io.BytesIO()
    Image.open(io.BytesIO(content)).resize((split_name, split_name * 3 // 4)).save(file, "JPEG", quality=80)
    return file.getvalue()


def renamed(found: Any) -> Any:
    """Return evaluate's report of test as validate would call it."""
    if isinstance(found, dict):
        return {"collection" if key == "test" else key: renamed(value) for key, value in found.items() if key != "val"}
    return [renamed(value) for value in found] if isinstance(found, list) else found


def assert_equal_to_evaluate(found: dict[str, Any]) -> None:
    """All that evaluate says of test, with its intervals."""
    due = read_json(Path("reports/evaluation.json"))
    assert found["collection"] == due["test"]
    assert found["questions"] == renamed(due["questions"])
    assert {key: found["calibration"][key] for key in ("before", "after")} == due["calibration"]["test"]
    assert found["calibration"]["temperature"] == due["calibration"]["temperature"]
    assert found["abstention"] == due["abstention"]["test"]
    assert found["subgroups"] == due["subgroups_of_test"]
    assert found["decision_curves"] == due["decision_curves_of_test"]
    assert found["majority_class"] == due["majority_class_of_train"]
    assert found["patient"]["without_age_sex_and_site"] == due["without_age_sex_and_site"]["test"]
    assert found["ood_score"] == {
        "flagged_above": due["ood_score"]["flagged_above"],
        **due["ood_score"]["test"],
    }


def test_the_same_images_get_the_metrics_of_evaluate(judge: Judge, tmp_path: Path) -> None:
    found = judge(put(tmp_path / "theirs", *images_of("test")))
    assert_equal_to_evaluate(found)
    assert found["warnings"] == []
    assert found["seen"]["left_out"] == 0
    assert found["seen"]["train_and_val"] == found["seen"]["of_these_looked_at"] > 50
    ours, theirs = (
        read_csv(file) for file in (tmp_path / "out/predictions.csv", Path("data/predictions/predictions.csv"))
    )
    theirs = theirs[theirs["split"] == "test"].reset_index(drop=True)
    pd.testing.assert_frame_equal(ours.drop(columns="split"), theirs.drop(columns="split"))


def test_of_the_run_s_own_data_all_but_test_is_found(judge: Judge, tmp_path: Path) -> None:
    found = judge(Path("data/raw"))
    assert_equal_to_evaluate(found)
    left_out = read_csv(tmp_path / "out/left_out.csv")
    splits = read_csv(Path("data/split/split.csv"))
    seen = splits.loc[splits["split"] != "test", "image_id"]
    assert set(left_out.loc[left_out["kind"] == "seen", "image_id"]) == set(seen)
    assert found["seen"]["left_out"] == len(seen)


def test_folders_with_names_of_their_own_get_the_same_metrics(judge: Judge, tmp_path: Path) -> None:
    table, contents = images_of("test")
    for name, dx in zip(table["image_id"], table["dx"], strict=True):
        place = tmp_path / "theirs" / OWN_WORDS.get(dx, dx.upper())
        place.mkdir(parents=True, exist_ok=True)
        (place / f"{name}.jpg").write_bytes(contents[name])
    mapping = [f"{theirs}={ours}" for ours, theirs in OWN_WORDS.items()]
    found = judge(tmp_path / "theirs", *mapping)["collection"]
    due = read_json(Path("reports/evaluation.json"))["without_age_sex_and_site"]["test"]
    # Folders name no patients, and no lesions: the intervals are other ones.
    assert {name: entry["value"] for name, entry in found["metrics"].items()} == {
        name: entry["value"] for name, entry in due.items()
    }
    assert found["metrics_by_lesion"] == {"why": "the data name no lesions"}
    report = read_json(tmp_path / "out/validation.json")
    assert report["patient"] == {
        "known": {"age": 0, "sex": 0, "site": 0},
        "without_age_sex_and_site": found["metrics"],
    }
    assert {row["theirs"]: row["ours"] for row in report["mapping"]}["muttermal"] == "nv"
    # Nothing is guessed: without the mapping these are counted apart.
    report = judge(tmp_path / "theirs")
    assert {row["diagnosis"] for row in report["unknown_classes"]} == {word.lower() for word in OWN_WORDS.values()}
    assert report["collection"]["images"] == len(table) - table["dx"].isin(list(OWN_WORDS)).sum()


def test_what_the_model_has_seen_is_found_and_left_out(judge: Judge, tmp_path: Path) -> None:
    table, contents = images_of("test")
    before = judge(put(tmp_path / "clean", table, contents))
    reasons: dict[str, str] = {}
    for number, split_name in enumerate(("train", "val")):
        rows, seen = images_of(split_name)
        first, second, third = rows["image_id"].iloc[:3]
        names = [f"{kind}_{split_name}" for kind in ("bytes", "resized", "lesion", "group")]
        noise = np.random.default_rng(number).integers(256, size=(2, 40, 40, 3), dtype=np.uint8)
        drawn = [io.BytesIO(), io.BytesIO()]
        for file, pixels in zip(drawn, noise, strict=True):
            Image.fromarray(pixels).save(file, "PNG")
        new = [seen[first], otherwise(seen[second]), *(file.getvalue() for file in drawn)]
        contents |= dict(zip(names, new, strict=True))
        lesion = rows.set_index("image_id").loc[third, "lesion_id"]
        # The last is of a lesion that only the collection knows, and so is a copy of what was seen.
        lesions = ["", f"of_{split_name}", lesion, f"of_{split_name}"]
        more = pd.DataFrame({"image_id": names, "dx": "nv", "lesion_id": lesions})
        table = pd.concat([table, more]).fillna("")
        reasons |= {
            names[0]: f"the same bytes as an image of {split_name}: {first}",
            names[1]: f"in another form an image of {split_name}: {second}",
            names[2]: f"of a lesion of {split_name}: {lesion}",
            names[3]: "belongs to an image that was seen",
        }
    found = judge(put(tmp_path / "mixed", table, contents))
    left_out = read_csv(tmp_path / "out/left_out.csv").set_index("image_id")
    assert set(left_out["kind"]) == {"seen"}
    assert set(left_out.index) == set(reasons)
    for name, reason in reasons.items():
        assert str(left_out.loc[name, "reason"]).startswith(reason)
    assert found["seen"]["left_out"] == 8
    assert found["collection"] == before["collection"]
    told = (tmp_path / "out/validation.md").read_text(encoding="utf-8")
    assert "8 images of the collection are copies of such an image" in told


def test_diagnoses_that_the_model_does_not_know_are_counted_apart(judge: Judge, tmp_path: Path) -> None:
    table, contents = images_of("test")
    scars = table["image_id"].iloc[:3]
    known = table[~table["lesion_id"].isin(table["lesion_id"].iloc[:3])]
    alone = judge(put(tmp_path / "known", known, {name: contents[name] for name in known["image_id"]}))
    table = pd.concat([known, table[table["image_id"].isin(scars)].assign(dx="sc|ar", lesion_id="")])
    found = judge(put(tmp_path / "both", table, {name: contents[name] for name in table["image_id"]}))
    assert found["collection"] == alone["collection"]
    (entry,) = found["unknown_classes"]
    assert (entry["diagnosis"], entry["images"], sum(entry["called"].values())) == ("sc|ar", 3, 3)
    predictions = read_csv(Path("data/predictions/predictions.csv")).set_index("image_id").loc[scars]
    least = read_json(Path("models/thresholds.json"))["thresholds"]["melanoma"]["at_least"]
    least = least["sensitivity of at least 90% on val"]
    due = None if least is None else round(float((predictions["mel"].astype(float) >= least).mean()), 4)
    assert entry["alert_melanoma"] == due
    left_out = read_csv(tmp_path / "out/left_out.csv")
    assert set(left_out["kind"]) == {"unknown class"}
    assert "| sc\\|ar | not known |  | 3 | 0 |" in (tmp_path / "out/validation.md").read_text(encoding="utf-8")


def test_what_a_class_was_made_of_is_known_from_the_training_data(judge: Judge, tmp_path: Path) -> None:
    """As where clean.classes joined diagnoses into coarser classes."""
    table, contents = images_of("test")
    folder = put(tmp_path / "theirs", table.assign(dx=table["dx"].replace("nv", "Blue nevus")), contents)
    shutil.copytree("data", tmp_path / "data")
    classes = read_csv(Path("data/clean/classes.csv"))
    classes["of"] = classes["of"].replace("nv", "nv; blue nevus")
    classes.to_csv(tmp_path / "data/clean/classes.csv", index=False)
    found = judge(folder, data=tmp_path / "data")
    assert_equal_to_evaluate(found)
    rows = {row["theirs"]: (row["ours"], row["by"]) for row in found["mapping"]}
    assert (rows["Blue nevus"], rows["mel"]) == (("nv", "the training data"), ("mel", "its name"))
    # Of data that are not this model's nothing is taken.
    write_json(tmp_path / "data/predictions/model.json", {"sha256": {}})
    found = judge(folder, data=tmp_path / "data")
    assert [entry["diagnosis"] for entry in found["unknown_classes"]] == ["blue nevus"]


def test_unreadable_images_are_listed_and_the_rest_is_judged(judge: Judge, tmp_path: Path) -> None:
    table, contents = images_of("test")
    first, second = table["image_id"].iloc[:2]
    contents[first] = contents[first][: len(contents[first]) // 2]
    del contents[second]
    found = judge(put(tmp_path / "theirs", table, contents))
    left_out = read_csv(tmp_path / "out/left_out.csv").set_index("image_id")
    assert set(left_out.index) == {first, second}
    assert left_out.loc[second, "reason"] == "listed, but not in any archive"
    assert left_out.loc[first, "reason"]
    assert found["collection"]["images"] == len(table) - 2
    assert found["left_out"]["unusable"]["images"] == 2


def test_where_the_training_images_are_not_here_the_report_says_so(judge: Judge, tmp_path: Path) -> None:
    table, contents = images_of("test")
    folder = put(tmp_path / "theirs", table, contents)
    found = judge(folder, data=tmp_path / "nothing")
    assert "is not here: which images the model has seen is not known" in found["warnings"][0]
    assert found["baselines_are_of"].startswith("this collection")
    told = (tmp_path / "out/validation.md").read_text(encoding="utf-8")
    assert "**Images that the model has seen could not be looked for**" in told

    # Tables alone: by bytes, lesions and patients, not by looks. And of which model, nobody says.
    for name in ("clean/images.csv", "split/split.csv"):
        (tmp_path / "tables" / name).parent.mkdir(parents=True)
        shutil.copyfile(Path("data", name), tmp_path / "tables" / name)
    more, seen = images_of("train")
    rows = more.iloc[:1].assign(image_id="same", lesion_id="")
    content = seen[more["image_id"].iloc[0]]
    put(tmp_path / "mixed", pd.concat([table, rows]), contents | {"same": content})
    found = judge(tmp_path / "mixed", data=tmp_path / "tables")
    assert "model.json does not say that" in found["warnings"][0]
    assert "has no images_part_1.zip" in found["warnings"][1]
    assert (found["seen"]["left_out"], found["seen"]["of_these_looked_at"]) == (1, 0)
    assert found["baselines_are_of"].startswith("this collection")


def test_a_leaky_model_is_called_so_first(judge: Judge, tmp_path: Path) -> None:
    shutil.copytree("models", tmp_path / "models")
    decision = read_json(tmp_path / "models/thresholds.json")
    write_json(tmp_path / "models/thresholds.json", decision | {"leakage": "leaky: copies in val"})
    folder = put(tmp_path / "theirs", *images_of("test"))
    assert judge(folder, models=tmp_path / "models")["leakage"] == "leaky: copies in val"
    told = (tmp_path / "out/validation.md").read_text(encoding="utf-8").split("\n\n")
    assert told[1].startswith(
        "**Warning:** the model's thresholds and calibration are of a leaky leakage: leaky: copies"
    )
    assert set(read_csv(tmp_path / "out/predictions.csv")["leakage"]) == {"leaky: copies in val"}


def test_a_model_whose_validation_was_not_judged_gets_no_threshold(judge: Judge, tmp_path: Path) -> None:
    """As with evaluate.splits: [test]; and one whose classes do not allow to ask for melanoma."""
    shutil.copytree("models", tmp_path / "models")
    decision = read_json(tmp_path / "models/thresholds.json") | {
        "temperature": None,
        "ood_score": {"flagged_above": None},
    }
    del decision["thresholds"]["melanoma"]
    decision["thresholds"]["malignant"]["at_least"] = {}
    write_json(tmp_path / "models/thresholds.json", decision)
    table, contents = images_of("test")
    table["dx"] = table["dx"].replace("df", "scar")
    found = judge(put(tmp_path / "theirs", table, contents), models=tmp_path / "models")
    assert "do not allow the question" in found["questions"]["melanoma"]["why"]
    points = found["questions"]["malignant"]["operating_points"]
    assert all(point["threshold"] is None and point["why"] for point in points)
    assert found["questions"]["malignant"]["collection"]["auc"]["value"] is not None
    assert "after" not in found["calibration"]
    (entry,) = found["unknown_classes"]
    assert (entry["alert_malignant"], entry["unlike"], found["ood_score"]["flagged"]) == (None, None, None)
    told = (tmp_path / "out/validation.md").read_text(encoding="utf-8")
    assert "The model has no temperature" in told
    assert "no threshold above which an image is flagged" in told
    assert found["collection"]["metrics"]["macro_auc"]["why"] == "a class does not occur, or no other does"


def test_patients_and_turned_copies_are_found_and_ids_of_both_may_be_alike() -> None:
    random = np.random.default_rng(1)
    pixels = [smooth(random.integers(256, size=(8, 8, 3))) for _ in range(6)]
    prints = [fingerprint(image) for image in [*pixels[:3], pixels[3][:, ::-1], *pixels[3:]]]
    luma, colour = (np.stack([getattr(found, name) for found in prints]) for name in ("luma", "colour"))
    ours = pd.DataFrame(
        {"image_id": ["a", "b", "c", "d"], "label": "nv", "lesion_id": "", "patient_id": ["", "p", "", ""]}
    )
    theirs = pd.DataFrame(
        {"image_id": ["a", "b", "c"], "split": ["train", "val", "val"], "label": "nv", "lesion_id": ""}
    ).assign(patient_id=["", "", "p"])
    ours["sha256"], theirs["sha256"] = list("1234"), list("567")
    before = seen_by_model.Seen(theirs[seen_by_model.KEPT], luma[4:], colour[4:], [], of_this_model=True)
    copies, reason = seen_by_model.find(ours, luma[:4], colour[:4], before)
    assert copies.empty
    assert list(reason[:3]) == ["", "of a patient of val: p, as c", ""]
    assert reason[3].startswith("in another form an image of train: a, similarity ")


def smooth(coarse: np.ndarray) -> np.ndarray:
    """Return a smooth image of 64 by 64 pixels."""
    return np.asarray(Image.fromarray(coarse.astype(np.uint8)).resize((64, 64), Image.Resampling.BICUBIC))


def test_a_full_disk_loses_no_earlier_report(judge: Judge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = put(tmp_path / "theirs", *images_of("test"))
    judge(folder)
    before = [(tmp_path / "out" / name).read_bytes() for name in FILES]

    def page(_: dict[str, Any]) -> str:
        raise OSError(errno.ENOSPC, "no room", "validation.md")

    monkeypatch.setattr(reports, "page", page)
    with pytest.raises(UserError, match=r"validation.md: No space left on device. Make room on the disk"):
        judge(folder)
    assert [(tmp_path / "out" / name).read_bytes() for name in FILES] == before
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == FILES


def test_what_cannot_be_judged_ends_with_a_message_and_the_last_report_stays(
    judge: Judge, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, contents = images_of("test")
    good = put(tmp_path / "good", table, contents)
    judge(good)
    before = [(tmp_path / "out" / name).read_bytes() for name in FILES]

    (tmp_path / "empty").mkdir()
    wrong = put(tmp_path / "wrong", table.rename(columns={"dx": "diagnose"}), contents)
    strange = put(
        tmp_path / "strange",
        table.assign(dx=["scar", "burn"] * (len(table) // 2) + ["scar"] * (len(table) % 2)),
        contents,
    )
    seen = put(tmp_path / "seen", *images_of("train"))
    two_runs = shutil.copytree("models", tmp_path / "two_runs")
    (two_runs / "preprocessing.json").write_bytes((two_runs / "preprocessing.json").read_bytes() + b"\n")
    early = shutil.copytree("models", tmp_path / "early")
    decision = read_json(early / "thresholds.json")
    del decision["thresholds"]["melanoma"]["negative"]
    write_json(early / "thresholds.json", decision)
    diverged = tmp_path / "split_only"
    (diverged / "clean").mkdir(parents=True)
    (diverged / "split").mkdir()
    (diverged / "clean/images.csv").write_text("image,archive\na,b\n")
    (diverged / "split/split.csv").write_text("image_id,split\na,train\n")
    cases: list[tuple[Path, list[str], dict[str, Path], str]] = [
        (good, [], {"models": tmp_path / "none"}, "so there is no model to ask. Make one with `dvc repro`"),
        (good, [], {"models": two_runs}, "They are of two runs, or a file was changed"),
        (good, [], {"models": early}, "does not name the classes that melanoma is told from"),
        (good, [], {"data": diverged}, "cannot be read as the pipeline writes them"),
        (good, [], {"out": good / "report"}, "lies in the collection's folder"),
        (good, [], {"out": good / "table.csv" / "report"}, "lies in the collection's folder"),
        (good, [], {"out": Path("params.yaml")}, "is no folder to write a report into"),
        (tmp_path / "empty", [], {}, "holds no images"),
        (tmp_path / "missing", [], {}, "does not exist"),
        (wrong, [], {}, "table.csv has no column dx"),
        (strange, [], {}, "knows none of the diagnoses"),
        (seen, [], {}, "is left to judge:"),
        (good, ["nv"], {}, "expected THEIRS=OURS"),
        (good, ["nv=nevis"], {}, "the model has no class nevis; known: akiec, bcc"),
        (good, ["scar=nv"], {}, "has no such diagnosis"),
        (good, ["mel=nv", "MEL=bcc"], {}, "to nv and to bcc; expected one"),
    ]
    for folder, mapping, other, told in cases:
        with pytest.raises(UserError) as error:
            judge(folder, *mapping, **other)
        assert told in str(error.value), error.value
        assert [(tmp_path / "out" / name).read_bytes() for name in FILES] == before
        assert sorted(file.name for file in (tmp_path / "out").iterdir()) == FILES
    with pytest.raises(UserError, match="expected at least 100, found 5"):
        validate(Request(good, Path("models"), [], Path("data"), tmp_path / "out", 5))

    monkeypatch.setattr(sys, "argv", ["lesions", "validate", str(tmp_path / "empty"), "--out", str(tmp_path / "out")])
    with pytest.raises(SystemExit) as ended:
        main()
    assert str(ended.value.code).startswith(f"ERROR: {tmp_path / 'empty'} holds no images")


@pytest.mark.usefixtures("judge")
def test_the_command_prints_mapping_and_headline(workspace: Path, tmp_path: Path) -> None:
    table, contents = images_of("test")
    table = table.assign(dx=table["dx"].replace({"nv": "Naevus benignus", "mel": "MEL"}))
    table.loc[table[table["dx"] == "MEL"].index[0], "dx"] = "Melanoma"  # two spellings of one diagnosis
    folder = put(tmp_path / "theirs", table, contents)
    options = f"--class naevus_benignus=nv --out {tmp_path / 'out'} --resamples 100"
    (workspace / "block.sh").write_text(f"lesions validate {folder} {options}\n")
    printed = run("bash block.sh", workspace)
    (workspace / "block.sh").unlink()
    count = int((table["dx"] == "Naevus benignus").sum())
    rows = [line.split() for line in printed.splitlines()]
    assert ["Naevus", "benignus", "nv", "--class", str(count), str(count)] in rows
    assert ["Melanoma", "mel", "its", "name", "1", "1"] in rows
    due = read_json(workspace / "reports/evaluation.json")["test"]["metrics"]["accuracy"]["value"]
    assert ["accuracy", f"{due:.3f}"] in [row[:2] for row in rows]
    assert "Traceback" not in printed


def test_no_class_is_guessed() -> None:
    classes = ["mel", "nv"]
    assert collection.parse(["Nevi = NV", "a=b=mel"], classes) == {"nv": "nv", "a=b": "mel"}
    for option, told in (("=nv", "expected THEIRS=OURS"), ("a=", "expected THEIRS=OURS"), ("a=bcc", "no class bcc")):
        with pytest.raises(UserError, match=told):
            collection.parse([option], classes)


@pytest.mark.long
@pytest.mark.skipif("HAM10000_DIR" not in os.environ, reason="HAM10000_DIR is not set")
def test_a_source_of_the_real_data_gets_the_metrics_of_evaluate(
    workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One source is test, and then a collection: by a model of drawn images, since it is the metrics that count."""
    source = Path(os.environ["HAM10000_DIR"])
    shutil.copytree(workspace / "models", tmp_path / "models")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    Path("none").mkdir()
    for name in ("all", "theirs"):
        Path(name).mkdir()
        for archive in source.glob("*.zip"):
            Path(name, archive.name).symlink_to(archive.resolve())
    table = next(read_csv(file) for file in source.iterdir() if "metadata" in file.name and file.is_file())
    theirs = table["dataset"] == "vienna_dias"
    table.assign(split=np.where(theirs, "test", "train")).to_csv("all/metadata.csv", index=False)
    table[theirs].to_csv("theirs/metadata.csv", index=False)
    edit_params(
        tmp_path,
        download={"source": "folder", "folder": "all"},
        split={"method": "declared"},
        prepare={"image_size": 24},
        rebalance={"target": "none"},
        predict={"patient": True},
    )
    for stage in (download, clean, split, prepare, rebalance, predict, evaluate):
        stage.main()
    judge_all = Request(Path("theirs"), Path("models"), [], Path("data"), Path("out"), None)
    print(validate(judge_all))
    found = json.loads(Path("out/validation.json").read_text())
    assert_equal_to_evaluate(found)
    assert found["collection"]["images"] > 400
    assert found["seen"]["of_these_looked_at"] > 9_000
