"""`lesions validate`: is the model as good on images from elsewhere?"""

import lesions.models.common.determinism  # noqa: F401 - before all that imports Keras

# isort: split
import os
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pandas as pd

from lesions.archives import read_members
from lesions.audit.duplicates import label_conflicts, near_duplicate_ids
from lesions.audit.groups import group_ids
from lesions.audit.matching import REJECTS, set_aside
from lesions.audit.summary import kind_of_reason
from lesions.classifier import Classifier
from lesions.commands.output_folder import make_writable
from lesions.commands.validate import collection, judging, seen
from lesions.commands.validate import report as reports
from lesions.commands.validate.judging import NAME
from lesions.core.csv_files import EXACT
from lesions.core.errors import NO_ROOM, UserError
from lesions.core.json_files import write_json
from lesions.core.params import FILE
from lesions.core.sanitize import shown
from lesions.evaluation.bootstrap import Bootstrap
from lesions.evaluation.common import predictions
from lesions.evaluation.split_report import overall_with_intervals
from lesions.models.calibration.metadata_prior import FIELDS, PatientMetadata
from lesions.params.evaluate import Evaluate

FEWEST = 100
"""Resamples, as for `evaluate.n_bootstrap`."""
KINDS = {
    "seen": "the model has seen them",
    "unusable": "no image, no row in the table, no diagnosis, or not readable",
    "contradiction": "a copy stands under another diagnosis",
    "unknown class": "the model does not know the diagnosis",
}
"""Why an image is not judged."""


@dataclass(frozen=True)
class Request:
    """What a person asked for.

    Attributes:
        folder: the collection's.
        models: the model's folder.
        mapping: THEIRS=OURS each.
        data: the pipeline's folder, which knows what the model has seen.
        out: where the report goes.
        resamples: of the bootstrap; None takes `evaluate.n_bootstrap`.
    """

    folder: Path
    models: Path
    mapping: Sequence[str]
    data: Path
    out: Path
    resamples: int | None


def validate(request: Request) -> str:
    """Judge a model on a collection, write the report, and return the headline for a person.

    Raises:
        UserError: there is no model, no image to judge, or no place for the report. An earlier report stays.
    """
    bootstrap = _bootstrap(request.resamples)
    _check_place(request.out, request.folder)
    classifier = Classifier.of_folder(request.models)
    own = collection.parse(request.mapping, classifier.thresholds.classes)
    try:
        with TemporaryDirectory() as raw:
            report, tables = _judged(request, classifier, own, Path(raw), bootstrap)
        _write(request.out, report, tables)
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        where = f"{error.filename}: " if error.filename else ""
        raise UserError(f"{where}{os.strerror(error.errno)}. Make room on the disk.") from None
    return reports.headline(report, request.out)


def _judged(
    request: Request, classifier: Classifier, own: dict[str, str], raw: Path, bootstrap: Bootstrap
) -> tuple[dict[str, Any], dict[str, pd.DataFrame]]:
    """Return the report, and the tables that go with it by their names."""
    thresholds = classifier.thresholds
    made_of = seen.made_of(request.data, thresholds.model.sha256)
    found = collection.read(request.folder, raw, thresholds.classes, own, made_of)
    if not found.images["known"].any():
        theirs = ", ".join(shown(name) for name in found.mapping["theirs"])
        raise UserError(
            f"the model knows none of the diagnoses of {request.folder}: {theirs}. Its classes: "
            f"{', '.join(thresholds.classes)}. Say which is which: --class THEIRS=OURS, once for each."
        )
    before = seen.read(request.data, thresholds.model.sha256)
    copies, was_seen = seen.find(found.images, found.luma, found.colour, before)
    left_out = {"unusable": found.rejects, "seen": set_aside(found.images, was_seen)}
    images = found.images[was_seen == ""]
    conflict = label_conflicts(images, copies, "drop")
    left_out["contradiction"] = set_aside(images, conflict)
    images = images[conflict == ""].reset_index(drop=True)
    images["near_duplicate_id"] = near_duplicate_ids(images, copies)
    images["group_id"] = group_ids(images)

    _refuse_if_none(images["known"], left_out, request.folder)
    answers, probabilities, alone = ask(classifier, raw, images)
    left_out["unusable"] = pd.concat([left_out["unusable"], set_aside(images, answers["problem"])])
    answered = (answers["problem"] == "").to_numpy()
    images, answers, probabilities, alone = (rows[answered] for rows in (images, answers, probabilities, alone))
    known = images["known"].to_numpy()
    left_out["unknown class"] = set_aside(
        images, images["label"].map(lambda label: f"the model does not know {label}").where(~known, "")
    )
    _refuse_if_none(images["known"], left_out, request.folder)
    aside = pd.concat([rows.assign(kind=kind) for kind, rows in left_out.items()], ignore_index=True)
    table = images.loc[known, ["image_id", "label"]].assign(split=NAME, leakage=thresholds.leakage)
    table = table[predictions.FIXED]
    judged = images[known].assign(split=NAME)
    final, alone_, calibrated = (
        pd.concat([table, of[known]], axis=1) for of in (probabilities, alone, _calibrated(classifier, probabilities))
    )
    split = predictions.split_predictions(final, judged, calibrated)

    train = before.table.loc[before.table["split"] == "train", "label"]
    comparable = before.of_this_model and len(train) > 0 and set(train) <= set(thresholds.classes)
    report: dict[str, Any] = {
        "leakage": thresholds.leakage,
        "folder": shown(request.folder.resolve().name),
        # A leak is the last of the classifier's, and the first that a reader must know.
        "warnings": [*reversed(classifier.warnings), *before.doubts],
        "model": thresholds.model.model_dump(),
        "files": found.files,
        "mapping": _mapping(found, judged),
        "seen": {
            "train_and_val": len(before.table),
            "of_these_looked_at": len(before.luma),
            "left_out": len(left_out["seen"]),
        },
        "left_out": {
            kind: {
                "why": why,
                "images": int((aside["kind"] == kind).sum()),
                "reasons": kind_of_reason(aside.loc[aside["kind"] == kind, "reason"]).value_counts().to_dict(),
            }
            for kind, why in KINDS.items()
        },
        **judging.collection_report(split, answers[known], classifier, train if comparable else None, bootstrap),
        "patient": {
            "known": {field: int((judged[field] != "").sum()) for field in FIELDS},
            "without_age_sex_and_site": overall_with_intervals(
                predictions.split_predictions(alone_, judged), bootstrap
            ),
        }
        if classifier.prior.is_active
        else None,
        "unknown_classes": judging.unknown_classes(answers[~known], probabilities[~known], thresholds),
    }
    return report, {
        "predictions.csv": final,
        "left_out.csv": aside[[*REJECTS[:-1], "kind", "reason"]],
    }


