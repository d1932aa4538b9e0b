"""What the tests of sources that fetch share: a section of parameters, files on the server, and how a run stops."""

import io
import zipfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from lesions.core.errors import UserError
from lesions.params.download import Download
from lesions.sources.common.remote_file import RemoteFile
from tests.sources.isic_replica import Server

RAW = Path("data/raw")


def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Go to another folder, in which nothing is fetched yet."""
    (tmp_path / "elsewhere" / RAW).mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "elsewhere")


def section(source: str, **values: Any) -> Download:
    return Download(source=source, folder="data/none", n_images=100, seed=1, **values)


def stops(action: Callable[[], object], *words: str) -> None:
    with pytest.raises(UserError) as error:
        action()
    missing = [word for word in words if word not in str(error.value)]
    assert not missing, f"{missing} not in: {error.value}"


def zipped(contents: Mapping[str, bytes | str]) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in contents.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def served(server: Server, name: str, content: bytes, **known: Any) -> RemoteFile:
    server.files[f"/{name}"] = content
    return RemoteFile(name, (f"{server.address}/{name}",), **known)
