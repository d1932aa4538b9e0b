"""Thresholds and their file."""

from pathlib import Path

import pytest

from lesions.core.errors import UserError
from lesions.evaluation.common.decision_rule import UNCALIBRATED_ARGMAX
from lesions.evaluation.common.tasks import BinaryTask
from lesions.evaluation.common.thresholds import (
    OOD,
    ModelId,
    PredictionSets,
    Provenance,
    Threshold,
    Thresholds,
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


def test_targets_of_melanoma_include_dermatologists() -> None:
    assert ("sensitivity", 0.866) in targets("melanoma")
    assert ("sensitivity", 0.866) not in targets("malignant")
    one = Threshold(task="melanoma", metric="sensitivity", target=0.866, value=0.1)
    assert one.of_dermatologists
    assert one.chosen_for == "dermatologists' sensitivity 86.6%"
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
