"""Confident learning (Northcutt, Jiang and Chuang, JAIR 70, 2021): which labels are probably wrong?"""

import numpy as np
import pandas as pd
from numpy.typing import NDArray

Labels = NDArray[np.int64]
Probabilities = NDArray[np.float64]


def confident_classes(label: Labels, probability: Probabilities) -> Labels:
    """Return the class that each image confidently belongs to; -1 where there is none.

    An image is confidently of a class where its probability reaches the class's threshold, the mean probability of the
    class over the images that have its label (section 3.1 there); of several such classes, the most probable counts.

    Args:
        label: (N,), the given labels, as integers.
        probability: (N, classes), of a network that was not trained on these images.
    """
    labelled = label[:, None] == np.arange(probability.shape[1])
    # A class that no image has reaches no threshold.
    with np.errstate(invalid="ignore"):
        thresholds = np.where(labelled, probability, 0).sum(axis=0) / labelled.sum(axis=0)
    reached = probability >= thresholds
    best: Labels = np.where(reached, probability, -1).argmax(axis=1)
    return np.where(reached.any(axis=1), best, -1)


def rank_labels(label: Labels, probability: Probabilities) -> pd.DataFrame:
    """Rank the images, the most probable label error first.

    Label suspects, which the paper's confident joint counts off its diagonal, come first; among these and among the
    others the lowest normalised margin does: the label's probability less that of the most probable other class.

    Args:
        label: see `confident_classes`.
        probability: the same.

    Returns:
        One row per image, in this order: `row` in the arguments, `suspect`, `predicted`, the confident class of a
        suspect, else the most probable one, and `margin`, from -1 to 1.
    """
    rows = np.arange(len(label))
    confident = confident_classes(label, probability)
    suspect = (confident >= 0) & (confident != label)
    others = probability.copy()
    others[rows, label] = -1
    margin = probability[rows, label] - others.max(axis=1)
    predicted = np.where(suspect, confident, probability.argmax(axis=1))
    table = pd.DataFrame({"row": rows, "suspect": suspect, "predicted": predicted, "margin": margin})
    return table.sort_values(["suspect", "margin", "row"], ascending=[False, True, True], ignore_index=True)
