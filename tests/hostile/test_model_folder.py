"""Damages of a model's folder, generated from its files: each is refused with a sentence, and none answers."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import pytest

from lesions.core.errors import UserError
from lesions.core.file_hash import sha256_of
from lesions.evaluation.common.thresholds import THRESHOLDS_FILE
from lesions.model_folder import ModelFolder
from lesions.models.calibration import ood, thresholds
from lesions.models.common import saving

JSON_FILES = ("calibration.json", "metadata_prior.json", "preprocessing.json", "thresholds.json")
MAY_BE_NULL = {"temperature", "value", "prediction_sets"}
"""What is not known of every model."""
MAY_BE_MISSING = {"temperature", "left_out_sources", "packages", "age", "sex", "site"}
"""What has a default, or is a text for people."""
FREE = {"packages", "sha256", "leakage", "source", "provenance_sha256"}
"""Texts that any text may replace, or (the hashes) that the test writes anew."""
Path_ = tuple[str | int, ...]


def renew_hashes(models: Path) -> None:
    """Let thresholds.json belong to the files as they are now, so that nothing but their content is at fault."""
    file = models / THRESHOLDS_FILE
    try:
        content = json.loads(file.read_text())
    except ValueError:
        return
    if isinstance(content, dict) and isinstance(content.get("model"), dict):
        content["model"]["sha256"] = {name: sha256_of(models / name) for name in thresholds.FILES}
        file.write_text(json.dumps(content))


def fault(models: Path) -> str:
    """Return what is wrong with how a folder is read: "" where a sentence refuses it."""
    renew_hashes(models)
    try:
        ModelFolder.read(models)
    except UserError as error:
        message = str(error)
        return "" if str(models) in message and len(message.splitlines()) == 1 else message
    except Exception as error:
        return f"traceback: {error!r}"
    return "accepted"


def leaves(node: Any, path: Path_ = ()) -> Iterator[tuple[Path_, Any]]:
    """Yield each value of a JSON file that holds no others, with the first and last of each list."""
    inner = node.items() if isinstance(node, dict) else enumerate(node) if isinstance(node, list) else ()
    kept = [item for item in inner if isinstance(node, dict) or item[0] in (0, len(node) - 1)]
    if not kept:
        yield path, node
    for key, value in kept:
        yield from leaves(value, (*path, key))


def with_value(content: Any, path: Path_, value: Any) -> Any:
    """Return a copy of JSON with one value exchanged, or removed where it is `...`."""
    changed = json.loads(json.dumps(content))
    holder = changed
    for key in path[:-1]:
        holder = holder[key]
    if value is ...:
        del holder[path[-1]]
    else:
        holder[path[-1]] = value
    return changed


def damages(content: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    for path, value in leaves(content):
        names = {key for key in path if isinstance(key, str)}
        if names & FREE:
            continue
        wrong: list[Any] = [{"no": "such"}]
        if value is not None and not names & MAY_BE_NULL:
            wrong.append(None)
        if not names & MAY_BE_MISSING and isinstance(path[-1], str):
            wrong.append(...)
        if isinstance(value, float) or (isinstance(value, int) and not isinstance(value, bool)):
            wrong += [float("nan"), float("inf"), -float("inf"), "much"]
        elif isinstance(value, str):
            wrong += [5, "another"]
        for other in wrong:
            yield f"{'.'.join(map(str, path))} = {other}", with_value(content, path, other)
    for key, value in content.items():
        if isinstance(value, list) and value:
            yield f"{key} is cut", content | {key: value[:-1]}
            yield f"{key} has one twice", content | {key: [*value, value[0]]}


def test_damaged_values_are_refused(models: Path) -> None:
    n_damages, faults = 0, []
    for name in JSON_FILES:
        file = models / name
        good = file.read_text()
        for what, content in damages(json.loads(good)):
            if name == "thresholds.json" and what.startswith("thresholds "):
                continue  # a threshold fewer is none for that task, which is said; one twice is the same one
            file.write_text(json.dumps(content))
            if found := fault(models):
                faults.append(f"{name}: {what}: {found}")
            n_damages += 1
        file.write_text(good)
    renew_hashes(models)
    ModelFolder.read(models)
    assert faults == []
    assert n_damages > 200


@pytest.mark.parametrize("name", [*thresholds.FILES, THRESHOLDS_FILE])
def test_cut_files_are_refused(models: Path, name: str) -> None:
    file = models / name
    good = file.read_bytes()
    for content in (b"", good[: len(good) // 2], good[:-2], b"\x00" * 50, b"[]", b"null"):
        file.write_bytes(content)
        assert fault(models) == "", content[:20]


def network(models: Path) -> keras.Model:
    return saving.load(models / "model.keras")


def nan_bias(models: Path) -> None:
    model = network(models)
    kernel, bias = model.layers[-1].get_weights()
    model.layers[-1].set_weights([kernel, np.full_like(bias, np.nan)])
    saving.save(model, models / "model.keras")


def infinite_kernel(models: Path) -> None:
    model = network(models)
    weights = model.get_weights()
    weights[0].flat[0] = np.inf
    model.set_weights(weights)
    saving.save(model, models / "model.keras")


def another_size(models: Path) -> None:
    n_classes = network(models).output.shape[1]
    pixels = keras.Input((20, 20, 3))
    flat = keras.layers.Flatten()(pixels)
    saving.save(keras.Model(pixels, keras.layers.Dense(n_classes)(flat)), models / "model.keras")


def another_number_of_classes(models: Path) -> None:
    model = network(models)
    saving.save(keras.Model(model.input, keras.layers.Dense(3)(model.output)), models / "model.keras")


def two_outputs(models: Path) -> None:
    model = network(models)
    pixels = keras.Input(model.input.shape[1:])
    flat = keras.layers.Flatten()(pixels)
    saving.save(keras.Model(pixels, [keras.layers.Dense(2)(flat), keras.layers.Dense(2)(flat)]), models / "model.keras")


def reference(change: Callable[[ood.OodReference], ood.OodReference]) -> Callable[[Path], None]:
    return lambda models: ood.save(change(ood.load(models / ood.FILE)), models / ood.FILE)


@pytest.mark.parametrize(
    "damage",
    [
        *(nan_bias, infinite_kernel, another_size, another_number_of_classes, two_outputs),
        reference(lambda one: ood.OodReference(one.means * np.float32("nan"), one.whitening)),
        reference(lambda one: ood.OodReference(one.means, one.whitening * np.float32("inf"))),
        reference(lambda one: ood.OodReference(one.means[:, 1:], one.whitening[1:, 1:])),
        reference(lambda one: ood.OodReference(one.means[:0], one.whitening)),
    ],
)
def test_damaged_arrays_are_refused(models: Path, damage: Callable[[Path], None]) -> None:
    damage(models)
    assert fault(models) == ""
