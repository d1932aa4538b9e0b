"""`lesions validate`: is the model as good on images from elsewhere?"""

import lesions.models.common.determinism  # noqa: F401 - before all that imports Keras

# isort: split
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from lesions.audit.matching import REJECTS, kind_of_reason, set_aside
from lesions.classifier import Classifier
from lesions.commands.options import make_writable, read_bootstrap
from lesions.commands.unfinished import unfinished
from lesions.commands.validate import report as reports
from lesions.commands.validate.collection import parse_mapping
from lesions.commands.validate.evaluate import (
    NAME,
    CollectionPredictions,
    collection_report,
    predict,
    unknown_classes,
)
from lesions.commands.validate.select_images import KINDS, NO_CASES, select_images
from lesions.commands.validate.train_overlap import SPLITS, ModelImages
from lesions.core.csv_files import EXACT, write_csv
from lesions.core.errors import UserError, writing
from lesions.core.json_files import write_json
from lesions.core.sanitize import sanitize
from lesions.core.temporary import temporary_folder
from lesions.evaluation.bootstrap import Bootstrap
from lesions.evaluation.common.decision_rule import RULE_DESCRIPTIONS
from lesions.evaluation.common.predictions import IMAGE_COLUMNS, split_predictions
from lesions.evaluation.split_metrics import overall_with_intervals
from lesions.models.calibration.metadata_prior import FIELDS


def validate(
    folders: Sequence[Path], models: Path, mapping: Sequence[str], data: Path, out: Path, resamples: int | None = None
) -> str:
    """Evaluate a model on a collection, or on several as one, write the report, and return the headline for a person.

    Args:
        folders: the collections'.
        models: the model's folder.
        mapping: THEIRS=OURS each.
        data: the pipeline's folder, with the images that the model was made from.
        out: the folder of the report.
        resamples: of the bootstrap; None takes `evaluate.n_bootstrap`.

    Raises:
        UserError: there is no model, no image to evaluate, or no place for the report. An earlier report stays.
    """
    bootstrap = read_bootstrap(resamples)
    for folder in folders:
        _check_place(out, folder)
    classifier = Classifier.of_folder(models)
    label_of = parse_mapping(mapping, classifier.thresholds.classes)
    with temporary_folder() as raw:
        report, tables = _evaluate(folders, data, models, classifier, label_of, raw, bootstrap)
    with writing(out):
        _write(out, report, tables)
    return reports.headline(report, out)


def _evaluate(
    folders: Sequence[Path],
    data: Path,
    models: Path,
    classifier: Classifier,
    mapping: dict[str, str],
    raw: Path,
    bootstrap: Bootstrap,
) -> tuple[dict[str, Any], dict[str, pd.DataFrame]]:
    """Return the report, and the tables that go with it by their names."""
    thresholds = classifier.thresholds
    selected = select_images(folders, data, models, thresholds, mapping, raw)
    found, images, model_images = selected.found, selected.images, selected.model_images
    predicted = predict(classifier, raw, images)
    known = images["known"].to_numpy()
    unknown = "the model does not know " + images["label"]
    left_out = selected.left_out | {"unknown class": set_aside(images, unknown.where(~known, ""))}

    aside = pd.concat([rows.assign(kind=kind) for kind, rows in left_out.items()], ignore_index=True)
    evaluated = images[known].assign(split=NAME, leakage=thresholds.leakage)
    report = {
        "leakage": thresholds.leakage,
        "folder": ", ".join(sanitize(folder.resolve().name) for folder in folders),
        # A leak is the last of the classifier's, and the first that a reader must know.
        "warnings": [*classifier.warnings, *model_images.warnings, *([] if selected.names_cases else [NO_CASES])],
        "model": thresholds.model.model_dump(),
        "decision_rule": {
            "diagnosis": RULE_DESCRIPTIONS[thresholds.decision_rule.optimise],
            **thresholds.decision_rule.model_dump(include={"optimise", "costs"}),
        },
        "files": found.files,
        "mapping": [
            row | {"theirs": sanitize(row["theirs"]), "evaluated": int((evaluated["theirs"] == row["theirs"]).sum())}
            for row in found.mapping
        ],
        "train_overlap": {
            "train_and_val": int(model_images.table["split"].isin(SPLITS).sum()),
            "with_fingerprint": len(model_images.luma),
            "left_out": len(left_out["train overlap"]),
            "by_lesion_or_patient": selected.names_cases,
        },
        "left_out": {kind: _counts(aside.loc[aside["kind"] == kind, "reason"], kind) for kind in KINDS},
        **_metrics(evaluated, predicted.only(known), classifier, model_images, bootstrap),
        "unknown_classes": unknown_classes(predicted.only(~known), thresholds),
    }
    return report, {
        "predictions.csv": _table(evaluated, predicted.uncalibrated[known]),
        "left_out.csv": aside[[*REJECTS[:-1], "kind", "reason"]],
    }


def _metrics(
    evaluated: pd.DataFrame,
    predicted: CollectionPredictions,
    classifier: Classifier,
    model_images: ModelImages,
    bootstrap: Bootstrap,
) -> dict[str, Any]:
    """Return the metrics of the images of known classes, and where metadata are used, those without."""
    train = model_images.table.loc[model_images.table["split"] == "train", "label"]
    comparable = model_images.of_this_model and len(train) > 0 and set(train) <= set(classifier.thresholds.classes)
    rule = classifier.thresholds.decision_rule
    split = split_predictions(_table(evaluated, predicted.uncalibrated), evaluated, rule, predicted.calibrated)
    report = collection_report(split, predicted.answers, classifier, train if comparable else None, bootstrap)
    metadata = None
    if classifier.prior.is_active:
        image_only = split_predictions(_table(evaluated, predicted.image_only), evaluated, rule)
        metadata = {
            "known": {field: int((evaluated[field] != "").sum()) for field in FIELDS},
            "image_only": overall_with_intervals(image_only, bootstrap),
        }
    return report | {"metadata": metadata}


def _table(images: pd.DataFrame, probabilities: pd.DataFrame) -> pd.DataFrame:
    """Return a table of predictions in the columns of data/predictions/predictions.csv."""
    return pd.concat([images[IMAGE_COLUMNS], probabilities], axis=1)


def _counts(reasons: "pd.Series[str]", kind: str) -> dict[str, Any]:
    """Return how many images were left out, and for which reasons."""
    return {"reason": KINDS[kind], "images": len(reasons), "reasons": kind_of_reason(reasons).value_counts().to_dict()}


def _check_place(out: Path, folder: Path) -> None:
    """Check before all work that the report can be written, and not among the images, as a table of theirs."""
    if out.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"--out {out} lies in the collection's folder {folder}; expected another place.")
    make_writable(out, "a report")


def _write(out: Path, report: dict[str, Any], tables: dict[str, pd.DataFrame]) -> None:
    """Write all under other names first: an earlier report is replaced by a whole one, or not at all."""
    with unfinished(out / ".unfinished") as new:
        for name, table in tables.items():
            write_csv(table, new / name, EXACT)
        write_json(new / "validation.json", report)
        (new / "validation.md").write_text(reports.page(report), encoding="utf-8")
        for file in sorted(new.iterdir()):
            file.replace(out / file.name)
