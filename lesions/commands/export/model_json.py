"""model.json: what someone must know who has an exported file alone."""

from typing import Any

from lesions.classifier import Classifier
from lesions.commands.classify.formats import NOTICE
from lesions.commands.export.export_model import INPUT
from lesions.taxonomy import about

NAME = "model.json"


def content(classifier: Classifier) -> dict[str, Any]:
    """Return the content of model.json."""
    decision, recipe = classifier.decision, classifier.recipe
    height, width = recipe.px
    return {
        "notice": NOTICE,
        "protocol": decision.protocol,
        "warnings": classifier.warnings,
        "classes": decision.classes,
        "names": {code: about(code).name for code in decision.classes},
        "natures": {code: about(code).nature for code in decision.classes},
        "input": {"name": INPUT, "type": "uint8", "shape": ["pictures", height, width, 3], "colours": "RGB"},
        "outputs": {
            "probabilities": "of each class, as calibrated on validation"
            if decision.temperature
            else "as uncalibrated: there was no validation to calibrate on",
            "uncalibrated": "of each class, as the network gives them; the thresholds are of these",
        },
        "orientations": "the mean over all flips and quarter turns is in the file"
        if decision.model.dihedral
        else "as given",
        "recipe": recipe.to_json(),
        "temperature": decision.temperature,
        "temperature_is": "in the file already",
        "thresholds_are_of": "the sum of the positive classes' uncalibrated probabilities",
        "thresholds": {question: asked.model_dump() for question, asked in decision.thresholds.items()},
        "patient": {
            "use": "multiply the uncalibrated probabilities by exp of what stands here for each value that is known, "
            "and divide by their sum; the temperature comes after. The thresholds hold with all that is known",
            **classifier.patient.model_dump(exclude={"classes"}),
        }
        if classifier.patient.weighs
        else None,
        "unlikeness": "not in the file: only `lesions classify` says whether a picture is unlike all others",
        "made_from": {"sha256": decision.model.sha256},
    }
