"""The project's own files: the locks, and what must not be among the tracked ones."""

import re
import sys
import tomllib
from itertools import chain
from typing import Any

import pytest

from lesions.core.errors import UserError
from lesions.images.parallel_map import parallel_map
from tests.conftest import ROOT, run

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
