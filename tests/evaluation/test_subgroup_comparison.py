"""Subgroups are compared by differences with intervals and a test; by balanced accuracy only with the same classes."""

import numpy as np
import pandas as pd
import pytest
from numpy.typing import NDArray
from scipy.stats import chi2_contingency

from lesions.evaluation.auc_interval import auc_estimate
from lesions.evaluation.common.predictions import SplitPredictions
from lesions.evaluation.heterogeneity import omnibus_test
from lesions.evaluation.subgroup_comparison import difference, subgroup_comparison_report, subgroups_to_compare
from lesions.evaluation.subgroup_estimates import Estimate, auc, balanced_accuracy, logits, proportion

CLASSES = ["mel", "bcc", "nv"]


def split(
    label: NDArray[np.int64],
    answer: NDArray[np.int64],
    source: NDArray[np.str_],
    groups: NDArray[np.int64] | None = None,
) -> SplitPredictions:
    """Return predictions of images from some sources, without a sex, an age or a site."""
    table = pd.DataFrame({"source": source}).assign(
        sex="", age="", age_status="", site="", dx_type="histo", skin_tone=""
    )
    groups = np.arange(len(label)) if groups is None else groups
    return SplitPredictions(table, CLASSES, label, np.eye(len(CLASSES))[answer], None, groups)


def everything(table: SplitPredictions) -> dict[str, NDArray[np.bool_]]:
    return {name: (table.table["source"] == name).to_numpy() for name in sorted(set(table.table["source"]))}


def test_differing_sources() -> None:
    """Of 200 melanomas 160 are found in one source and 100 in the other, and all else is alike."""
    label = np.tile(np.repeat([0, 1, 2], [200, 100, 200]), 2)
    answer = label.copy()
    answer[160:200] = 2
    answer[600:700] = 2
    report = subgroup_comparison_report(split(label, answer, np.repeat(["a", "b"], 500)), "mel")
    found = report["columns"]["source"]["melanoma_sensitivity"]
    assert (found["reference"], found["degrees_of_freedom"], found["differs"]) == ("a", 1, True)
    (less,) = found["differences"]
    assert (less["subgroup"], less["value"]) == ("b", -0.3)
    # Newcombe's method 10 (Statistics in Medicine 17, 1998), as statsmodels 0.14 has it, is of Wilson's intervals.
    assert [less["lower"], less["upper"]] == pytest.approx([-0.3846, -0.2083], abs=5e-3)
    p = chi2_contingency([[160, 40], [100, 100]], correction=False).pvalue
    assert np.log(found["p"]) == pytest.approx(np.log(p), rel=0.1)
    assert report["tests"] == 4
    assert found["p_holm"] == pytest.approx(4 * found["p"], rel=0.01)
    assert report["columns"]["source"]["melanoma_specificity"]["p"] == 1
    assert report["columns"]["sex"]["melanoma_auc"] == {
        "reason": "fewer than two subgroups can be compared",
        "left_out": {},
    }
    pooled = report["sources"]["melanoma_sensitivity"]
    assert pooled["another_source"] is None
    assert 0.5 < pooled["pooled"]["value"] < 0.8
    assert pooled["tau_of_logit"]["lower"] > 0


def test_balanced_accuracy_of_the_same_classes_only() -> None:
    label = np.concatenate([np.repeat([0, 1, 2], 20), np.repeat([0, 1, 2], 20), np.repeat([0, 2], 30), [1], [2] * 30])
    ours = split(label, label, np.repeat(["a", "b", "two", "one bcc"], [60, 60, 60, 31]))
    found, left_out = subgroups_to_compare("balanced_accuracy", ours, everything(ours), 0)
    assert list(found) == ["a", "b"]
    assert left_out == {"one bcc": "fewer than 2 groups of bcc", "two": "holds other classes"}
    third = ours.only(ours.table["source"].isin(["a", "two"]).to_numpy())
    found, left_out = subgroups_to_compare("balanced_accuracy", third, everything(third), 0)
    assert (found, set(left_out.values())) == ({}, {"holds other classes"})


def test_sources_of_one_diagnosis_have_no_balanced_accuracy() -> None:
    label = np.repeat([2, 2, 0, 2], [30, 40, 30, 30])
    ours = split(label, label, np.repeat(["a", "b", "both"], [30, 40, 60]))
    found, left_out = subgroups_to_compare("balanced_accuracy", ours, everything(ours), 0)
    alone = "holds one diagnosis alone"
    assert (found, left_out) == ({}, {"a": alone, "b": alone, "both": "holds other classes"})


