"""`lesions recalibrate`: fit a model's calibration and thresholds on images of somebody's own; the network stays.

A threshold with a sensitivity of 90 % on the model's own validation images may have a lower one on another camera, and
a calibrated probability may be none there. Both are fitted again, by what the stage `calibrate` fits them with, on
images that the model has not seen.
"""

import lesions.models.common.determinism  # noqa: F401 - before all that imports Keras
from lesions.core.csv_files import write_csv
from lesions.core.file_hash import sha256_of

# isort: split
import shutil
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from lesions.classifier import Classifier
from lesions.commands.options import make_writable
from lesions.commands.unfinished import unfinished
from lesions.commands.validate.collection import parse_mapping
from lesions.commands.validate.evaluate import CollectionPredictions, predict
from lesions.commands.validate.select_images import KINDS, NO_CASES, Selection, select_images
from lesions.commands.validate.train_overlap import COLUMNS
from lesions.core.errors import UserError, writing
from lesions.core.sanitize import sanitize
from lesions.core.temporary import temporary_folder
from lesions.evaluation.common.recalibration import IMAGES, Recalibration
from lesions.evaluation.common.temperature_scaling import Calibration
from lesions.evaluation.common.thresholds import TARGET_SENSITIVITIES, THRESHOLDS_FILE, Thresholds
from lesions.models.calibration.fit_answers import Answers, fit_answers
from lesions.models.calibration.metadata_prior import MetadataPrior
from lesions.models.calibration.ood import FILE as OOD_FILE
from lesions.reporting.common.templates import render

MIN_GROUPS = 20
"""Positive and negative lesions of each task, at least: of fewer, one alone is more than the 5 % that a sensitivity of
95 % leaves."""
KEPT = ("model.keras", "preprocessing.json", MetadataPrior.FILE, OOD_FILE)
"""Files of the model's folder that go on as they are."""


def recalibrate(
    folder: Path, models: Path, mapping: Sequence[str], data: Path, out: Path, *, replace: bool = False
) -> str:
    """Write a new model's folder, and return for a person what it rests on.

    Args:
        folder: the collection's.
        models: the model's folder, which stays as it is.
        mapping: THEIRS=OURS each.
        data: the pipeline's folder, with the images that the model was made from.
        out: the new model's folder.
        replace: whether an earlier one there may go.

    Raises:
        UserError: there is no model, the new one has no place, or the collection has too few images for it.
    """
    _check_place(out, models, folder, replace=replace)
    classifier = Classifier.of_folder(models)
    thresholds = classifier.thresholds
    label_of = parse_mapping(mapping, thresholds.classes)
    with temporary_folder() as raw:
        selected = select_images([folder], data, models, thresholds, label_of, raw)
        images = selected.images[selected.images["known"]].reset_index(drop=True)
        record = _record(images, thresholds, models, folder)
        predicted = predict(classifier, raw, images)
    fitted = fit_answers(
        images[["label"]].join(predicted.uncalibrated),
        images,
        predicted.answers["ood_score"].to_numpy(),
        thresholds.classes,
        thresholds.tasks,
        thresholds.decision_rule.optimise,
        thresholds.decision_rule.costs,
    )
    with writing(out):
        _write(out, models, fitted, images, thresholds, record)
    return _headline(out, selected, images, predicted, thresholds, Thresholds.read(out / THRESHOLDS_FILE))


def _check_place(out: Path, models: Path, folder: Path, *, replace: bool) -> None:
    """Check before all work that the new folder can be written, and that nothing is lost by it."""
    for other, what in ((models, "the model's own folder"), (folder, "the collection's folder")):
        if out.resolve() == other.resolve() or out.resolve().is_relative_to(folder.resolve()):
            raise UserError(f"--out {out} is {what}, or lies in it; expected another place, for a new model.")
    if out.is_dir() and any(out.iterdir()) and not replace:
        raise UserError(f"{out} is there already: name another folder with --out, or add --replace.")
    make_writable(out, "a model")


