"""No input yields NaN, a traceback, or no answer without a reason: generated images, tables and parameters.

`pytest --hypothesis-profile many` tries 20,000 of each.
"""

import lesions.models.common.determinism  # noqa: F401 - before all that imports Keras

# isort: split
import copy
import io
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lesions.audit.classes import map_to_classes, refuse_classes
from lesions.audit.normalise import fill_ages, normalise, unreadable_values
from lesions.classifier import Classifier
from lesions.core.csv_files import read_csv
from lesions.core.errors import UserError
from lesions.core.params import read_file
from lesions.core.sanitize import unsafe_reason
from lesions.params.all import SECTIONS, check_sections
from lesions.params.clean import Clean
from lesions.sources.common.diagnosis_table import read_ham10000
from lesions.taxonomy import ordered
from tests.conftest import ROOT

PARAMS: dict[str, Any] = read_file(ROOT / "params.yaml")


def encoded(form: str, **options: Any) -> bytes:
    file = io.BytesIO()
    Image.fromarray(np.random.default_rng(1).integers(0, 256, (24, 32, 3), np.uint8)).save(file, form, **options)
    return file.getvalue()


IMAGES = [
    encoded("JPEG"),
    encoded("JPEG", progressive=True, quality=30),
    encoded("PNG"),
    encoded("BMP"),
    encoded("TIFF", compression="tiff_lzw"),
    encoded("WEBP"),
]
TABLE = (
    b"image_id,dx,lesion_id,age,sex,localization,dataset,split\n"
    b'a,mel,L1,55,male,back,one,train\nb,nv,L2,"60,5",female,"Trunk:Axilla",two,test\nc,bkl,,85+,,unknown,One,val\n'
)
CHANGES = st.lists(
    st.tuples(st.integers(0, 4000), st.sampled_from(["set", "cut", "insert", "repeat"]), st.binary(max_size=4)),
    min_size=1,
    max_size=6,
)


def changed(content: bytes, changes: list[tuple[int, str, bytes]]) -> bytes:
    """Change bytes at places, each counted from the start and again from there."""
    for place, how, new in changes:
        at = place % (len(content) + 1)
        before, behind = content[:at], content[at:]
        if how == "cut":
            content = before if len(new) == 0 else before + behind[len(new) :]
        elif how == "repeat":
            content = before + behind[:40] + behind
        else:
            content = before + new + (behind[len(new) :] if how == "set" else behind)
    return content


def printable(message: str) -> bool:
    return bool(message.strip()) and not any(unsafe_reason(line).startswith("holds") for line in message.splitlines())


def result_of(function: Callable[[], Any]) -> Any:
    """Return what a function returns, or the sentence that refuses its input."""
    try:
        return function()
    except UserError as error:
        return str(error)


# Images


@pytest.fixture(scope="module")
def classifier(workspace: Path) -> Classifier:
    return Classifier.of_folder(workspace / "models")


@given(st.sampled_from(IMAGES), CHANGES)
def test_an_image_has_an_answer_or_a_problem(
    classifier: Classifier, image: bytes, changes: list[tuple[int, str, bytes]]
) -> None:
    found = classifier.classify(changed(image, changes))
    if found.problem:
        assert printable(found.problem)
        assert (found.diagnosis, found.probabilities, found.alerts, found.is_ood) == ("", {}, {}, None)
        return
    numbers = [*found.probabilities.values(), *found.uncalibrated.values(), *found.image_only.values()]
    assert len(numbers) == 3 * len(classifier.thresholds.classes)
    assert all(0 <= number <= 1 for number in numbers)  # NaN is not
    assert math.isclose(sum(found.probabilities.values()), 1, abs_tol=1e-4)
    assert found.ood_score is not None
    assert math.isfinite(found.ood_score)
    assert found.diagnosis in classifier.thresholds.classes
    assert set(found.alerts) == set(classifier.thresholds.tasks)


# Tables

TEXTS = st.text(st.characters() | st.sampled_from(list("=+-@;,\"' \t\r\n0123456789.e\0\x1b\u202e\ufeff")), max_size=12)
VALUES = (
    st.sampled_from(["nan", "inf", "-inf", "1e999", "-0", "NaN", "None", "٣", "１２", "0x10", "1_0", "", "mel"]) | TEXTS
)
ROWS = st.lists(st.lists(VALUES, min_size=8, max_size=8), max_size=4)


def written(rows: list[list[str]]) -> bytes:
    names = ["image_id", "dx", "lesion_id", "age", "sex", "localization", "dataset", "split"]
    table = pd.DataFrame([[f"i{number}{row[0]}", *row[1:]] for number, row in enumerate(rows)], columns=names)
    return table.to_csv(index=False).encode("utf-8", "surrogatepass")


@given(st.builds(changed, st.just(TABLE), CHANGES) | st.builds(written, ROWS))
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_table_is_read_or_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "table.csv").write_bytes(content)
    table = result_of(lambda: read_ham10000(tmp_path / "table.csv"))
    if isinstance(table, str):
        assert printable(table)
        return
    table.to_csv(tmp_path / "metadata.csv", index=False)
    again = read_csv(tmp_path / "metadata.csv")
    pd.testing.assert_frame_equal(again, table, check_dtype=False)
    again = again.assign(**map_to_classes(again, Clean.check(PARAMS["clean"])))
    refusal = result_of(lambda: refuse_classes(ordered(set(again["label"]) - {""})))
    assert refusal is None or printable(str(refusal))
    images = again.assign(archive="x.zip", member="a.jpg", sha256="0", height=8, width=8, ita=0.0)
    images = fill_ages(normalise(images, "placeholder"), "median")
    assert not images.isna().to_numpy().any()
    assert all(0 <= float(age) <= 120 for age in images["age"] if age)
    assert len(images) == len(table)
    unreadable_values(again)


# Parameters

SCALARS = st.one_of(
    *(st.none(), st.booleans(), st.integers(), st.floats(), TEXTS, st.dates(), st.binary(max_size=3)),
    st.sampled_from([-1, 0, 1, 2, 0.5, 1e308, math.nan, math.inf, -math.inf, 2**63, "none", "max", "imagenet", "path"]),
)
ANYTHING = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3))
KEYS = [(section, key) for section, values in PARAMS.items() for key in values]


def numbers_in(node: Any) -> list[float]:
    inner = node.values() if isinstance(node, dict) else node if isinstance(node, list | tuple) else []
    return [*([node] if isinstance(node, float) else []), *(number for one in inner for number in numbers_in(one))]


@given(st.lists(st.tuples(st.sampled_from(KEYS), ANYTHING), min_size=1, max_size=3))
def test_a_parameter_is_finite_or_refused(changes: list[tuple[tuple[str, str], Any]]) -> None:
    content = copy.deepcopy(PARAMS)
    for (section, key), value in changes:
        content[section][key] = value
    refusal = result_of(lambda: check_sections(content))
    if refusal is not None:
        assert refusal.startswith("params.yaml")
        return
    assert list(content) == list(SECTIONS)
    assert all(math.isfinite(number) for number in numbers_in(content))
