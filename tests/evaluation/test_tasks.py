"""Binary tasks, and the file of thresholds."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lesions.core.errors import UserError
from lesions.evaluation.common.decision_rule import UNCALIBRATED_ARGMAX
from lesions.evaluation.common.tasks import (
    OOD,
    BinaryTask,
    ModelId,
    PredictionSets,
    Provenance,
    Threshold,
    Thresholds,
    binary_tasks,
    targets,
)

MODEL = ModelId(sha256={"model.keras": "aa"}, tta=False, use_metadata=False)


def thresholds() -> Thresholds:
    return Thresholds(
        model=MODEL,
        classes=["mel", "nv"],
        leakage="none",
        training_data=Provenance(source="ham10000", provenance_sha256="bb"),
        tasks={"melanoma": BinaryTask(positive=["mel"], negative=["nv"])},
        thresholds=[
            Threshold(task="melanoma", metric="sensitivity", target=0.9, value=1 / 3),
            Threshold(task="melanoma", metric="specificity", target=0.9, value=None),
            Threshold(task=OOD, metric="specificity", target=0.99, value=7.5),
        ],
        decision_rule=UNCALIBRATED_ARGMAX,
        prediction_sets=PredictionSets(coverage=0.9, least_probability={"mel": 0.1, "nv": 1 / 3}),
    )


def test_tasks_of_classes() -> None:
    table = pd.DataFrame(
        [("mel", "malignant", "mel"), ("other", "unstated", "bcc; scc"), ("nv", "benign", "nv")],
        columns=["label", "malignancy", "diagnoses"],
    )
    assert binary_tasks(table) == {
        "melanoma": BinaryTask(positive=["mel"], negative=["other", "nv"]),
        "malignant": BinaryTask(positive=["mel"], negative=["nv"]),
    }
    coarse = pd.DataFrame(
        [("malignant", "malignant", "mel; bcc"), ("rest", "unstated", "nv")],
        columns=["label", "malignancy", "diagnoses"],
    )
    assert all(isinstance(reason, str) for reason in binary_tasks(coarse).values())


def test_score_is_a_sum() -> None:
    task = BinaryTask(positive=["mel", "bcc"], negative=["nv"])
    probability = np.array([[0.25, 0.5, 0.25], [0.5, 0.125, 0.375]])
    assert task.score(["nv", "mel", "bcc"], probability).tolist() == [0.75, 0.5]


def test_targets_of_melanoma_include_dermatologists() -> None:
    assert ("sensitivity", 0.866) in targets("melanoma")
    assert ("sensitivity", 0.866) not in targets("malignant")
    one = Threshold(task="melanoma", metric="sensitivity", target=0.866, value=0.1)
    assert one.of_dermatologists
    assert one.chosen_for == "dermatologists' sensitivity 86.6% on val"
    assert not one.model_copy(update={"task": "malignant"}).of_dermatologists


def test_file_is_read_back(tmp_path: Path) -> None:
    thresholds().write(tmp_path / "thresholds.json")
    back = Thresholds.read(tmp_path / "thresholds.json")
    assert back == thresholds()
    assert back.value("melanoma", "sensitivity", 0.9) == 1 / 3
    assert back.value("melanoma", "specificity", 0.9) is back.value("malignant", "sensitivity", 0.9) is None
    assert back.ood_threshold == 7.5


@pytest.mark.parametrize(
    ("content", "words"),
    [(None, "is missing"), ("{}", "can read"), ("no JSON", "can read"), ('{"thresholds": "no"}', "can read")],
)
def test_unreadable_file_is_refused(tmp_path: Path, content: str | None, words: str) -> None:
    if content is not None:
        (tmp_path / "thresholds.json").write_text(content)
    with pytest.raises(UserError, match=words):
        Thresholds.read(tmp_path / "thresholds.json")
