"""Augment one image with Augmentor's operations, deterministically.

An augmented image depends on (seed, original, number) alone, whichever worker makes it and in whatever order.
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
from lesions.sampling.reflect_padding import ReflectPadded


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


# Augmentor uses the random generators that all of a process share. With its own, no other code
# changes an augmented image.
_PYTHON, _NUMPY = _Python(), _NumPy()
Augmentor.Operations.random, Augmentor.Operations.np = _PYTHON, _NUMPY


class AugmentedImage(NamedTuple):
    """Names one augmented image.

    Attributes:
        original: the id of the image that it is made from.
        number: 0 for the first that is made from it, 1 for the second, ...
    """

    original: str
    number: int

    @property
    def image_id(self) -> str:
        """Its own id."""
        return f"{self.original}+{self.number}"


def augment(
    original: tuple[NDArray[np.uint8], AugmentedImage], operations: Sequence[Augmentor.Operations.Operation], seed: int
) -> NDArray[np.uint8]:
    """Make one augmented image.

    The operations see an image that is reflected at its edges, so none leaves black corners. After each, the image
    is brought back to its size and to RGB.

    Args:
        original: the image, uint8, (height, width, 3), and which augmented image to make of it.
        operations: Augmentor's, carried out in order, each with its own probability.
        seed: the random seed; the augmented image's id is part of it.

    Returns:
        uint8, (height, width, 3).

    Raises:
        UserError: an operation cannot be carried out with its arguments.
    """
    pixels, made = original
    height, width, _ = pixels.shape
    seeds = digest(seed, made.image_id)
    _PYTHON.seed(seeds[:8])
    _NUMPY.random.seed(int.from_bytes(seeds[8:12]))
    image = None  # until the first operation: many images get none
    for operation in operations:
        if _PYTHON.random() < operation.probability:
            try:
                before = Image.fromarray(pixels) if image is None else image
                image = operation.perform_operation([ReflectPadded(before)])[0]
                image.load()  # computes what waits
            except Exception as error:  # Augmentor checks few of its arguments; whatever they cause
                arguments = ", ".join(f"{name} {value!r}" for name, value in vars(operation).items())
                raise UserError(
                    f"Augmentor's {type(operation).__name__} fails on {made.original}, an image of {width}×{height} "
                    f"pixels ({error!r}): mend its arguments ({arguments}) in rebalance.operations."
                ) from None
            if image.mode != "RGB":
                image = image.convert("RGB")
            if image.size != (width, height):
                image = image.resize((width, height))
    return pixels if image is None else np.asarray(image)


def digest(seed: int, name: str) -> bytes:
    """Return 32 bytes that depend on seed and name alone: a hash, in place of a random generator.

    Args:
        seed: the random seed.
        name: of what they are for, such as an image.
    """
    return hashlib.sha256(f"{seed}/{name}".encode()).digest()
