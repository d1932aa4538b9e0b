"""Is the second experiment better than the first, and is that more than chance?"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

import numpy as np
import pandas as pd

from lesions.commands.compare.by_collection import collection_estimates, collections_of
from lesions.commands.compare.paired import LESS_IS_BETTER, check_alike, estimates, on_common_images
from lesions.commands.compare.predictions_at_revision import ModelPredictions, predictions_at_revision
from lesions.commands.compare.significance import delong, mcnemar
from lesions.commands.options import read_bootstrap
from lesions.core.stage import say
from lesions.evaluation.bootstrap import NO_WIDTH
from lesions.evaluation.holm import holm
from lesions.evaluation.subgroups import NOT_GIVEN
from lesions.reporting.common.numbers import Estimate, bounds, decimal
from lesions.reporting.common.templates import render

Row: TypeAlias = tuple[str, ...]
Form: TypeAlias = Callable[[Sequence[Row]], str]
"""Makes the rows of `table` into text."""


@dataclass(frozen=True)
class Comparison:
    """What was found of two experiments on the same images.

    Attributes:
        one: the first model's predictions.
        other: the second's, of the same images.
        metrics: by name, three entries each: the first's, the second's, and the difference, with intervals.
        resamples: of the bootstrap.
        left_out: how many images of the split only one of the two had, since data have grown.
        collections: the same of each merged collection alone; one of too few groups has no metrics.
    """

    one: ModelPredictions
    other: ModelPredictions
    metrics: Mapping[str, Sequence[Estimate]]
    resamples: int
    left_out: int = 0
    collections: Mapping[str, "Comparison"] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, str]:
        """Both experiments, by the names that were given."""
        return self.one.revision, self.other.revision

    @property
    def leaky(self) -> list[ModelPredictions]:
        """Those of the two whose split leaks."""
        return [found for found in (self.one, self.other) if found.leakage != "none"]


def compare(first: str, second: str, name: str, resamples: int | None) -> Comparison:
    """Return how two experiments differ on one split.

    Args:
        first: an experiment's name, or any Git revision, or `workspace`.
        second: as `first`.
        name: val or test.
        resamples: of the bootstrap; None takes `evaluate.n_bootstrap`.

    Raises:
        UserError: one of the two cannot be read, or they have other images, labels or classes.
    """
    bootstrap = read_bootstrap(resamples)
    one, other, left_out = on_common_images(predictions_at_revision(first, name), predictions_at_revision(second, name))
    check_alike(one, other)
    say(f"Comparing on {bootstrap.resamples:,} resamples ...")
    collections = {}
    for collection, image_ids in collections_of(one, other).items():
        ours, theirs = one.only(image_ids), other.only(image_ids)
        found = collection_estimates(ours, theirs, bootstrap)
        collections[collection] = Comparison(ours, theirs, found, bootstrap.resamples)
    return Comparison(one, other, estimates(one, other, bootstrap), bootstrap.resamples, left_out, collections)


def as_text(comparison: Comparison) -> str:
    """Return the comparison for a terminal."""
    return render("commands/compare/comparison.txt.jinja", context(comparison, _text_table))


def _text_table(rows: Sequence[Row]) -> str:
    head, *rest = rows
    return pd.DataFrame([row[1:] for row in rest], index=[row[0] for row in rest], columns=head[1:]).to_string()


def table(comparison: Comparison) -> list[Row]:
    """Return head and rows, one per metric: both values, the difference, its interval, and which of the two is better.

    No one is better where 0 is in the interval.
    """
    rows: list[Row] = [("", *comparison.names, "difference", "95 % interval", "better")]
    for name, (one, other, difference) in comparison.metrics.items():
        lower, upper = difference["lower"], difference["upper"]
        better = ""
        if lower is not None and (lower > 0 or upper < 0):
            better = comparison.names[int((lower > 0) != (name in LESS_IS_BETTER))]
        rows.append(
            (
                f"{name}{' (less is better)' * (name in LESS_IS_BETTER)}",
                decimal(one["value"]),
                decimal(other["value"]),
                decimal(difference["value"], "+"),
                bounds(difference, "+"),
                better,
            )
        )
    return rows


def context(comparison: Comparison, form: Form) -> dict[str, Any]:
    """Return what both templates take.

    Args:
        comparison: what was found.
        form: of the table.
    """
    split, melanoma = comparison.one.split, comparison.one.melanoma
    melanomas = None if melanoma is None else (split.table["label"] == melanoma).to_numpy()
    return {
        "one": comparison.one.revision,
        "other": comparison.other.revision,
        "split": comparison.one.name,
        "images": len(split.label),
        "left_out": comparison.left_out,
        "table": form(table(comparison)) if comparison.metrics else "",
        "collections": _by_collection(comparison, form),
        "groups": split.n_groups,
        "melanomas": None if melanomas is None else len(set(split.groups[melanomas])),
        "leaky": comparison.leaky,
        "resamples": comparison.resamples,
        "without_interval": _without_interval(comparison),
        **_significance(comparison.one, comparison.other),
    }


def _by_collection(comparison: Comparison, form: Form) -> list[dict[str, Any]]:
    """Return `context` of each collection, with `tests`: by name `p`, and `p_holm`, adjusted for the number of all."""
    found = []
    for name, ours in comparison.collections.items():
        entry = context(ours, form) | {"name": name, "n_intervals": _n_intervals(ours)}
        p = {"mcnemar": entry["mcnemar"]} if ours.metrics else {}
        auc = ours.metrics.get("melanoma_auc", [NOT_GIVEN])[-1]
        if auc["value"] is not None and entry["delong"].p is not None:
            p["delong"] = entry["delong"].p
        found.append(entry | {"tests": {test: {"p": value} for test, value in p.items()}})
    tests = [test for entry in found for test in entry["tests"].values()]
    for test, adjusted in zip(tests, holm([test["p"] for test in tests]), strict=True):
        test["p_holm"] = float(adjusted)
    return found


def _n_intervals(comparison: Comparison) -> int:
    return sum(difference["lower"] is not None for _, _, difference in comparison.metrics.values())


def _without_interval(comparison: Comparison) -> dict[str, list[str]]:
    """Return the metrics whose difference has no interval, by the reason."""
    found: dict[str, list[str]] = {}
    for name, (_, _, difference) in comparison.metrics.items():
        if difference["lower"] is None:
            reason = difference["reason"]
            # That of a metric without interval speaks of one metric, not of a difference.
            reason = "the same difference in every resample" if reason == NO_WIDTH else reason
            found.setdefault(reason, []).append(name)
    return found


def _significance(one: ModelPredictions, other: ModelPredictions) -> dict[str, Any]:
    """Return on how many images each model alone is right, and what the tests say."""
    label, groups = one.split.label, one.split.groups
    right = [found.split.diagnosis == label for found in (one, other)]
    surplus = right[1].astype(np.int64) - right[0]
    found: dict[str, Any] = {
        "one_alone": (surplus < 0).sum(),
        "other_alone": (surplus > 0).sum(),
        "mcnemar": mcnemar(surplus, groups),
        "tests_melanoma": one.melanoma is not None,
    }
    if one.melanoma is not None:
        number = one.split.classes.index(one.melanoma)
        scores = np.stack([found.split.probability[:, number] for found in (one, other)])
        found["delong"] = delong(label == number, scores, groups)
    return found
