"""Small files: the same bytes on each system."""

import _pyio  # type: ignore[import-not-found]
import io
import os
from pathlib import Path

import pandas as pd
import pytest

from lesions.core.csv_files import EXACT, read_csv, write_csv
from lesions.core.json_files import read_json, write_json


def test_line_ends(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "linesep", "\r\n")  # as on Windows
    monkeypatch.setattr(io, "open", _pyio.open)  # which asks for it
    (tmp_path / "theirs.txt").write_text("a\n", encoding="utf-8")
    write_json(tmp_path / "ours.json", {"a": 1})
    write_csv(pd.DataFrame({"a": ["1", "2"], "b": [1 / 3, 2]}), tmp_path / "ours.csv", EXACT)
    assert (tmp_path / "theirs.txt").read_bytes() == b"a\r\n"
    assert (tmp_path / "ours.json").read_bytes() == b'{\n  "a": 1\n}\n'
    assert (tmp_path / "ours.csv").read_bytes() == b"a,b\n1,0.333333333\n2,2\n"
    assert read_json(tmp_path / "ours.json") == {"a": 1}
    assert list(read_csv(tmp_path / "ours.csv")["a"]) == ["1", "2"]
