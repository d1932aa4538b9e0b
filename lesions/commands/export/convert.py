"""Keras's converters to ONNX and LiteRT, quiet unless they fail, and the runtimes of both files."""

import logging
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from lesions.commands.classify.formats import NOTICE
from lesions.commands.export.export_model import INPUT, Outputs
from lesions.core.errors import UserError, is_no_room
from lesions.core.temporary import temporary_folder

OPSET = 18
"""Version of ONNX's operations: of 2022, so that runtimes know it; the last that the converter is tested with."""

UNKNOWN_OPERATIONS = (
    re.compile(r'fused\["(?P<kind>\w+):", "(?P<place>[^"@]+)[^"]*"\](?:(?!fused).)*?error: \'tf\.(?P=kind)\''),
    re.compile(r'fused\["(?P<kind>\w+):", "(?P<place>[^"@]+)'),
    re.compile(r"Name: (?P<place>\S+) OpType: (?P<kind>\w+)"),
)
"""How TensorFlow's converter and ONNX's checker name an unknown operation."""


def to_onnx(model: keras.Model, network: keras.Model) -> onnx.ModelProto:
    """Return the model in ONNX, for any number of images at a time, the same for the same weights.

    Args:
        model: of `export_model`.
        network: inside it; its layers are named in messages.

    Raises:
        UserError: ONNX has no counterpart of a layer.
    """
    with temporary_folder() as folder, _converting(network, "ONNX"):
        file = folder / "model.onnx"
        _export(model, file, None, format="onnx", opset_version=OPSET)
        proto = onnx.load(file)
        onnx.checker.check_model(proto, full_check=True)
    return _canonical(proto)


def to_litert(model: keras.Model, network: keras.Model) -> bytes:
    """Return the model as a LiteRT (TensorFlow Lite) file, for one image at a time.

    Args:
        model: of `export_model`.
        network: inside it; its layers are named in messages.

    Raises:
        UserError: LiteRT has no counterpart of a layer.
    """
    # Without TensorFlow's own operations, which runtimes on phones do not have.
    builtins = {"supported_ops": [tf.lite.OpsSet.TFLITE_BUILTINS]}
    with temporary_folder() as folder, _converting(network, "LiteRT"):
        file = folder / "model.tflite"
        _export(model, file, 1, format="litert", target_spec=builtins)
        return file.read_bytes()


def run_onnx(content: bytes, images: NDArray[np.uint8]) -> Outputs:
    """Return what an ONNX file gives for images, (N, height, width, 3)."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {INPUT: images}), strict=True))


def run_litert(content: bytes, images: NDArray[np.uint8]) -> Outputs:
    """Return what a LiteRT file gives for images, (N, height, width, 3).

    Raises:
        UserError: the runtime refuses the file.
    """
    try:
        with _quiet():
            runner = Interpreter(model_content=content).get_signature_runner()
            outputs = [runner(**{INPUT: image[None]}) for image in images]
    except (RuntimeError, ValueError) as error:
        raise UserError(
            f"LiteRT cannot run the file that its converter made of the network: {_first_line(error)}. Use another "
            "architecture."
        ) from None
    return {name: np.concatenate([output[name] for output in outputs]) for name in runner.get_output_details()}


def _export(model: keras.Model, file: Path, images: int | None, **options: Any) -> None:
    signature = keras.InputSpec(shape=(images, *model.input.shape[1:]), dtype="uint8", name=INPUT)
    model.export(file, input_signature=[signature], verbose=False, **options)


def _canonical(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return the model with names and an order that depend on what it computes alone.

    The converter iterates over sets, and counts all that a process converts. Here nodes and constants are numbered on
    the way back from the outputs. Loops, whose bodies use outer names, stay as they are; no network here has one.
    """
    graph = proto.graph
    if any(attribute.HasField("g") for node in graph.node for attribute in node.attribute):
        return proto
    constants = {constant.name: constant for constant in graph.initializer}
    names = {known.name: known.name for known in [*graph.input, *graph.output]} | {"": ""}
    nodes = list(_from_outputs(graph))
    used: list[onnx.TensorProto] = []
    for number, node in enumerate(nodes, 1):
        node.name = f"{node.op_type}_{number}"
        for name in node.input:
            if name not in names:
                used.append(constants[name])
                names[name] = f"constant_{len(used)}"
        for place, name in enumerate(node.output):
            names.setdefault(name, f"{node.name}_{place}")
        node.input[:], node.output[:] = [names[name] for name in node.input], [names[name] for name in node.output]
        node.attribute.sort(key=lambda attribute: attribute.name)
    for constant in used:
        constant.name = names[constant.name]
    for known in [*graph.input, *graph.output]:
        known.type.tensor_type.shape.dim[0].dim_param = "images"
    tidy = onnx.helper.make_graph(nodes, "classifier", graph.input, graph.output, used, doc_string=NOTICE)
    return onnx.helper.make_model(
        tidy, opset_imports=proto.opset_import, ir_version=proto.ir_version, producer_name="lesions"
    )


def _from_outputs(graph: onnx.GraphProto) -> Iterator[onnx.NodeProto]:
    """Yield the nodes that the outputs need, each after those that it needs itself."""
    makers = {name: node for node in graph.node for name in node.output}
    waiting, done = [output.name for output in reversed(graph.output)], set()
    while waiting:
        node = makers.get(waiting[-1])
        missing = [name for name in node.input if name in makers and name not in done] if node else []
        if missing:
            waiting += reversed(missing)
            continue
        name = waiting.pop()
        if node and name not in done:
            done |= set(node.output)
            yield node


@contextmanager
def _quiet() -> Iterator[None]:
    """Drop the pages of notes that converters and interpreters write, from Python and from C++."""
    with ExitStack() as restore, warnings.catch_warnings(action="ignore"), Path(os.devnull).open("w") as nothing:
        restore.callback(logging.disable, logging.root.manager.disable)
        logging.disable(logging.CRITICAL)
        for number, stream in ((1, sys.stdout), (2, sys.stderr)):
            stream.flush()
            kept = os.dup(number)
            restore.callback(os.close, kept)
            restore.callback(os.dup2, kept, number)
            restore.callback(stream.flush)
            os.dup2(nothing.fileno(), number)
        yield


@contextmanager
def _converting(network: keras.Model, form: str) -> Iterator[None]:
    """Be quiet, and name the layer where a converter fails."""
    try:
        with _quiet():
            yield
    except Exception as error:  # whatever a converter raises
        if is_no_room(error):
            raise
        found: dict[str, str] = {}
        for pattern in UNKNOWN_OPERATIONS:
            found = found or {match["kind"]: match["place"] for match in pattern.finditer(str(error))}
        unknown = ", ".join(f"{kind}{_layer(place, network)}" for kind, place in found.items())
        reason = f"there is no counterpart of {unknown}" if unknown else _first_line(error)
        raise UserError(
            f"The network cannot be written as {form}: {reason}. Use another layer there and train again; the Keras "
            "model itself still works with `lesions classify`."
        ) from None


def _layer(place: str, network: keras.Model) -> str:
    """Name the layer from an operation's path, in which Keras has numbered the layers' names once more."""
    names = {layer.name for layer in network.layers}
    found = [name for part in place.split("/") for name in (part, part.rpartition("_")[0]) if name in names]
    return f" in the layer {found[-1]}" if found else f" ({place})"


def _first_line(error: Exception) -> str:
    return str(error).strip().partition("\n")[0][:300]
