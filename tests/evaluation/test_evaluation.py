"""Intervals, clinical questions, calibration and subgroups, each against a count of its own or a known truth."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from lesions.core.errors import UserError
from lesions.core.json_files import write_json
from lesions.evaluation import calibration, decision_curve, ood, operating_points, robustness, selective, subgroups
from lesions.evaluation.bootstrap import Bootstrap, alone
from lesions.evaluation.common.predictions import SplitPredictions
from lesions.evaluation.metrics import Metrics
from stages import evaluate
from tests.conftest import ROOT

CLASSES = ["mel", "bcc", "nv"]
MODEL = {"sha256": {"model.keras": "aa"}, "dihedral": False, "patient": False}


def covered(seed: int, truth: float) -> tuple[bool, bool]:
    """Draw lesions of 1 to 6 images that a model gets mostly all right or all wrong; does the interval hold it?

    Returns:
        By lesion, and by image.
    """
    random = np.random.default_rng(seed)
    lesions = np.repeat(np.arange(300), random.integers(1, 7, 300))
    # A beta distribution of each lesion's own chance, with the mean `truth` and much weight near 0 and 1.
    hit = random.random(len(lesions)) < random.beta(0.4 * truth, 0.4 * (1 - truth), 300)[lesions]

    def accuracy(weights: np.ndarray) -> Metrics:
        return {"accuracy": weights @ hit / weights.sum(axis=1)}

    held = []
    for groups in (lesions, np.arange(len(lesions))):
        found: dict[str, Any] = alone(Bootstrap(200, seed).estimates(accuracy, groups))["accuracy"]
        held.append(found["lower"] <= truth <= found["upper"])
    return held[0], held[1]


def test_intervals_hold_the_truth_as_often_as_they_say() -> None:
    held = np.array([covered(seed, 0.7) for seed in range(250)])
    by_lesion, by_image = held.mean(axis=0)
    assert 0.92 <= by_lesion <= 0.98
    assert by_image < 0.8


def test_intervals_are_a_function_of_the_seed_and_not_of_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    groups = np.array([0, 0, 1, 2, 2, 2])
    once = np.concatenate(list(Bootstrap(120, 7).weights(groups)))
    monkeypatch.setattr("lesions.evaluation.bootstrap.CELLS", 42)  # seven resamples at once
    blocks = list(Bootstrap(120, 7).weights(groups))
    assert len(blocks) > 1
    assert (np.concatenate(blocks) == once).all()
    assert (once[:, [0, 2, 3]].sum(axis=1) == 3).all()  # three groups are drawn, whole
    assert (once[:, 0] == once[:, 1]).all()
    assert (np.concatenate(list(Bootstrap(120, 8).weights(groups))) != once).any()


def test_undefined_resamples_are_left_out_and_counted() -> None:
    def share(weights: np.ndarray) -> Metrics:
        return {"share": np.where(weights[:, 0] > 0, weights[:, 0], np.nan)}

    found: dict[str, Any] = alone(Bootstrap(400, 1).estimates(share, np.arange(3)))["share"]
    assert found["undefined_resamples"] / 400 == pytest.approx((2 / 3) ** 3, abs=0.06)
    assert (found["lower"], found["upper"]) == (1, 3)


def test_no_interval_is_better_than_one_without_width() -> None:
    """Of [1, 1] a reader would think that all is certain."""
    found = alone(Bootstrap(100, 1).estimates(lambda weights: {"accuracy": np.ones(len(weights))}, np.arange(5)))
    assert found["accuracy"]["lower"] is None
    assert "every resample gives the same" in str(found["accuracy"]["why"])


@given(st.integers(0, 2**32 - 1))
def test_thresholds_reach_their_target_and_give_away_least(seed: int) -> None:
    random = np.random.default_rng(seed)
    positive = np.append([True, False], random.random(random.integers(0, 50)) < 0.3)
    score = np.round(random.random(len(positive)) + positive, 1)
    for point in operating_points.operating_points(positive, score):
        rates = {
            threshold: ((score >= threshold)[positive].mean(), (score < threshold)[~positive].mean())
            for threshold in np.unique(score)
        }
        mine, other = (0, 1) if point.metric == "sensitivity" else (1, 0)
        reached = {threshold: rate for threshold, rate in rates.items() if rate[mine] >= point.target - 1e-9}
        if point.threshold is None:
            assert not reached
        else:
            assert reached[point.threshold][other] == max(rate[other] for rate in reached.values())


def test_an_operating_point_is_read_as_a_clinic_would() -> None:
    """Ten melanomas of which nine are found, 90 others of which 18 are called melanoma."""
    positive = np.arange(100) < 10
    score = np.where(np.isin(np.arange(100), [*range(9), *range(10, 28)]), 0.9, 0.1)
    found = {
        name: value[0, 0] for name, value in operating_points.at([0.5], positive, score, np.ones((1, 100))).items()
    }
    assert found["sensitivity"] == pytest.approx(0.9)
    assert found["specificity"] == pytest.approx(0.8)
    assert found["number_needed_to_biopsy"] == pytest.approx(3)
    assert found["ppv_at_10%"] == pytest.approx(found["ppv"])
    assert found["npv_at_10%"] == pytest.approx(found["npv"])
    assert found["ppv_at_1%"] == pytest.approx(0.009 / (0.009 + 0.198))


def test_questions_are_those_that_the_classes_allow() -> None:
    table = pd.DataFrame(
        [("mel", "malignant", "mel"), ("other", "unstated", "bcc; scc"), ("nv", "benign", "nv")],
        columns=["label", "nature", "of"],
    )
    asked = operating_points.questions(table)
    assert asked["melanoma"] == operating_points.Question(["mel"], ["other", "nv"], operating_points.READERS)
    assert asked["malignant"] == operating_points.Question(["mel"], ["nv"])
    coarse = pd.DataFrame(
        [("malignant", "malignant", "mel; bcc"), ("rest", "unstated", "nv")], columns=["label", "nature", "of"]
    )
    assert all(isinstance(why, str) for why in operating_points.questions(coarse).values())


def test_the_temperature_is_found_again_and_mends_the_calibration() -> None:
    random = np.random.default_rng(1)
    right = random.dirichlet([0.6, 0.6, 0.6], 20_000)
    label = (random.random((len(right), 1)) > right.cumsum(axis=1)).sum(axis=1)
    too_sure = calibration.apply_temperature(right, 1 / 2.5)
    assert (too_sure.argmax(axis=1) == right.argmax(axis=1)).all()
    found = calibration.temperature(label, too_sure)
    assert found == pytest.approx(2.5, rel=0.03)
    assert calibration.apply_temperature(too_sure, 2.5) == pytest.approx(right, abs=1e-6)
    assert calibration.ece(label, too_sure) > 0.1
    assert calibration.ece(label, calibration.apply_temperature(too_sure, found)) < 0.015
    table = pd.DataFrame(calibration.reliability(label, right))
    assert len(table) == calibration.BINS
    assert table["images"].max() - table["images"].min() <= 1
    assert (table["confidence"] - table["accuracy"]).abs().max() < 0.04
    # The most sure answers, all right, have no temperature; the search ends at its edge, and nothing overflows.
    certain = np.eye(3)[[0, 1, 2]]
    assert calibration.temperature(np.array([0, 1, 2]), certain) > 0
    assert np.isfinite(calibration.apply_temperature(certain, 0.05)).all()


def test_ages_fall_into_their_bands_and_no_made_up_age_does() -> None:
    images = pd.DataFrame({"age": ["0", "29.9", "30", "49", "50", "69", "70", "85", "", "51"], "age_status": "given"})
    images.loc[9, "age_status"] = "filled"
    images = images.assign(sex="", site="back", source="a", dx_type="histo")
    found = subgroups.columns(images)
    bands = ["under 30"] * 2 + ["30 to 49"] * 2 + ["50 to 69"] * 2 + ["70 and over"] * 2 + ["not stated"] * 2
    assert list(found["age"]) == bands
    assert [name for name, _ in subgroups.members(found["age"])] == [*subgroups.BANDS, "not stated"]
    assert set(found["sex"]) == {"not stated"}


def put_corrupted(table: pd.DataFrame) -> None:
    """Write corrupted.csv: test's answers, the more alike the stronger the corruption."""
    test = table[table["split"] == "test"]
    tables = []
    for strength in (1, 2, 3):
        worse = test.assign(corruption="blur", strength=strength)
        worse[CLASSES] = test[CLASSES] * (1 - strength / 3) + strength / 9
        tables.append(worse)
    pd.concat(tables).to_csv("data/predictions/corrupted.csv", index=False)


