"""`lesions export`: a model's folder as an ONNX and a LiteRT file."""

import lesions.models.common.determinism  # noqa: F401 - before all that imports Keras

# isort: split
import io
import json
import sys
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray

from lesions.classifier import Classifier
from lesions.commands.classify.formats import NOTICE
from lesions.commands.export import convert
from lesions.commands.export.export_model import INPUT, Outputs, export_model, keras_outputs
from lesions.commands.unfinished import unfinished
from lesions.core.errors import UserError, writing
from lesions.core.stage import say
from lesions.evaluation.common.decision_rule import DecisionRule
from lesions.evaluation.common.thresholds import Thresholds
from lesions.images.ood_images import generated
from lesions.models.calibration.metadata_prior import REGIONS
from lesions.taxonomy import about

ONNX, LITERT, MODEL_JSON = "model.onnx", "model.tflite", "model.json"
TOLERANCE = 1e-4
"""By which a probability in a file may differ from Keras's."""
EACH = 3
"""Every third of the generated images is one on which that is checked."""


def export(models: Path, out: Path) -> None:
    """Write model.onnx, model.tflite and model.json, once all are made and checked, and print what was written.

    Args:
        models: the model's folder.
        out: folder for the files.

    Raises:
        UserError: there is no model, the network cannot be converted, or a file does not give Keras's probabilities.
    """
    if out.exists() and not out.is_dir():
        raise UserError(f"{out} is no folder to write the files into; name another with --out.")
    classifier = Classifier.of_folder(models)
    for warning in classifier.warnings:
        print(f"WARNING: {warning}", file=sys.stderr)
    model, network = export_model(classifier), classifier.model
    text = json.dumps(model_json(classifier), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    say("Converting to ONNX ...")
    files = {ONNX: _with_onnx_metadata(convert.to_onnx(model, network), text)}
    say("Converting to LiteRT ...")
    files[LITERT] = _with_litert_metadata(convert.to_litert(model, network), text)
    height, width = classifier.preprocessing.image_size
    images = np.stack([pixels for *_, pixels in generated(height, width, seed=0)][::EACH])
    say(f"Comparing both files with Keras on {len(images)} images ...")
    difference = _differences(files, keras_outputs(classifier, images), images)
    _write(out, files | {MODEL_JSON: text.encode()})
    for name, content in files.items():
        agreement = f"probabilities within {difference[name]:.1g} of Keras's on {len(images)} images"
        print(f"{out / name}: {len(content) / 1e6:,.2f} MB, {agreement}")
    print(f"{out / MODEL_JSON}: what the outputs mean")


def model_json(classifier: Classifier) -> dict[str, Any]:
    """Return the content of model.json, all that is needed to use an exported file alone."""
    thresholds, preprocessing = classifier.thresholds, classifier.preprocessing
    calibration = classifier.calibration
    height, width = preprocessing.image_size
    return {
        "notice": NOTICE,
        "leakage": thresholds.leakage,
        "warnings": classifier.warnings,
        "classes": thresholds.classes,
        "names": {code: about(code).name for code in thresholds.classes},
        "malignancy": {code: _malignancy(code, thresholds) for code in thresholds.classes},
        "input": {"name": INPUT, "type": "uint8", "shape": ["images", height, width, 3], "colours": "RGB"},
        "outputs": {
            "probabilities": f"of each class, as calibrated on {thresholds.fitted_on}",
            "uncalibrated": "of each class, as the network gives them; the thresholds are of these",
        },
        "tta": "the mean over all flips and quarter turns is in the file" if thresholds.model.tta else "as given",
        "preprocessing": preprocessing.to_json(),
        "calibration": {"use": "in the file already", **calibration.model_dump(exclude={"classes"})},
        "diagnosis": _diagnosis(thresholds.decision_rule),
        "thresholds_are_of": "the sum of the positive classes' uncalibrated probabilities",
        "tasks": {name: task.model_dump() for name, task in thresholds.tasks.items()},
        "thresholds": [one.model_dump() for name in thresholds.tasks for one in thresholds.of_task(name)],
        "prediction_sets": {
            "use": "a diagnosis cannot be excluded where its calibrated probability is at least this, nor can the one "
            "with the largest calibrated probability",
            **thresholds.prediction_sets.model_dump(),
        },
        "metadata_prior": {
            "use": "multiply the uncalibrated probabilities by exp of the number here for each known value, and divide "
            "by their sum; the calibration comes after. The thresholds hold with all known values. Look up an age by "
            "the first year of its decade, or by the last one here, and a site by its region",
            "regions": REGIONS,
            **classifier.prior.model_dump(exclude={"classes"}),
        }
        if classifier.prior.is_active
        else None,
        "ood_score": "not in the file: only `lesions classify` flags images unlike the training images",
        "made_from": {"sha256": thresholds.model.sha256},
    }


def _malignancy(code: str, thresholds: Thresholds) -> str:
    """Return what a class counts as: as the model's own task says, which `clean.classes` decides."""
    task = thresholds.tasks.get("malignant")
    if task is None:
        return about(code).malignancy
    return "malignant" if code in task.positive else "benign" if code in task.negative else "unstated"


def _diagnosis(rule: DecisionRule) -> dict[str, Any]:
    """Return how the diagnosis follows from the outputs."""
    use = "argmin of probabilities @ costs" if rule.costs else "argmax of uncalibrated"
    return {"use": f"{use}, a place in classes", **rule.model_dump(include={"optimise", "costs"})}


def _with_onnx_metadata(proto: onnx.ModelProto, text: str) -> bytes:
    """Return the ONNX file's bytes with model.json's text in its metadata."""
    onnx.helper.set_model_props(proto, {MODEL_JSON: text})
    content: bytes = proto.SerializeToString(deterministic=True)
    return content


def _with_litert_metadata(content: bytes, text: str) -> bytes:
    """Return the LiteRT file's bytes with model.json in a zip archive behind them, where such files carry labels."""
    file = io.BytesIO(content)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(zipfile.ZipInfo(MODEL_JSON), text)  # dated 1980-01-01
    return file.getvalue()


def _differences(files: dict[str, bytes], expected: Outputs, images: NDArray[np.uint8]) -> dict[str, float]:
    """Return each file's largest difference from Keras's probabilities, which is `TOLERANCE` at most."""
    largest = {}
    for name, run in ((ONNX, convert.run_onnx), (LITERT, convert.run_litert)):
        found = run(files[name], images)
        largest[name] = max(float(np.abs(expected[output] - found[output]).max()) for output in expected)
        if not largest[name] <= TOLERANCE:
            raise UserError(
                f"{name} would not equal Keras: a probability differs by {largest[name]:.2g}, and at most "
                f"{TOLERANCE:g} is allowed. Nothing was written. The converter gets one of the network's layers wrong: "
                "use another architecture."
            )
    return largest


def _write(out: Path, files: dict[str, bytes]) -> None:
    """Put the files there, each whole or not at all."""
    with writing(out):
        out.mkdir(parents=True, exist_ok=True)
        with unfinished(out / ".unfinished") as new:
            for name, content in files.items():
                (new / name).write_bytes(content)
            for name in files:
                (new / name).replace(out / name)
