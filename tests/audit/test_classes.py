"""Classes as `clean.classes` says."""

import json
import re
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from lesions.audit.classes import NO_DIAGNOSIS, NOT_AMONG, map_to_classes
from lesions.core.csv_files import read_csv
from lesions.core.errors import UserError
from stages import clean
from tests.audit.tables import AUDIT, TWO, params
from tests.conftest import edit_params
from tests.stages.test_clean import Raw, cleaned
from tests.stages.test_clean import raw as raw  # noqa: PLC0414 - the fixture


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        (
            {**TWO, "other": {"diagnoses": ["nevus"], "malignancy": "benign"}},
            '"nv" stands twice, in "benign" and "other"',
        ),
        ({"bkl": {"diagnoses": ["sk", "seborrheic keratosis"]}}, '"sk" stands twice, in "bkl"'),
        ({"nv": {"diagnoses": ["nv"]}, "Nevus": {"diagnoses": ["mel"]}}, '"nv" and "Nevus" are the same class'),
        ({"moles": {"diagnoses": ["nv"]}}, 'say what the class "moles" counts as'),
        ({"moles": {"diagnoses": ["nv"], "malignancy": "good"}}, "clean.classes.moles.malignancy"),
        ({"moles": {"diagnoses": [], "malignancy": "benign"}}, "clean.classes.moles.diagnoses"),
        ({"moles": {"off": ["nv"]}}, "clean.classes.moles.off: unknown key"),
    ],
)
def test_invalid_classes_are_refused(classes: dict[str, object], words: str) -> None:
    with pytest.raises(UserError) as error:
        params(classes=classes)
    assert words in str(error.value)


def test_documented_examples_are_valid() -> None:
    examples = [YAML(typ="safe").load(block)["clean"] for block in re.findall(r"```yaml\n(.*?)```", AUDIT, re.DOTALL)]
    examples = [example for example in examples if "classes" in example]
    assert len(examples) == 4
    seven, *_ = [params(**example) for example in examples]
    diagnoses = ["mel", "bcc", "ak", "scc", "sk", "pbk", "nv", "df", "vasc"]
    done = map_to_classes(pd.DataFrame({"dx": diagnoses}), seven)
    assert set(done["label"]) == {"mel", "bcc", "akiec", "bkl", "nv", "df", "vasc"}


def test_two_classes_reach_the_tables(raw: Raw) -> None:
    raw.table["dx"] = ["nv"] * 10 + ["my own  Mole"] * 10 + ["MEL"] * 10 + ["Basal cell carcinoma"] * 10
    edit_params(raw.folder, clean={"classes": TWO})
    data, _ = cleaned(raw)
    assert data["label"].value_counts().to_dict() == {"benign": 20, "malignant": 20}
    assert data["diagnosis"].value_counts().to_dict() == dict.fromkeys(["nv", "my own mole", "mel", "bcc"], 10)
    described = read_csv(Path("data/clean/classes.csv"))
    assert described.to_numpy().tolist() == [
        ["malignant", "malignant", "malignant", "mel; bcc"],
        ["benign", "benign", "benign", "nv; my own mole"],
    ]


def test_diagnosis_of_no_class(raw: Raw) -> None:
    raw.table["dx"] = ["nv"] * 15 + ["mel"] * 15 + ["df"] * 10
    raw.write()
    mapped = {
        "classes": {"mel": {"diagnoses": ["mel"]}, "mole": {"diagnoses": ["nv", "scc"], "malignancy": "unstated"}}
    }
    edit_params(raw.folder, clean={**mapped, "max_rejected": 0.01})
    with pytest.raises(UserError, match=r'what becomes of "df" \(10 images\). The data has none of: scc'):
        clean.main()
    edit_params(raw.folder, clean={"unmapped_diagnoses": "keep"})
    clean.main()
    kept = read_csv(Path("data/clean/classes.csv")).set_index("label")["malignancy"]
    assert kept.to_dict() == {"mel": "malignant", "df": "benign", "mole": "unstated"}
    labels = Path("data/clean/labels.csv").read_bytes()
    mole = {"diagnoses": ["nv", "scc"], "malignancy": "benign"}
    edit_params(raw.folder, clean={"classes": {"mel": {"diagnoses": ["mel"]}, "mole": mole}})
    clean.main()
    assert Path("data/clean/labels.csv").read_bytes() == labels  # else a training would run again
    edit_params(raw.folder, clean={"unmapped_diagnoses": "set_aside"})
    clean.main()
    rejects = read_csv(Path("data/clean/rejects.csv"))
    assert set(rejects["reason"]) == {NOT_AMONG}
    assert len(rejects) == 10
    found = json.loads(Path("metrics/data.json").read_text())
    assert found["set_aside"] == 10
    assert "classes_not_in_data" in [warning["key"] for warning in found["warnings"]]


@given(st.lists(st.sampled_from(["nv", "nevus", "MEL", "df", "", "unknown", "my own mole", "other"])), st.data())
def test_each_row_has_class_or_reason(dx: list[str], data: st.DataObject) -> None:
    rule = data.draw(st.sampled_from(["keep", "set_aside"]))
    classes = data.draw(st.sampled_from([{}, TWO]))
    done = map_to_classes(pd.DataFrame({"dx": dx}, dtype=str), params(classes=classes, unmapped_diagnoses=rule))
    assert ((done["label"] == "") != (done["reason"] == "")).all()
    assert ((done["diagnosis"] == "") == (done["reason"] == NO_DIAGNOSIS)).all()
    if not classes or rule == "keep":
        assert NOT_AMONG not in set(done["reason"])
    else:
        assert set(done["label"]) <= {"malignant", "benign", ""}
