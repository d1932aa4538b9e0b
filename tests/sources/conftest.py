"""Fixtures of the tests of sources that fetch."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from lesions.sources.common import http as web
from lesions.sources.common import isic_api
from tests.sources.isic_replica import Server, serving
from tests.sources.sources_helpers import RAW


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(web, "FIRST_WAIT", 0.001)
    with serving() as running:
        monkeypatch.setattr(isic_api, "API", f"{running.address}/api/v2/")
        yield running


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "here"
    (folder / RAW).mkdir(parents=True)
    monkeypatch.chdir(folder)
    return folder
