"""Drawing training images so that classes, collections, or both come alike often."""

import numpy as np
import pytest

from lesions.core.errors import UserError
from lesions.models.common.batches import train_batches
from lesions.models.training.balance import Balance, draw_probabilities

LABELS = np.array([0] * 90 + [1] * 10 + [0] * 4 + [1] * 16)
COLLECTIONS = np.array(["a"] * 100 + ["b"] * 20)


def mass(probabilities: np.ndarray, rows: np.ndarray) -> float:
    return float(probabilities[rows].sum())


@pytest.mark.parametrize(
    ("balance", "class_1", "collection_b"), [("class", 0.5, 0.5 * (4 / 94 + 16 / 26)), ("collection", 0.45, 0.5)]
)
def test_one_kind_comes_alike_often(balance: Balance, class_1: float, collection_b: float) -> None:
    found = draw_probabilities(balance, LABELS, COLLECTIONS)
    assert found is not None
    assert found.sum() == pytest.approx(1)
    assert mass(found, LABELS == 1) == pytest.approx(class_1)
    assert mass(found, COLLECTIONS == "b") == pytest.approx(collection_b)


def test_each_class_of_each_collection_comes_alike_often() -> None:
    found = draw_probabilities("both", LABELS, COLLECTIONS)
    assert found is not None
    for label in (0, 1):
        for name in ("a", "b"):
            cell = np.isin(LABELS, label) & np.isin(COLLECTIONS, name)
            assert mass(found, cell) == pytest.approx(0.25)


def test_images_are_drawn_as_often_as_they_should() -> None:
    probabilities = draw_probabilities("class", LABELS, COLLECTIONS)
    arrays = [np.zeros((120, 2, 2, 3), np.uint8)]
    stream = train_batches(arrays, np.arange(120), LABELS, 60, 1, probabilities=probabilities)
    drawn = np.concatenate([labels.numpy() for _, labels in stream.take(40)])
    assert drawn.mean() == pytest.approx(0.5, abs=0.04)
    again = train_batches(arrays, np.arange(120), LABELS, 60, 1, first_epoch=1, probabilities=probabilities)
    assert np.array_equal(next(iter(again))[1], drawn[120:180])  # an interrupted training goes on with the same


def test_without_collections_there_is_nothing_to_balance() -> None:
    assert draw_probabilities("none", LABELS, COLLECTIONS) is None
    with pytest.raises(UserError, match=r"train.balance is both, and the data is of one collection"):
        draw_probabilities("both", LABELS, np.full(120, ""))
