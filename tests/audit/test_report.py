"""The data report: complete, self-contained, deterministic."""

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from lesions.audit.associations import uncertainty_coefficients
from lesions.audit.bias_checks import ADVICE
from lesions.audit.classes import class_table
from lesions.audit.plots import VIEWS, draw_views
from lesions.audit.report import REASONS, write_report
from lesions.audit.summary import summarise
from stages import clean
from tests.audit.tables import AUDIT, as_audit, images, params
from tests.audit.test_bias_checks import halves
from tests.stages.test_clean import Raw, cleaned
from tests.stages.test_clean import raw as raw  # noqa: PLC0414 - the fixture


class Page(HTMLParser):
    """What a page would load, its images, and its words."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.addresses: list[str] = []
        self.words = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Keep the tag, and the addresses of the element."""
        self.tags.add(tag)
        self.addresses += [value or "" for key, value in attrs if key in {"src", "href", "srcset", "data", "action"}]

    def handle_data(self, data: str) -> None:
        """Keep the words."""
        self.words += data


def test_report_is_complete_and_self_contained(raw: Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clean, "draw_views", draw_views)
    raw.members["images/p01.jpg"] = b""
    raw.members["images/p02.jpg"] = b"a text file"
    raw.table.loc[5, "dx"] = " "
    raw.table["dx_type"] = ["follow_up"] * 20 + ["histo"] * 20
    raw.table["dataset"] = "the <b>only</b> clinic"
    cleaned(raw)
    found = json.loads(Path("metrics/data.json").read_text())
    assert found["missing"] == {
        "age": 1,
        "sex": 0,
        "site": 37,
        "dx_type": 0,
        "source": 0,
        "lesion_id": 0,
        "patient_id": 37,
    }
    text = Path("reports/data.html").read_text(encoding="utf-8")
    page = Page()
    page.feed(text)
    assert not page.tags & {"script", "link", "iframe", "object", "b", "this"}
    assert "url(" not in text
    assert "default-src 'none'" in text
    assert len(page.addresses) >= 4
    for address in page.addresses:
        with Image.open(io.BytesIO(base64.b64decode(address.removeprefix("data:image/").partition(",")[2]))) as image:
            image.load()
    for words in (
        "37 images of 20 lesions in 2 classes can be used; 3 were set aside",
        REASONS["empty file"],
        REASONS["no diagnosis"],
        "The data says where an image was taken in one word: the <b>only</b> clinic.",
        'Examples of ages that cannot be read: "abc".',
        "Source: drawn for <this> test. Licence: none.",
        *(warning["found"] for warning in found["warnings"]),
        *(warning["advice"].replace("`", "") for warning in found["warnings"]),  # commands are shown as such
    ):
        assert words in page.words
    assert not re.search(r"\b(nan|None|Series|dtype|<NA>)\b", page.words)


def reported(data: pd.DataFrame, folder: Path) -> bytes:
    """Write the report of this data and return the page."""
    classes = class_table(data, params())
    data = data.assign(near_duplicate_id="")
    audit = as_audit(data, classes)
    summary = summarise(audit, {}, uncertainty_coefficients(data), {"age": {}, "sex": {}}, [])
    sheet = folder / "sheet.jpg"
    views = list(draw_views(data))
    Image.new("RGB", (64, 64)).save(sheet)
    tables, page = Path("data/clean"), folder / "data.html"
    write_report(page, tables, audit, summary, params(), {"source": "x"}, views, sheet, sheet)
    return page.read_bytes()


ODD: dict[str, object] = {
    "label": ["$\\frac$", "_a", "कि", "x" * 200, *(f"class {number}" for number in range(6))] * 4,
    "dataset": ["_$x^", "a}", *(f"camera {number}" for number in range(18))] * 2,
    "localization": [f"site {number}" for number in range(40)],
    "sex": "female",
    "age": ["0", "40"] * 20,
    "width": list(range(100, 140)),
    "height": 100,
}


def test_report_is_deterministic(tmp_path: Path) -> None:
    data = images(40, **ODD)
    assert reported(data, tmp_path) == reported(data, tmp_path)


def test_empty_views_are_left_out() -> None:
    def drawn(**columns: object) -> set[str]:
        return {view.key for view, png in draw_views(images(40, **columns)) if Image.open(io.BytesIO(png)).width > 500}

    assert drawn(lesion_id="") == {"diagnosis"}
    everything = {
        "dx_type": halves("histo", "", 40),
        "dataset": halves("a", "b", 40),
        "width": np.arange(40) + 500,
        "height": 400,
        "age": "50",
        "ita": halves("45.0", "", 40),
        "sex": halves("male", "female", 40),
        "localization": halves("back", "", 40),
    }
    assert drawn(**everything) == {view.key for view in VIEWS} - {"age"}
    assert drawn(**{**everything, "age": halves("0", "50", 40)}) == {view.key for view in VIEWS}


def test_documentation_has_every_reason_and_warning() -> None:
    section = AUDIT.partition("## What a reason")[2]
    assert all(words in section for words in REASONS)
    named = [key for key in ADVICE if not key.endswith("_tells_the_diagnosis")]
    assert all(f"`{key}`" in AUDIT for key in named)
