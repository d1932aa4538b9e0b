"""`lesions audit`: what was planted is ranked first, nothing is removed, and test is shown with --test alone."""

from collections.abc import Iterator
from pathlib import Path
from shutil import rmtree
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lesions.commands.audit import similar_pairs
from lesions.commands.audit.audit import FILES, audit
from lesions.commands.audit.confident_learning import confident_classes, rank_labels
from lesions.commands.audit.out_of_fold import mean_of_tests
from lesions.commands.audit.page import with_lines
from lesions.commands.audit.similar_pairs import nearest_of_other_groups, rank_pairs, whiten
from lesions.commands.audit.view_features import mean_over_views
from lesions.commands.compare.predictions_at_revision import ModelPredictions
from lesions.core.csv_files import read_csv
from lesions.core.errors import UserError
from lesions.evaluation.common.predictions import SplitPredictions
from lesions.inference.features import feature_model
from lesions.models.common import saving
from tests.browser import assert_accessible, assert_fits, look
from tests.conftest import run

# By hand: the thresholds are the means of the first column over the first three rows, .6, and of the second over the
# last three, .7.
LABEL = np.array([0, 0, 0, 1, 1, 1])
PROBABILITY = np.array([[0.9, 0.1], [0.8, 0.2], [0.1, 0.9], [0.05, 0.95], [0.1, 0.9], [0.75, 0.25]])


def test_confident_learning_by_hand() -> None:
    assert confident_classes(LABEL, PROBABILITY).tolist() == [0, 0, 1, 1, 1, 0]
    ranked = rank_labels(LABEL, PROBABILITY)
    assert ranked["row"].tolist() == [2, 5, 1, 0, 4, 3]
    assert ranked["suspect"].tolist() == [True, True, False, False, False, False]
    assert ranked["predicted"].tolist() == [1, 0, 0, 0, 1, 1]
    assert ranked["margin"].tolist() == pytest.approx([-0.8, -0.5, 0.6, 0.8, 0.8, 0.9])


def test_threshold_is_of_the_class_not_a_half() -> None:
    """An unsure class has a low threshold: an image may be of it though another class is more probable."""
    probability = np.array([[0.7, 0.3, 0], [0.9, 0.1, 0], [0.65, 0.35, 0], [0.75, 0.25, 0]])
    label = np.array([0, 0, 1, 1])
    # .8 and .3: the first is of class 1 alone, and of class 2, which no image has, is none.
    assert confident_classes(label, probability).tolist() == [1, 0, 1, -1]
    ranked = rank_labels(label, probability)
    assert ranked.iloc[0][["row", "suspect", "predicted"]].tolist() == [0, True, 1]
    assert ranked.iloc[1][["row", "suspect", "predicted"]].tolist() == [3, False, 0]


def test_planted_label_errors_are_ranked_first() -> None:
    random = np.random.default_rng(0)
    truth = random.integers(3, size=1000)
    scores = random.normal(size=(1000, 3)) + 4 * np.eye(3)[truth]
    probability = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    planted = random.choice(1000, 20, replace=False)
    label = truth.copy()
    label[planted] = (label[planted] + 1) % 3
    ranked = rank_labels(label, probability)
    assert len(set(ranked["row"][:20]) & set(planted)) >= 16
    assert len(set(ranked["row"][:50]) & set(planted)) >= 19


def test_pairs_are_those_of_all_products(monkeypatch: pytest.MonkeyPatch) -> None:
    random = np.random.default_rng(0)
    vectors = whiten(random.normal(size=(60, 5)).astype(np.float32), np.eye(5, dtype=np.float32))
    groups = np.arange(60) // 2
    products = vectors @ vectors.T
    products[groups[:, None] == groups] = -2
    monkeypatch.setattr(similar_pairs, "MAX_SIMILARITIES", 7 * 60)  # several blocks, the last one smaller
    nearest, similarity = nearest_of_other_groups(vectors, groups)
    assert nearest.tolist() == products.argmax(axis=1).tolist()
    assert similarity == pytest.approx(products.max(axis=1), abs=1e-6)
    pairs = rank_pairs(vectors, groups)
    assert not pairs.duplicated(["one", "other"]).any()
    assert (pairs["one"] < pairs["other"]).all()
    mutual = pairs[pairs["mutual"]]
    assert mutual.index.tolist() == list(range(len(mutual)))
    assert mutual["similarity"].is_monotonic_decreasing
    assert all(nearest[one] == other and nearest[other] == one for one, other in mutual[["one", "other"]].to_numpy())


@pytest.mark.parametrize("groups", [[], [0], [0, 0, 0]])
def test_without_another_group_there_is_no_pair(groups: list[int]) -> None:
    vectors = np.ones((len(groups), 2), np.float32)
    assert rank_pairs(vectors, np.array(groups, np.int64)).empty


