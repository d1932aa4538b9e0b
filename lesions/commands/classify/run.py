"""`lesions classify`: classify images on the command line."""

import lesions.models.common.determinism  # noqa: F401 - before all that imports Keras

# isort: split
import sys
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path

from lesions.classifier import Classifier, Prediction
from lesions.commands.classify import formats
from lesions.commands.classify.inputs import ImageFile
from lesions.commands.output_folder import make_writable
from lesions.explain.overlay import beside, overlay
from lesions.inference.predict import BATCH_SIZE
from lesions.models.calibration.metadata_prior import PatientMetadata
from lesions.models.calibration.patient_input import read as read_patient

WRITERS = {"table": formats.write_table, "csv": formats.write_csv, "json": formats.write_json}
BOX = (1024, 512)
"""The most width and height of an image beside its heat map."""


def classify(
    images: list[ImageFile],
    models: Path,
    form: str,
    heatmap: Path | None,
    sensitivity: int,
    patient: PatientMetadata,
) -> bool:
    """Print what the model says of each image; return whether there was an answer for each.

    Args:
        images: see `inputs.find`.
        models: the model's folder.
        form: one of `WRITERS`.
        heatmap: a folder for images beside their heat maps.
        sensitivity: see `Classifier.of_folder`.
        patient: age, sex and site, the same for all these images; see `patient_input.read`.

    Raises:
        UserError: there is no model, heat maps cannot be written, or the patient's data is not understood.
    """
    if heatmap is not None:
        make_writable(heatmap, "heat maps")
    classifier = Classifier.of_folder(models, sensitivity)
    known = read_patient(patient, classifier.prior)
    for warning in classifier.warnings:
        print(f"WARNING: {warning}", file=sys.stderr)
    answers = classifier.classify_all(images, len(images), [known] * len(images))
    if heatmap is not None:
        answers = _with_heat(answers, classifier, heatmap)
    problems: list[str] = []
    WRITERS[form](_noting(answers, problems), classifier, sys.stdout)
    if problems:
        print(f"{len(problems):,} of {len(images):,} images could not be classified.", file=sys.stderr)
    return not problems


def _noting(answers: Iterable[Prediction], problems: list[str]) -> Iterator[Prediction]:
    for answer in answers:
        if answer.problem:
            problems.append(answer.name)
        yield answer


def _with_heat(answers: Iterator[Prediction], classifier: Classifier, folder: Path) -> Iterator[Prediction]:
    """Write for each answer the image beside its heat map, as NUMBER-NAME.png, and pass the answer on."""
    number = 0
    while batch := list(islice(answers, BATCH_SIZE)):
        good = [answer for answer in batch if not answer.problem]
        maps = iter(list(classifier.heat_maps(good)) if good else [])
        for answer in batch:
            number += 1
            if not answer.problem:
                drawn = beside(overlay(answer.pixels, next(maps), BOX))
                drawn.save(folder / f"{number:05d}-{Path(answer.name).stem[:100]}.png")
            yield answer
