"""One augmented copy of a picture, always the same: Augmentor's operations, each with its own probability.

A copy is a function of (seed, picture, number of the copy) alone, whichever worker makes it and in whatever order.
"""

import hashlib
import random
import threading
from collections.abc import Sequence
from typing import Any, NamedTuple

import Augmentor
import numpy as np
from numpy.typing import NDArray
from PIL import Image

from lesions.core.errors import UserError
from lesions.sampling.reflect_padding import Mirrored


class _Python(threading.local):
    """Python's module `random`, with a generator for each thread."""

    def __init__(self) -> None:
        self.generator = random.Random()  # noqa: S311 - no secret

    def __getattr__(self, name: str) -> Any:
        return getattr(self.generator, name)


class _NumPy(threading.local):
    """NumPy, with a generator for each thread."""

    def __init__(self) -> None:
        self.random = np.random.RandomState()

    def __getattr__(self, name: str) -> Any:
        return getattr(np, name)


# Augmentor draws from the generators that all of a process share. With its own, whatever else draws changes no copy.
_PYTHON, _NUMPY = _Python(), _NumPy()
Augmentor.Operations.random, Augmentor.Operations.np = _PYTHON, _NUMPY


class Copy(NamedTuple):
    """One augmented copy.

    Attributes:
        original: the id of the picture that it is made from.
        number: 0 for the picture's first copy, 1 for its second, ...
    """

    original: str
    number: int

    @property
    def image_id(self) -> str:
        """The copy's own id, which names its original and its number."""
        return f"{self.original}+{self.number}"


def augment(
    original: tuple[NDArray[np.uint8], Copy], operations: Sequence[Augmentor.Operations.Operation], seed: int
) -> NDArray[np.uint8]:
    """Make one copy of a picture.

    The operations see pictures that go on beyond their edge, so none leaves black corners. After each, the picture
    is brought back to its size and to RGB.

    Args:
        original: the picture, uint8, (height, width, 3), and which of its copies to make.
        operations: Augmentor's, carried out in order, each with its own probability.
        seed: what the draws are made from, with the name of the copy.

    Returns:
        uint8, (height, width, 3).

    Raises:
        UserError: an operation cannot be carried out with its arguments.
    """
    pixels, copy = original
    height, width, _ = pixels.shape
    draws = digest(seed, copy.image_id)
    _PYTHON.seed(draws[:8])
    _NUMPY.random.seed(int.from_bytes(draws[8:12]))
    image = None  # before the first operation: many a copy gets none
    for operation in operations:
        if _PYTHON.random() < operation.probability:
            try:
                before = Image.fromarray(pixels) if image is None else image
                image = operation.perform_operation([Mirrored(before)])[0]
                image.load()  # computes what waits
            except Exception as error:  # Augmentor checks few of its arguments; whatever they cause
                arguments = ", ".join(f"{name} {value!r}" for name, value in vars(operation).items())
                raise UserError(
                    f"Augmentor's {type(operation).__name__} fails on {copy.original}, a picture of {width}×{height} "
                    f"pixels ({error!r}): mend its arguments ({arguments}) in rebalance.operations."
                ) from None
            if image.mode != "RGB":
                image = image.convert("RGB")
            if image.size != (width, height):
                image = image.resize((width, height))
    return pixels if image is None else np.asarray(image)


def digest(seed: int, name: str) -> bytes:
    """Return 32 bytes that look drawn at random, always the same for a seed and a name."""
    return hashlib.sha256(f"{seed}/{name}".encode()).digest()
