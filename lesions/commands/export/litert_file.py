"""A LiteRT (TensorFlow Lite) file of one picture at a time, float or int8, and its answers."""

import io
import tempfile
import zipfile
from collections.abc import Iterable, Iterator

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter
from numpy.typing import NDArray

from lesions.commands.export.answering import INPUT, Answers
from lesions.commands.export.converting import quiet
from lesions.core.errors import UserError

NAME = "model.tflite"
NAME_INT8 = "model.int8.tflite"
THREADS = 2
FLOAT_OPERATIONS = ["SOFTMAX", "SPLIT", "PACK", "SUM", "REDUCE_MAX", "DIV", "POW"]
"""Left in float by int8: what makes probabilities of the network's last sums, a few numbers a picture. In int8 a
probability would be one of 256, and thresholds lie at a hundredth."""


def convert(model: keras.Model) -> bytes:
    """Return the model in float32.

    Args:
        model: of `answering`.

    Raises:
        Exception: the converter's.
    """
    with tempfile.TemporaryDirectory() as folder:
        content: bytes = _converter(model, folder).convert()
    return content


def convert_int8(model: keras.Model, pictures: NDArray[np.uint8]) -> bytes:
    """Return the model with weights and activations in int8, but for `FLOAT_OPERATIONS`.

    Args:
        model: of `answering`.
        pictures: uint8, (N, height, width, 3), by which the ranges of activations are found.

    Raises:
        Exception: the converter's.
    """

    def representative() -> Iterator[dict[str, NDArray[np.uint8]]]:
        return ({INPUT: picture[None]} for picture in pictures)

    with tempfile.TemporaryDirectory() as folder:
        converter = _converter(model, folder)
        converter.optimizations = [tf.lite.Optimize.DEFAULT]
        converter.representative_dataset = representative
        converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8, tf.lite.OpsSet.TFLITE_BUILTINS]
        # TensorFlow lets operations be left out by its debugger alone.
        left_out = tf.lite.experimental.QuantizationDebugOptions(denylisted_ops=FLOAT_OPERATIONS)
        debugger = tf.lite.experimental.QuantizationDebugger(
            converter=converter, debug_dataset=representative, debug_options=left_out
        )
        content: bytes = debugger.get_nondebug_quantized_model()
    return content


def with_facts(content: bytes, facts: dict[str, str]) -> bytes:
    """Return the file's bytes with facts as files in a zip archive behind the model, where such models carry labels."""
    file = io.BytesIO(content)
    with zipfile.ZipFile(file, "a") as archive:
        for name, text in facts.items():
            archive.writestr(zipfile.ZipInfo(name), text)  # dated 1980-01-01
    return file.getvalue()


def ask(content: bytes, pictures: Iterable[NDArray[np.uint8]]) -> Answers:
    """Return what a file says of pictures, each (height, width, 3).

    Raises:
        UserError: the runtime refuses the file.
    """
    try:
        with quiet():
            runner = Interpreter(model_content=content, num_threads=THREADS).get_signature_runner()
            # Only the first answer sets it all up, and prints notes.
            runner(**{INPUT: np.zeros(runner.get_input_details()[INPUT]["shape"], np.uint8)})
    except (RuntimeError, ValueError) as error:
        reason = str(error).strip().partition("\n")[0][:300]
        raise UserError(
            f"LiteRT cannot run the file that its converter made of the network: {reason}. Leave --int8 out if you "
            "asked for it, or use another architecture."
        ) from None
    said = [runner(**{INPUT: picture[None]}) for picture in pictures]
    return {name: np.concatenate([answer[name] for answer in said]) for name in runner.get_output_details()}


def _converter(model: keras.Model, folder: str) -> tf.lite.TFLiteConverter:
    shape = (1, *model.input.shape[1:])
    archive = keras.export.ExportArchive()
    archive.track(model)
    archive.add_endpoint(
        "serve",
        lambda pixels: model(pixels, training=False),
        input_signature=[tf.TensorSpec(shape, tf.uint8, name=INPUT)],
    )
    archive.write_out(folder, verbose=False)
    return tf.lite.TFLiteConverter.from_saved_model(folder)
