"""model.json: all that is needed to use an exported file alone."""

from typing import Any

from lesions.classifier import Classifier
from lesions.commands.classify.formats import NOTICE
from lesions.commands.export.export_model import INPUT
from lesions.taxonomy import about

NAME = "model.json"


def content(classifier: Classifier) -> dict[str, Any]:
    """Return the content of model.json."""
    thresholds, preprocessing = classifier.thresholds, classifier.preprocessing
    calibration = classifier.calibration
    height, width = preprocessing.image_size
    return {
        "notice": NOTICE,
        "leakage": thresholds.leakage,
        "warnings": classifier.warnings,
        "classes": thresholds.classes,
        "names": {code: about(code).name for code in thresholds.classes},
        "malignancy": {code: about(code).malignancy for code in thresholds.classes},
        "input": {"name": INPUT, "type": "uint8", "shape": ["images", height, width, 3], "colours": "RGB"},
        "outputs": {
            "probabilities": "of each class, as calibrated on validation"
            if calibration.temperature
            else "as uncalibrated: there was no validation to calibrate on",
            "uncalibrated": "of each class, as the network gives them; the thresholds are of these",
        },
        "tta": "the mean over all flips and quarter turns is in the file" if thresholds.model.tta else "as given",
        "preprocessing": preprocessing.to_json(),
        "calibration": {"use": "in the file already", **calibration.model_dump(exclude={"classes"})},
        "thresholds_are_of": "the sum of the positive classes' uncalibrated probabilities",
        "tasks": {name: task.model_dump() for name, task in thresholds.tasks.items()},
        "thresholds": [one.model_dump() for name in thresholds.tasks for one in thresholds.of_task(name)],
        "metadata_prior": {
            "use": "multiply the uncalibrated probabilities by exp of the number here for each known value, and divide "
            "by their sum; the calibration comes after. The thresholds hold with all known values",
            **classifier.prior.model_dump(exclude={"classes"}),
        }
        if classifier.prior.is_active
        else None,
        "ood_score": "not in the file: only `lesions classify` flags out-of-distribution images",
        "made_from": {"sha256": thresholds.model.sha256},
    }