def test_lines_take_up_a_group_that_is_known() -> None:
    images = pd.DataFrame({"image_id": ["a", "b", "c", "d"], "known_group_id": ["", "", "c", ""]})
    pairs = pd.DataFrame({"one": ["a", "b"], "other": ["d", "c"]})
    assert with_lines(pairs, images)["group"].tolist() == ["a", "c"]


def run_of(ids: list[str], probability: list[list[float]], leakage: str = "none", classes: str = "mel nv") -> Any:
    """A model's predictions of its test images."""
    table = pd.DataFrame({"image_id": ids})
    label = groups = np.zeros(len(ids), np.int64)
    split = SplitPredictions(table, classes.split(), label, np.array(probability), None, groups)
    return ModelPredictions("run", "test", split, None, leakage, frozenset(ids))


def test_out_of_fold_predictions_are_means_over_the_runs() -> None:
    runs = [run_of(["a", "b"], [[0.2, 0.8], [1, 0]]), run_of(["c", "a"], [[0.5, 0.5], [0.4, 0.6]], "split by image")]
    table, leakage = mean_of_tests(runs, ["mel", "nv"])
    assert table.set_index("image_id")["mel"].to_dict() == pytest.approx({"a": 0.3, "b": 1, "c": 0.5})
    assert leakage == "split by image"
    with pytest.raises(UserError, match="is of the classes bcc, nv"):
        mean_of_tests([run_of(["a"], [[0.2, 0.8]], classes="bcc nv")], ["mel", "nv"])


def test_audit_of_a_run(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace)
    before = run("git status --porcelain", workspace)
    words = audit(tmp_path / "out")
    assert run("git status --porcelain", workspace) == before
    assert {file.name for file in (tmp_path / "out").iterdir()} == FILES
    assert max(map(len, words.replace(str(tmp_path), "").splitlines())) <= 80
    labels, pairs, off_topic = (
        read_csv(tmp_path / "out" / name) for name in ("label_suspects.csv", "similar_pairs.csv", "off_topic.csv")
    )
    images = read_csv(Path("data/clean/images.csv")).set_index("image_id")
    assert set(labels["split"]) == {"val"}
    assert set(off_topic["split"]) == {"train", "val"}
    assert set(pairs["split_one"]) | set(pairs["split_other"]) == {"train", "val", "test"}
    assert not (images.loc[pairs["one"], "group_id"].to_numpy() == images.loc[pairs["other"], "group_id"]).any()
    assert labels["label"].tolist() == images.loc[labels["image_id"], "label"].tolist()
    audit(tmp_path / "out", test=True, fast=True)
    assert set(read_csv(tmp_path / "out/label_suspects.csv")["split"]) == {"val", "test"}
    scores = read_csv(Path("data/predictions/ood_scores.csv")).set_index("image_id")["ood_score"].astype(float)
    off_topic = read_csv(tmp_path / "out/off_topic.csv").set_index("image_id")
    again = off_topic.loc[off_topic["split"] != "train", "ood_score"].astype(float)
    assert again.to_dict() == pytest.approx(scores[again.index].to_dict(), rel=1e-5)


def test_turned_image_has_the_same_features(workspace: Path) -> None:
    model = feature_model(saving.load(workspace / "models/model.keras"))
    image = np.load(workspace / "data/prepared/pixels.npy", mmap_mode="r")[0]
    pixels = np.stack([image, np.rot90(image), image[:, ::-1]])
    one, turned, mirrored = mean_over_views(model, pixels, np.arange(3))
    assert turned == pytest.approx(one, rel=1e-4, abs=1e-5)
    assert mirrored == pytest.approx(one, rel=1e-4, abs=1e-5)


def test_folder_of_something_else_is_refused(workspace: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace)
    with pytest.raises(UserError, match=r"--out \. holds .*, which no audit wrote"):
        audit(Path())
    with pytest.raises(UserError, match=r"--out params\.yaml is no folder"):
        audit(Path("params.yaml"))


@pytest.fixture(scope="module")
def page(workspace: Path) -> Iterator[Path]:
    """What a quick audit writes, where it does by itself."""
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(workspace)
        audit(Path("audited"), fast=True)
    yield workspace / "audited/index.html"
    rmtree(workspace / "audited")


def test_git_ignores_the_folder(workspace: Path, page: Path) -> None:
    assert page.exists()
    assert "audited" not in run("git status --porcelain --untracked-files=all", workspace)


def test_study_that_has_not_run_is_named(workspace: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(workspace)
    with pytest.raises(UserError, match="5 of the 5 experiments of the study folds are not there"):
        audit(tmp_path / "out", "folds")


@pytest.mark.parametrize("width", [390, 1280])
def test_layout_fits_and_axe_passes(browser: Any, page: Path, width: int) -> None:
    for scheme in ("light", "dark"):
        look(browser, width, scheme)
        browser.get(page.as_uri())
        assert_fits(browser)
        assert_accessible(browser)
