"""What is reported of a split: operating points, calibration, abstention, decision curves, subgroups, OOD scores."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from lesions.evaluation import decision_curve, operating_points, robustness, selective, subgroups
from lesions.evaluation.bootstrap import Bootstrap
from lesions.evaluation.common.predictions import SplitPredictions
from lesions.evaluation.common.tasks import BinaryTask


def predictions(
    classes: list[str],
    label: NDArray[np.int64],
    probability: NDArray[np.float64],
    calibrated: NDArray[np.float64] | None = None,
) -> SplitPredictions:
    """Return predictions of images that are a group each."""
    names = [f"p{number}" for number in range(len(label))]
    table = pd.DataFrame({"image_id": names, "label": [classes[number] for number in label]})
    return SplitPredictions(table, classes, label, probability, calibrated, np.arange(len(label)))


def test_metrics_at_a_threshold() -> None:
    """Ten melanomas of which nine are found, 90 others of which 18 are predicted as melanoma."""
    positive = np.arange(100) < 10
    score = np.where(np.isin(np.arange(100), [*range(9), *range(10, 28)]), 0.9, 0.1)
    metrics = operating_points.threshold_metrics([0.5], positive, score, np.ones((1, 100)))
    found = {name: value[0, 0] for name, value in metrics.items()}
    assert found["sensitivity"] == pytest.approx(0.9)
    assert found["specificity"] == pytest.approx(0.8)
    assert found["number_needed_to_biopsy"] == pytest.approx(3)
    assert found["ppv_at_10%"] == pytest.approx(found["ppv"])
    assert found["npv_at_10%"] == pytest.approx(found["npv"])
    assert found["ppv_at_1%"] == pytest.approx(0.009 / (0.009 + 0.198))


def test_age_bands_without_filled_ages() -> None:
    images = pd.DataFrame({"age": ["0", "29.9", "30", "49", "50", "69", "70", "85", "", "51"], "age_status": "given"})
    images.loc[9, "age_status"] = "filled"
    images = images.assign(
        sex="", site="back", source="a", dx_type="histo", skin_tone=["tan", "dark", "very light", *[""] * 7]
    )
    found = subgroups.columns(images)
    bands = ["under 30"] * 2 + ["30 to 49"] * 2 + ["50 to 69"] * 2 + ["70 and over"] * 2 + ["not stated"] * 2
    assert list(found["age"]) == bands
    assert [name for name, _ in subgroups.members(found["age"])] == [*subgroups.BANDS, "not stated"]
    assert [name for name, _ in subgroups.members(found["skin_tone"])] == ["very light", "tan", "dark", "not stated"]
    assert set(found["sex"]) == {"not stated"}


@given(st.integers(0, 2**32 - 1))
def test_equal_confidence_is_the_mean_over_orders(seed: int) -> None:
    """Against a count over many random orders of equally confident images, with many of them."""
    random = np.random.default_rng(seed)
    label = random.integers(2, size=8)
    first = random.choice([0.3, 0.6, 0.8], 8)
    probability = np.stack([first, 1 - first], axis=1)
    confidence, correct = probability.max(axis=1), probability.argmax(axis=1) == label
    risks = []
    for _ in range(400):
        order = np.lexsort((random.random(8), -confidence))
        risks.append(np.cumsum(~correct[order]) / np.arange(1, 9))
    mean = np.mean(risks, axis=0)
    assert selective.aurc(label, probability.argmax(axis=1), probability) == pytest.approx(mean.mean(), abs=0.07)
    coverages = tuple((np.arange(1, 9) / 8).tolist())
    found = selective.metrics_at(coverages, label, probability.argmax(axis=1), probability, np.ones((1, 8)))[
        "accuracy"
    ][0]
    assert 1 - found == pytest.approx(mean, abs=0.12)
    assert selective.aurc(label, probability.argmax(axis=1), probability) == pytest.approx((1 - found).mean())
    assert [selective.answered_weight(confidence, coverage).sum() for coverage in coverages] == pytest.approx(
        range(1, 9)
    )


def test_selective_accuracy_by_hand() -> None:
    label = np.array([0, 0, 1, 1])
    probability = np.array([[0.9, 0.1], [0.4, 0.6], [0.2, 0.8], [0.3, 0.7]])  # the second, least confident, is wrong
    found = selective.selective_report(predictions(["a", "b"], label, probability), Bootstrap(100, 1))
    at = {row["coverage"]: row for row in found["coverages"]}
    assert (at[1.0]["accuracy"]["value"], at[1.0]["balanced_accuracy"]["value"]) == (0.75, 0.75)
    assert (at[0.7]["accuracy"]["value"], at[0.7]["images"], at[0.7]["least_confidence"]) == (1, 3, 0.7)
    assert found["risk_coverage_area"] == found["risk_coverage_area_at_best"] == 0.0625
    one = predictions(["a", "b"], label[:1], probability[:1])
    assert selective.selective_report(one, Bootstrap(100, 1))["coverages"][-1]["accuracy"]["value"] == 1


def test_net_benefit_by_hand() -> None:
    """Of 100 images 10 melanomas; at 20 % the model finds 8 and calls 20 others: 0.08 - 0.2 * 0.25."""
    positive = np.arange(100) < 10
    probability = np.where(np.isin(np.arange(100), [*range(8), *range(10, 30)]), 0.2, 0.1)
    shares = decision_curve.outcome_shares((0.2, 0.05), positive, probability, np.ones((1, 100)))
    found = decision_curve.net_benefit((0.2, 0.05), shares)
    assert found["model"][0] == pytest.approx([0.08 - 0.2 * 0.25, 0.1 - 0.9 / 19])
    assert found["treat_all"][0] == pytest.approx([0.1 - 0.9 * 0.25, 0.1 - 0.9 / 19])
    assert found["gain"][0] == pytest.approx([0.03, 0])


def test_coverage_of_the_gain_with_few_melanomas() -> None:
    """At a low threshold hardly one is missed, and percentiles of resamples held the truth in 39 of 100."""
    random, threshold, images = np.random.default_rng(1), 0.02, 600
    odds = threshold / (1 - threshold)

    def drawn(number: int) -> tuple[np.ndarray, np.ndarray]:
        positive = random.random(number) < 0.025
        logits = random.normal(size=number) + np.where(positive, 2.2, 0) - 1.1
        return positive, 1 / (1 + np.exp(-(2.2 * logits + np.log(0.025 / 0.975))))

    positive, probability = drawn(400_000)
    flagged = probability >= threshold
    model = (positive & flagged).mean() - odds * (~positive & flagged).mean()
    truth = model - max(0.0, positive.mean() - odds * (~positive).mean())
    held = []
    for seed in range(150):
        positive, probability = drawn(images)
        both = np.stack([probability, 1 - probability], axis=1)
        split = predictions(["mel", "nv"], np.where(positive, 0, 1), both, both)
        task: dict[str, BinaryTask | str] = {"melanoma": BinaryTask(positive=["mel"], negative=["nv"])}
        report = decision_curve.decision_curve_report(task, split, Bootstrap(100, seed))
        gain = report["melanoma"]["thresholds"][1]["gain"]
        held.append(gain["lower"] <= truth <= gain["upper"])
    assert np.mean(held) > 0.88


def test_ranking_metrics_of_few_positives_have_no_interval() -> None:
    label = np.array([0] * 12 + [1] * 40)
    scores = np.random.default_rng(1).random(52)
    split = predictions(["mel", "nv"], label, np.stack([scores, 1 - scores], axis=1))
    task = BinaryTask(positive=["mel"], negative=["nv"])
    found = operating_points.task_report("melanoma", task, [], {"test": split}, Bootstrap(100, 1))["test"]
    assert found["average_precision"]["value"] is not None
    assert found["average_precision"]["lower"] is None
    assert "fewer than 20 groups" in found["average_precision"]["reason"]
    assert found["auc"]["lower"] is not None


def test_decision_curve_that_is_undefined() -> None:
    tasks: dict[str, BinaryTask | str] = {"melanoma": BinaryTask(positive=["mel"], negative=["nv"]), "malignant": "no"}
    one = predictions(["mel", "nv"], np.zeros(1, np.int64), np.eye(2)[:1], np.eye(2)[:1])
    report = decision_curve.decision_curve_report(tasks, one, Bootstrap(100, 1))
    assert report == {"melanoma": {"reason": "needs positive images and others"}, "malignant": {"reason": "no"}}
    assert decision_curve.net_benefit_curves(tasks, one).empty


def test_robustness_of_one_image() -> None:
    split = predictions(["mel", "nv"], np.ones(1, np.int64), np.eye(2)[1:])
    blurred = split.table[["image_id"]].assign(corruption="blur", severity="1", mel=1.0, nv=0.0)
    found = robustness.robustness_report(split, blurred, None, None, Bootstrap(100, 1))
    assert found["uncorrupted"]["macro_auc"] is None
    assert found["uncorrupted"]["reasons"]["macro_auc"]
    assert found["reason"] == "melanoma is no class of its own"
    assert found["corruptions"][0]["balanced_accuracy_drop"]["value"] == 1
    assert found["corruptions"][0]["balanced_accuracy_drop"]["lower"] is None


def test_robustness_is_of_a_sample_that_stands_for_test() -> None:
    """Of 4 nevi, one of them wrong, and 1 melanoma, the sample has 2 and 1."""
    wrong_once = np.eye(2)[[1, 0, 1, 1, 0]]
    test = predictions(["mel", "nv"], np.array([1, 1, 1, 1, 0]), wrong_once)
    sample = test.table.loc[[0, 1, 4], ["image_id"]].assign(corruption="blur", severity="1", mel=1.0, nv=0.0)
    found = robustness.robustness_report(test, sample, None, None, Bootstrap(100, 1))
    assert (found["images"], found["uncorrupted"]["balanced_accuracy"]) == (3, 0.75)
    # Each nevus counts twice: of 5 images 3 are right, and corrupted 1.
    assert (found["uncorrupted"]["accuracy"], found["corruptions"][0]["accuracy"]) == (0.6, 0.2)
    assert found["corruptions"][0]["balanced_accuracy_drop"]["value"] == 0.25
