"""Features that do not depend on how the camera was turned: the mean over an image's flips and quarter turns."""

import lesions.models.common.determinism  # noqa: F401 - before all that imports Keras

# isort: split
import keras
import numpy as np
from numpy.typing import NDArray
from tqdm import tqdm

from lesions.inference.predict import dihedral_views

BATCH_SIZE = 32

Floats = NDArray[np.float32]


def mean_over_views(model: keras.Model, pixels: NDArray[np.uint8], rows: NDArray[np.int64]) -> Floats:
    """Return the mean of each image's features over its `dihedral_views`, (N, features).

    Args:
        model: of `features.feature_model`.
        pixels: (images, height, width, 3), which may be larger than memory.
        rows: (N,), which images.
    """
    features = np.empty((len(rows), model.outputs[0].shape[-1]), np.float32)
    with tqdm(total=len(rows), desc="turning and comparing", unit=" images", disable=None) as progress:
        for start in range(0, len(rows), BATCH_SIZE):
            batch = rows[start : start + BATCH_SIZE]
            padded = np.zeros((BATCH_SIZE, *pixels.shape[1:]), np.uint8)  # one shape, for which the graph is made once
            padded[: len(batch)] = pixels[batch]
            views = [model.predict_on_batch(view)[0] for view in dihedral_views(padded)]
            features[start : start + len(batch)] = np.mean(views, axis=0)[: len(batch)]
            progress.update(len(batch))
    return features
