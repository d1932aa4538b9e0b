"""Presets: partial params.yaml files, put into params.yaml without touching anything else in it.

A preset is a file in presets/, its first line a comment that says what it is. Each value is exchanged where it
stands, as text, so that comments, order and spacing survive.
"""

import difflib
import json
import re
import shutil
import textwrap
from pathlib import Path
from typing import Any

from pydantic import BaseModel
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError
from ruamel.yaml.nodes import CollectionNode, MappingNode, Node, ScalarNode

from lesions.core.errors import UserError
from lesions.core.params import FILE, did_you_mean, read_file, read_text
from lesions.params.all import SECTIONS, check_sections

FOLDER = Path("presets")
WORD = re.compile(r"(?!(true|false|null|nan|inf)$)[A-Za-z_][\w/-]*", re.ASCII | re.IGNORECASE)
"""A text that Hydra reads as that text without quotes."""


def list_presets(folder: Path = FOLDER) -> str:
    """Return each preset's name, and what its first comment says, in lines as long as the terminal is wide."""
    files = _files(folder)
    first = (file.read_text(encoding="utf-8").partition("\n")[0] for file in files.values())
    names, columns = max(map(len, files)) + 2, shutil.get_terminal_size().columns
    return "\n".join(
        textwrap.fill(f"{name:{names}}{line.lstrip('# ')}", columns, subsequent_indent=" " * names)
        for name, line in zip(files, first, strict=True)
    )


def read_preset(name: str, folder: Path = FOLDER) -> dict[str, Any]:
    """Return what a preset sets, by section.

    Raises:
        UserError: there is none of that name, or it is no YAML.
    """
    return read_file(_file(name, folder))


def apply_preset(name: str, file: Path = FILE, folder: Path = FOLDER) -> str:
    """Put a preset into params.yaml, all of it or nothing.

    Returns:
        The change as a unified diff, empty where there is none.

    Raises:
        UserError: there is no such preset, or params.yaml would hold what no stage understands.
    """
    read_preset(name, folder)
    return change_params(_file(name, folder).read_text(encoding="utf-8"), f"the preset {name}", file)


def change_params(values: str, name: str, file: Path = FILE) -> str:
    """Put values into params.yaml, all of them or none.

    Args:
        values: a part of a params.yaml, as text.
        name: of where they come from, for a message.
        file: params.yaml.

    Returns:
        The change as a unified diff, empty where there is none.

    Raises:
        UserError: params.yaml would hold what no stage understands.
    """
    text = read_text(file)
    wanted = merged(read_file(file), YAML(typ="safe").load(values))
    try:
        check_sections(wanted, file)
    except UserError as error:
        raise UserError(f"{file} was not changed, since with {name} {error}") from None
    changed = exchange(text, values)
    try:
        result = YAML(typ="safe").load(changed)
    except YAMLError:
        result = None
    if result != wanted:
        raise UserError(
            f"{file} was not changed: {name} cannot be put into it without changing how it is written. Expected the "
            f"sections and keys one a line, as in the project's own: `git diff {file}` shows what was changed."
        )
    part = file.resolve().with_suffix(".part")
    try:
        part.write_text(changed, encoding="utf-8")
        part.replace(file.resolve())
    finally:
        part.unlink(missing_ok=True)
    names = (f"{file} before", f"{file} with {name}")
    return "".join(difflib.unified_diff(text.splitlines(True), changed.splitlines(True), *names, n=1))


def set_param(name: str, file: Path = FILE, folder: Path = FOLDER) -> str:
    """Return a preset as options of `dvc exp run`, none of which holds a space."""
    return " ".join(override_options(leaves(read_preset(name, folder)), dict(leaves(read_file(file)))))


def override_options(values: list[tuple[str, Any]], now: dict[str, Any]) -> list[str]:
    """Return the options of `dvc exp run` that set values.

    Args:
        values: each with its name with dots.
        now: the values of params.yaml, by their names with dots.
    """
    options = []
    for key, value in values:
        if key in now and isinstance(value, dict):  # which Hydra would merge with what is there
            options += ["--set-param", f"~{key}", "--set-param", f"+{key}={as_override(value)}"]
        else:  # ++ for a key that params.yaml leaves out
            options += ["--set-param", f"++{key}={as_override(value)}"]
    return options


