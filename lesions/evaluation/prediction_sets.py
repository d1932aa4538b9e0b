"""Do the prediction sets hold the true class as often as they promise, and how large are they?"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from lesions.evaluation.bootstrap import Bootstrap, unwrap_single
from lesions.evaluation.common.predictions import SplitPredictions
from lesions.evaluation.common.thresholds import PredictionSets
from lesions.evaluation.metrics import Metrics
from lesions.evaluation.roc import safe_divide


def prediction_set_report(split: SplitPredictions, sets: PredictionSets, bootstrap: Bootstrap) -> dict[str, Any]:
    """Return the coverage and the size of the sets, of all images and of those of each class, with intervals.

    Args:
        split: the predictions, of which the calibrated are taken.
        sets: as `calibrate` fitted them.
        bootstrap: how the intervals are resampled.

    Returns:
        `target`, the coverage that the sets promise; `never_excluded`, the classes that every set holds; `coverage`,
        the fraction of images whose set holds the true class; `size`, the mean number of classes in a set; `classes`,
        the same of each class.
    """
    members = sets.members(split.classes, split.known_calibrated())
    held, sizes = members[np.arange(len(split.label)), split.label], members.sum(axis=1)
    of_class = np.eye(len(split.classes))[split.label]

    def overall(weights: NDArray[np.float64]) -> Metrics:
        n_images = weights.sum(axis=1)
        return {"coverage": weights @ held / n_images, "size": weights @ sizes / n_images}

    def per_class(weights: NDArray[np.float64]) -> Metrics:
        n_images = weights @ of_class
        return {
            "coverage": safe_divide(weights @ (of_class * held[:, None]), n_images),
            "size": safe_divide(weights @ (of_class * sizes[:, None]), n_images),
        }

    each = bootstrap.estimates(per_class, split.groups)
    return {
        "target": sets.coverage,
        "never_excluded": sets.never_excluded,
        **unwrap_single(bootstrap.estimates(overall, split.groups)),
        "classes": [
            {"diagnosis": name, **{metric: found[number] for metric, found in each.items()}}
            for number, name in enumerate(split.classes)
        ],
    }
