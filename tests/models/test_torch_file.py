"""PyTorch's files of weights: the numbers as they were saved, and no code of a file is run."""

import os
import pickle
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from lesions.core.errors import UserError
from lesions.models.pretrained.torch_file import read_tensors
from tests.models.torch_bytes import HEADER, calling, described, storages, tensor, text, torch_file

SHAPES = st.lists(st.integers(0, 4), max_size=4).map(tuple)
FLOATS = arrays.arrays(np.float32, SHAPES, elements=st.floats(-5, 5, width=32))
RNG = np.random.default_rng(0)
WEIGHT = RNG.normal(size=(2, 3)).astype(np.float32)


def read(folder: Path, content: bytes) -> dict[str, np.ndarray]:
    (folder / "given.pth").write_bytes(content)
    return read_tensors(folder / "given.pth")


@given(st.dictionaries(st.text(max_size=9), FLOATS, max_size=4))
def test_tensors_are_read_as_they_were(
    tmp_path_factory: pytest.TempPathFactory, tensors: dict[str, np.ndarray]
) -> None:
    found = read(tmp_path_factory.mktemp("torch"), torch_file(tensors))
    assert list(found) == list(tensors)
    for name, array in tensors.items():
        np.testing.assert_array_equal(found[name], array)
        assert found[name].dtype == np.float32


@given(st.permutations(range(4)), st.integers(0, 3))
def test_views_of_one_storage(tmp_path_factory: pytest.TempPathFactory, order: list[int], offset: int) -> None:
    """As TensorFlow's convolutions are kept: with the channels first, in numbers that have them last."""
    kept = RNG.normal(size=offset + 120).astype(np.float32)
    array = kept[offset:].reshape(2, 3, 4, 5).transpose(order)
    strides = tuple(stride // 4 for stride in array.strides)
    view = tensor("a", kept.size, offset, array.shape, strides)
    whole = tensor("a", kept.size, 0, (kept.size,), (1,))
    content = HEADER + described({"view": view, "whole": whole}) + storages({"a": kept})
    found = read(tmp_path_factory.mktemp("torch"), content)
    np.testing.assert_array_equal(found["view"], array)
    np.testing.assert_array_equal(found["whole"], kept)


class Attack:
    """What runs code when it is unpickled."""

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, ("attacked",)


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (pickle.dumps(Attack()), "names .*mkdir, which no weights need"),
        (HEADER + pickle.dumps(Attack(), 2), "names .*mkdir, which no weights need"),
        (HEADER + described({"a": calling("builtins\neval\n", text("1"))}), "names builtins.eval"),
        (HEADER + described({"a": calling("torch\nload\n", text("x"))}), "names torch.load"),
        (HEADER + described({"a": calling("collections\nUserDict\n", b"")}), "names collections.UserDict"),
        (HEADER + described({"a": text("mel")}), "holds other things than tensors"),
        (HEADER + pickle.dumps([1], 2), "holds other things than tensors"),
        (b"PK\x03\x04" + bytes(99), "is no file of PyTorch's weights"),
        (pickle.dumps([1, 2]) * 2, "does not begin as torch.save"),
        (b"", "is no file of PyTorch's weights"),
    ],
)
def test_other_files_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, words: str) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=words):
        read(tmp_path, content)
    assert not Path("attacked").exists()


@pytest.mark.parametrize(
    ("offset", "shape", "strides"),
    [
        (1, (2, 3), (3, 1)),  # one number too far
        (0, (2, 3), (4, 1)),
        (-1, (2, 3), (3, 1)),
        (0, (2, 3), (-3, 1)),
        (0, (-2, -3), (3, 1)),
        (0, (2**30, 2**30, 2**30), (0, 0, 0)),  # six numbers that claim all of the memory
        (0, (2, 3), (3,)),
    ],
)
def test_views_out_of_a_storage_are_refused(
    tmp_path: Path, offset: int, shape: tuple[int, ...], strides: tuple[int, ...]
) -> None:
    content = HEADER + described({"a": tensor("a", 6, offset, shape, strides)}) + storages({"a": WEIGHT})
    with pytest.raises(UserError, match=r"given\.pth is no file of PyTorch's weights"):
        read(tmp_path, content)


def test_a_file_that_was_cut_is_refused(tmp_path: Path) -> None:
    content = torch_file({"a": WEIGHT, "b": WEIGHT})
    for length in range(len(content)):
        with pytest.raises(UserError, match="is no file of PyTorch's weights, or a damaged one"):
            read(tmp_path, content[:length])


@given(st.data())
def test_a_damaged_file_is_refused_or_read(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    content = bytearray(torch_file({"a": WEIGHT, "b": WEIGHT}))
    for place in data.draw(st.lists(st.integers(0, len(content) - 1), min_size=1, max_size=4)):
        content[place] = data.draw(st.integers(0, 255))
    try:
        found = read(tmp_path_factory.mktemp("torch"), bytes(content))
    except UserError:
        return
    assert all(isinstance(array, np.ndarray) and array.size <= WEIGHT.size for array in found.values())