def test_too_few_groups() -> None:
    label = np.concatenate([np.repeat([0, 2], 20), np.repeat([0, 2], [19, 40]), np.repeat([0, 2], [40, 19]), [0] * 19])
    ours = split(label, label, np.repeat(["a", "mel", "others", "all"], [40, 59, 59, 19]))
    few = {"all": "fewer than 20 groups"}
    expected = {
        "melanoma_auc": {
            "mel": "fewer than 20 groups are melanomas",
            "others": "fewer than 20 groups are no melanomas",
        },
        "melanoma_sensitivity": {"mel": "fewer than 20 groups are melanomas"},
        "melanoma_specificity": {"others": "fewer than 20 groups are no melanomas"},
    }
    expected["melanoma_auc"] = expected["melanoma_sensitivity"] | expected["melanoma_specificity"]
    for metric, reasons in expected.items():
        found, left_out = subgroups_to_compare(metric, ours, everything(ours), 0)
        assert left_out == few | reasons
        assert set(found) == {"a", "mel", "others"} - set(left_out)
    alone = subgroup_comparison_report(ours.only(np.arange(len(label)) < 3), None)
    assert alone["tests"] == 0
    assert alone["sources"] == {"balanced_accuracy": {"reason": "fewer than two sources have enough groups"}}


def test_not_stated_takes_no_part() -> None:
    label = np.tile(np.repeat([0, 2], 30), 3)
    report = subgroup_comparison_report(split(label, label, np.repeat(["a", "b", ""], 60)), "mel")
    found = report["columns"]["source"]["melanoma_sensitivity"]
    assert [found["reference"], *(row["subgroup"] for row in found["differences"])] == ["a", "b"]
    # All are found in both: no difference, but none is excluded either.
    assert found["differences"][0]["lower"] < -0.05 < 0.05 < found["differences"][0]["upper"]


def test_groups_with_images_in_both_subgroups() -> None:
    """Images of one group are found or missed together: the difference is 0 in each group, and so certain."""
    random = np.random.default_rng(1)
    found = np.repeat(random.random(60) < 0.7, 2)
    groups, first = np.repeat(np.arange(60), 2), np.arange(120) % 2 == 0
    both = [proportion(found, rows, groups) for rows in (first, ~first)]
    correlation = logits(both)[2]
    assert correlation[0, 1] == pytest.approx(1)
    same = difference(both[0], both[1], correlation[0, 1])
    apart = difference(both[0], both[1], 0)
    assert same["upper"] - same["lower"] < 0.2 * (apart["upper"] - apart["lower"])  # type: ignore[operator]


def test_estimates_are_those_of_the_table() -> None:
    random = np.random.default_rng(2)
    label, groups = random.integers(3, size=300), np.unique(random.integers(100, size=300), return_inverse=True)[1]
    probability = random.dirichlet((1, 1, 1), 300) + 0.3 * np.eye(3)[label]
    rows = np.arange(300) < 200
    table = auc_estimate(label[rows] == 0, probability[rows, 0], np.unique(groups[rows], return_inverse=True)[1])
    found = auc(label == 0, probability[:, 0], rows, groups)
    assert found.value == pytest.approx(table["value"], abs=5e-5)
    assert found.bounds() == pytest.approx([table["lower"], table["upper"]], abs=0.01)
    correct = probability.argmax(axis=1) == label
    sensitivities = [correct[rows & (label == one)].mean() for one in range(3)]
    assert balanced_accuracy(correct, label, rows, groups).value == pytest.approx(np.mean(sensitivities))


def of_null(random: np.random.Generator, kind: str) -> list[Estimate]:
    """Draw two subgroups that are alike, of lesions of 1 to 3 images: 20 melanomas and others each."""
    lesions = np.tile(np.repeat([0, 1, 2], [20, 5, 60]), 2)
    groups = np.repeat(np.arange(len(lesions)), random.integers(1, 4, len(lesions)))
    label, first = lesions[groups], groups < 85
    hardness = np.sqrt(0.6) * random.normal(size=len(lesions))[groups] + np.sqrt(0.4) * random.normal(size=len(groups))
    if kind == "sensitivity":
        return [proportion(hardness < 0.8, rows & (label == 0), groups) for rows in (first, ~first)]
    if kind == "auc":
        return [auc(label == 0, hardness + 1.8 * (label == 0), rows, groups) for rows in (first, ~first)]
    return [balanced_accuracy(hardness < 0.7, label, rows, groups) for rows in (first, ~first)]


@pytest.mark.parametrize("kind", ["sensitivity", "auc", "balanced accuracy"])
def test_subgroups_that_are_alike_seldom_differ(kind: str) -> None:
    random = np.random.default_rng(3)
    drawn = [of_null(random, kind) for _ in range(150)]
    rejected = [omnibus_test(*logits(both)[:2])["p"] < 0.05 for both in drawn]
    assert 0.005 < np.mean(rejected) < 0.09
    differences = [difference(both[0], both[1], logits(both)[2][0, 1]) for both in drawn]
    assert np.mean([row["lower"] <= 0 <= row["upper"] for row in differences]) > 0.92  # type: ignore[operator]
