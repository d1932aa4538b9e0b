"""Differences between the arms of a study: intervals that hold runs and groups, and Holm's adjustment."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from scipy.stats import t, ttest_1samp, ttest_ind

from lesions.commands.compare.predictions_at_revision import ModelPredictions
from lesions.commands.study import comparisons
from lesions.commands.study.comparisons import ONE_RUN, TWO_RUNS, compare_runs, crossed_differences
from lesions.commands.study.difference import crossed_difference, crossed_mean, fold_difference
from lesions.commands.study.run_metrics import metric_values
from lesions.evaluation.common.predictions import SplitPredictions
from lesions.params.evaluate import Evaluate

# Readers' areas of two modalities, and what other cases would change of them: Van Dyke's data, as the RJafroc book's
# chapter on the method of Obuchowski and Rockette prints it for random readers and cases.
ONE = np.array([0.91964573, 0.85877617, 0.90386473, 0.97310789, 0.82979066])
OTHER = np.array([0.94782609, 0.90531401, 0.92173913, 0.99935588, 0.92995169])
VARIANCE, SAME_READER, SAME_MODALITY, NEITHER = 0.0008022883, 0.0003466137, 0.0003440748, 0.0002390284


def test_published_example() -> None:
    eye = np.eye(5)
    within, across = (
        same * eye + other * (1 - eye) for same, other in ((VARIANCE, SAME_MODALITY), (SAME_READER, NEITHER))
    )
    found = crossed_difference(ONE, OTHER, np.block([[within, across], [across, within]]), np.inf, paired=True)
    assert found["value"] == pytest.approx(0.04380032, abs=5e-5)
    assert [found["lower"], found["upper"]] == pytest.approx([-0.0003588544, 0.0879594986], abs=5e-5)
    assert found["p"] == pytest.approx(0.05166569, abs=1e-6)


def test_without_groups_it_is_a_t_test() -> None:
    nothing = np.zeros((10, 10))
    paired = crossed_difference(ONE, OTHER, nothing, 99, paired=True)
    test = ttest_1samp(OTHER - ONE, 0)
    assert paired["p"] == pytest.approx(test.pvalue)
    assert [paired["lower"], paired["upper"]] == pytest.approx([*test.confidence_interval()], abs=5e-5)
    unpaired = crossed_difference(ONE, OTHER, nothing, 99, paired=False)
    assert unpaired["p"] == pytest.approx(ttest_ind(ONE, OTHER, equal_var=False).pvalue)
    assert fold_difference(OTHER - ONE, 0)["p"] == pytest.approx(test.pvalue)


def test_corrected_resampled_t_test() -> None:
    """Five folds: by Nadeau and Bengio the variance is 1/5 + 1/4 of the folds', not 1/5."""
    plain, corrected = (fold_difference(OTHER - ONE, ratio) for ratio in (0, 0.25))
    reaches = [float(found["upper"] or 0) - float(found["value"] or 0) for found in (plain, corrected)]
    assert reaches[1] / reaches[0] == pytest.approx(1.5, abs=0.01)


def test_one_run_holds_the_groups_alone() -> None:
    covariance = np.array([[4e-4, 1e-4], [1e-4, 4e-4]])
    found = crossed_difference(np.array([0.8]), np.array([0.9]), covariance, 1e6, paired=True)
    assert found["upper"] == pytest.approx(0.1 + 1.96 * np.sqrt(6e-4), abs=1e-4)
    same = crossed_difference(np.array([0.8]), np.array([0.8]), np.zeros((2, 2)), 9, paired=True)
    assert (same["value"], same["lower"], same["p"]) == (0, None, None)


@pytest.mark.parametrize(("n_runs", "of_runs", "of_groups"), [(3, 1.0, 4.0), (5, 3.0, 1.0), (3, 0, 4)])
def test_interval_holds_runs_and_groups(n_runs: int, of_runs: float, of_groups: float) -> None:
    """Of 400 studies with a known difference, 93 to 98 of 100 have it in the interval."""
    random, n_groups, truth, holds, groups_alone = np.random.default_rng(5), 60, 0.3, [], []
    means_hold = []
    for _ in range(400):
        after = truth + np.sqrt(of_runs) * random.normal(size=(n_runs, 1)) / 4
        after = after + np.sqrt(of_groups) * random.normal(size=n_groups) + random.normal(size=(n_runs, n_groups))
        each = np.concatenate([np.zeros((n_runs, n_groups)), after])
        covariance = np.cov(each) / n_groups
        before, values = np.split(each.mean(axis=1), 2)
        found = crossed_difference(before, values, covariance, n_groups - 1, paired=True)
        holds.append(found["lower"] <= truth <= found["upper"])  # type: ignore[operator]
        error = after.mean(axis=0).std(ddof=1) / np.sqrt(n_groups)
        groups_alone.append(abs(after.mean() - truth) < 2 * error)
        mean = crossed_mean(0.5 + (values - truth) / 20, covariance[n_runs:, n_runs:] / 400, n_groups - 1)
        means_hold.append(mean["lower"] <= 0.5 <= mean["upper"])  # type: ignore[operator]
    assert 0.925 <= np.mean(holds) <= 0.985
    assert 0.925 <= np.mean(means_hold) <= 0.985
    if of_runs > 2:
        assert np.mean(groups_alone) < 0.8  # what an interval by group alone says of another seed


