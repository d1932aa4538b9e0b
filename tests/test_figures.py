"""Each figure against an independent computation, and what is undefined against its reason."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import mannwhitneyu

from lesions import figures

CLASSES = ["mel", "bkl", "nv"]


def drawn(seed: int, count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Labels of all classes, and probabilities that know something about them."""
    random = np.random.default_rng(seed)
    label = np.concatenate([np.arange(3), random.integers(0, 3, count)])
    scores = random.normal(size=(len(label), 3)) + 1.5 * np.eye(3)[label]
    return label, np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)


@given(st.integers(0, 2**32 - 1))
def test_figures_are_what_their_definitions_say(seed: int) -> None:
    label, probability = drawn(seed)
    predicted = probability.argmax(axis=1)
    counts = np.array([[((label == a) & (predicted == p)).sum() for p in range(3)] for a in range(3)])
    recall = counts.diagonal() / counts.sum(axis=1)
    areas = [
        mannwhitneyu(probability[label == n, n], probability[label != n, n]).statistic
        / ((label == n).sum() * (label != n).sum())
        for n in range(3)
    ]
    f1 = 2 * counts.diagonal() / (counts.sum(axis=0) + counts.sum(axis=1))
    assert figures.headline(label, probability) == pytest.approx(
        {
            "accuracy": counts.diagonal().sum() / counts.sum(),
            "balanced_accuracy": recall.mean(),
            "macro_f1": f1.mean(),
            "macro_auc": np.mean(areas),
            "log_loss": -np.log(probability[np.arange(len(label)), label]).mean(),
        },
        abs=6e-5,
    )
    assert (figures.confusion(label, probability) == counts).all()
    rows = pd.DataFrame(figures.per_class(label, probability, CLASSES))
    assert list(rows["diagnosis"]) == CLASSES
    assert rows["recall"].to_numpy() == pytest.approx(recall, abs=6e-5)
    assert rows["misclassified"].to_numpy() == pytest.approx(1 - recall, abs=6e-5)
    assert rows["f1"].to_numpy() == pytest.approx(f1, abs=6e-5)
    assert rows["auc"].to_numpy() == pytest.approx(np.array(areas), abs=6e-5)
    assert list(rows["support"]) == list(counts.sum(axis=1))
    curves = figures.roc(label, probability, CLASSES)
    for number, (_, curve) in enumerate(curves.groupby("diagnosis", sort=False)):
        area = np.trapezoid(curve["true_positive_rate"], curve["false_positive_rate"])
        assert area == pytest.approx(areas[number], abs=1e-3)


def test_a_class_that_does_not_occur_is_null_with_a_reason() -> None:
    label = np.array([0, 0, 2, 2])
    probability = np.array([[0.8, 0.1, 0.1], [0.6, 0.2, 0.2], [0.1, 0.2, 0.7], [0.7, 0.2, 0.1]])
    found = figures.headline(label, probability)
    assert found["macro_auc"] is None
    assert found["balanced_accuracy"] == 0.75
    row = figures.per_class(label, probability, CLASSES)[1]
    assert [row[name] for name in ("precision", "recall", "f1", "misclassified", "auc")] == [None] * 5
    assert row["undefined"] == [
        "auc: needs pictures of this class and of others",
        "precision: never predicted",
        "recall: does not occur",
    ]
    assert set(figures.roc(label, probability, CLASSES)["diagnosis"]) == {"mel", "nv"}


def test_one_picture_alone() -> None:
    label, probability = np.array([2]), np.array([[0.2, 0.3, 0.5]])
    assert figures.headline(label, probability)["macro_auc"] is None
    assert figures.headline(label, probability)["accuracy"] == 1
    assert figures.roc(label, probability, CLASSES).empty


def test_equal_scores_are_worth_nothing() -> None:
    label, probability = np.array([0, 1, 2, 2]), np.full((4, 3), 1 / 3)
    assert figures.headline(label, probability)["macro_auc"] == 0.5


def test_the_majority_baseline_is_that_of_a_constant_answer() -> None:
    label = np.array([2, 2, 2, 1, 0])
    assert figures.majority(label, 2) == {
        "accuracy": 0.6,
        "balanced_accuracy": 0.3333,
        "macro_f1": 0.25,
        "macro_auc": 0.5,
    }
    assert figures.majority(np.array([0, 1]), 2)["balanced_accuracy"] == 0
    assert figures.majority(np.array([2]), 2)["macro_auc"] is None
