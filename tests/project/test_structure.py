"""How large modules, functions and packages may be, and which package may import which."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ROOT

FILES = sorted(file.relative_to(ROOT) for folder in ("lesions", "stages") for file in (ROOT / folder).rglob("*.py"))
MAX_MODULE_LINES = 300
MAX_FUNCTION_LINES = 60
MAX_PACKAGES = 12
MAX_LOOSE_MODULES = 5
LONG: dict[str, str] = {}
"""Modules, and functions as `module.py:name`, that may be longer, and why."""

LAYERS = [
    {"core"},
    {"archives", "taxonomy"},
    {"params"},
    {"images"},
    {"sources", "reporting/common"},
    {"evaluation/common"},
    {"audit", "sampling", "models"},
    {"models/calibration"},
    {"inference", "evaluation"},
    {"explain", "reporting"},
    {"model_folder"},
    {"classifier"},
    {"commands"},
    {"cli"},
]
"""From the lowest: a package or loose module imports those of earlier layers, and itself."""
INNER = ("reporting/common", "evaluation/common", "models/calibration")
"""Packages within a package that have a layer of their own."""
LEVELS = {package: level for level, layer in enumerate(LAYERS) for package in layer}


def package_of(file: Path) -> str:
    """Return the package or loose module of `lesions` that a module belongs to."""
    inner = "/".join(file.parts[1:3])
    return inner if inner in INNER else Path(file.parts[1]).stem


def imported(file: Path) -> Iterator[Path]:
    """Yield the modules of `lesions` and `stages` that a module imports, wherever in it."""
    for node in ast.walk(ast.parse((ROOT / file).read_text(encoding="utf-8"))):
        names: list[str] = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [f"{node.module}.{alias.name}" for alias in node.names]
        for name in names:
            path = Path(*name.split("."))
            if path.parts[0] in ("lesions", "stages"):
                inside = (ROOT / path).is_dir() or (ROOT / path).with_suffix(".py").is_file()
                yield path if inside else path.parent


def too_long() -> list[str]:
    """Return the modules and functions over the limits, with their lines."""
    found = []
    for file in FILES:
        text = (ROOT / file).read_text(encoding="utf-8")
        lines = len(text.splitlines())
        if lines > MAX_MODULE_LINES:
            found.append(f"{file.as_posix()} {lines}")
        for node in ast.walk(ast.parse(text)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    found.append(f"{file.as_posix()}:{node.name} {lines}")
    return found


def test_modules_and_functions_are_short() -> None:
    found = too_long()
    assert [entry for entry in found if entry.split()[0] not in LONG] == []
    assert LONG.keys() <= {entry.split()[0] for entry in found}


def test_packages_are_few() -> None:
    files = [file for file in FILES if file.parts[0] == "lesions"]
    packages = {file.parts[1] for file in files if len(file.parts) > 2}
    loose = {file.name for file in files if len(file.parts) == 2} - {"__init__.py"}
    assert len(packages) <= MAX_PACKAGES
    assert len(loose) <= MAX_LOOSE_MODULES


@pytest.mark.parametrize(
    "file", [file for file in FILES if file.name == "__init__.py" and len(file.parts) > 2], ids=str
)
def test_init_is_one_docstring(file: Path) -> None:
    text = (ROOT / file).read_text(encoding="utf-8")
    (only,) = ast.parse(text).body
    assert ast.get_docstring(ast.parse(text)) is not None
    assert isinstance(only, ast.Expr)


def test_no_import_goes_upward() -> None:
    upward = []
    for file in FILES:
        if file.parts[0] == "stages" or file == Path("lesions/__init__.py"):
            continue
        own = package_of(file)
        for module in imported(file):
            if module.parts[0] == "stages":
                upward.append(f"{file.as_posix()} imports {module.as_posix()}")
            elif len(module.parts) > 1:
                other = package_of(module)
                if other != own and LEVELS[other] >= LEVELS[own]:
                    upward.append(f"{file.as_posix()} imports {module.as_posix()}")
    assert upward == []


def test_layers_name_what_there_is() -> None:
    packages = {package_of(file) for file in FILES if file.parts[0] == "lesions"} - {"__init__"}
    assert packages == set(LEVELS)
