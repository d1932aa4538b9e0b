"""For whom do the metrics hold? The same metrics for women and men, by age, site, source and confirmation."""

from collections.abc import Iterator
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesions.core.errors import UserError
from lesions.core.merged_ids import is_merged
from lesions.evaluation.auc_interval import auc_estimate
from lesions.evaluation.balanced_accuracy import balanced_accuracy_estimate
from lesions.evaluation.bootstrap import Bootstrap, unwrap_single
from lesions.evaluation.common.predictions import SplitPredictions
from lesions.evaluation.metrics import Metrics, confusion, label_metrics
from lesions.evaluation.roc import safe_divide

MIN_GROUPS = 20
"""With fewer groups of images, a metric says more of these than of the subgroup."""
BANDS = {"under 30": 30, "30 to 49": 50, "50 to 69": 70, "70 and over": np.inf}
"""Age bands, and the age that each ends before."""
SKIN_TONES = ("very light", "light", "intermediate", "tan", "dark")
"""Estimated from the image, not known: docs/audit.md says what they are worth."""
NOT_STATED = "not stated"
NEEDED = ("age", "age_status", "sex", "site", "skin_tone", "source", "dx_type")
"""Columns of images.csv that subgroups are made of."""
MELANOMA_METRICS = ("melanoma_sensitivity", "melanoma_auc")
"""The metrics that depend on the subgroup's melanomas alone, however large it is otherwise."""
NOT_GIVEN = {"value": None, "lower": None, "upper": None}
TOO_FEW_MELANOMAS = NOT_GIVEN | {"reason": f"fewer than {MIN_GROUPS} groups are melanomas"}
ONE_DIAGNOSIS = NOT_GIVEN | {"reason": "a subgroup of one diagnosis has no balanced accuracy"}
TOO_FEW_OTHERS = NOT_GIVEN | {"reason": f"fewer than {MIN_GROUPS} groups are no melanomas"}


def columns(images: pd.DataFrame) -> dict[str, "pd.Series[str]"]:
    """Return the columns to group by, as words; `NOT_STATED` where an image has none.

    Args:
        images: rows of `data/clean/images.csv`, as text.

    Raises:
        UserError: a column is missing.
    """
    missing = [name for name in NEEDED if name not in images]
    if missing:
        raise UserError(
            f"data/clean/images.csv has no column {', '.join(missing)}: it was changed, or is of another version of "
            "the project. Run `dvc repro clean --force`."
        )
    # Ages that clean filled in, or that stand for an unknown one, are nobody's.
    age = pd.to_numeric(images["age"].where(images["age_status"] == "given"), errors="coerce")
    ends = list(BANDS.values())
    band = age.map(lambda years: list(BANDS)[int(np.searchsorted(ends, years, side="right"))], na_action="ignore")
    found = {
        "sex": images["sex"],
        "age": band.astype(object),
        "site": images["site"],
        "skin_tone": images["skin_tone"],
        "source": images["source"],
        "confirmation": images["dx_type"],
    }
    if is_merged(images):
        found["collection"] = images["collection"]
    return {name: values.fillna("").replace("", NOT_STATED) for name, values in found.items()}


def members(values: "pd.Series[str]") -> Iterator[tuple[str, NDArray[np.bool_]]]:
    """Yield each subgroup of a column, by name, and which rows it has, (N,); those not stated last."""
    bands = [*BANDS, *SKIN_TONES]
    names = sorted(set(values), key=lambda name: (name == NOT_STATED, bands.index(name) if name in bands else 0, name))
    for name in names:
        yield name, (values == name).to_numpy()


def subgroup_metrics(
    label: NDArray[np.int64],
    diagnosis: NDArray[np.int64],
    classes: int,
    melanoma: int | None,
    weights: NDArray[np.float64],
) -> Metrics:
    """Return, (B,) each, the metrics of a subgroup.

    balanced_accuracy, of the classes that the subgroup holds; and, where melanoma is a class, its sensitivity and
    specificity as the diagnosis.

    Args:
        label: (N,).
        diagnosis: (N,), the predicted labels.
        classes: number of classes.
        melanoma: its integer label, or None.
        weights: (B, N).
    """
    counts = confusion(label, diagnosis, classes, weights)
    found = {"balanced_accuracy": label_metrics(counts)["balanced_accuracy"]}
    if melanoma is not None:
        actual, predicted = counts[:, melanoma].sum(axis=1), counts[:, :, melanoma].sum(axis=1)
        true_positives, all_ = counts[:, melanoma, melanoma], counts.sum(axis=(1, 2))
        found |= {
            "melanoma_sensitivity": safe_divide(true_positives, actual),
            "melanoma_specificity": safe_divide(all_ - actual - predicted + true_positives, all_ - actual),
        }
    return found


def subgroup_report(
    split: SplitPredictions, melanoma: str | None, bootstrap: Bootstrap
) -> dict[str, list[dict[str, Any]]]:
    """Return for each column its subgroups, each with images, groups, and metrics with intervals.

    Args:
        split: of test.
        melanoma: its label, or None where it is no class of its own.
        bootstrap: how the intervals are resampled, of each subgroup's groups for themselves.

    Returns:
        Subgroups of fewer groups than `MIN_GROUPS` have `suppressed` in place of metrics; those of fewer groups of
        melanoma have none of `MELANOMA_METRICS`.
    """
    label = None if melanoma is None else split.classes.index(melanoma)
    report: dict[str, list[dict[str, Any]]] = {}
    for name, values in columns(split.table).items():
        report[name] = []
        for subgroup, rows in members(values):
            ours = split.only(rows)
            entry: dict[str, Any] = {
                "subgroup": subgroup,
                "images": len(ours.label),
                "groups": ours.n_groups,
                "diagnoses": len(set(ours.label)),
            }
            if ours.n_groups < MIN_GROUPS:
                entry["suppressed"] = f"fewer than {MIN_GROUPS} groups"
            else:
                compute = partial(subgroup_metrics, ours.label, ours.diagnosis, len(ours.classes), label)
                entry |= unwrap_single(bootstrap.estimates(compute, ours.groups))
                entry["balanced_accuracy"] = (
                    balanced_accuracy_estimate(ours.label, ours.diagnosis, ours.groups)
                    if entry["diagnoses"] > 1
                    else ONE_DIAGNOSIS
                )
                if label is not None:
                    entry["melanoma_auc"] = auc_estimate(ours.label == label, ours.probability[:, label], ours.groups)
                    entry["melanoma_groups"] = len(set(ours.groups[ours.label == label]))
                    if entry["melanoma_groups"] < MIN_GROUPS:
                        entry |= dict.fromkeys(MELANOMA_METRICS, TOO_FEW_MELANOMAS)
                    if len(set(ours.groups[ours.label != label])) < MIN_GROUPS:
                        entry["melanoma_specificity"] = TOO_FEW_OTHERS
            report[name].append(entry)
    return report