def _refuse_if_none(known: "pd.Series[bool]", left_out: dict[str, pd.DataFrame], folder: Path) -> None:
    if not known.any():
        listed = "".join(f"\n  {len(rows):6,} {KINDS[kind]}" for kind, rows in left_out.items() if len(rows))
        raise UserError(
            f"no image of {folder} is left to judge:{listed}\nA collection must hold other images, of other "
            "lesions, than those that the model was made from, and diagnoses that the model knows."
        )


def ask(classifier: Classifier, raw: Path, images: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame, pd.DataFrame]:
    """Return what the model says: `label`, `problem`, or alerts and `ood_score`; and the classes' probabilities.

    Twice: with what is known of the patients, and of the images alone.

    Args:
        classifier: the model.
        raw: the folder of the archives.
        images: with `image_id`, `label`, `archive`, `member`, and what is known of the patients; the rows' index is
            kept.
    """
    contents = read_members(raw, zip(images["archive"], images["member"], strict=True))
    inputs: Iterator[tuple[str, Callable[[], bytes]]] = (
        (image_id, partial(_given, content)) for image_id, content in zip(images["image_id"], contents, strict=True)
    )
    # The pixels are let go: those of ten thousand images may be more than the memory holds.
    rows = [
        {
            "problem": answer.problem,
            "uncalibrated": answer.uncalibrated,
            "alone": answer.image_only,
            **{f"alert_{question}": reached for question, reached in answer.alerts.items()},
            "ood_score": answer.ood_score,
        }
        for answer in classifier.classify_all(inputs, len(images), _patients(images))
    ]
    said = pd.DataFrame(rows, index=images.index).assign(label=images["label"])
    probabilities, alone = (
        pd.DataFrame(list(said[column]), images.index, classifier.thresholds.classes, np.float32)
        for column in ("uncalibrated", "alone")
    )
    return said.drop(columns=["uncalibrated", "alone"]), probabilities, alone


def _calibrated(classifier: Classifier, probabilities: pd.DataFrame) -> pd.DataFrame:
    calibrated = classifier.calibration.apply(probabilities.to_numpy())
    return pd.DataFrame(calibrated, probabilities.index, probabilities.columns)


def _patients(images: pd.DataFrame) -> list[PatientMetadata]:
    return [dict(zip(FIELDS, row, strict=True)) for row in images[list(FIELDS)].to_numpy()]


def _given(content: bytes | ValueError) -> bytes:
    if isinstance(content, ValueError):
        raise content
    return content


def _mapping(found: collection.Collection, judged: pd.DataFrame) -> list[dict[str, Any]]:
    """Return a row a diagnosis of the collection: the model's class or null, the table's rows, and those judged."""
    counts = judged["theirs"].value_counts()
    return [
        {
            "theirs": shown(theirs),
            "ours": label if known else None,
            "by": by,
            "rows": int(rows),
            "judged": int(counts.get(theirs, 0)),
        }
        for theirs, label, known, by, rows in zip(
            *(found.mapping[column] for column in ("theirs", "label", "known", "by", "rows")), strict=True
        )
    ]


def _bootstrap(resamples: int | None) -> Bootstrap:
    # Only how the intervals are drawn: a model's folder is all that is needed, wherever it lies.
    params = Evaluate.read() if FILE.exists() else Evaluate(splits=["test"], seed=1)
    bootstrap = Bootstrap(params.n_bootstrap if resamples is None else resamples, params.seed)
    if bootstrap.resamples < FEWEST:
        raise UserError(f"--resamples: expected at least {FEWEST}, found {bootstrap.resamples}.")
    return bootstrap


def _check_place(out: Path, folder: Path) -> None:
    """Say before all work whether the report can be written.

    Raises:
        UserError: it cannot, or it would lie among the collection's images, as a table of theirs.
    """
    if out.resolve().is_relative_to(folder.resolve()):
        raise UserError(f"--out {out} lies in the collection's folder {folder}; expected another place.")
    make_writable(out, "a report")


def _write(out: Path, report: dict[str, Any], tables: dict[str, pd.DataFrame]) -> None:
    """Write all under other names first: an earlier report is replaced by a whole one, or not at all."""
    with TemporaryDirectory(dir=out, prefix=".new-") as place:
        new = Path(place)
        for name, table in tables.items():
            table.to_csv(new / name, index=False, float_format=EXACT)
        write_json(new / "validation.json", report)
        (new / "validation.md").write_text(reports.page(report), encoding="utf-8")
        for file in sorted(new.iterdir()):
            file.replace(out / file.name)
