"""The binary tasks of a classifier, such as melanoma against all else."""

from typing import Annotated

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field


class BinaryTask(BaseModel):
    """Some classes against others.

    Attributes:
        positive: labels of the positive classes.
        negative: labels of the negative classes; images of any other class take no part.
    """

    model_config = ConfigDict(frozen=True)

    positive: Annotated[list[str], Field(min_length=1)]
    negative: Annotated[list[str], Field(min_length=1)]

    def score(self, classes: list[str], probability: NDArray[np.floating]) -> NDArray[np.float64]:
        """Return (N,), the probability of the positive classes together.

        Args:
            classes: labels of the columns.
            probability: (N, classes).
        """
        total = np.zeros(len(probability))
        for label in self.positive:  # one after the other, so that the bits do not depend on N
            total = total + probability[:, classes.index(label)]
        return total


def binary_tasks(classes: pd.DataFrame) -> dict[str, BinaryTask | str]:
    """Return the tasks melanoma and malignant, or why the classes do not allow one.

    Args:
        classes: `data/clean/classes.csv`.
    """
    labels = list(classes["label"])
    malignant = list(classes.loc[classes["malignancy"] == "malignant", "label"])
    melanoma = list(classes.loc[(classes["diagnoses"] == "mel") & classes["label"].isin(malignant), "label"])
    benign = list(classes.loc[classes["malignancy"] == "benign", "label"])
    return {
        "melanoma": BinaryTask(positive=melanoma, negative=[label for label in labels if label not in melanoma])
        if melanoma
        else "no class is melanoma alone and counts as malignant",
        "malignant": BinaryTask(positive=malignant, negative=benign)
        if malignant and benign
        else "no class is known to be malignant, or none to be benign: state it by clean.classes in params.yaml",
    }
