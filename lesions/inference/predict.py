"""How a network is asked about a batch of pictures, in `predict` and wherever a model is used: to the same bits."""

import keras
import numpy as np
from numpy.typing import NDArray

BATCH = 64


def asked(
    looking: keras.Model, pictures: NDArray[np.uint8], dihedral: bool
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return the features of the pictures as they are, (N, features), and the probabilities, (N, classes).

    Args:
        looking: of `penultimate.with_features`.
        pictures: uint8, (N, height, width, 3).
        dihedral: take the mean of the probabilities over all orientations.
    """
    views = orientations(pictures) if dihedral else [pictures]
    # Through Keras's graph: asked eagerly, it gives the same bits in twice the time.
    seen = [looking.predict_on_batch(view) for view in views]
    mean: NDArray[np.float32] = np.mean([probabilities for _, probabilities in seen], axis=0)
    return seen[0][0], mean


def orientations(pictures: NDArray[np.uint8]) -> list[NDArray[np.uint8]]:
    """Return the flips and quarter turns that keep the shape: eight of square pictures, else four.

    Args:
        pictures: (N, height, width, 3).
    """
    square = pictures.shape[1] == pictures.shape[2]
    turned = [np.rot90(pictures, turns, axes=(1, 2)) for turns in (range(4) if square else (0, 2))]
    return turned + [view[:, :, ::-1] for view in turned]
