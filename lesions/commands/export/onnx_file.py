"""An ONNX file of any number of pictures at a time, and its answers by ONNX Runtime."""

from collections.abc import Iterator

import keras
import numpy as np
import onnx
import onnxruntime
import tensorflow as tf
import tf2onnx
from numpy.typing import NDArray

from lesions.commands.classify.formats import NOTICE
from lesions.commands.export.answering import INPUT, Answers

NAME = "model.onnx"
OPSET = 18
"""Of 2022, so that runtimes in use know it; and the last that the converter is tested with."""


def convert(model: keras.Model) -> onnx.ModelProto:
    """Return the model, the same every time.

    Args:
        model: of `answering`.

    Raises:
        Exception: the converter's, or, of an operation that ONNX does not have, the checker's.
    """
    signature = [tf.TensorSpec(model.input.shape, tf.uint8, name=INPUT)]
    function = tf.function(lambda pixels: model(pixels, training=False), input_signature=signature)
    proto, _ = tf2onnx.convert.from_function(function, input_signature=signature, opset=OPSET)
    _fill_in(proto.graph, function.get_concrete_function())
    onnx.checker.check_model(proto, full_check=True)
    return canonical(proto)


def canonical(proto: onnx.ModelProto) -> onnx.ModelProto:
    """Return a model whose bytes depend on what it computes.

    The converter goes through sets, and counts through all that a process converts: so names and order are others
    every time. Here both follow from the way back from the outputs. Loops, whose bodies use names from outside, stay as
    they are; the networks here have none.
    """
    graph = proto.graph
    if any(attribute.HasField("g") for node in graph.node for attribute in node.attribute):
        return proto
    nodes = list(_from_outputs(graph))
    constants = {constant.name: constant for constant in graph.initializer}
    names = {known.name: known.name for known in [*graph.input, *graph.output]} | {"": ""}
    used: list[onnx.TensorProto] = []
    for number, node in enumerate(nodes, 1):
        for name in node.input:
            if name not in names:
                names[name] = f"constant_{len(used) + 1}"
                used.append(constants[name])
        node.name = f"{node.op_type}_{number}"
        names |= {
            name: node.name + (f"_{place}" if place else "")
            for place, name in enumerate(node.output)
            if name not in names
        }
        node.input[:] = [names[name] for name in node.input]
        node.output[:] = [names[name] for name in node.output]
        attributes = sorted(node.attribute, key=lambda attribute: attribute.name)
        del node.attribute[:]
        node.attribute.extend(attributes)
    for constant in used:
        constant.name = names[constant.name]
    for known in [*graph.input, *graph.output]:
        known.type.tensor_type.shape.dim[0].dim_param = "pictures"
    tidy = onnx.helper.make_graph(nodes, "answer", graph.input, graph.output, used, doc_string=NOTICE)
    return onnx.helper.make_model(
        tidy, opset_imports=proto.opset_import, ir_version=proto.ir_version, producer_name="lesions"
    )


def with_facts(proto: onnx.ModelProto, facts: dict[str, str]) -> bytes:
    """Return the file's bytes with facts in its metadata."""
    onnx.helper.set_model_props(proto, facts)
    content: bytes = proto.SerializeToString(deterministic=True)
    return content


def ask(content: bytes, pictures: NDArray[np.uint8]) -> Answers:
    """Return what a file says of pictures, (N, height, width, 3)."""
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, {INPUT: pictures}), strict=True))


def _fill_in(graph: onnx.GraphProto, function: tf.types.experimental.ConcreteFunction) -> None:
    """Make constants of the inputs that are none: the converter asks for what a layer holds outside of its weights.

    `Normalization` holds its mean and variance so, in front of the published ResNets, VGGs and DenseNets.
    """
    held = {inside.name: value for value, inside in function.graph.captures if value.dtype != tf.resource}
    inputs = [known for known in graph.input if known.name not in held]
    for known in graph.input:
        if known.name in held:
            graph.initializer.append(onnx.numpy_helper.from_array(held[known.name].numpy(), known.name))
    del graph.input[:]
    graph.input.extend(inputs)


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
