"""The stage evaluate, after calibrate, on the outputs of a network that knows some classes."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lesions.core.errors import UserError
from lesions.core.json_files import read_json, write_json
from lesions.evaluation import subgroups
from lesions.evaluation.bootstrap import PROPORTIONS
from stages import calibrate, evaluate
from tests.conftest import edit_params
from tests.evaluation import outputs
from tests.evaluation.outputs import CLASSES, OUTPUTS, evaluate_again, evaluated, keep_rows, put_corrupted

PREDICTIONS = Path("data/predictions")
NO_INTERVAL = {
    "value": 0,
    "lower": None,
    "upper": None,
    "reason": "every resample gives the same: that is no interval",
}


@pytest.fixture
def predicted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """What calibrate reads, in a folder of its own; the table of predictions."""
    monkeypatch.chdir(tmp_path)
    return outputs.put_all()


def test_metrics_are_counted_by_hand(predicted: pd.DataFrame) -> None:
    report = evaluated(predicted)
    brief = read_json(Path("metrics/evaluate.json"))
    for split in ("val", "test"):
        full = {name: entry["value"] for name, entry in report[split]["metrics"].items()}
        full["melanoma_auc"] = report["tasks"]["melanoma"][split]["auc"]["value"]
        assert brief[split] == {name: round(full[name], 3) for name in brief[split]}
    point = report["tasks"]["melanoma"]["operating_points"][0]
    assert point["val"]["sensitivity"]["value"] >= 0.8
    test = predicted[predicted["split"] == "test"]
    sensitivity = (test["mel"] >= point["threshold"])[test["label"] == "mel"].mean()
    assert point["test"]["sensitivity"]["value"] == pytest.approx(sensitivity, abs=5e-5)
    lesion = test["image_id"].map(pd.read_csv("data/clean/images.csv").set_index("image_id")["lesion_id"])
    answer = test[CLASSES].groupby(lesion).mean().idxmax(axis=1)
    by_lesion = report["test"]["metrics_by_lesion"]
    assert by_lesion["lesions"] == report["test"]["groups"] == len(answer)
    accuracy = (answer == test["label"].groupby(lesion).first()).mean()
    assert by_lesion["accuracy"]["value"] == pytest.approx(accuracy, abs=5e-5)
    dermatologists = report["tasks"]["melanoma"]["operating_points"][-1]
    assert dermatologists["chosen_for"] == "dermatologists' sensitivity 86.6%"
    assert dermatologists["val"]["sensitivity"]["value"] >= 0.866


@pytest.mark.parametrize("source", ["ham10000", "synthetic"])
def test_dermatologists_stand_beside_real_images(predicted: pd.DataFrame, source: str) -> None:
    write_json(Path("data/raw/provenance.json"), {"source": source})
    evaluated(predicted)
    curves = pd.read_csv("plots/evaluation/roc_test.csv")
    theirs = curves[curves["reader"] != "model"]
    assert theirs["diagnosis"].tolist() == (["mel"] if source == "ham10000" else [])
    assert curves.loc[curves["reader"] == "model", "diagnosis"].nunique() == len(CLASSES) + 1


def test_calibrated_and_uncalibrated_probabilities(predicted: pd.DataFrame) -> None:
    """Log loss is of the uncalibrated ones; `calibration` has both."""
    report = evaluated(predicted)
    for split in ("val", "test"):
        calibration = report["calibration"][split]
        assert calibration["before"]["log_loss"] == report[split]["metrics"]["log_loss"]["value"]
        rows = pd.read_csv(PREDICTIONS / "predictions_calibrated.csv").query(f"split == '{split}'")
        likelihood = rows[CLASSES].to_numpy()[np.arange(len(rows)), rows["label"].map(CLASSES.index)]
        assert calibration["after"]["log_loss"] == pytest.approx(-np.log(likelihood).mean(), abs=6e-5)
    assert report["calibration"]["temperature"] == read_json(Path("models/calibration.json"))["temperature"]
    assert report["calibration"]["val"]["after"]["log_loss"] <= report["calibration"]["val"]["before"]["log_loss"]


@pytest.mark.parametrize("aim", ["accuracy", "balanced_accuracy", "expected_cost"])
def test_diagnosis_by_another_aim(predicted: pd.DataFrame, aim: str) -> None:
    """The least expected cost, counted by hand, in the confusion matrix and all that is made of it."""
    as_trained = evaluated(predicted)
    edit_params(Path(), calibrate={"optimise": aim, "costs": {"mel": {"nv": 50}} if aim == "expected_cost" else {}})
    report = evaluated(predicted)
    table = pd.read_csv(PREDICTIONS / "predictions_calibrated.csv")
    fractions = table.loc[table["split"] == "val", "label"].value_counts().reindex(CLASSES)
    costs = pd.DataFrame(1 - np.eye(len(CLASSES)), CLASSES, CLASSES)
    if aim == "balanced_accuracy":
        costs = costs.div(fractions / fractions.sum(), axis=0)
    elif aim == "expected_cost":
        costs.loc["mel", "nv"] = 50
    diagnosis = (table[CLASSES] @ costs).idxmin(axis=1)
    for split in ("val", "test"):
        rows = table["split"] == split
        correct = (diagnosis == table["label"])[rows]
        assert report[split]["metrics"]["accuracy"]["value"] == pytest.approx(correct.mean(), abs=5e-5)
        balanced = correct.groupby(table["label"][rows]).mean().mean()
        assert report[split]["metrics"]["balanced_accuracy"]["value"] == pytest.approx(balanced, abs=5e-5)
        confusion = pd.read_csv(f"plots/evaluation/confusion_{split}.csv")
        assert confusion["predicted"].value_counts().to_dict() == diagnosis[rows].value_counts().to_dict()
        # Probabilities, and what is made of them, stay as they were.
        assert report[split]["metrics"]["log_loss"] == as_trained[split]["metrics"]["log_loss"]
    assert report["calibration"] == as_trained["calibration"]
    assert report["tasks"] == as_trained["tasks"]
    assert report["decision_rule"]["optimise"] == aim


def test_subgroups_robustness_and_ood(predicted: pd.DataFrame) -> None:
    report = evaluated(predicted)
    groups = {entry["subgroup"]: entry for entry in report["subgroups_of_test"]["sex"]}
    assert groups["not stated"]["suppressed"] == "fewer than 20 groups"
    assert groups["female"]["melanoma_auc"]["lower"] is not None
    robust = report["robustness_of_test"]
    assert robust["uncorrupted"]["balanced_accuracy"] == report["test"]["metrics"]["balanced_accuracy"]["value"]
    first, _, last = robust["corruptions"]
    assert first["balanced_accuracy_drop"] == NO_INTERVAL
    assert last["macro_auc"] == 0.5
    assert last["balanced_accuracy_drop"]["lower"] > 0
    ood = report["ood"]
    assert (ood["generated"]["flagged"], ood["shipped"]["flagged"]) == (1, 0)
    assert ood["val"]["flagged"] <= 0.01
    assert pd.read_csv("plots/evaluation/robustness_test.csv").query("severity == 0")["metric"].nunique() == 4


@pytest.mark.parametrize("split", ["val", "test"])
def test_other_split_is_not_read(predicted: pd.DataFrame, split: str) -> None:
    edit_params(Path(), evaluate={"splits": [split], "n_bootstrap": 100})
    evaluated(predicted)

    def results() -> list[bytes]:
        evaluate.main()
        written = [*Path("metrics").iterdir(), *Path("plots/evaluation").iterdir()]
        return [path.read_bytes() for path in sorted(written)]

    before = results()
    for name in ("predictions", "predictions_calibrated"):
        table = pd.read_csv(PREDICTIONS / f"{name}.csv")
        table.loc[table["split"] != split, CLASSES] = [0.2, 0.2, 0.6]
        table.to_csv(PREDICTIONS / f"{name}.csv", index=False)
    scores = pd.read_csv(PREDICTIONS / "ood_scores.csv")
    scores.loc[scores["split"] == ("test" if split == "val" else "val"), "ood_score"] = 9
    scores.to_csv(PREDICTIONS / "ood_scores.csv", index=False)
    if split == "val":
        (PREDICTIONS / "predictions_corrupted.csv").write_text("")
    assert results() == before


def test_no_melanoma_on_validation(predicted: pd.DataFrame) -> None:
    report = evaluated(keep_rows(predicted, (predicted["split"] == "test") | (predicted["label"] != "mel")))
    melanoma = report["tasks"]["melanoma"]
    assert melanoma["val"]["auc"]["reason"] == "needs images of this class and of others"
    assert len(melanoma["operating_points"]) == 7
    assert all(point["threshold"] is None for point in melanoma["operating_points"])
    assert all(point["reason"] == "no threshold reaches it" for point in melanoma["operating_points"])
    assert report["val"]["metrics"]["macro_auc"]["value"] is None
    assert melanoma["test"]["auc"]["value"] > 0.5


def test_one_lesion_has_no_interval(predicted: pd.DataFrame) -> None:
    images = pd.read_csv("data/clean/images.csv").set_index("image_id")
    lesion = predicted["image_id"].map(images["group_id"])
    counts = lesion[predicted["split"] == "test"].value_counts()
    report = evaluated(keep_rows(predicted, (predicted["split"] == "val") | (lesion == counts.index[0])))
    assert (report["test"]["images"], report["test"]["groups"]) == (2, 1)
    for name, found in report["test"]["metrics"].items():
        if found["value"] in (0, 1) and name in (*PROPORTIONS, "balanced_accuracy"):  # exact bounds, of one case
            assert found["upper"] - found["lower"] == 0.975
            continue
        assert (found["lower"], found["upper"]) == (None, None), name
        if found["value"] is not None:
            assert found["reason"] == "one group alone: nothing to resample"
        else:
            assert found["reason"] != "undefined"
    assert all("suppressed" in group for groups in report["subgroups_of_test"].values() for group in groups)


@pytest.mark.usefixtures("predicted")
def test_group_of_few_melanomas() -> None:
    """It has no metric of its melanomas."""
    images = pd.read_csv("data/clean/images.csv", dtype=str, keep_default_na=False)
    few = set(images.loc[images["label"] == "mel", "lesion_id"].drop_duplicates().tail(5))
    images["source"] = np.where((images["label"] == "mel") & ~images["lesion_id"].isin(few), "many", "few")
    images.to_csv("data/clean/images.csv", index=False)
    calibrate.main()
    groups = {entry["subgroup"]: entry for entry in evaluate_again()["subgroups_of_test"]["source"]}
    assert groups["few"]["groups"] > 100
    assert groups["few"]["melanoma_groups"] == 5
    assert groups["few"]["melanoma_auc"] == groups["few"]["melanoma_sensitivity"] == subgroups.TOO_FEW_MELANOMAS
    assert groups["few"]["melanoma_specificity"]["lower"] > 0
    assert groups["many"]["melanoma_sensitivity"]["value"] is not None


def test_other_classes_or_images_are_refused(predicted: pd.DataFrame) -> None:
    for table, words in (
        (predicted.rename(columns={"bcc": "akiec"}), "is of the classes mel, akiec, nv, and data/clean/classes.csv"),
        (predicted.drop(columns="bcc"), "is of the classes mel, nv, and data/clean/classes.csv names mel, bcc, nv"),
        (predicted.iloc[1:], f"leaves out {predicted['image_id'][0]}, which data/split/split.csv names (1 of them)"),
        (pd.concat([predicted, predicted.iloc[:1]]), f"has {predicted['image_id'][0]} twice (1 such rows)"),
        (predicted.drop(columns="leakage"), "has no column leakage"),
    ):
        with pytest.raises(UserError) as error:
            evaluated(table)
        assert words in str(error.value)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"mel": "nan"}, "row 1 (p"),
        ({"mel": "0.9", "nv": "0.9"}, "expected probabilities that sum to one"),
        ({"nv": "-0.5", "mel": "1.5", "bcc": "0"}, "expected probabilities that sum to one"),
        ({"label": "df"}, "data/clean/classes.csv names mel, bcc, nv"),
        ({"split": "train"}, "is of another split: it has p"),
    ],
)
def test_impossible_predictions_are_refused(predicted: pd.DataFrame, change: dict[str, str], words: str) -> None:
    evaluated(predicted)
    table = predicted.astype(str)
    for column, value in change.items():
        table.loc[0, column] = value
    for folder, stage in ((OUTPUTS, calibrate), (PREDICTIONS, evaluate)):
        table.to_csv(folder / "predictions.csv", index=False)
        with pytest.raises(UserError) as error:
            stage.main()
        assert words in str(error.value)


def test_no_image_to_evaluate(predicted: pd.DataFrame) -> None:
    evaluated(predicted)
    for name in ("predictions", "predictions_calibrated"):
        predicted.iloc[:0].to_csv(PREDICTIONS / f"{name}.csv", index=False)
    with pytest.raises(UserError, match="has no image of val or test"):
        evaluate.main()


def test_incomplete_corrupted_images_are_refused(predicted: pd.DataFrame) -> None:
    put_corrupted(predicted.iloc[:-1])  # a sample
    corrupted = pd.read_csv(OUTPUTS / "corrupted.csv", dtype=str)
    corrupted.drop(0).to_csv(OUTPUTS / "corrupted.csv", index=False)
    calibrate.main()
    with pytest.raises(UserError, match="has other images under blur, severity 1"):
        evaluate.main()


def test_missing_column_is_named(predicted: pd.DataFrame) -> None:
    evaluated(predicted)
    images = pd.read_csv("data/clean/images.csv", dtype=str, keep_default_na=False)
    images.drop(columns="skin_tone").to_csv("data/clean/images.csv", index=False)
    with pytest.raises(UserError, match=r"images\.csv has no column skin_tone.*dvc repro clean --force"):
        evaluate.main()


def test_no_corrupted_image(predicted: pd.DataFrame) -> None:
    put_corrupted(predicted.iloc[:0])
    assert "has no images" in evaluated(predicted)["robustness_of_test"]["reason"]


def test_ood_score_that_is_no_number(predicted: pd.DataFrame) -> None:
    evaluated(predicted)
    scores = pd.read_csv(PREDICTIONS / "ood_scores.csv")
    scores.assign(ood_score="nan").to_csv(PREDICTIONS / "ood_scores.csv", index=False)
    with pytest.raises(UserError, match=r"row 1 .* expected a number, found 'nan'"):
        evaluate.main()
