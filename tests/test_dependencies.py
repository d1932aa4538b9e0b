"""dvc.yaml against the code: a stage depends on exactly the modules it imports and the sections it reads."""

import ast
import hashlib
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent
PIPELINE: dict[str, Any] = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
FOLDERS_BY_NAME = {"download": "sources", "train": "architectures"}
"""Stages that import one module of a folder by its name in params.yaml."""


def module_file(name: str) -> Path | None:
    """Return the file of one of our modules, relative to the root, or None for other people's."""
    path = Path(*name.split("."))
    for file in (path.with_suffix(".py"), path / "__init__.py"):
        if (ROOT / file).is_file():
            return file
    return None


def imports(file: Path) -> set[Path]:
    """Return our own modules that a file imports, wherever in it."""
    names: set[str] = set()
    for node in ast.walk(ast.parse((ROOT / file).read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            assert node.level == 0, f"{file}: relative imports hide from this test"
            members = {f"{node.module}.{alias.name}" for alias in node.names}
            names |= members if module_file(node.module) == module_init(node.module) else {node.module}
    files = {module_file(name) for name in names} - {None}
    return {found for found in files if found is not None and found.name != "__init__.py"}


def module_init(name: str) -> Path:
    return Path(*name.split("."), "__init__.py")


def closure(file: Path) -> set[Path]:
    """Return a file and all of our own modules behind it."""
    found: set[Path] = set()
    new = {file}
    while new:
        found |= new
        new = {imported for known in new for imported in imports(known)} - found
    return found


def code_behind(stage: str) -> set[str]:
    files = closure(Path("stages", f"{stage}.py"))
    if stage in FOLDERS_BY_NAME:
        # The chosen module is a template in dvc.yaml; what any of them shares is named.
        folder = Path("lesions", FOLDERS_BY_NAME[stage])
        for module in sorted((ROOT / folder).glob("[!_]*.py")):
            files |= closure(folder / module.name) - {folder / module.name}
    return {file.as_posix() for file in files}


def code_files(dep: str) -> list[str]:
    """Return the files of ours that a dependency stands for: itself, or those of a folder of code."""
    if dep.endswith(".py"):
        return [dep]
    files = sorted((ROOT / dep).glob("*.py")) if dep.startswith("lesions/") else []
    return [file.relative_to(ROOT).as_posix() for file in files if file.name != "__init__.py"]


@pytest.mark.parametrize("stage", PIPELINE)
def test_dependencies_are_the_modules_imported(stage: str) -> None:
    written = [file for dep in PIPELINE[stage]["deps"] for file in code_files(dep)]
    templates = [dep for dep in written if "$" in dep]
    expected = {
        "download": ["lesions/sources/${download.source}.py"],
        "train": ["lesions/architectures/${train.architecture}.py"],
    }
    assert templates == expected.get(stage, [])
    assert len(written) == len(set(written))
    assert set(written) - set(templates) == code_behind(stage)


@pytest.mark.parametrize("stage", PIPELINE)
def test_params_are_the_sections_read(stage: str) -> None:
    params = PIPELINE[stage].get("params", [])
    if stage in ("check", "report"):
        assert params == [{"params.yaml": None}]
        return
    sections = {
        Path(file).stem
        for file in code_behind(stage)
        if file.startswith("lesions/params/") and Path(file).stem not in ("section", "modules", "augment")
    }
    only = {"predict": "evaluate.sides", "explain": "evaluate.sides"}  # of that section they read this key alone
    if stage in only:
        code = (ROOT / f"stages/{stage}.py").read_text()
        assert code.count("Evaluate.read()") == code.count("Evaluate.read().sides") == 1
        sections = sections - {"evaluate"} | {only[stage]}
    assert set(params) == sections


def test_the_committed_lock_is_of_this_code_and_these_parameters() -> None:
    """`make repro`, then commit dvc.lock and the metrics with the code that made them."""
    lock: dict[str, Any] = YAML(typ="safe").load((ROOT / "dvc.lock").read_text())["stages"]
    params = YAML(typ="safe").load((ROOT / "params.yaml").read_text())
    assert list(lock) == list(PIPELINE)
    for stage, locked in lock.items():
        for dep in locked["deps"]:
            if dep["path"].endswith(".py"):
                content = (ROOT / dep["path"]).read_bytes()
                assert hashlib.md5(content, usedforsecurity=False).hexdigest() == dep["md5"], dep["path"]
        for key, values in locked["params"]["params.yaml"].items():
            section, _, name = key.partition(".")
            assert values == (params[section][name] if name else params[section]), f"{stage}: {key}"


def test_packages_hold_no_code() -> None:
    """A package's `__init__.py` runs with each of its modules, and is no dependency of any stage.

    That of lesions has a short name for whoever asks a model; our own code does not go by it.
    """
    short = "from lesions import Classifier"
    for file in [*ROOT.glob("lesions/**/*.py"), *ROOT.glob("stages/*.py")]:
        code = ast.parse(file.read_text()).body
        assert short not in [ast.unparse(node) for node in code], file
    for file in [*ROOT.glob("lesions/*/**/__init__.py"), ROOT / "stages/__init__.py"]:
        body = ast.parse(file.read_text()).body
        assert all(isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant) for node in body), file


def test_shared_code_knows_no_stage() -> None:
    for file in ROOT.glob("lesions/**/*.py"):
        assert not any(path.parts[0] == "stages" for path in imports(file.relative_to(ROOT))), file
    for stage in PIPELINE:
        others = [file for file in code_behind(stage) if file.startswith("stages/")]
        assert others == [f"stages/{stage}.py"]


def test_no_parameter_is_named_size_or_nfiles() -> None:
    """DVC drops keys of these names from the run cache's key (iterative/dvc#10296)."""

    def keys(node: Any) -> set[str]:
        if isinstance(node, dict):
            return set(node) | {key for value in node.values() for key in keys(value)}
        return {key for value in node for key in keys(value)} if isinstance(node, list) else set()

    assert not keys(YAML(typ="safe").load((ROOT / "params.yaml").read_text())) & {"size", "nfiles"}
