"""Checkpoints: an interrupted training resumes at its last finished epoch, to the same bits.

After each epoch the whole state of the training is written to one file in the user's cache folder, since DVC deletes a
stage's outputs before it runs. The file's name is a hash of all that decides the training's result, so after a
change of a parameter, an image or a line of code the training begins anew.
"""

import hashlib
import io
import json
import os
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple, Self
from zipfile import BadZipFile

import keras
import numpy as np
import tensorflow as tf
from filelock import FileLock, Timeout
from numpy.typing import NDArray
from platformdirs import user_cache_path
from ruamel.yaml import YAML

from lesions.core.file_hash import sha256_of

KEPT_DAYS = 30
"""Checkpoints of trainings that nobody resumes are removed after so many days."""

Epoch = dict[str, float]
"""Its metrics."""
History = list[Epoch]


class State(NamedTuple):
    """The state of a training after an epoch.

    Attributes:
        history: all epochs' metrics.
        finished: whether no epoch is to follow.
        model: the model's variables, its random generators' among them.
        optimizer: the optimizer's.
        kept: the best weights so far.
        kept_epoch: their epoch, counted from 0.
    """

    history: History
    finished: bool
    model: list[NDArray[Any]]
    optimizer: list[NDArray[Any]]
    kept: list[NDArray[Any]]
    kept_epoch: int


class Checkpoint:
    """The file of one training.

    Args:
        path: of the file; None keeps nothing.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._can_write = path is not None

    def write(self, state: State) -> None:
        """Write the state; the file of the epoch before stays until this one is whole.

        Where it cannot be written, as on a full disk, that file stays, no other is written, and this is said once.
        """
        if self._path is None or not self._can_write:
            return
        about = json.dumps([state.history, state.finished, state.kept_epoch])
        lists = {"model": state.model, "optimizer": state.optimizer, "kept": state.kept}
        arrays = {f"{name}{number:05}": array for name, values in lists.items() for number, array in enumerate(values)}
        buffer = io.BytesIO()
        np.savez(buffer, about=np.frombuffer(about.encode(), np.uint8), **arrays)  # type: ignore[arg-type]
        content = buffer.getvalue()
        folder, unfinished = self._path.parent, self._path.with_suffix(".part")
        try:
            folder.mkdir(parents=True, exist_ok=True)  # somebody may have emptied the cache meanwhile
            with unfinished.open("wb") as file:
                file.write(hashlib.sha256(content).digest() + content)
                file.flush()
                os.fsync(file.fileno())
            unfinished.replace(self._path)
        except OSError as error:
            self._can_write = False
            with suppress(OSError):
                unfinished.unlink()
            print(
                f"{folder}: {error.strerror}: no further checkpoints are kept, and an interrupted training resumes at "
                "the last one, or begins anew. XDG_CACHE_HOME names a folder that you may write, with room."
            )

    def read(self) -> State | None:
        """Return the state, or None where there is none, or none that is whole."""
        if self._path is None or not self._path.exists():
            return None
        raw = self._path.read_bytes()
        if hashlib.sha256(raw[32:]).digest() != raw[:32]:
            return None
        try:
            with np.load(io.BytesIO(raw[32:]), allow_pickle=False) as file:
                history, finished, kept_epoch = json.loads(file["about"].tobytes())
                model, optimizer, kept = (
                    [file[name] for name in sorted(file.files) if name.startswith(start)]
                    for start in ("model", "optimizer", "kept")
                )
        except (ValueError, KeyError, BadZipFile):
            return None
        return State(history, finished, model, optimizer, kept, kept_epoch)

    def for_member(self, number: int) -> Self:
        """Return the checkpoint of an ensemble's member, counted from 0, in a file of its own."""
        if self._path is None or not number:
            return self
        return type(self)(self._path.with_suffix(f".{number}.checkpoint"))

    def remove(self) -> None:
        """Delete the file, once the outputs are written."""
        if self._path is not None:
            self._path.unlink(missing_ok=True)

    @classmethod
    @contextmanager
    def for_stage(cls, stage: str) -> Iterator[Self]:
        """Yield the checkpoint of a stage's inputs as they are now, for this process alone.

        Where the cache folder cannot be written, as in a container without a home, it keeps nothing, and says so.
        """
        folder = user_cache_path("lesions") / "training"
        with ExitStack() as stack:
            name = inputs_hash(stage)
            path: Path | None = folder / f"{name}.checkpoint"
            try:
                folder.mkdir(parents=True, exist_ok=True)
                _remove_old(folder)
                stack.enter_context(FileLock(folder / f"{name}.lock", timeout=0))
            except Timeout:
                print("Another process trains on the very same inputs; this one keeps no checkpoints.")
                path = None
            except OSError as error:
                print(
                    f"{folder}: {error.strerror}: no checkpoints are kept, and an interrupted training begins anew. "
                    "XDG_CACHE_HOME names a folder that you may write.",
                )
                path = None
            yield cls(path)


def _remove_old(folder: Path) -> None:
    for file in folder.iterdir():
        if file.stat().st_mtime < time.time() - KEPT_DAYS * 24 * 3600:
            file.unlink(missing_ok=True)


def inputs_hash(stage: str) -> str:
    """Return a hash of all that dvc.yaml says the stage reads, of params.yaml's section of it, and of the packages."""
    yaml = YAML(typ="safe")
    params = yaml.load(Path("params.yaml").read_text(encoding="utf-8"))
    definition = yaml.load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"][stage]
    digest = hashlib.sha256()
    for dep in definition["deps"]:
        path = Path(dep.replace("${train.architecture}", params["train"]["architecture"]))
        # Of code, modules alone: an editor may have put more beside them.
        files = sorted(path.rglob("*.py" if path.parts[0] == "lesions" else "*")) if path.is_dir() else [path]
        for file in (file for file in files if file.is_file()):
            digest.update(f"{file.as_posix()} {sha256_of(file)}\n".encode())
    sections = {name: params[name] for name in definition["params"]}
    digest.update(json.dumps([sections, packages()], sort_keys=True).encode())
    return digest.hexdigest()[:32]


def packages() -> dict[str, str]:
    """Return the versions of what computes."""
    return {"keras": keras.__version__, "numpy": np.__version__, "tensorflow": tf.__version__}


def snapshot(variables: Sequence[keras.Variable]) -> list[NDArray[Any]]:
    """Return copies of variables' values."""
    return [np.array(keras.ops.convert_to_numpy(variable)) for variable in variables]


def assign(variables: Sequence[keras.Variable], values: Sequence[NDArray[Any]]) -> None:
    """Set variables to values, in the same order."""
    for variable, value in zip(variables, values, strict=True):
        variable.assign(value)
