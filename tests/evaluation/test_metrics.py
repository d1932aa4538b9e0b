"""Each metric, weighted, against scikit-learn's on the repeated images, and what is undefined against its reason."""

import warnings
from collections.abc import Iterator
from functools import partial

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from scipy.stats import mannwhitneyu
from sklearn import metrics as reference

from lesions.evaluation import calibration, metrics, operating_points, roc
from lesions.evaluation.auc_interval import auc_estimate, macro_auc_estimate
from lesions.evaluation.bootstrap import Bootstrap, unwrap_single
from lesions.evaluation.common.thresholds import DERMATOLOGISTS

CLASSES = ["mel", "bkl", "nv"]
ONE_EACH = np.ones((1, 4))


def drawn(seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Return labels, probabilities that know something of them and have ties, and weights of three resamples.

    In some seeds a class does not occur, at all or in a resample.
    """
    random = np.random.default_rng(seed)
    label = random.choice(3, random.integers(1, 40), p=random.dirichlet([1, 1, 1]))
    scores = np.round(random.normal(size=(len(label), 3)) + 1.5 * np.eye(3)[label])
    weights = random.multinomial(len(label), np.full(len(label), 1 / len(label)), size=3)
    return label, np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True), weights.astype(float)


def curves(label: np.ndarray, probability: np.ndarray) -> pd.DataFrame:
    return metrics.roc_curves({name: (label == n, probability[:, n]) for n, name in enumerate(CLASSES)})


def or_nan(defined: bool, compute: partial[float]) -> float:
    return float(compute()) if defined else np.nan


@settings(max_examples=40)
@given(st.integers(0, 2**32 - 1))
def test_weighted_metrics_are_of_repeated_images(seed: int) -> None:
    label, probability, weights = drawn(seed)
    overall = metrics.overall_metrics(label, probability.argmax(axis=1), probability, weights)
    of_class = metrics.per_class(label, probability.argmax(axis=1), probability, weights)
    for number, weight in enumerate(weights.astype(int)):
        actual, given = np.repeat(label, weight), np.repeat(probability, weight, axis=0)
        answer = given.argmax(axis=1)
        held = np.unique(actual)
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # scikit-learn warns of what is undefined
            kappa = reference.cohen_kappa_score(actual, answer)
        expected = {
            "accuracy": reference.accuracy_score(actual, answer),
            "misclassified": 1 - reference.accuracy_score(actual, answer),
            "balanced_accuracy": reference.recall_score(actual, answer, labels=held, average="macro", zero_division=0),
            "macro_f1": reference.f1_score(actual, answer, average="macro", zero_division=0),
            "weighted_f1": reference.f1_score(actual, answer, average="weighted", zero_division=0),
            # scikit-learn says 0 where it is undefined.
            "mcc": or_nan(len(held) > 1 and len(set(answer)) > 1, partial(reference.matthews_corrcoef, actual, answer)),
            "kappa": kappa,
            "log_loss": reference.log_loss(actual, given, labels=[0, 1, 2]),
            "brier": ((given - np.eye(3)[actual]) ** 2).sum(axis=1).mean(),
        }
        assert {name: values[number] for name, values in overall.items()} == pytest.approx(expected, nan_ok=True)
        for n in range(3):
            table = reference.confusion_matrix(actual == n, answer == n, labels=[False, True])
            (tn, fp), (fn, tp) = table
            score = partial(reference.average_precision_score, actual == n, given[:, n])
            row = {
                "sensitivity": tp / (tp + fn) if tp + fn else np.nan,
                "specificity": tn / (tn + fp) if tn + fp else np.nan,
                "ppv": tp / (tp + fp) if tp + fp else np.nan,
                "npv": tn / (tn + fn) if tn + fn else np.nan,
                "f1": 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else np.nan,
                "misclassified": fn / (tp + fn) if tp + fn else np.nan,
                "average_precision": or_nan(bool((actual == n).any()), score),
            }
            assert {name: values[number, n] for name, values in of_class.items()} == pytest.approx(row, nan_ok=True)


def one_by_one(
    found: NDArray[np.float64], positive: NDArray[np.bool_], score: NDArray[np.float64], weights: NDArray[np.float64]
) -> Iterator[tuple[float, NDArray[np.bool_], NDArray[np.float64]]]:
    """Yield each resample's metric with its images, as often as they count; without both kinds there is no metric."""
    for value, weight in zip(found, weights.astype(int), strict=True):
        ours = np.repeat(positive, weight)
        if ours.all() or not ours.any():
            assert np.isnan(value)
        else:
            yield float(value), ours, np.repeat(score, weight)


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.5, 0.8, 0.95]))
def test_partial_area_of_the_isic_challenge(seed: int, least: float) -> None:
    """Its code turns positives and others round, and takes McClish's correction of scikit-learn's back."""
    label, probability, weights = drawn(seed)
    found = roc.partial_auc(label == 0, probability[:, 0], weights, least)
    for value, positive, score in one_by_one(found, label == 0, probability[:, 0], weights):
        scaled = reference.roc_auc_score(~positive, -score, max_fpr=1 - least)
        lowest, highest = (1 - least) ** 2 / 2, 1 - least
        assert value == pytest.approx(lowest + (highest - lowest) / 0.5 * (scaled - 0.5))


