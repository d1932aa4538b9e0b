"""Augmented copies of training pictures: how many of which, and how each is made.

A copy is a function of (seed, picture, number of the copy) alone, whatever worker makes it and in whatever
order: Augmentor's operations draw from Python's and NumPy's global generators, so both are seeded for each.
"""

import hashlib
import random
from collections.abc import Sequence
from typing import Literal, NamedTuple

import Augmentor
import numpy as np
import pandas as pd
from numpy.typing import NDArray
from PIL import Image

from lesions.errors import UserError

MARGIN = 4
"""Pixels mirrored around a picture before the operations and cut off afterwards: Augmentor's rotation by
one to five degrees leaves a dark edge of a pixel."""


class Copy(NamedTuple):
    """One augmented copy to make.

    Attributes:
        image_id: the original's.
        number: 0 for its first copy, 1 for its second, ...
    """

    image_id: str
    number: int

    @property
    def name(self) -> str:
        """The copy's own id, which names its picture and its number."""
        return f"{self.image_id}+{self.number}"


def plan(train: pd.DataFrame, target: float | Literal["max", "none"], seed: int) -> list[Copy]:
    """Decide which pictures are copied how often, so that each class reaches the target.

    No picture is copied twice before each of its class was copied once; which come first is drawn from the
    seed.

    Args:
        train: the training pictures, with `image_id` and `label`.
        target: pictures a class: a number of 2 or more, a fraction of the largest class below 1, as many as
            the largest class, or no copies. Classes that are larger stay as they are.
        seed: what the order is drawn from.

    Returns:
        The copies, sorted by original and number.
    """
    counts = train["label"].value_counts()
    if target == "none":
        return []
    largest = counts.max()
    wanted = largest if target == "max" else round(target * largest if target < 1 else target)
    copies = []
    for _, originals in train.groupby("label")["image_id"]:
        order = sorted(originals, key=lambda image_id: _digest(seed, image_id))
        missing = max(0, wanted - len(order))
        copies += [Copy(order[i % len(order)], i // len(order)) for i in range(missing)]
    return sorted(copies)


def augment(
    original: tuple[NDArray[np.uint8], Copy], operations: Sequence[Augmentor.Operations.Operation], seed: int
) -> NDArray[np.uint8]:
    """Make one copy of a picture.

    Args:
        original: the picture, uint8, (height, width, 3), and which of its copies to make.
        operations: Augmentor's, carried out in order, each with its own probability.
        seed: see above.

    Returns:
        uint8, (height, width, 3).
    """
    picture, copy = original
    draw = int.from_bytes(_digest(seed, copy.name)[:4])
    random.seed(draw)
    np.random.seed(draw)
    height, width, _ = picture.shape
    image = Image.fromarray(np.pad(picture, ((MARGIN, MARGIN), (MARGIN, MARGIN), (0, 0)), mode="reflect"))
    for operation in operations:
        if random.random() < operation.probability:  # noqa: S311 - no secret
            # Some operations change the size (crop) or the mode (greyscale).
            try:
                image = operation.perform_operation([image])[0].convert("RGB")
            except Exception as error:  # Augmentor checks few of its arguments; whatever they cause
                name = type(operation).__name__
                raise UserError(
                    f"Augmentor's {name} fails on {copy.image_id} ({error!r}): mend its arguments."
                ) from None
            image = image.resize((width + 2 * MARGIN, height + 2 * MARGIN))
    return np.asarray(image.crop((MARGIN, MARGIN, MARGIN + width, MARGIN + height)))


def _digest(seed: int, name: str) -> bytes:
    return hashlib.sha256(f"{seed}/{name}".encode()).digest()
