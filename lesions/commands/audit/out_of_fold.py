"""Predictions of images that the network was not trained on: of validation and test, or of a study's folds."""

from pathlib import Path

import pandas as pd

from lesions.commands.compare.predictions_at_revision import ModelPredictions, predictions_at_revision
from lesions.commands.study.plan import plan
from lesions.commands.study.study import read_study
from lesions.core.errors import UserError
from lesions.evaluation.common import predictions


def of_this_run(data: Path, images: pd.DataFrame, classes: list[str]) -> tuple[pd.DataFrame, str]:
    """Return the predictions of validation and test, and the leakage.

    Args:
        data: the pipeline's folder.
        images: as of `predictions.read_images`.
        classes: the labels of classes.csv.

    Returns:
        One row per image, `image_id` and the classes' probabilities, without augmented images; and `none` or what
        leaks.
    """
    table = predictions.read(data / "predictions/predictions.csv", images, classes)
    leakage = ", ".join(sorted(set(table["leakage"])))
    return table.loc[table["image_id"].isin(images["image_id"]), ["image_id", *classes]], leakage


def of_study(name: str, classes: list[str]) -> tuple[pd.DataFrame, str]:
    """Return each image's predictions as a test image of a study's experiments, and the leakage; see `of_this_run`.

    Args:
        name: of the study, such as one over folds.
        classes: the labels of classes.csv.

    Raises:
        UserError: an experiment has not run, or is of other classes.
    """
    planned = plan(read_study(name))
    missing = [one.name for one in planned if one.commit is None]
    if missing:
        raise UserError(
            f"{len(missing)} of the {len(planned)} experiments of the study {name} are not there, or are of other "
            f"code, parameters or images than today's: {', '.join(missing)}. `lesions study {name}` runs them."
        )
    return mean_of_tests([predictions_at_revision(str(one.commit), "test") for one in planned], classes)


def mean_of_tests(runs: list[ModelPredictions], classes: list[str]) -> tuple[pd.DataFrame, str]:
    """Return the mean of each image's probabilities over the runs that it is a test image of, and what leaks in any.

    Args:
        runs: of a study.
        classes: the labels of classes.csv.

    Raises:
        UserError: a run is of other classes.
    """
    for run in runs:
        if run.split.classes != classes:
            raise UserError(
                f"{run.revision} is of the classes {', '.join(run.split.classes)}, and data/clean/classes.csv names "
                f"{', '.join(classes)}. Run the study again."
            )
    tables = [
        pd.DataFrame(run.split.probability, columns=classes).assign(image_id=run.split.table["image_id"].to_numpy())
        for run in runs
    ]
    leaks = sorted({run.leakage for run in runs} - {"none"})
    return pd.concat(tables).groupby("image_id")[classes].mean().reset_index(), ", ".join(leaks) or "none"
