"""The project's own files: the locks, and what must not be among the tracked ones."""

import json
import re
import sys
import tomllib
from itertools import chain
from pathlib import Path
from shutil import copyfile
from typing import Any

import pytest

from lesions.core.errors import UserError
from lesions.images.parallel_map import parallel_map
from tests.conftest import ROOT, commit, copy_of_tree, run

PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
NEEDED: list[str] = PROJECT["project"]["dependencies"]
EXTRAS: dict[str, list[str]] = PROJECT["project"]["optional-dependencies"]
LOCKS = {
    "requirements.txt": NEEDED,
    "requirements-dev.txt": [*NEEDED, *chain(*EXTRAS.values()), *PROJECT["dependency-groups"]["dev"]],
}


def locked(file: str) -> dict[str, str]:
    """Return the entries of a lock by the package's name: version, systems and hashes."""
    text = re.sub(r"\A(#.*\n)+", "", (ROOT / file).read_text(encoding="utf-8"))
    entries = re.split(r"\n(?=\S)", text.strip())
    return {entry.partition("==")[0]: entry.strip() for entry in entries}


@pytest.mark.parametrize("file", LOCKS)
def test_lock(file: str) -> None:
    entries = locked(file)
    for requirement in LOCKS[file]:
        name = re.split(r"[ ;<>=\[]", requirement)[0].lower().replace("_", "-").replace(".", "-")
        assert name in entries
    assert all(re.match(r"[\w.-]+==\S+ ", entry) and "--hash=sha256:" in entry for entry in entries.values())
    assert "://" not in (ROOT / file).read_text(encoding="utf-8")


def test_small_lock_is_part_of_the_large_one() -> None:
    assert locked("requirements.txt").items() <= locked("requirements-dev.txt").items()


def test_small_lock_holds_no_tools_and_no_extras() -> None:
    assert not locked("requirements.txt").keys() & {
        "pytest",
        "mypy",
        "ruff",
        "moto",
        "uv",
        "onnx",
        "distributed",
        "s3fs",
    }


def test_missing_package_names_the_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LESIONS_CLUSTER", "tcp://localhost:1")
    monkeypatch.setitem(sys.modules, "distributed", None)
    monkeypatch.delitem(sys.modules, "lesions.images.dask_cluster", raising=False)
    with pytest.raises(UserError, match="distributed is not installed: `make extra-cluster` installs"):
        list(parallel_map(abs, [1], 1, desc=""))


def test_extras_named_in_code_exist() -> None:
    code = "".join(file.read_text(encoding="utf-8") for file in ROOT.glob("lesions/**/*.py"))
    assert set(re.findall(r'needs_extra\("(\w+)"\)', code)) == set(EXTRAS) - {"s3"}  # DVC itself names what S3 needs
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert set(re.findall(r"extra-(\w+)", makefile)) == set(EXTRAS)


def test_no_image_table_or_model_is_tracked() -> None:
    tracked = run("git ls-files", ROOT).split()
    assert not [name for name in tracked if re.search(r"ISIC_\d|HAM10000_|\.(h5|keras|npy|npz|pkl|zip)$", name)]


def test_links_lead_to_what_git_has() -> None:
    """Of every page that is in Git, the card among them, which must not name what DVC alone has."""
    tracked = set(run("git ls-files", ROOT).split())
    pages = [name for name in tracked if name.endswith(".md")]
    assert "reports/model_card.md" in pages
    for page in pages:
        text = (ROOT / page).read_text(encoding="utf-8")
        for link in re.findall(r"\]\(((?!\w+:|#)[^)#\s]+)", text):
            target = (ROOT / page).parent.joinpath(link).resolve().relative_to(ROOT).as_posix()
            assert any(name == target or name.startswith(f"{target}/") for name in tracked), f"{page}: {link}"


def test_clone_has_the_same_bytes_whatever_line_ends_git_prefers(tmp_path: Path) -> None:
    """With core.autocrlf, as Git for Windows sets it, DVC would hash other bytes, and run all stages."""
    (tmp_path / "first").mkdir()
    first = copy_of_tree(tmp_path / "first")
    commit(first)
    run("git clone --quiet --config core.autocrlf=true --config core.eol=crlf first second", tmp_path)
    names = run("git ls-files -z", first).split("\0")[:-1]
    assert [name for name in names if (first / name).read_bytes() != (tmp_path / "second" / name).read_bytes()] == []
    assert run("git status --porcelain", tmp_path / "second") == ""


def test_editor_and_container_agree() -> None:
    editor, container = (
        json.loads((ROOT / file).read_text()) for file in (".vscode/extensions.json", ".devcontainer/devcontainer.json")
    )
    assert container["customizations"]["vscode"]["extensions"] == editor["recommendations"]
    dockerfile = (ROOT / ".devcontainer" / container["build"]["dockerfile"]).read_text()
    assert f"\nWORKDIR {container['workspaceFolder']}\n" in dockerfile
    interpreter = container["customizations"]["vscode"]["settings"]["python.defaultInterpreterPath"]
    assert f"ENV PATH={Path(interpreter).parent}:" in dockerfile


def test_image_has_what_its_build_reads() -> None:
    """All but what .dockerignore names stays out of the image."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    given = {line.removeprefix("!") for line in lines if line.startswith("!")}
    assert all((ROOT / name).exists() for name in given)
    project = PROJECT["project"]
    assert {project["readme"], *project["license-files"], "lesions", "pyproject.toml", "requirements.txt"} == given
    dockerfile = (ROOT / "Dockerfile").read_text()
    assert "--require-hashes" in dockerfile
    python = re.findall(r"^FROM python:(\d+\.\d+)-", dockerfile, re.MULTILINE)
    assert python == [re.findall(r"--python-version (\S+)", (ROOT / "Makefile").read_text())[0]]


def test_make_ends_with_what_to_open(tmp_path: Path) -> None:
    """The recipe of `make repro`, with a `dvc` and a `lesions` that do nothing."""
    (tmp_path / ".venv/bin").mkdir(parents=True)
    for name in ("dvc", "lesions"):
        (tmp_path / ".venv/bin" / name).symlink_to("/bin/true")
    for name in (".dvc", ".git"):
        (tmp_path / name).mkdir()
    copyfile(ROOT / "Makefile", tmp_path / "Makefile")
    printed = run("make --no-print-directory repro --old-file=.dvc/plots_page.html", tmp_path)
    paths = re.findall(r"^  ([\w/.]+\.html) ", printed, re.MULTILINE)
    assert paths == ["reports/model_card.html", "reports/data.html", "dvc_plots/index.html"]
    definition = (ROOT / "dvc.yaml").read_text()
    assert all(f"- {path}\n" in definition for path in paths[:2])
    assert printed.index("dvc_plots") < printed.index(". .venv/bin/activate") < printed.index("docs/own_data.md")
    assert max(map(len, printed.splitlines())) <= 80
