"""Model files whose bytes depend on the model alone.

Keras writes the time, and numbers that Python gave its objects, into a `.keras` file; here they are replaced,
so that two trainings with the same result have the same hash.
"""

import json
import shutil
import zipfile
from pathlib import Path
from typing import Any

import keras
import numpy as np

from lesions.core.deterministic_zip import write_archive
from lesions.core.errors import UserError
from lesions.core.stage import say
from lesions.models.common.batch_norm import plain_layer

MEMBERS = ("metadata.json", "config.json", "model.weights.h5")


def save(model: keras.Model, path: Path) -> None:
    """Write a model without its optimizer, in Keras's own format."""
    path.parent.mkdir(parents=True, exist_ok=True)
    uncompiled = keras.Model(
        model.input, model.output, name=model.name
    )  # else the loss would have to be cloned as well
    bare = keras.models.clone_model(uncompiled, clone_function=plain_layer)
    bare.set_weights(model.get_weights())
    folder = path.with_name(f"{path.name}.tmp")
    shutil.rmtree(folder, ignore_errors=True)  # of a run that was killed
    folder.mkdir()
    try:
        original = folder / "model.keras"
        bare.save(original)
        with zipfile.ZipFile(original) as archive:
            content = {name: archive.read(name) for name in MEMBERS}
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    metadata = json.loads(content["metadata.json"]) | {"date_saved": "1980-01-01@00:00:00"}
    content["metadata.json"] = json.dumps(metadata).encode()
    content["config.json"] = json.dumps(_renumbered(json.loads(content["config.json"]), {})).encode()
    unfinished = path.with_suffix(".part")
    write_archive(unfinished, content.items())
    unfinished.replace(path)


def load(path: Path) -> keras.Model:
    """Read a model; no code in the file is run.

    Raises:
        UserError: the file is missing or damaged, asks for code of its own, as a Lambda layer does, or has a weight
            that is no finite number.
    """
    say(f"Loading {path} ...")
    try:
        model: keras.Model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except (ValueError, TypeError, KeyError, OSError, zipfile.BadZipFile) as error:
        reason = str(error).strip().partition("\n")[0][:200]
        raise UserError(
            f"{path} is no model that can be read here ({reason}). Expected a .keras file of Keras's own layers, as "
            "train writes it; Lambda layers and other code in a file are never run."
        ) from None
    bad = [weight.path for weight in model.weights if not np.isfinite(weight.numpy()).all()]
    if bad:
        raise UserError(
            f"{path}: {len(bad)} of {len(model.weights)} weights hold NaN or infinity, the first {bad[0]}. "
            "Train it again: `dvc repro --force train`."
        )
    return model


def _renumbered(node: Any, numbers: dict[int, int]) -> Any:
    """Replace the addresses by which Keras tells shared objects apart by 1, 2, 3, ..."""
    if isinstance(node, dict):
        return {
            key: numbers.setdefault(value, len(numbers) + 1)
            if key == "shared_object_id"
            else _renumbered(value, numbers)
            for key, value in node.items()
        }
    if isinstance(node, list):
        return [_renumbered(value, numbers) for value in node]
    return node
