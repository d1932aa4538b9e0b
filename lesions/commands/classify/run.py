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
from lesions.commands.options import make_writable
from lesions.core.errors import writing
from lesions.core.sanitize import printable
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
    metadata: PatientMetadata,
) -> bool:
    """Print the prediction for each image; return whether there is one for each.

    Args:
        images: see `inputs.find`.
        models: the model's folder.
        form: one of `WRITERS`.
        heatmap: a folder for images beside their heat maps.
        sensitivity: see `Classifier.of_folder`.
        metadata: age, sex and site, the same for all these images; see `patient_input.read`.

    Raises:
        UserError: there is no model, heat maps cannot be written, or the metadata are not understood.
    """
    if heatmap is not None:
        make_writable(heatmap, "heat maps")
    classifier = Classifier.of_folder(models, sensitivity)
    known = read_patient(metadata, classifier.prior)
    for warning in classifier.warnings:
        print(f"WARNING: {printable(warning)}", file=sys.stderr)
    predictions = classifier.classify_all(images, len(images), [known] * len(images))
    if heatmap is not None:
        predictions = _save_heat_maps(predictions, classifier, heatmap)
    problems: list[str] = []
    WRITERS[form](_collect_problems(predictions, problems), classifier, sys.stdout)
    if heatmap is not None:
        print(f"{heatmap}: {len(images) - len(problems):,} images beside their heat maps", file=sys.stderr)
    if problems:
        print(f"{len(problems):,} of {len(images):,} images could not be classified.", file=sys.stderr)
    return not problems


def _collect_problems(predictions: Iterable[Prediction], problems: list[str]) -> Iterator[Prediction]:
    for one in predictions:
        if one.problem:
            problems.append(one.name)
        yield one


def _save_heat_maps(predictions: Iterator[Prediction], classifier: Classifier, folder: Path) -> Iterator[Prediction]:
    """Write for each prediction the image beside its heat map, as NUMBER-NAME.png, and pass the prediction on."""
    number = 0
    while batch := list(islice(predictions, BATCH_SIZE)):
        good = [one for one in batch if not one.problem]
        maps = iter(list(classifier.heat_maps(good)) if good else [])
        for one in batch:
            number += 1
            if not one.problem:
                image = beside(overlay(one.pixels, next(maps), BOX))
                file = folder / f"{number:05d}-{Path(one.name).stem[:50]}.png"
                file.unlink(missing_ok=True)  # what a link there names stays as it is
                with writing(file):
                    image.save(file)
            yield one
