"""A file of PyTorch's weights, read without PyTorch, and without running what the file says.

`torch.save` wrote until version 1.5 four pickles (a magic number, a version, the machine's sizes, the tensors'
descriptions), a fifth with the keys of the storages, and each storage: its length, and its numbers. A pickle can name
any function of any module, to be called while it is read. Here it can name an ordered dictionary, a tensor and two
kinds of storage; whatever else it names, the file is refused before anything is called (Python's documentation of
pickle, "Restricting globals").
"""

import pickle
from collections import OrderedDict
from pathlib import Path
from typing import IO, Any, NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from lesions.core.errors import UserError

MAGIC = 0x1950A86A20F9469CFC6C
VERSION = 1001
MOST_BYTES = 500_000_000
"""Largest file: it is read into memory."""


class Storage(NamedTuple):
    """Numbers that lie one behind the other in the file."""

    key: str
    dtype: np.dtype[Any]
    n_numbers: int


class Tensor(NamedTuple):
    """A view of a storage; sizes, strides and offset count numbers."""

    storage: Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def read_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """Return the tensors of a file by name, in the file's order.

    Args:
        path: written by `torch.save` of version 1.5 or earlier, from a model's `state_dict`.

    Raises:
        UserError: it is another file, or damaged, or names anything but tensors.
    """
    try:
        if path.stat().st_size > MOST_BYTES:
            raise ValueError(f"it has more than {MOST_BYTES:,} bytes")
        with path.open("rb") as file:
            if [_load(file) for _ in range(2)] != [MAGIC, VERSION]:
                raise ValueError("it does not begin as torch.save begins a file")
            if _load(file).get("little_endian") is not True:
                raise ValueError("its numbers are big-endian")
            described = _load(file)
            if not isinstance(described, dict) or not all(type(one) is Tensor for one in described.values()):
                raise ValueError("it holds other things than tensors by name")
            storages = {one.storage.key: one.storage for one in described.values()}
            keys = _load(file)
            numbers = {key: _numbers(file, storages[key]) for key in keys}
            return {str(name): _array(one, numbers[one.storage.key]) for name, one in described.items()}
    # What a damaged pickle raises is not documented; whatever it is, the file is none of ours.
    except Exception as error:
        reason = str(error).strip().partition("\n")[0][:200] or type(error).__name__
        raise UserError(
            f"{path} is no file of PyTorch's weights, or a damaged one: {reason}. Expected tensors by name, as "
            "torch.save of version 1.5 writes them. Remove it, and run this again: it is fetched anew."
        ) from None


class _Unpickler(pickle.Unpickler):
    """Reads descriptions of tensors, and knows nothing else."""

    def find_class(self, module: str, name: str) -> Any:
        known = {
            ("collections", "OrderedDict"): OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2"): _tensor,
            ("torch", "FloatStorage"): np.dtype("<f4"),
            ("torch", "LongStorage"): np.dtype("<i8"),
        }
        if (module, name) not in known:
            raise ValueError(f"it names {module}.{name}, which no weights need")
        return known[module, name]

    def persistent_load(self, pid: Any) -> Storage:
        _, dtype, key, _, n_numbers, _ = pid
        return Storage(str(key), np.dtype(dtype), int(n_numbers))


def _load(file: IO[bytes]) -> Any:
    return _Unpickler(file).load()


def _tensor(storage: Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *_: Any) -> Tensor:
    """Stand in for PyTorch's function of that name, in the pickle."""
    return Tensor(storage, offset, shape, strides)


def _numbers(file: IO[bytes], storage: Storage) -> NDArray[Any]:
    """Read a storage: how many numbers it has, in eight bytes, and these."""
    n_numbers = int.from_bytes(file.read(8), "little")
    content = file.read(storage.n_numbers * storage.dtype.itemsize) if n_numbers == storage.n_numbers else b""
    if len(content) != storage.n_numbers * storage.dtype.itemsize:
        raise ValueError(f"the storage {storage.key} has {n_numbers:,} numbers; expected {storage.n_numbers:,}")
    return np.frombuffer(content, storage.dtype)


def _array(tensor: Tensor, numbers: NDArray[Any]) -> NDArray[Any]:
    """Return a tensor's numbers as an array of its own.

    Raises:
        ValueError: it reaches beyond its storage, or has more numbers than that.
    """
    shape, strides, offset = tensor.shape, tensor.strides, tensor.offset
    n_numbers = int(np.prod(shape, dtype=object))
    last = offset + sum((length - 1) * stride for length, stride in zip(shape, strides, strict=True))
    if (
        min([offset, *shape, *strides], default=0) < 0
        or n_numbers > len(numbers)
        or (n_numbers and last >= len(numbers))
    ):
        raise ValueError(f"a tensor of the shape {shape} reaches beyond its {len(numbers):,} numbers")
    found = as_strided(numbers[offset:], shape, [stride * numbers.itemsize for stride in strides])
    return np.ascontiguousarray(found).reshape(shape)