def _record(images: pd.DataFrame, thresholds: Thresholds, models: Path, folder: Path) -> Recalibration:
    """Return on what is fitted.

    Raises:
        UserError: it is too little.
    """
    groups = images.groupby("label")["group_id"].nunique()
    counts = {
        name: [int(groups.reindex(labels).fillna(0).sum()) for labels in (task.positive, task.negative)]
        for name, task in thresholds.tasks.items()
    }
    short = [
        f"{number} {what} {name}"
        for name, both in counts.items()
        for number, what in zip(both, ("positive of", "negative of"), strict=True)
        if number < MIN_GROUPS
    ]
    if short or int(groups.sum()) < 2 * MIN_GROUPS:
        raise UserError(
            f"{folder} has too few lesions for thresholds that mean something: "
            f"{', '.join(short) or f'{int(groups.sum())} in all'}. Expected at least {MIN_GROUPS} positive and "
            f"{MIN_GROUPS} negative ones of each task, that the model has not seen. Add labelled images, or say by "
            "--class THEIRS=OURS which of the model's classes a diagnosis is. `lesions validate` works with fewer."
        )
    return Recalibration(
        collection=sanitize(folder.resolve().name),
        images=len(images),
        groups={name: int(groups.get(name, 0)) for name in thresholds.classes},
        positive_groups={name: both[0] for name, both in counts.items()},
        negative_groups={name: both[1] for name, both in counts.items()},
        images_sha256="",
        thresholds_sha256=sha256_of(models / THRESHOLDS_FILE),
    )


def _write(
    out: Path, models: Path, fitted: Answers, images: pd.DataFrame, thresholds: Thresholds, record: Recalibration
) -> None:
    """Write all under other names first; thresholds.json, which holds the hashes of the others, goes last."""
    with unfinished(out / ".unfinished") as new:
        for name in KEPT:
            shutil.copyfile(models / name, new / name)
        write_csv(images.assign(split="the recalibration")[COLUMNS], new / IMAGES)
        fitted.calibration.save(new)
        sha256 = thresholds.model.sha256 | {Calibration.FILE: sha256_of(new / Calibration.FILE)}
        changed = {
            "model": thresholds.model.model_copy(update={"sha256": sha256}),
            "thresholds": fitted.thresholds,
            "prediction_sets": fitted.prediction_sets,
            "decision_rule": fitted.decision_rule,
            "recalibrated": record.model_copy(update={"images_sha256": sha256_of(new / IMAGES)}),
        }
        thresholds.model_copy(update=changed).write(new / THRESHOLDS_FILE)
        for name in (*KEPT, IMAGES, Calibration.FILE, THRESHOLDS_FILE):
            (new / name).replace(out / name)


def _headline(
    out: Path,
    selected: Selection,
    images: pd.DataFrame,
    predicted: CollectionPredictions,
    before: Thresholds,
    after: Thresholds,
) -> str:
    """Return what the command prints: what was left out, what the thresholds rest on, and what the old ones do here."""
    rows = []
    for name, task in before.tasks.items():
        score = task.score(before.classes, predicted.uncalibrated.to_numpy())
        positive, negative = (images["label"].isin(labels).to_numpy() for labels in (task.positive, task.negative))
        for target in TARGET_SENSITIVITIES:
            old, new = (one.value(name, "sensitivity", target) for one in (before, after))
            rows.append(
                {
                    "task": name,
                    "target": f"{target:.0%}",
                    "before": "-" if old is None else f"{old:.4f}",
                    "sensitivity here": "-" if old is None else f"{(score[positive] >= old).mean():.1%}",
                    "specificity here": "-" if old is None else f"{(score[negative] < old).mean():.1%}",
                    "now": "-" if new is None else f"{new:.4f}",
                }
            )
    context = {
        "out": out,
        "record": after.recalibrated,
        "warnings": [*selected.model_images.warnings, *([] if selected.names_cases else [NO_CASES])],
        "left_out": {KINDS[kind]: len(rows) for kind, rows in selected.left_out.items() if len(rows)},
        "unknown": int((~selected.images["known"]).sum()),
        "table": pd.DataFrame(rows).to_string(index=False) if rows else "",
        "optimise": after.decision_rule.optimise,
        "lacking": [name for name, number in after.recalibrated.groups.items() if not number]
        if after.recalibrated
        else [],
    }
    return render("commands/recalibrate/headline.txt.jinja", context).rstrip("\n")