def predicted(seed: int, better: float, images: range = range(120), revision: str = "") -> ModelPredictions:
    """Draw a run's predictions: two images a group, three classes; what is hard is so for every run."""
    number = np.array(images)
    label, groups = number // 2 % 3, np.unique(number // 2, return_inverse=True)[1]
    hardness = np.random.default_rng(9).normal(size=1000)[number // 2]
    noise = np.random.default_rng([seed, 3]).normal(size=(len(number), 3))
    logits = noise + (1 + better + hardness)[:, None] * np.eye(3)[label]
    probability = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    names = [f"image {one:03}" for one in number]
    table = pd.DataFrame({"image_id": names, "label": label.astype(str), "group_id": (number // 2).astype(str)})
    split = SplitPredictions(table, ["0", "1", "2"], label, probability, None, groups)
    return ModelPredictions(revision, "test", split, None, "none", frozenset(names))


@pytest.fixture(autouse=True)
def _params(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Evaluate, "read", lambda: Evaluate(splits=["test"], n_bootstrap=500, seed=1))


def test_runs_are_paired_by_seed() -> None:
    before = {f"train.seed {seed}": predicted(seed, 0) for seed in (1, 2, 3)}
    after = {f"train.seed {seed}": predicted(seed, 0.8) for seed in (4, 3, 2, 1)}
    found = compare_runs("better", before, after)
    assert found is not None
    assert found.holds.startswith("3 runs (few")
    accuracies = [
        np.mean([metric_values(runs[f"train.seed {seed}"].split)["accuracy"] for seed in (1, 2, 3)])
        for runs in (before, after)
    ]
    assert found.differences["accuracy"]["value"] == pytest.approx(accuracies[1] - accuracies[0], abs=1e-4)
    five = {f"train.seed {seed}": predicted(seed, 0) for seed in range(5)}
    many = compare_runs("alike", five, five)
    assert many is not None
    assert many.holds == "5 runs, groups"
    assert many.differences["accuracy"]["lower"] is None
    alone = compare_runs("better", before, {"train.learning_rate 1": predicted(7, 0.8)})
    assert alone is not None
    assert alone.holds == ONE_RUN
    for others, holds in (((7, 8), TWO_RUNS), ((6, 7, 8, 9), "3 and 4 runs (few: a rough interval), groups")):
        unpaired = compare_runs("better", before, {f"train.seed {seed}": predicted(seed, 0.8) for seed in others})
        assert unpaired is not None
        assert unpaired.holds == holds


def test_variance_is_that_of_a_two_way_anova() -> None:
    """Of accuracies, with one image a group: seeds and images are crossed random effects."""
    before, after = ([predicted(seed, better).split for seed in (1, 2, 3)] for better in (0, 0.8))
    every = [replace(run, groups=np.arange(120)) for run in (*before, *after)]
    right = np.array([run.probability.argmax(axis=1) == run.label for run in every]).astype(float)
    difference = right[3:] - right[:3]
    of_runs = 120 * difference.mean(axis=1).var(ddof=1)
    of_images = 3 * difference.mean(axis=0).var(ddof=1)
    rest = (difference - difference.mean(axis=1, keepdims=True) - difference.mean(axis=0) + difference.mean()) ** 2
    shared = of_images - rest.sum() / (2 * 119)
    df = (of_runs + shared) ** 2 / (of_runs**2 / 2 + shared**2 / 119)
    reach = t.ppf(0.975, df) * np.sqrt((of_runs + shared) / 360)
    found = crossed_differences(every[:3], every[3:], paired=True)["accuracy"]
    assert found["upper"] - found["value"] == pytest.approx(reach, rel=0.1)  # type: ignore[operator]
    assert found["p"] == pytest.approx(2 * t.sf(abs(difference.mean()) * t.ppf(0.975, df) / reach, df), rel=0.5)


def test_runs_of_folds(monkeypatch: pytest.MonkeyPatch) -> None:
    assignment = pd.DataFrame({"split": ["train"] * 80 + ["test"] * 40})
    monkeypatch.setattr(comparisons, "assignment", lambda _: assignment)
    folds = [range(40), range(40, 80), range(80, 120)]
    before, after = (
        {f"split.fold {number}": predicted(number, better, images) for number, images in enumerate(folds)}
        for better in (0, 0.8)
    )
    found = compare_runs("better", before, after)
    assert found is not None
    assert found.holds == "3 folds"
    each = [
        metric_values(after[name].split)["accuracy"] - metric_values(before[name].split)["accuracy"] for name in before
    ]
    assert found.differences["accuracy"] == fold_difference(np.array(each), 0.5)
    assert compare_runs("other", before, {"split.fold 0": predicted(0, 0, range(1, 41))}) is None
    assert compare_runs("other", before, {"train.seed 0": predicted(0, 0, folds[0])}) is None


def test_too_few_groups() -> None:
    few = [predicted(1, better, range(8)).split for better in (0, 1)]
    found = crossed_differences(few[:1], few[1:], paired=True)
    assert {one["lower"] for one in found.values()} == {None}
    assert "needs 5 groups" in str(found["balanced_accuracy"]["reason"])
    without_a_class = [predicted(1, better, range(4)).split for better in (0, 1)]
    found = crossed_differences(without_a_class[:1], without_a_class[1:], paired=True)
    assert found["macro_auc"]["value"] is None
