"""Converters, in silence unless they fail; and then in a sentence that names the layer."""

import logging
import os
import re
import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import keras

from lesions.core.errors import UserError

T = TypeVar("T")

COMPLAINTS = (
    re.compile(r'fused\["(?P<kind>\w+):", "(?P<place>[^"@]+)[^"]*"\](?:(?!fused).)*?error: \'tf\.(?P=kind)\''),
    re.compile(r'fused\["(?P<kind>\w+):", "(?P<place>[^"@]+)'),
    re.compile(r"Name: (?P<place>\S+) OpType: (?P<kind>\w+)"),
)
"""How TensorFlow's converter, and ONNX's checker, name an operation that they do not know."""


@contextmanager
def quiet() -> Iterator[None]:
    """Pass over the pages of notes that converters and interpreters write, from Python and from C++."""
    level = logging.root.manager.disable
    sys.stdout.flush()
    sys.stderr.flush()
    kept, nothing = [os.dup(stream) for stream in (1, 2)], os.open(os.devnull, os.O_WRONLY)
    for stream in (1, 2):
        os.dup2(nothing, stream)
    logging.disable(logging.CRITICAL)
    try:
        with warnings.catch_warnings(action="ignore"):
            yield
    finally:
        logging.disable(level)
        sys.stdout.flush()
        sys.stderr.flush()
        for stream, copy in zip((1, 2), kept, strict=True):
            os.dup2(copy, stream)
            os.close(copy)
        os.close(nothing)


def converted(convert: Callable[[], T], network: keras.Model, form: str) -> T:
    """Return what a converter makes.

    Args:
        convert: runs it.
        network: whose layers a message names.
        form: what it is to become.

    Raises:
        UserError: the converter cannot.
    """
    try:
        with quiet():
            return convert()
    except Exception as error:  # whatever a converter raises
        raise UserError(complaint(str(error), network, form)) from None


def complaint(told: str, network: keras.Model, form: str) -> str:
    """Say in a sentence why a network cannot be converted."""
    for pattern in COMPLAINTS:
        found = {match["kind"]: match["place"] for match in pattern.finditer(told)}
        if found:
            break
    unknown = [f"{kind}{_layer(place, network)}" for kind, place in found.items()]
    reason = f"it has nothing for {', '.join(unknown)}" if unknown else told.strip().partition("\n")[0][:300]
    return (
        f"The network cannot be written as {form}: {reason}. Use another layer there and train again; Keras itself "
        "asks the model with `lesions classify`."
    )


def _layer(place: str, network: keras.Model) -> str:
    """Name the layer from an operation's path, in which Keras has numbered the layers' names once more."""
    names = {layer.name for layer in network.layers}
    parts = place.split("/")
    found = [part for part in parts if part in names]
    found += [part.rpartition("_")[0] for part in parts if part.rpartition("_")[0] in names]
    return f" in the layer {found[-1]}" if found else f" ({place})"
