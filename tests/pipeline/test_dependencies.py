"""dvc.yaml against the code: a stage depends on exactly the modules it imports and the sections it reads."""

import ast
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

ROOT = Path(__file__).parents[2]
PIPELINE: dict[str, Any] = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]
CHOSEN = {
    "download": ("lesions/sources", "fetch.py", "${download.source}"),
    "train": ("lesions/models/architectures", "", "${train.architecture}.py"),
}
"""Stages that import one module of a folder by its name in params.yaml: the folder, the module in it, the template."""

NEVER = {
    "download": ("audit", "sampling", "models", "inference", "evaluation", "explain", "reporting", "commands"),
    "clean": ("sources", "sampling", "models", "inference", "evaluation", "explain", "commands"),
    "split": ("audit", "images", "sources", "models", "inference", "evaluation", "explain", "reporting", "commands"),
    "prepare": (
        "audit",
        "sampling",
        "sources",
        "models",
        "inference",
        "evaluation",
        "explain",
        "reporting",
        "commands",
    ),
    "rebalance": ("audit", "sources", "models", "inference", "evaluation", "explain", "commands"),
    "train": (
        *("evaluation", "inference", "explain", "reporting", "commands", "audit", "sampling", "images", "sources"),
        "models/pretrained",
    ),
    "predict": ("evaluation", "explain", "reporting", "commands", "sampling", "sources", "models/training"),
    "evaluate": ("models", "inference", "images", "audit", "sampling", "sources", "explain", "reporting", "commands"),
    "calibrate": (
        *("audit", "sampling", "sources", "images", "inference", "explain", "reporting", "commands"),
        *("models/architectures", "models/common", "models/training", "models/pretrained"),
    ),
    "explain": ("audit", "sampling", "sources", "images", "commands", "models/training"),
    "report": ("models", "inference", "images", "audit", "sampling", "sources", "evaluation", "explain", "commands"),
}
"""Packages that a stage's code must not lie in: a change there never reruns it."""

MOST_ENTRIES = 8
MOST_IDLE_LINES = 100
"""Lines of the covered modules that the stage train does not import."""


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
    """Return the modules that a stage imports; of those chosen by name, what any of them shares with others."""
    files = closure(Path("stages", f"{stage}.py"))
    if stage in CHOSEN:
        folder, module, _ = CHOSEN[stage]
        for entry in sorted((ROOT / folder).glob("[!_]*")):
            if entry.name != "common":
                own = Path(folder, entry.name)
                files |= {file for file in closure(own / module) if own not in (file, *file.parents)}
    return {file.as_posix() for file in files}


def code_entries(stage: str) -> list[str]:
    """Return the dependencies in dvc.yaml that are code of ours, without the module chosen by name."""
    chosen = "/".join(CHOSEN[stage][::2]) if stage in CHOSEN else None
    deps = [dep for dep in PIPELINE[stage]["deps"] if dep.startswith(("lesions/", "stages/"))]
    assert (chosen in deps) == (stage in CHOSEN)
    return [dep for dep in deps if dep != chosen]


def covered(entry: str) -> list[str]:
    """Return the modules that an entry of dvc.yaml stands for: itself, or all below a package."""
    if entry.endswith(".py"):
        return [entry]
    files = sorted((ROOT / entry).rglob("*.py"))
    return [file.relative_to(ROOT).as_posix() for file in files if file.name != "__init__.py"]


@pytest.mark.parametrize("stage", PIPELINE)
def test_code_dependencies(stage: str) -> None:
    """Nothing that the stage imports is missing, no entry is idle, and none is named twice."""
    entries = code_entries(stage)
    assert f"stages/{stage}.py" in entries
    assert len(entries) + (stage in CHOSEN) <= MOST_ENTRIES
    files = [file for entry in entries for file in covered(entry)]
    assert len(files) == len(set(files))
    behind = code_behind(stage)
    assert behind - set(files) == set()
    assert [entry for entry in entries if not behind & set(covered(entry))] == []


@pytest.mark.parametrize("stage", NEVER)
def test_code_that_never_reruns_a_stage(stage: str) -> None:
    for entry in code_entries(stage):
        for package in NEVER[stage]:
            assert not f"{entry}/".startswith(f"lesions/{package}/"), f"{stage} covers {entry}"
            assert not f"lesions/{package}/".startswith(f"{entry}/"), f"{stage} covers {entry}"


def test_train_reruns_for_little_that_it_does_not_import() -> None:
    files = {file for entry in code_entries("train") for file in covered(entry)}
    idle = {file: len((ROOT / file).read_text().splitlines()) for file in files - code_behind("train")}
    assert sum(idle.values()) <= MOST_IDLE_LINES, idle


@pytest.mark.parametrize("stage", PIPELINE)
def test_params_are_the_sections_read(stage: str) -> None:
    params = PIPELINE[stage].get("params", [])
    if stage in ("check", "report"):
        assert params == [{"params.yaml": None}]
        return
    sections = {
        Path(file).stem
        for file in code_behind(stage)
        if file.startswith("lesions/params/") and Path(file).stem not in ("keras_applications", "efficientnet_lite")
    }
    only = {"predict": "evaluate.splits", "explain": "evaluate.splits"}  # of that section they read this key alone
    if stage in only:
        code = (ROOT / f"stages/{stage}.py").read_text()
        assert code.count("Evaluate.read()") == code.count("Evaluate.read().splits") == 1
        sections = sections - {"evaluate"} | {only[stage]}
    if stage == "weights":
        assert '["train"]["architecture"]' in (ROOT / "stages/weights.py").read_text()
        sections |= {"train.architecture"}
    assert set(params) == sections


def test_packages_hold_no_code() -> None:
    """A package's `__init__.py` runs with each of its modules, and is no dependency of any stage.

    That of lesions has a short name for whoever uses a model; our own code does not go by it. That of stages decides
    how a stage ends while its modules load, and no output.
    """
    short = "from lesions import Classifier"
    for file in [*ROOT.glob("lesions/**/*.py"), *ROOT.glob("stages/*.py")]:
        code = ast.parse(file.read_text()).body
        assert short not in [ast.unparse(node) for node in code], file
    for file in ROOT.glob("lesions/*/**/__init__.py"):
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
