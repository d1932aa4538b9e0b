"""Two models on the same images: their metrics, the differences, and intervals of these."""

from functools import partial

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesions.commands.compare.predictions_at_revision import ModelPredictions
from lesions.core.errors import UserError
from lesions.evaluation import metrics, subgroups
from lesions.evaluation.auc_interval import auc_difference, auc_estimate, macro_auc_estimate
from lesions.evaluation.bootstrap import Bootstrap, Json, unwrap_single
from lesions.evaluation.common.predictions import SplitPredictions
from lesions.evaluation.metrics import Metrics

COMPARED = ("accuracy", "balanced_accuracy", "macro_auc", "macro_f1", "log_loss")
OF_MELANOMA = ("melanoma_auc", "melanoma_sensitivity", "melanoma_specificity")
LESS_IS_BETTER = ("log_loss",)


def on_common_images(one: ModelPredictions, other: ModelPredictions) -> tuple[ModelPredictions, ModelPredictions, int]:
    """Leave out the images that the data of one model did not have yet, as where data have grown since.

    An image that both had, in other splits, stays, and all do where no image is common: `check_alike` refuses these.

    Returns:
        Both, and how many images were left out.
    """
    ids = [found.split.table["image_id"] for found in (one, other)]
    new = {*ids[0]} - {*ids[1]} - other.every_image, {*ids[1]} - {*ids[0]} - one.every_image
    if not {*ids[0]} & {*ids[1]}:
        return one, other, 0
    kept = [pd.Index(held[~held.isin(theirs)]) for held, theirs in zip(ids, new, strict=True)]
    return one.only(kept[0]), other.only(kept[1]), len(new[0]) + len(new[1])


def check_alike(one: ModelPredictions, other: ModelPredictions) -> None:
    """Check that two models have predictions of the same images; `ModelPredictions` are sorted by image.

    Raises:
        UserError: their classes, images, labels or groups differ, and how. A difference between metrics would then
            be one of the images too, and on the images that both have, each would be evaluated on a part of its
            test set that the other's split chose.
    """
    names = f"{one.revision} and {other.revision}"
    mend = "Compare experiments that differ in what comes after, or run one of them with the other's"
    if one.split.classes != other.split.classes:
        both = " against ".join(", ".join(found.split.classes) for found in (one, other))
        raise UserError(f"{names} have other classes: {both}. {mend} `clean` section of params.yaml.")
    held = [found.split.table.set_index("image_id") for found in (one, other)]
    alone = [held[0].index.difference(held[1].index), held[1].index.difference(held[0].index)]
    if len(alone[0]) or len(alone[1]):
        first = (*alone[0], *alone[1])[0]
        raise UserError(
            f"{names} have other images on {one.name}: {len(alone[0]):,} are of the former alone and "
            f"{len(alone[1]):,} of the latter alone, {first} for one; both have "
            f"{len(held[0].index.intersection(held[1].index)):,}. Metrics of different images do not compare. "
            f"{mend} `download`, `clean` and `split` sections of params.yaml."
        )
    changed = np.flatnonzero(held[0]["label"].to_numpy() != held[1]["label"].to_numpy())
    if len(changed):
        row = changed[0]
        labels = " and ".join(table["label"].iloc[row] for table in held)
        raise UserError(
            f"{names} have other labels: {held[0].index[row]} is {labels} ({len(changed):,} such images of "
            f"{one.name}). {mend} data and `clean` section of params.yaml."
        )
    pairs = np.unique(np.stack([one.split.groups, other.split.groups]), axis=1).shape[1]
    if not pairs == one.split.n_groups == other.split.n_groups:
        raise UserError(
            f"{names} group the images of {one.name} otherwise, into {one.split.n_groups:,} and "
            f"{other.split.n_groups:,} lesions or patients, so that they have no interval in common. {mend} `clean` "
            "section of params.yaml."
        )


def compared_metrics(split: SplitPredictions, melanoma: int | None, weights: NDArray[np.float64]) -> Metrics:
    """Return, (B,) each, the compared metrics of one model that need no area under a curve.

    Where melanoma is a class, its sensitivity and specificity are of it as the diagnosis.

    Args:
        split: the model's predictions of N images.
        melanoma: its integer label, or None.
        weights: (B, N).
    """
    found = metrics.overall_metrics(split.label, split.diagnosis, split.probability, weights)
    found |= subgroups.subgroup_metrics(split.label, split.diagnosis, len(split.classes), melanoma, weights)
    return {name: found[name] for name in (*COMPARED, *OF_MELANOMA) if name in found}


def estimates(one: ModelPredictions, other: ModelPredictions, bootstrap: Bootstrap) -> dict[str, list[Json]]:
    """Return for each metric three entries with intervals: the first model's, the second's, and the difference.

    The metrics are `COMPARED`, and where melanoma is a class `OF_MELANOMA`: the AUC of its probability, and sensitivity
    and specificity where it is the diagnosis. Both models have the same resamples, which makes the
    difference paired.

    Args:
        one: the first.
        other: the second, alike as `check_alike` has it.
        bootstrap: how the groups are resampled: the same resamples for both make the difference paired.
    """
    label, groups = one.split.label, one.split.groups
    probabilities = [found.split.probability for found in (one, other)]
    melanoma = None if one.melanoma is None else one.split.classes.index(one.melanoma)

    def difference(weights: NDArray[np.float64]) -> Metrics:
        before, after = (compared_metrics(found.split, melanoma, weights) for found in (one, other))
        return {name: after[name] - before[name] for name in before}

    each = [
        unwrap_single(bootstrap.estimates(partial(compared_metrics, found.split, melanoma), groups))
        for found in (one, other)
    ]
    each.append(unwrap_single(bootstrap.estimates(difference, groups, proportions=())))
    positive = label == np.arange(len(one.split.classes))[:, None]
    for found, probability in zip(each, probabilities, strict=False):
        found["macro_auc"] = macro_auc_estimate(label, probability, groups)
    each[2]["macro_auc"] = auc_difference(positive, [probabilities[0].T], [probabilities[1].T], groups)
    if melanoma is not None:
        scores = [probability.T[melanoma][None] for probability in probabilities]
        for found, score in zip(each, scores, strict=False):
            found["melanoma_auc"] = auc_estimate(positive[melanoma], score[0], groups)
        each[2]["melanoma_auc"] = auc_difference(positive[melanoma][None], scores[:1], scores[1:], groups)
        kinds = {
            "melanoma_sensitivity": (positive[melanoma], subgroups.TOO_FEW_MELANOMAS),
            "melanoma_specificity": (~positive[melanoma], subgroups.TOO_FEW_OTHERS),
        }
        for name, (rows, too_few) in kinds.items():
            if len(np.unique(groups[rows])) < subgroups.MIN_GROUPS:
                each[2][name] = {**too_few, "value": each[2][name]["value"]}
    names = COMPARED + (() if melanoma is None else OF_MELANOMA)
    return {name: [found[name] for found in each] for name in names}
