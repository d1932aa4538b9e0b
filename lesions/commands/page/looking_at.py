"""What the page is told of one picture."""

import base64
import io
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lesions.classifier import Answer, Classifier
from lesions.commands.classify.formats import NOTICE, as_object, notes
from lesions.core.errors import UserError
from lesions.explain.overlay import overlay
from lesions.inference.metadata_prior import Known
from lesions.taxonomy import about

LONGEST_SIDE = 512
"""Pixels of what is sent back. A smaller picture is sent as it is: the browser enlarges it, smoothly."""


def look_at(content: bytes, classifier: Classifier, patient: Known) -> dict[str, Any]:
    """Return what there is to say of a picture, as JSON has it.

    Args:
        content: the picture file's bytes.
        classifier: whom to ask.
        patient: what is known beside the picture; see `Classifier.classify`.

    Returns:
        `problem` alone where there is no answer; else what `lesions classify --json` says, with `seen`, the picture as
        the network was shown it, and `heat`, the same under its heat map. Both have `address`, a PNG file as a data
        URL, and `words` for those who do not see it; instead of the second, `no_heat` may say why there is none.
    """
    answer = classifier.classify(content, patient=patient)
    found = as_object(answer, classifier)
    del found["picture"]  # was never told
    if answer.problem:
        return found
    return found | _pictures(answer, classifier) | {"notice": NOTICE, "notes": notes(classifier)[:-1]}


def _pictures(answer: Answer, classifier: Classifier) -> dict[str, Any]:
    height, width = answer.pixels.shape[:2]
    seen = f"The picture as the network saw it, {width}×{height} pixels."
    try:
        (heat,) = classifier.heat([answer])
    except UserError as error:
        return {"seen": _shown(Image.fromarray(answer.pixels), seen), "no_heat": str(error)}
    plain, hot = overlay(answer.pixels, heat, (min(width, LONGEST_SIDE), min(height, LONGEST_SIDE)))
    return {"seen": _shown(plain, seen), "heat": _shown(hot, heat_words(about(answer.diagnosis).name, heat))}


def heat_words(diagnosis: str, heat: NDArray[np.float32]) -> str:
    """Return a sentence that stands for a heat map where it is not seen."""
    if not heat.max():
        return f"Heat map: no place of the picture spoke for {diagnosis}."
    row, column = np.unravel_index(int(heat.argmax()), heat.shape)
    down = ("upper", "middle", "lower")[3 * int(row) // heat.shape[0]]
    across = ("left", "middle", "right")[3 * int(column) // heat.shape[1]]
    place = "middle" if down == across else f"{down} {across}"
    share = (heat > 0.5).mean()
    return f"Heat map: the {place} spoke most for {diagnosis}; {share:.0%} of the picture are more than half as hot."


def _shown(picture: Image.Image, words: str) -> dict[str, str]:
    file = io.BytesIO()
    picture.save(file, "PNG")
    return {"address": f"data:image/png;base64,{base64.b64encode(file.getvalue()).decode()}", "words": words}