def test_area_is_the_chance_of_a_pair() -> None:
    label, probability, _ = drawn(3)
    positive, score = label == 0, probability[:, 0]
    pairs = positive.sum() * (~positive).sum()
    curve = curves(label, probability).query("diagnosis == 'mel'")
    expected = mannwhitneyu(score[positive], score[~positive]).statistic / pairs
    assert roc.auc_and_average_precision(positive, score, np.ones((1, len(label))))[0][0] == pytest.approx(expected)
    assert np.trapezoid(curve["true_positive_rate"], curve["false_positive_rate"]) == pytest.approx(expected, abs=1e-3)


def test_absent_class_is_null_with_a_reason() -> None:
    label = np.array([0, 0, 2, 2])
    probability = np.array([[0.8, 0.1, 0.1], [0.6, 0.2, 0.2], [0.1, 0.2, 0.7], [0.7, 0.2, 0.1]])
    groups, bootstrap = np.arange(4), Bootstrap(100, 1)
    overall = unwrap_single(
        bootstrap.estimates(partial(metrics.overall_metrics, label, probability.argmax(axis=1), probability), groups)
    )
    assert macro_auc_estimate(label, probability, groups) == {
        "value": None,
        "lower": None,
        "upper": None,
        "reason": "a class does not occur, or no other does",
    }
    assert overall["balanced_accuracy"]["value"] == 0.75
    of_class = bootstrap.estimates(partial(metrics.per_class, label, probability.argmax(axis=1), probability), groups)
    reasons = {name: found[1].get("reason") for name, found in of_class.items() if found[1]["value"] is None}
    assert reasons == {
        "sensitivity": "does not occur",
        "ppv": "never predicted",
        "f1": "neither occurs nor is predicted",
        "misclassified": "does not occur",
        "average_precision": "does not occur",
    }
    assert set(curves(label, probability)["diagnosis"]) == {"mel", "nv"}


def test_one_image() -> None:
    label, probability = np.array([2]), np.array([[0.2, 0.3, 0.5]])
    found = unwrap_single(
        Bootstrap(100, 1).estimates(
            partial(metrics.overall_metrics, label, probability.argmax(axis=1), probability), np.array([0])
        )
    )
    assert macro_auc_estimate(label, probability, np.array([0]))["value"] is None
    assert found["mcc"]["reason"] == "one class alone in the truth or in the answers"
    assert found["accuracy"] == {"value": 1, "lower": 0.025, "upper": 1}
    assert found["log_loss"]["reason"] == "one group alone: nothing to resample"
    assert curves(label, probability).empty


@given(st.integers(0, 2**32 - 1), st.sampled_from([0.5, 0.866, 1.0]))
def test_specificity_at_a_sensitivity(seed: int, sensitivity: float) -> None:
    label, probability, weights = drawn(seed)
    found = roc.specificity_at(label == 0, probability[:, 0], weights, sensitivity)
    for value, positive, score in one_by_one(found, label == 0, probability[:, 0], weights):
        false, true, _ = reference.roc_curve(positive, score, drop_intermediate=False)
        first = int(np.argmax(true >= sensitivity - 1e-12))
        share = (sensitivity - true[first - 1]) / (true[first] - true[first - 1])
        wanted = 1 - (false[first - 1] + share * (false[first] - false[first - 1]))
        assert value == pytest.approx(wanted)


