"""Files as PyTorch writes them, put together by hand: PyTorch itself is not installed."""

import pickle
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

MAGIC = 0x1950A86A20F9469CFC6C
HEADER = b"".join(pickle.dumps(value, 2) for value in (MAGIC, 1001, {"protocol_version": 1001, "little_endian": True}))


def text(value: str) -> bytes:
    return b"X" + struct.pack("<I", len(value.encode())) + value.encode()


def integer(value: int) -> bytes:
    return b"J" + struct.pack("<i", value)


def numbers(values: tuple[int, ...]) -> bytes:
    return b"(" + b"".join(map(integer, values)) + b"t"


def calling(name: str, arguments: bytes) -> bytes:
    """Return a call of a function, named as its module and itself, a line each."""
    return b"c" + name.encode() + b"(" + arguments + b"tR"


def tensor(key: str, n_numbers: int, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]) -> bytes:
    storage = text("storage") + b"ctorch\nFloatStorage\n" + text(key) + text("cpu") + integer(n_numbers) + b"N"
    hooks = calling("collections\nOrderedDict\n", b"")
    view = b"(" + storage + b"tQ" + integer(offset) + numbers(shape) + numbers(strides) + b"\x89" + hooks
    return calling("torch._utils\n_rebuild_tensor_v2\n", view)


def described(tensors: Mapping[str, bytes]) -> bytes:
    items = b"".join(text(name) + one for name, one in tensors.items())
    return b"\x80\x02" + calling("collections\nOrderedDict\n", b"") + b"(" + items + b"u."


def storages(arrays: Mapping[str, NDArray[Any]]) -> bytes:
    content = b"".join(struct.pack("<q", array.size) + array.tobytes() for array in arrays.values())
    return pickle.dumps(list(arrays), 2) + content


def torch_file(tensors: Mapping[str, NDArray[np.float32]]) -> bytes:
    """Return a whole file of contiguous tensors, each in a storage of its own."""
    content, stored = {}, {}
    for number, (name, array) in enumerate(tensors.items()):
        whole = np.array(array, np.float32, order="C")
        strides = tuple(stride // 4 for stride in whole.strides)
        content[name] = tensor(str(number), whole.size, 0, whole.shape, strides)
        stored[str(number)] = whole
    return HEADER + described(content) + storages(stored)