def as_override(value: Any) -> str:
    """Write a value as Hydra's overrides do; what is more than a word in quotes, since a path may hold anything.

    Raises:
        UserError: it is a text that DVC would change.
    """
    if isinstance(value, dict):
        return "{" + ",".join(f"{key}:{as_override(item)}" for key, item in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ",".join(map(as_override, value)) + "]"
    if isinstance(value, str) and not WORD.fullmatch(value):
        if "${" in value:
            raise UserError(f"{value!r} cannot be passed to an experiment, since DVC would replace what is in ${{}}.")
        # Backslashes count as such, but before a quote.
        return "'" + re.sub(r"(\\*)('|\Z)", lambda found: found[1] * 2 + ("\\'" if found[2] else ""), value) + "'"
    return value if isinstance(value, str) else json.dumps(value)


def leaves(params: dict[str, Any]) -> list[tuple[str, Any]]:
    """Return the values of a params.yaml, or a part of one, each by its name with dots."""
    return [leaf for name, values in params.items() for leaf in _leaves(values, SECTIONS.get(name), name)]


def merged(params: dict[str, Any], preset: dict[str, Any]) -> dict[str, Any]:
    """Return params.yaml's content with a preset's values; what is a group of keys is merged key by key."""
    changed = {name: _merged(params.get(name), values, SECTIONS.get(name)) for name, values in preset.items()}
    return {**params, **changed}


def exchange(text: str, preset: str) -> str:
    """Return the text of params.yaml with a preset's values, each written as in the preset.

    Values that are the same stay as they are written.
    """
    # Not the parser in C, whose places count bytes.
    old, new = (YAML(typ="safe", pure=True).compose(content) for content in (text, preset))
    changes = _changes(old, new, preset, SECTIONS)
    for start, end, value in sorted(changes, reverse=True):
        text = text[:start] + value + text[end:]
    return text


# What a group of keys is, and what is one value


def _group(model: Any, key: str) -> Any:
    """Return the model of a group of keys, such as `train.reduce_lr_on_plateau`, or None: the key holds one value."""
    if isinstance(model, dict):  # the sections themselves
        return model.get(key)
    field = model.model_fields.get(key) if model else None
    kind = field.annotation if field else None
    return kind if isinstance(kind, type) and issubclass(kind, BaseModel) else None


def _merged(old: Any, new: Any, model: Any) -> Any:
    if model is None or not isinstance(old, dict) or not isinstance(new, dict):
        return new
    return {**old, **{key: _merged(old.get(key), value, _group(model, key)) for key, value in new.items()}}


def _leaves(values: Any, model: Any, key: str) -> list[tuple[str, Any]]:
    if model is None or not isinstance(values, dict):
        return [(key, values)]
    return [leaf for name, value in values.items() for leaf in _leaves(value, _group(model, name), f"{key}.{name}")]


# Text


def _changes(old: Node, new: Node, preset: str, model: Any) -> list[tuple[int, int, str]]:
    """Return which parts of the text of params.yaml are exchanged for what: from, to, and the new text."""
    there = {key.value: (key, value) for key, value in old.value}
    changes = []
    for key, value in new.value:
        group = _group(model, key.value)
        if key.value not in there:  # which params.yaml leaves to its default: as the last of its group
            start = preset.rfind("\n", 0, key.start_mark.index) + 1
            changes.append((_end(old), _end(old), "\n" + preset[start : _end(value)]))
            continue
        place, known = there[key.value]
        if group is not None and isinstance(known, MappingNode) and isinstance(value, MappingNode):
            changes += _changes(known, value, preset, group)
        elif _content(known) != _content(value):
            changes.append((place.end_mark.index, _end(known), preset[key.end_mark.index : _end(value)]))
    return changes


def _content(node: Node) -> Any:
    """Return what a node holds, whatever way it is written."""
    if isinstance(node, ScalarNode):
        return (node.tag, node.value)
    if isinstance(node, MappingNode):
        return [(_content(key), _content(value)) for key, value in node.value]
    return [_content(item) for item in node.value]


def _end(node: Node) -> int:
    """Return where a node's text ends; the parser counts the comments after a block as part of it."""
    if not isinstance(node, CollectionNode) or node.flow_style or not node.value:
        return int(node.end_mark.index)
    last = node.value[-1]
    return _end(last[1] if isinstance(node, MappingNode) else last)


# Files


def _files(folder: Path) -> dict[str, Path]:
    files = {file.stem: file for file in folder.glob("*.yaml")}
    if not files:
        raise UserError(f"There is no folder {folder}/ with presets here; run this in the project's folder.")
    return dict(sorted(files.items()))


def _file(name: str, folder: Path) -> Path:
    files = _files(folder)
    if name not in files:
        raise UserError(f'There is no preset "{name}"; {did_you_mean(name, files)}')
    return files[name]
