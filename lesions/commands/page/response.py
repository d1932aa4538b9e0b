"""What the page shows of one image: the answer as JSON, and the image without and with its heat map."""

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lesions.classifier import Classifier, Prediction
from lesions.commands.classify.formats import NOTICE, as_object, notes
from lesions.core.errors import UserError
from lesions.explain.overlay import overlay
from lesions.models.calibration.metadata_prior import PatientMetadata
from lesions.taxonomy import about

MAX_SPLIT = 512
"""Pixels of what is sent back. A smaller image is sent as it is: the browser enlarges it, smoothly."""


def respond(content: bytes, classifier: Classifier, patient: PatientMetadata) -> dict[str, Any]:
    """Classify an image for the page.

    Args:
        content: the image file's bytes.
        classifier: the model.
        patient: what is known beside the image; see `Classifier.classify`.

    Returns:
        `problem` alone where there is no answer; else what `lesions classify --json` says, with `seen`, the image as
        the network was given it, and `heat`, the same under its heat map. Both have `address`, a PNG file as a data
        URL, and `words` for those who do not see it; instead of `heat`, `no_heat` may say why there is none.
    """
    answer = classifier.classify(content, metadata=patient)
    found = as_object(answer, classifier)
    del found["image"]  # its name was never sent
    if answer.problem:
        return found
    return found | _images(answer, classifier) | {"notice": NOTICE, "notes": notes(classifier)[:-1]}


def heat_words(diagnosis: str, heat: NDArray[np.float32]) -> str:
    """Return a sentence that stands for a heat map, (height, width), where it is not seen."""
    if not heat.max():
        return f"Heat map: no place of the image spoke for {diagnosis}."
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    down = ("upper", "middle", "lower")[3 * int(row) // heat.shape[0]]
    across = ("left", "middle", "right")[3 * int(column) // heat.shape[1]]
    place = "middle" if down == across else f"{down} {across}"
    share = (heat > 0.5).mean()
    return f"Heat map: the {place} spoke most for {diagnosis}; {share:.0%} of the image are more than half as hot."


def _images(answer: Prediction, classifier: Classifier) -> dict[str, Any]:
    height, width = answer.pixels.shape[:2]
    seen = f"The image as the network saw it, {width}×{height} pixels."
    try:
        (heat,) = classifier.heat_maps([answer])
    except UserError as error:
        return {"seen": _png(Image.fromarray(answer.pixels), seen), "no_heat": str(error)}
    plain, hot = overlay(answer.pixels, heat, (min(width, MAX_SPLIT), min(height, MAX_SPLIT)))
    return {"seen": _png(plain, seen), "heat": _png(hot, heat_words(about(answer.diagnosis).name, heat))}


def _png(image: Image.Image, words: str) -> dict[str, str]:
    file = io.BytesIO()
    image.save(file, "PNG")
    return {"address": f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}", "words": words}