def test_equal_scores_rank_nothing() -> None:
    label, probability = np.array([0, 1, 2, 2]), np.full((4, 3), 1 / 3)
    assert macro_auc_estimate(label, probability, np.arange(4))["value"] == 0.5
    assert metrics.constant_baseline(label, probability[0])["macro_auc"] == 0.5
    positive, same = label == 2, probability[:, 2]
    assert roc.auc_and_average_precision(positive, same, ONE_EACH)[1] == reference.average_precision_score(
        positive, same
    )
    # The diagonal from a sensitivity of 0.8 to 1.
    assert roc.partial_auc(positive, same, ONE_EACH, 0.8) == pytest.approx(0.2**2 / 2)


@given(st.integers(0, 2**32 - 1), st.sampled_from([1.0, 0.0, 20.0]))
def test_calibration_bin_by_bin(seed: int, sharper: float) -> None:
    """Also where all are equally confident, or all without doubt, and of one image."""
    label, probability, _ = drawn(seed)
    probability = probability**sharper / (probability**sharper).sum(axis=1, keepdims=True)
    images = sorted(
        ((max(row), list(row).index(max(row)) == actual) for row, actual in zip(probability, label, strict=True)),
        key=lambda image: image[0],  # and equally confident ones in their order
    )
    bins, expected = min(calibration.BINS, len(images)), 0.0
    table = calibration.reliability(label, probability)
    for number in range(bins):
        # The first bins take one image more where they do not come out even.
        size, longer = divmod(len(images), bins)
        start = number * size + min(number, longer)
        bin_ = images[start : start + size + (number < longer)]
        confidence = sum(sure for sure, _ in bin_) / len(bin_)
        accuracy = sum(correct for _, correct in bin_) / len(bin_)
        expected += len(bin_) / len(images) * abs(accuracy - confidence)
        assert table[number] == {
            "images": len(bin_),
            "confidence": pytest.approx(confidence, abs=6e-5),
            "accuracy": pytest.approx(accuracy, abs=6e-5),
        }
    assert calibration.ece(*calibration.top_label(label, probability)) == pytest.approx(expected)
    summary = calibration.summary(label, probability, np.arange(len(label)), seed=1)
    assert summary["log_loss"] == pytest.approx(reference.log_loss(label, probability, labels=[0, 1, 2]), abs=6e-5)
    brier = reference.brier_score_loss(label, probability, labels=[0, 1, 2], scale_by_half=False)
    assert summary["brier"] == pytest.approx(brier, abs=6e-5)


@pytest.mark.parametrize("positive", [True, False])
def test_task_of_one_kind_has_no_area(positive: bool) -> None:
    label, score = np.full(4, positive), np.array([0.1, 0.4, 0.4, 0.8])
    ranking = partial(operating_points.ranking_metrics, label, score, sensitivity=DERMATOLOGISTS["sensitivity"])
    found = unwrap_single(Bootstrap(100, 1).estimates(ranking, np.arange(4)))
    found["auc"] = auc_estimate(label, score, np.arange(4))
    for name in ("auc", "partial_auc_above_80_sensitivity", "specificity_at_dermatologists_sensitivity"):
        assert found[name]["value"] is None
        assert found[name]["reason"] == "needs images of this class and of others"
    assert found["average_precision"]["value"] == (1 if positive else None)
    at = Bootstrap(100, 1).estimates(partial(operating_points.threshold_metrics, [0.9], label, score), np.arange(4))
    undefined = {name for name, (entry,) in at.items() if entry["value"] is None}
    assert undefined >= {"ppv", "number_needed_to_biopsy", "specificity" if positive else "sensitivity"}
    assert all(entry["reason"] != "undefined" for (entry,) in at.values() if entry["value"] is None)


def test_baselines_of_a_constant_prediction() -> None:
    label = np.array([2, 2, 2, 1, 0])
    majority = metrics.constant_baseline(label, np.array([0.0, 0, 1]))
    assert {
        name: majority[name][0] for name in ("accuracy", "balanced_accuracy", "macro_f1", "macro_auc", "kappa")
    } == {
        "accuracy": 0.6,
        "balanced_accuracy": pytest.approx(1 / 3),
        "macro_f1": 0.25,
        "macro_auc": 0.5,
        "kappa": 0,
    }
    assert np.isnan(majority["log_loss"][0])
    prior = metrics.constant_baseline(label, np.array([0.2, 0.2, 0.6]))
    assert prior["accuracy"][0] == 0.6
    assert prior["log_loss"][0] == pytest.approx(reference.log_loss(label, np.tile([0.2, 0.2, 0.6], (5, 1))))
