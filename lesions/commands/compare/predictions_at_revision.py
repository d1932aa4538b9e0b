"""The predictions of an experiment, or of any Git revision: read through DVC, without a checkout."""

import json
from dataclasses import dataclass, replace
from typing import Self

import pandas as pd
from dvc.api import DVCFileSystem
from dvc.exceptions import DvcException
from dvc_data.index import DataIndexError

from lesions.commands.study.plan import git
from lesions.core.errors import UserError
from lesions.evaluation.common import predictions
from lesions.evaluation.common.decision_rule import UNCALIBRATED_ARGMAX, DecisionRule
from lesions.evaluation.common.predictions import SplitPredictions

WORKSPACE = "workspace"
THRESHOLDS = "models/thresholds.json"
"""The files as they are, in DVC's own commands too."""
READ = {
    "data/clean/classes.csv": ["label", "diagnoses"],
    "data/clean/images.csv": ["image_id", "group_id"],
    "data/split/split.csv": ["image_id", "split"],
    "data/predictions/predictions.csv": predictions.IMAGE_COLUMNS,
}
"""What is read, and the columns without which it cannot be."""


@dataclass(frozen=True)
class ModelPredictions:
    """The predictions of one model for one split.

    Attributes:
        revision: the experiment, or other revision, by the name that was given.
        name: of the split: val or test.
        split: its images, sorted by `image_id`.
        melanoma: the label of melanoma alone, or None where no class is.
        leakage: `none`, or the name of the leak.
        every_image: the `image_id`s of its data, of all splits.
    """

    revision: str
    name: str
    split: SplitPredictions
    melanoma: str | None
    leakage: str
    every_image: frozenset[str]

    def only(self, image_ids: "pd.Index[str]") -> Self:
        """Return the predictions of some images alone."""
        return replace(self, split=self.split.only(self.split.table["image_id"].isin(image_ids).to_numpy()))


def predictions_at_revision(revision: str, name: str) -> ModelPredictions:
    """Read the predictions of a revision's model for one split.

    Args:
        revision: an experiment's name, a branch, a tag, a commit, or `WORKSPACE`.
        name: val or test.

    Raises:
        UserError: there is no such revision, it has no predictions, or they are wrong.
    """
    tables = dict(zip(READ, _tables(revision), strict=True))
    classes, images, split, table = tables.values()
    images = images.merge(split, on="image_id")
    where = f"data/predictions/predictions.csv of {revision}"
    table = predictions.check_predictions(table, where, images, list(classes["label"]))
    rows = table[table["split"] == name].sort_values("image_id")
    if rows.empty:
        raise UserError(f"{where} has no image of {name}. Compare another --split, or run `dvc repro` there.")
    rule = _decision_rule(revision)
    melanoma = list(classes.loc[classes["diagnoses"] == "mel", "label"])
    leakage = ", ".join(sorted(set(table["leakage"])))
    return ModelPredictions(
        revision,
        name,
        predictions.split_predictions(rows, images, rule),
        melanoma[0] if melanoma else None,
        leakage,
        frozenset(images["image_id"]),
    )


def _decision_rule(revision: str) -> DecisionRule:
    """Return how diagnoses follow there; by the most probable class where an earlier version wrote no rule."""
    try:
        with _files(revision).open(THRESHOLDS) as stream:
            found = json.load(stream).get("decision_rule")
        return UNCALIBRATED_ARGMAX if found is None else DecisionRule.model_validate(found)
    except (FileNotFoundError, DataIndexError):
        raise _missing(revision, THRESHOLDS) from None
    except (ValueError, AttributeError):
        raise UserError(
            f"{THRESHOLDS} of {revision} holds no decision rule that this version can read. Run that experiment again."
        ) from None


def _missing(revision: str, file: str) -> UserError:
    mend = "Run `dvc repro`." if revision == WORKSPACE else "Run it, or fetch it with `dvc fetch`."
    return UserError(
        f"{revision} has no {file}, neither in Git nor in DVC's cache: the pipeline has not run there to its end, "
        f"or it ran on another machine. {mend}"
    )


def _files(revision: str) -> DVCFileSystem:
    return DVCFileSystem(rev=None if revision == WORKSPACE else revision)


def _tables(revision: str) -> list[pd.DataFrame]:
    """Return the tables of `READ`, all text, as `lesions.core.csv_files` reads them."""
    found = []
    file = ""
    if revision != WORKSPACE:
        git("rev-parse", "--git-dir")  # which says what DVC's own library does not, such as that another owns it
    try:
        files = _files(revision)
        for file, columns in READ.items():
            with files.open(file) as stream:
                table = pd.read_csv(stream, dtype=str, keep_default_na=False)
            missing = [column for column in columns if column not in table]
            if missing:
                raise UserError(
                    f"{file} of {revision} has no column {', '.join(missing)}: an earlier version of this project made "
                    "it. Run that experiment again."
                )
            found.append(table)
    except (FileNotFoundError, DataIndexError):  # the latter where the list of a folder is not in the cache
        raise _missing(revision, file) from None
    except DvcException as error:
        raise UserError(
            f"{revision} cannot be read: {error}. Expected an experiment (`dvc exp show` lists them), a branch, a tag, "
            f"a commit, or `{WORKSPACE}`."
        ) from error
    except ValueError as error:  # pandas's, of a table that is none
        raise UserError(f"{file} of {revision} is no CSV table: {error}. Run `dvc repro` there.") from error
    return found
