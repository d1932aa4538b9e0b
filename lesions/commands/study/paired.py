"""How a leaky form differs from the one without the leak on the same images, of all these and of those that leak."""

from dataclasses import replace

import numpy as np
import pandas as pd
from dvc.api import DVCFileSystem

from lesions.commands.compare.paired import check_alike, estimates
from lesions.commands.compare.predictions_at_revision import ModelPredictions, predictions_at_revision
from lesions.commands.study.replicates import SHOWN, SPLITS
from lesions.core.errors import UserError
from lesions.evaluation.bootstrap import Bootstrap
from lesions.params.evaluate import Evaluate
from lesions.reporting.common.numbers import decimal, interval_to


def paired_lines(names: str, without_leak: str, leaky: str, split: str) -> list[str]:
    """Return a line for all images of a split, and one for those whose group is in train in the leaky form."""
    try:
        one, other = (predictions_at_revision(commit, split) for commit in (without_leak, leaky))
        check_alike(one, other)
    except UserError:  # they have other images, or the predictions are not in the cache: there is nothing to pair
        return []
    params = Evaluate.read()
    bootstrap = Bootstrap(params.n_bootstrap, params.seed)
    leaks = other.split.table["group_id"].isin(trained_groups(leaky)).to_numpy()
    lines = []
    for what, rows in (("all images", np.ones(len(leaks), bool)), ("those with a sibling in train", leaks)):
        if not rows.any():
            continue
        ours, theirs = (replace(found, split=found.split.only(rows)) for found in (one, other))
        lines.append(
            f"- {names}, {SPLITS[split]}, {what} ({rows.sum():,}): " + "; ".join(differences(ours, theirs, bootstrap))
        )
    return lines


def differences(one: ModelPredictions, other: ModelPredictions, bootstrap: Bootstrap) -> list[str]:
    """Return by how much the second is better, paired by lesion."""
    found = estimates(one, other, bootstrap)
    words = []
    for metric in ("accuracy", "balanced_accuracy"):
        before, after, surplus = found[metric]
        if surplus["value"] is None:
            continue
        both = f"{decimal(after['value'])} against {decimal(before['value'])}"
        words.append(f"{SHOWN[metric]} {both}, {interval_to(surplus, '+')}")
    return words


def trained_groups(commit: str) -> set[str]:
    """Return the groups of which an image is in train."""
    files = DVCFileSystem(rev=commit)
    tables = []
    for name in ("data/split/split.csv", "data/clean/images.csv"):
        with files.open(name) as stream:
            tables.append(pd.read_csv(stream, dtype=str, keep_default_na=False))
    split, images = tables
    both = images[["image_id", "group_id"]].merge(split[["image_id", "split"]], on="image_id")
    return set(both.loc[both["split"] == "train", "group_id"])
