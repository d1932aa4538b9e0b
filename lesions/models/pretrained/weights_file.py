"""Weights in HDF5, from a file that somebody gave us: numbers are taken from it, and nothing else.

Keras's formats that hold them are three. `.h5`, of Keras 1 and 2: layers in order, those of a model within a model as
one. `.weights.h5`, of Keras 3: layers by their class and number, and a model in a model as one of them. `.keras`: a
zip archive with a `.weights.h5` in it, beside a description of the model, which may hold code and is never read.
"""

import zipfile
import zlib
from pathlib import Path
from typing import IO

import h5py

from lesions.core.errors import UserError

MOST_BYTES = 2_000_000_000
"""Largest file of weights. The largest of Keras Applications has 1.4 GB."""
MEMBER = "model.weights.h5"
"""The weights in a `.keras` archive."""
KERAS_3 = ("layers", "_layer_checkpoint_dependencies")
"""What a model's layers stand under in a `.weights.h5`; the second in some of TensorFlow 2.12."""


def copy_weights(path: Path, folder: Path) -> Path:
    """Copy the weights of a file into a folder, as a plain HDF5 file of numbers.

    Args:
        path: a `.h5`, `.weights.h5` or `.keras` file.
        folder: where it goes.

    Returns:
        `weights.h5` there.

    Raises:
        UserError: the file is missing, too large or damaged, or holds anything but numbers.
    """
    if not path.is_file():
        raise UserError(
            f"{path} is no file; expected weights, .h5, .weights.h5 or .keras (params.yaml, pretrained.path)."
        )
    copy = folder / "copy.part"
    try:
        if path.suffix == ".keras":
            with zipfile.ZipFile(path) as archive, _opened(archive) as member, copy.open("wb") as out:
                _copy(member, out, path)
        else:
            with path.open("rb") as file, copy.open("wb") as out:
                _copy(file, out, path)
    except (zipfile.BadZipFile, KeyError, EOFError, RuntimeError, zlib.error):
        raise UserError(f"{path} is no .keras file, or a damaged one: it holds no {MEMBER} that can be read.") from None
    _require_weights(copy, path)
    return copy.replace(folder / "weights.h5")


def _opened(archive: zipfile.ZipFile) -> IO[bytes]:
    """Open the weights in an archive; compressed as Keras and zip do, since others' errors are a full disk's too."""
    if archive.getinfo(MEMBER).compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        raise zipfile.BadZipFile
    return archive.open(MEMBER)


def _copy(file: IO[bytes], out: IO[bytes], path: Path) -> None:
    """Copy what is not too long, whatever a file says of its own length."""
    left = MOST_BYTES
    while chunk := file.read(1 << 20):
        left -= len(chunk)
        if left < 0:
            raise UserError(f"{path} has more than {MOST_BYTES:,} bytes, which no weights of Keras Applications have.")
        out.write(chunk)


def _require_weights(copy: Path, path: Path) -> None:
    """Refuse what is no weights."""
    try:
        with h5py.File(copy, "r") as file:
            _require_numbers(file, copy.stat().st_size, path)
            if "model_weights" in file or any(name.startswith("layer_names") for name in file.attrs):
                return
            if file.visit(lambda name: name.rpartition("/")[2] in KERAS_3 or None):
                return
    except (OSError, RuntimeError, KeyError, ValueError, TypeError):
        raise UserError(f"{path} is no HDF5 file, or a damaged one; expected weights as Keras writes them.") from None
    raise UserError(f"{path} is an HDF5 file, but holds no layers; expected weights as Keras writes them.")


def _require_numbers(file: h5py.File, length: int, path: Path) -> None:
    """Refuse links out of the file, anything but numbers, and more of them than the file has bytes.

    The last is how a small file could fill the memory: compressed, or a table of which only the corner is stored.
    """
    groups, seen, held = [file], set(), 0
    while groups:
        group = groups.pop()
        for name in group:
            what = f"{path}: {group.name.rstrip('/')}/{name}"
            if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                raise UserError(f"{what} is a link; expected the weights themselves.")
            item = group[name]
            address = h5py.h5o.get_info(item.id).addr
            if address in seen:
                continue
            seen.add(address)
            if isinstance(item, h5py.Group):
                groups.append(item)
            elif not isinstance(item, h5py.Dataset) or item.dtype.kind not in "fiu" or item.external or item.is_virtual:
                raise UserError(f"{what} is no array of numbers; expected weights as Keras writes them.")
            else:
                held += item.nbytes
    if held > length:
        raise UserError(f"{path} has {length:,} bytes and claims {held:,} of numbers; expected them uncompressed.")
