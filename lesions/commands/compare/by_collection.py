"""Two models on each of several merged collections: the same metrics, tests and intervals, of its images alone."""

import pandas as pd

from lesions.commands.compare.paired import OF_MELANOMA, estimates
from lesions.commands.compare.predictions_at_revision import ModelPredictions
from lesions.core.merged_ids import is_merged
from lesions.evaluation.bootstrap import Bootstrap, Json
from lesions.evaluation.subgroup_comparison import left_out_reason
from lesions.evaluation.subgroups import MIN_GROUPS, NOT_GIVEN, members


def collections_of(one: ModelPredictions, other: ModelPredictions) -> dict[str, "pd.Index[str]"]:
    """Return the `image_id`s of each collection; {} where the data of one are not merged, or all are of one.

    Args:
        one: the first model's predictions.
        other: the second's, of the same images.
    """
    if not all(is_merged(found.split.table) for found in (one, other)):
        return {}
    table = one.split.table
    found = {name: pd.Index(table.loc[rows, "image_id"]) for name, rows in members(table["collection"])}
    return found if len(found) > 1 else {}


def collection_estimates(one: ModelPredictions, other: ModelPredictions, bootstrap: Bootstrap) -> dict[str, list[Json]]:
    """Return `estimates` of one collection, by the limits of subgroups.

    A metric for which it holds too few groups has a `reason` in place of values; of too few groups, there is none.

    Args:
        one: the first model's predictions of the collection.
        other: the second's.
        bootstrap: how the groups are resampled.
    """
    split = one.split
    if split.n_groups < MIN_GROUPS:
        return {}
    melanoma = None if one.melanoma is None else split.classes.index(one.melanoma)
    found = estimates(one, other, bootstrap)
    for metric in found.keys() & {"balanced_accuracy", *OF_MELANOMA}:
        if reason := left_out_reason(metric, split, melanoma):
            refused: Json = {**NOT_GIVEN, "reason": reason}
            found[metric] = [refused] * 3
    return found
