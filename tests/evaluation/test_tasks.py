"""The binary tasks that classes allow, and their score."""

import numpy as np
import pandas as pd

from lesions.evaluation.common.tasks import BinaryTask, binary_tasks


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
    unstated = table.assign(malignancy=["unstated", "malignant", "benign"])
    assert binary_tasks(unstated)["melanoma"] == "no class is melanoma alone and counts as malignant"


def test_score_is_a_sum() -> None:
    task = BinaryTask(positive=["mel", "bcc"], negative=["nv"])
    probability = np.array([[0.25, 0.5, 0.25], [0.5, 0.125, 0.375]])
    assert task.score(["nv", "mel", "bcc"], probability).tolist() == [0.75, 0.5]
