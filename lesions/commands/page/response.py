"""What the page shows of one image: the prediction as JSON, and the image without and with its heat map."""

from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lesions.classifier import Classifier, Prediction
from lesions.commands.classify.formats import NOTICE, as_object, notes
from lesions.core.errors import UserError
from lesions.explain.overlay import hottest_place, overlay
from lesions.images.preprocessing import as_png
from lesions.reporting.common.html import data_uri
from lesions.taxonomy import about

MAX_PX = 512
"""Width and height at most of the images sent back. The browser enlarges smaller ones, smoothly."""


def respond(prediction: Prediction, classifier: Classifier) -> dict[str, Any]:
    """Say for the page what was predicted of an image.

    Args:
        prediction: of the image.
        classifier: the model that made it.

    Returns:
        `problem` alone where there is no prediction; else what `lesions classify --json` prints, with `input`, the
        image as the network gets it, and `heat_map`, the same under its heat map. Both have `src`, a PNG file as a
        data URL, and `alt`, a sentence for those who do not see it; instead of `heat_map`, `no_heat_map` may say why
        there is none.
    """
    found = as_object(prediction, classifier)
    del found["image"]  # its name was never sent
    if prediction.problem:
        return found
    return found | _images(prediction, classifier) | {"notice": NOTICE, "notes": notes(classifier)[:-1]}


def heat_map_alt(diagnosis: str, heat: NDArray[np.float32]) -> str:
    """Return a sentence that stands for a heat map, (height, width), where it is not seen."""
    if not heat.max():
        return f"Heat map: no place of the image raises the score of {diagnosis}."
    share = f"{(heat > 0.5).mean():.0%} of the image are more than half as hot"
    return f"Heat map: the {hottest_place(heat)} raises the score of {diagnosis} most; {share}."


def _images(prediction: Prediction, classifier: Classifier) -> dict[str, Any]:
    height, width = prediction.pixels.shape[:2]
    alt = f"The image as the network gets it, {width}×{height} pixels."
    try:
        (heat,) = classifier.heat_maps([prediction])
    except UserError as error:
        return {"input": _png(Image.fromarray(prediction.pixels), alt), "no_heat_map": str(error)}
    plain, hot = overlay(prediction.pixels, heat, (min(width, MAX_PX), min(height, MAX_PX)))
    return {
        "input": _png(plain, alt),
        "heat_map": _png(hot, heat_map_alt(about(prediction.diagnosis).name, heat)),
    }


def _png(image: Image.Image, alt: str) -> dict[str, str]:
    return {"src": data_uri(as_png(image)), "alt": alt}
