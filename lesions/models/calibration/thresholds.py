"""Choosing thresholds on validation, and the hashes of the files for which they hold."""

from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesions.core.errors import UserError
from lesions.core.file_hash import sha256_of
from lesions.evaluation.common.proportion import effective_cases, exact_bounds
from lesions.evaluation.common.tasks import BinaryTask
from lesions.evaluation.common.temperature_scaling import Calibration
from lesions.evaluation.common.thresholds import OOD, THRESHOLDS_FILE, LeftOutSource, Threshold, Thresholds, targets
from lesions.models.calibration import ood
from lesions.models.calibration.metadata_prior import MetadataPrior

MIN_POSITIVE_GROUPS = 10
"""With fewer, the sensitivity on a source says nothing: the bounds of 9 out of 9 begin at 66 %."""
OOD_SPECIFICITY = 0.99
"""The fraction of the validation images that is not to be flagged as out-of-distribution."""
FITTED = (Calibration.FILE, MetadataPrior.FILE, ood.FILE)
"""Files of a model's folder that `calibrate` writes."""
FILES = ("model.keras", "preprocessing.json", *FITTED)
"""Files of a model's folder for which the thresholds hold."""


def choose_threshold(
    positive: NDArray[np.bool_], score: NDArray[np.float64], metric: str, target: float
) -> float | None:
    """Return the threshold that reaches a target and gives away least of the other metric.

    Args:
        positive: (N,), of validation.
        score: (N,); an image is predicted positive from the threshold on.
        metric: sensitivity or specificity.
        target: its least value, from 0 to 1.

    Returns:
        One of the scores; None where there are no positives or no negatives, or where the highest score of all is
        shared by too many negatives.
    """
    if not positive.any() or positive.all():
        return None
    thresholds = np.unique(score)[::-1]
    true, false = (_n_at_least(score[rows], thresholds) for rows in (positive, ~positive))
    # Counted in whole images, with room for the last bit of a fraction.
    if metric == "sensitivity":
        reached = np.flatnonzero(true >= target * positive.sum() - 1e-9)[:1]
    else:
        reached = np.flatnonzero(false <= (1 - target) * (~positive).sum() + 1e-9)[-1:]
    return float(thresholds[reached[0]]) if len(reached) else None


def on_left_out_sources(
    positive: NDArray[np.bool_], score: NDArray[np.float64], images: pd.DataFrame, target: float
) -> list[LeftOutSource]:
    """Return for each source the sensitivity there of the threshold that the other sources choose.

    Args:
        positive: (N,), of validation.
        score: (N,).
        images: N rows, with `source` ("" where none is stated) and `group_id`.
        target: the least sensitivity on the other sources.

    Returns:
        Of the sources with at least `MIN_POSITIVE_GROUPS`; none where there is but one source.
    """
    found = []
    sources, groups = images["source"].to_numpy(), images["group_id"].to_numpy()
    for source in sorted(set(sources) - {""}):
        ours = sources == source
        value = choose_threshold(positive[~ours], score[~ours], "sensitivity", target)
        number = len(set(groups[ours & positive]))
        if value is None or number < MIN_POSITIVE_GROUPS:
            continue
        detected = score[ours & positive] >= value
        share = float(detected.mean())
        # At most a case a group: else one miss of many could have a lower bound above that of none.
        cases = min(number, effective_cases(detected, groups[ours & positive]))
        bounds = dict(zip(("lower", "upper"), exact_bounds(share, cases), strict=True))
        sensitivity = {name: round(bound, 4) for name, bound in {"value": share, **bounds}.items()}
        found.append(LeftOutSource(source=source, positive_groups=number, sensitivity=sensitivity))
    return found


def task_thresholds(
    name: str, task: BinaryTask, classes: list[str], val: pd.DataFrame, images: pd.DataFrame
) -> list[Threshold]:
    """Return a task's thresholds, one for each of its `targets`.

    Args:
        name: the task's.
        task: its classes.
        classes: the labels.
        val: predictions of validation: `label`, and the uncalibrated probability of each class.
        images: of `val`, row by row, with `source` and `group_id`.
    """
    rows = val["label"].isin(task.positive + task.negative).to_numpy()
    positive = val["label"].isin(task.positive).to_numpy()[rows]
    score = task.score(classes, val[classes].to_numpy())[rows]
    return [
        Threshold(
            task=name,
            metric=metric,
            target=target,
            value=choose_threshold(positive, score, metric, target),
            left_out_sources=on_left_out_sources(positive, score, images[rows], target)
            if metric == "sensitivity"
            else [],
        )
        for metric, target in targets(name)
    ]


def choose_ood_threshold(score: NDArray[np.floating]) -> Threshold:
    """Return the threshold of the out-of-distribution score, (N,) of validation."""
    # A score that occurs, so that nothing is interpolated.
    value = float(np.quantile(score, OOD_SPECIFICITY, method="higher"))
    return Threshold(task=OOD, metric="specificity", target=OOD_SPECIFICITY, value=value)


def load(folder: Path) -> Thresholds:
    """Read a model folder's thresholds, and hold them against the files beside them.

    Raises:
        UserError: something is missing or damaged, or belongs to another model.
    """
    thresholds = Thresholds.read(folder / THRESHOLDS_FILE)
    try:
        found = {name: sha256_of(folder / name) for name in FILES}
    except FileNotFoundError as error:
        raise UserError(
            f"{error.filename} is missing, so there is no model to run. Make one with `dvc repro`, or fetch your "
            "team's with `dvc pull`."
        ) from None
    except PermissionError as error:
        raise UserError(f"{error.filename} must not be read by you. Give yourself the right to.") from None
    other = [name for name, sha256 in found.items() if thresholds.model.sha256.get(name) != sha256]
    if other:
        raise UserError(
            f"{folder / THRESHOLDS_FILE} was made for another {' and another '.join(other)} than the one beside it: "
            "its thresholds mean nothing here. They are of two runs, or a file was changed. `dvc repro` "
            "makes files that belong together; `git checkout dvc.lock`, then `dvc checkout`, bring the last commit's."
        )
    return thresholds


def _n_at_least(scores: NDArray[np.float64], thresholds: NDArray[np.float64]) -> NDArray[np.int64]:
    """Return (thresholds,), how many scores are at least each threshold."""
    found: NDArray[np.int64] = len(scores) - np.searchsorted(np.sort(scores), thresholds, side="left")
    return found
