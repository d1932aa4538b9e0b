"""Private words that the field has a term for: none is a name in the code, the parameters, the tables or a heading."""

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from tests.conftest import ROOT

FOLDERS = ("lesions", "stages", "tests", "benchmarks", "docs")
WORDS = {
    r"asked|asking": "predicted, requested",
    r"told|telling": "the verb of the field",
    r"looking|looked": "the verb of the field",
    r"judged|judging|judge": "evaluated",
    r"side|sides": "split; height_px for a length",
    r"copy|copies": "duplicate, augmented image, workspace",
    r"drawn from|drawn_from": "random seed",
    r"unlike|unlikeness|likeness": "ood_score",
    r"disturb|disturbed|disturbing|disturbance|disturbances": "corrupted, corruption",
    r"figures?": "metric",
    r"pictures?": "image",
    r"protocols?": "leakage",
    r"recipes?": "preprocessing",
    r"honest|honestly": "none (of a leak), or the property that is meant",
    r"steering|steer": "lr_callbacks",
    r"siblings?": "same lesion, leakage experiment",
    r"tempered": "temperature-scaled",
    r"questions?": "task",
    r"certainty": "confidence",
    r"declared": "published",
    r"why": "reason",
    r"nature|natures": "malignancy",
    r"harm|harmful": "unsafe",
    r"carved|dealt": "split off, assigned",
    r"called": "predicted positive",
    r"ill": "positive, malignant",
    r"hits?": "correct, true positives",
    r"flagged above": "ood_threshold",
}
"""Each with what is said instead."""

EXCEPTIONS = {
    # Python's, NumPy's, Pillow's, pandas's and Pydantic's own names.
    "copy": "a method that makes a copy, and the module `copy`",
    "copy_on_write": "pandas",
    "model_copy": "Pydantic",
    "deepcopy": "Python",
    "figure": "Matplotlib",
    "Figure": "Matplotlib",
    "figsize": "Matplotlib",
    "protocol_version": "of HTTP, in Python's server",
    "Protocol": "typing.Protocol",
    "copies_per_class": "a parameter; augmented copies of an image, as the field says",
    "copies_needed": "augmented copies",
    "copyfile": "shutil",
    "copytree": "shutil",
    "copy_to": "of a file",
    "copy_weights": "of a file",
    "_copy": "of a file",
    "side": "NumPy's searchsorted",
    "download.pictures": "an old name of a parameter",
    "evaluate.sides": "an old name of a parameter",
    "split.siblings": "an old name of a parameter",
    "copy_of_tree": "of the repository",
    "clean.classes.*.nature": "an old name, which the message names",
    "question": "of a study: what its experiments answer",
}
"""Names that may hold such a word, and why."""
HEADINGS = {
    r"recipes?": "docs/strength.md and docs/presets.md: training recipes",
}
"""Words that headings may hold."""


def parts(name: str) -> str:
    """Return a name as words in lower case: `lookAt_2` as `look at 2`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|_|[^A-Za-z0-9]", " ", name).lower()


def names_in(node: ast.AST) -> Iterator[str]:
    """Yield the names that a node of code binds or uses, and, of a subscript, keyword or dictionary, its keys."""
    if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
        yield node.name
    elif isinstance(node, ast.Name):
        yield node.id
    elif isinstance(node, ast.Attribute):
        yield node.attr
    elif isinstance(node, ast.arg | ast.keyword):
        yield node.arg or ""  # None of `**options`
    elif isinstance(node, ast.alias):
        yield node.asname or node.name
    elif isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        yield str(node.slice.value)
    elif isinstance(node, ast.Dict):
        yield from (key.value for key in node.keys if isinstance(key, ast.Constant) and isinstance(key.value, str))


def names() -> Iterator[tuple[str, str]]:
    """Yield each name with where it stands: in code, as a module, as a parameter."""
    for folder in FOLDERS:
        for path in sorted((ROOT / folder).rglob("*.py")):
            file = path.relative_to(ROOT)
            yield file.as_posix(), file.stem
            if file != Path("tests/project/test_words.py"):
                for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                    for name in names_in(node):
                        yield f"{file.as_posix()}:{getattr(node, 'lineno', 1)}", name
    for section, values in YAML(typ="safe").load((ROOT / "params.yaml").read_text(encoding="utf-8")).items():
        for key in (section, *values):
            yield "params.yaml", str(key)


def headings() -> Iterator[tuple[str, str]]:
    """Yield the headings of the documents."""
    for path in [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md"))]:
        text = re.sub(r"```.*?```", "", path.read_text(encoding="utf-8"), flags=re.DOTALL)
        for heading in re.findall(r"^#+ (.*)", text, re.MULTILINE):
            yield path.relative_to(ROOT).as_posix(), heading


@cache
def read_all() -> tuple[list[tuple[str, str]], list[tuple[str, str]]]:
    """Return all names and all headings; each file is parsed once."""
    return list(names()), list(headings())


def matches(word: str) -> list[str]:
    """Return where a private word stands as a part of a name or in a heading."""
    pattern = re.compile(rf"\b({word})\b")
    all_names, all_headings = read_all()
    found = [f"{where} {name}" for where, name in all_names if name not in EXCEPTIONS and pattern.search(parts(name))]
    if word not in HEADINGS:
        found += [f"{where} # {text}" for where, text in all_headings if pattern.search(text.lower())]
    return found


@pytest.mark.parametrize("word", WORDS)
def test_word_is_no_name(word: str) -> None:
    assert matches(word) == [], f"say {WORDS[word]}"