@pytest.fixture
def predicted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """What evaluate reads, in a folder of its own: 400 lesions, some of two images, and a model that knows some."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(1)
    lesion = np.repeat(np.arange(400), random.integers(1, 3, 400))
    label = random.choice(CLASSES, 400, p=[0.3, 0.1, 0.6])[lesion]
    images = pd.DataFrame({"image_id": [f"p{n:03}" for n in range(len(lesion))], "label": label})
    images["group_id"] = images["lesion_id"] = [f"g{n}" for n in lesion]
    images["sex"] = np.where(lesion % 40 == 0, "", np.where(lesion % 2, "female", "male"))
    images = images.assign(age="50", age_status="given", site="back", source="a", dx_type="histo")
    for folder in ("clean", "split", "predictions"):
        (tmp_path / "data" / folder).mkdir(parents=True)
    images.to_csv("data/clean/images.csv", index=False)
    pd.DataFrame(
        {"label": CLASSES, "nature": ["malignant", "malignant", "benign"], "of": CLASSES, "name": CLASSES}
    ).to_csv("data/clean/classes.csv", index=False)
    images["split"] = np.where(lesion < 100, "train", np.where(lesion < 200, "val", "test"))
    images["leakage"] = "none"
    images[["image_id", "split", "leakage"]].to_csv("data/split/split.csv", index=False)
    logits = random.normal(size=(len(lesion), 3)) + 1.5 * np.eye(3)[images["label"].map(CLASSES.index)]
    table = images[["image_id", "split", "label", "leakage"]].copy()
    table[CLASSES] = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    table = table[table["split"] != "train"].reset_index(drop=True)
    table.to_csv("data/predictions/predictions.csv", index=False, float_format="%.7g")
    put_corrupted(table)
    others = pd.DataFrame({"image_id": ["a", "b"], "split": ["generated", "shipped"], "label": ["noise", "flower"]})
    unlike = pd.concat([table[["image_id", "split", "label"]], others]).assign(leakage="none")
    unlike["ood_score"] = [*random.random(len(table)), 5, 0.5]
    unlike.to_csv("data/predictions/ood_scores.csv", index=False)
    write_json(Path("data/predictions/model.json"), MODEL)
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    return table


def test_thresholds_and_temperature_are_those_of_val_alone(predicted: pd.DataFrame) -> None:
    evaluate.main()
    before = Path("models/thresholds.json").read_bytes()
    report = json.loads(Path("reports/evaluation.json").read_text())
    brief = json.loads(Path("metrics/evaluate.json").read_text())
    for split in ("val", "test"):
        full = {name: entry["value"] for name, entry in report[split]["metrics"].items()}
        full["melanoma_auc"] = report["questions"]["melanoma"][split]["auc"]["value"]
        assert brief[split] == {name: round(full[name], 3) for name in brief[split]}
    point = report["questions"]["melanoma"]["operating_points"][0]
    assert point["val"]["sensitivity"]["value"] >= 0.8
    test = predicted[predicted["split"] == "test"]
    called = test["mel"] >= point["threshold"]
    assert point["test"]["sensitivity"]["value"] == pytest.approx(called[test["label"] == "mel"].mean(), abs=5e-5)
    lesion = test["image_id"].map(pd.read_csv("data/clean/images.csv").set_index("image_id")["lesion_id"])
    answer = test[CLASSES].groupby(lesion).mean().idxmax(axis=1)
    by_lesion = report["test"]["metrics_by_lesion"]
    assert by_lesion["lesions"] == report["test"]["groups"] == len(answer)
    hits = (answer == test["label"].groupby(lesion).first()).mean()
    assert by_lesion["accuracy"]["value"] == pytest.approx(hits, abs=5e-5)
    groups = {entry["group"]: entry for entry in report["subgroups_of_test"]["sex"]}
    assert groups["not stated"]["suppressed"] == "fewer than 20 lesions"
    assert groups["female"]["melanoma_auc"]["lower"] is not None

    robust = report["robustness_of_test"]
    assert robust["uncorrupted"]["balanced_accuracy"] == report["test"]["metrics"]["balanced_accuracy"]["value"]
    first, _, last = robust["corruptions"]
    assert first["balanced_accuracy_lost"] == {
        "value": 0,
        "lower": None,
        "upper": None,
        "why": "every resample gives the same, as where no answer is wrong: that is no interval",
    }
    assert last["macro_auc"] == 0.5
    assert last["balanced_accuracy_lost"]["lower"] > 0
    unlike = report["ood"]
    assert (unlike["generated"]["flagged"], unlike["shipped"]["flagged"], unlike["val"]["flagged"]) == (1, 0, 0.0065)
    readers = report["questions"]["melanoma"]["operating_points"][-1]
    assert readers["chosen_for"] == "readers' sensitivity 86.6% on val"
    assert readers["val"]["sensitivity"]["value"] >= 0.866
    assert pd.read_csv("plots/robustness_test.csv").query("strength == 0")["metric"].nunique() == 4

    # Other answers on test, and what was chosen is the same to the bit.
    predicted.loc[predicted["split"] == "test", CLASSES] = [0.2, 0.2, 0.6]
    predicted.to_csv("data/predictions/predictions.csv", index=False, float_format="%.7g")
    evaluate.main()
    assert Path("models/thresholds.json").read_bytes() == before
    report = json.loads(Path("reports/evaluation.json").read_text())
    assert report["test"]["metrics"]["macro_auc"]["value"] == 0.5


@pytest.mark.parametrize("split", ["val", "test"])
def test_the_other_split_stays_unread(predicted: pd.DataFrame, split: str) -> None:
    params = YAML(typ="safe").load(Path("params.yaml").read_text())
    YAML().dump(params | {"evaluate": {"splits": [split], "resamples": 100, "seed": 1}}, Path("params.yaml"))
    made = []
    for _ in range(2):
        evaluate.main()
        made.append([path.read_bytes() for folder in ("metrics", "models", "plots") for path in Path(folder).iterdir()])
        predicted.loc[predicted["split"] != split, CLASSES] = [0.2, 0.2, 0.6]
        if split == "val":
            put_corrupted(predicted)
        unlike = pd.read_csv("data/predictions/ood_scores.csv")
        unlike.loc[unlike["split"] == ("test" if split == "val" else "val"), "ood_score"] = 9
        unlike.to_csv("data/predictions/ood_scores.csv", index=False)
        predicted.to_csv("data/predictions/predictions.csv", index=False, float_format="%.7g")
    assert made[0] == made[1]
    found = json.loads(Path("models/thresholds.json").read_text())
    assert found["model"] == MODEL
    assert (found["temperature"] is None) == (split == "test")
    assert any(found["thresholds"]["melanoma"]["at_least"].values()) == (split == "val")


def judged(table: pd.DataFrame) -> dict[str, Any]:
    table.to_csv("data/predictions/predictions.csv", index=False, float_format="%.7g")
    evaluate.main()
    report: dict[str, Any] = json.loads(Path("reports/evaluation.json").read_text())
    return report


def keep(table: pd.DataFrame, rows: "pd.Series[bool]") -> pd.DataFrame:
    """Leave other images out of all that evaluate reads."""
    for name in ("clean/images", "split/split", "predictions/corrupted"):
        file = Path("data", f"{name}.csv")
        known = pd.read_csv(file, dtype=str, keep_default_na=False)
        known[~known["image_id"].isin(table["image_id"][~rows])].to_csv(file, index=False)
    return table[rows]


def test_without_melanoma_on_val_no_threshold_is_made_up(predicted: pd.DataFrame) -> None:
    report = judged(keep(predicted, (predicted["split"] == "test") | (predicted["label"] != "mel")))
    melanoma = report["questions"]["melanoma"]
    assert melanoma["val"]["auc"]["why"] == "needs images of this class and of others"
    assert len(melanoma["operating_points"]) == 7
    assert all(point["threshold"] is None for point in melanoma["operating_points"])
    assert all(point["why"] == "no threshold reaches it on val" for point in melanoma["operating_points"])
    assert not any(
        json.loads(Path("models/thresholds.json").read_text())["thresholds"]["melanoma"]["at_least"].values()
    )
    assert report["val"]["metrics"]["macro_auc"]["value"] is None
    assert melanoma["test"]["auc"]["value"] > 0.5


def test_a_test_set_of_one_lesion_has_no_interval(predicted: pd.DataFrame) -> None:
    images = pd.read_csv("data/clean/images.csv").set_index("image_id")
    lesion = predicted["image_id"].map(images["group_id"])
    counts = lesion[predicted["split"] == "test"].value_counts()
    report = judged(keep(predicted, (predicted["split"] == "val") | (lesion == counts.index[0])))
    assert (report["test"]["images"], report["test"]["groups"]) == (2, 1)
    for name, found in report["test"]["metrics"].items():
        assert (found["lower"], found["upper"]) == (None, None), name
        if found["value"] is not None:
            assert found["why"] == "one lesion alone: nothing to draw from"
        else:
            assert found["why"] != "undefined"
    assert all("suppressed" in group for groups in report["subgroups_of_test"].values() for group in groups)


def test_predictions_of_other_classes_or_of_a_part_of_a_split_end_with_a_message(predicted: pd.DataFrame) -> None:
    for table, words in (
        (predicted.rename(columns={"bcc": "akiec"}), "is of the classes mel, akiec, nv, and data/clean/classes.csv"),
        (predicted.drop(columns="bcc"), "is of the classes mel, nv, and data/clean/classes.csv names mel, bcc, nv"),
        (predicted.iloc[1:], f"leaves out {predicted['image_id'][0]}, which data/split/split.csv names (1 of them)"),
        (pd.concat([predicted, predicted.iloc[:1]]), f"has {predicted['image_id'][0]} twice (1 such rows)"),
    ):
        with pytest.raises(UserError) as error:
            judged(table)
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
def test_predictions_that_cannot_be_judged_end_with_a_message(
    predicted: pd.DataFrame, change: dict[str, str], words: str
) -> None:
    table = predicted.astype(str)
    for column, value in change.items():
        table.loc[0, column] = value
    table.to_csv("data/predictions/predictions.csv", index=False)
    with pytest.raises(UserError) as error:
        evaluate.main()
    assert words in str(error.value)
    predicted[predicted["image_id"] == "none"].to_csv("data/predictions/predictions.csv", index=False)
    with pytest.raises(UserError, match="has no image of val or test"):
        evaluate.main()
    predicted.drop(columns="leakage").to_csv("data/predictions/predictions.csv", index=False)
    with pytest.raises(UserError, match="has no column leakage"):
        evaluate.main()


@pytest.mark.usefixtures("predicted")
def test_a_group_of_few_melanomas_has_no_metric_that_hangs_on_them() -> None:
    images = pd.read_csv("data/clean/images.csv", dtype=str, keep_default_na=False)
    few = set(images.loc[images["label"] == "mel", "lesion_id"].drop_duplicates().tail(5))
    images["source"] = np.where((images["label"] == "mel") & ~images["lesion_id"].isin(few), "many", "few")
    images.to_csv("data/clean/images.csv", index=False)
    evaluate.main()
    report = json.loads(Path("reports/evaluation.json").read_text())
    groups = {entry["group"]: entry for entry in report["subgroups_of_test"]["source"]}
    assert groups["few"]["lesions"] > 100
    assert groups["few"]["melanomas"] == 5
    assert groups["few"]["melanoma_auc"] == groups["few"]["melanoma_sensitivity"] == subgroups.TOO_FEW_MELANOMAS
    assert groups["few"]["melanoma_specificity"]["lower"] > 0
    assert groups["many"]["melanoma_sensitivity"]["value"] is not None


def test_corrupted_images_and_scores_that_cannot_be_judged_end_with_a_message(predicted: pd.DataFrame) -> None:
    put_corrupted(predicted.iloc[:-1])
    with pytest.raises(UserError, match=r"corrupted\.csv leaves out p604"):
        evaluate.main()
    put_corrupted(predicted)
    corrupted = pd.read_csv("data/predictions/corrupted.csv")
    corrupted.drop(0).to_csv("data/predictions/corrupted.csv", index=False)
    with pytest.raises(UserError, match="has other images under blur, strength 1"):
        evaluate.main()
    put_corrupted(predicted.iloc[:0])
    evaluate.main()
    report = json.loads(Path("reports/evaluation.json").read_text())
    assert "has no images" in report["robustness_of_test"]["why"]
    unlike = pd.read_csv("data/predictions/ood_scores.csv")
    unlike.assign(ood_score="nan").to_csv("data/predictions/ood_scores.csv", index=False)
    with pytest.raises(UserError, match=r"row 1 .* expected a number, found 'nan'"):
        evaluate.main()


@given(st.integers(0, 2**32 - 1))
def test_abstention_is_the_mean_over_all_orders_of_equals(seed: int) -> None:
    """Beside a count over many drawn orders of equally certain images, with many of them."""
    random = np.random.default_rng(seed)
    label = random.integers(2, size=8)
    first = random.choice([0.3, 0.6, 0.8], 8)
    probability = np.stack([first, 1 - first], axis=1)
    certainty, hit = probability.max(axis=1), probability.argmax(axis=1) == label
    risks = []
    for _ in range(400):
        order = np.lexsort((random.random(8), -certainty))
        risks.append(np.cumsum(~hit[order]) / np.arange(1, 9))
    mean = np.mean(risks, axis=0)
    assert selective.aurc(label, probability) == pytest.approx(mean.mean(), abs=0.07)
    coverages = tuple((np.arange(1, 9) / 8).tolist())
    found = selective.metrics_at(coverages, label, probability, np.ones((1, 8)))["accuracy"][0]
    assert 1 - found == pytest.approx(mean, abs=0.12)
    assert selective.aurc(label, probability) == pytest.approx((1 - found).mean())
    assert [selective.answered_weight(certainty, coverage).sum() for coverage in coverages] == pytest.approx(
        range(1, 9)
    )


def test_leaving_out_the_least_certain_counts_as_by_hand() -> None:
    label = np.array([0, 0, 1, 1])
    probability = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]])  # the second, least certain, is wrong
    split = SplitPredictions(pd.DataFrame(index=range(4)), ["a", "b"], label, probability, np.arange(4))
    found = selective.judge(split, Bootstrap(100, 1))
    at = {row["coverage"]: row for row in found["coverages"]}
    assert (at[1.0]["accuracy"]["value"], at[1.0]["balanced_accuracy"]["value"]) == (0.75, 0.75)
    assert (at[0.7]["accuracy"]["value"], at[0.7]["images"], at[0.7]["certain_from"]) == (1, 3, 0.7)
    assert found["risk_coverage_area"] == found["risk_coverage_area_at_best"] == 0.0625
    one = SplitPredictions(pd.DataFrame(index=[0]), ["a", "b"], label[:1], probability[:1], np.zeros(1, np.int64))
    assert selective.judge(one, Bootstrap(100, 1))["coverages"][-1]["accuracy"]["value"] == 1


def test_net_benefit_is_that_of_a_count_by_hand() -> None:
    """Of 100 images 10 melanomas; at 20 % the model finds 8 and calls 20 others: 0.08 - 0.2 * 0.25."""
    positive = np.arange(100) < 10
    probability = np.where(np.isin(np.arange(100), [*range(8), *range(10, 30)]), 0.2, 0.1)
    found = decision_curve.net_benefit((0.2, 0.05), positive, probability, np.ones((1, 100)))
    assert found["model"][0] == pytest.approx([0.08 - 0.2 * 0.25, 0.1 - 0.9 / 19])
    assert found["treat_all"][0] == pytest.approx([0.1 - 0.9 * 0.25, 0.1 - 0.9 / 19])
    assert found["gain"][0] == pytest.approx([0.03, 0])
    alike = SplitPredictions(
        pd.DataFrame({"label": ["mel"]}), ["mel", "nv"], np.zeros(1, np.int64), np.eye(2)[:1], np.zeros(1, int)
    )
    questions: dict[str, operating_points.Question | str] = {
        "melanoma": operating_points.Question(["mel"], ["nv"]),
        "malignant": "no",
    }
    report = decision_curve.judge(questions, alike, 1.0, Bootstrap(100, 1))
    assert report == {"melanoma": {"why": "needs positive images and others"}, "malignant": {"why": "no"}}
    assert decision_curve.curves(questions, alike, 1.0).empty
    assert "left out" in decision_curve.judge(questions, alike, None, Bootstrap(100, 1))["melanoma"]["why"]


def test_robustness_of_one_class_and_one_lesion_says_what_is_undefined() -> None:
    split = SplitPredictions(
        pd.DataFrame({"label": ["nv"]}), ["mel", "nv"], np.ones(1, np.int64), np.eye(2)[1:], np.zeros(1, int)
    )
    found = robustness.judge(split, {("blur", 1): np.eye(2)[:1]}, None, None, Bootstrap(100, 1))
    assert found["uncorrupted"]["macro_auc"] is None
    assert found["uncorrupted"]["undefined"]["macro_auc"]
    assert found["why"] == "melanoma is no class of its own"
    assert found["corruptions"][0]["balanced_accuracy_lost"]["value"] == 1
    assert found["corruptions"][0]["balanced_accuracy_lost"]["lower"] is None


def test_ood_score_has_no_threshold_without_val() -> None:
    table = pd.DataFrame({"split": ["test", "generated"], "label": ["nv", "flat"], "ood_score": [1.0, 1.0]})
    found = ood.judge(table, ["val", "test"])
    assert found["flagged_above"] is None
    assert "chosen on val" in found["why"]
    assert found["generated"] == {"images": 1, "flagged": None, "auc_against_test": 0.5}
