"""The audit: classes as wished, values in one form, warnings that are true, and a report that says all of it."""

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image
from ruamel.yaml import YAML

from lesions.audit.associations import uncertainty_coefficients
from lesions.audit.bias_checks import Finding, find_warnings
from lesions.audit.classes import NO_DIAGNOSIS, NOT_AMONG, class_table, classify
from lesions.audit.normalise import fill_ages, normalise, unknown_values, unreadable_values
from lesions.audit.plots import VIEWS, draw_views
from lesions.audit.report import REASONS, write_report
from lesions.audit.summary import summarise
from lesions.core.csv_files import read_csv
from lesions.core.errors import UserError
from lesions.params.clean import Clean
from lesions.taxonomy import SITES
from stages import clean
from tests.conftest import ROOT, edit_params
from tests.stages.test_clean import Raw, cleaned, raw

__all__ = ["raw"]  # the fixture

DEFAULT: dict[str, Any] = YAML(typ="safe").load((ROOT / "params.yaml").read_text())["clean"]
AUDIT = (ROOT / "docs/audit.md").read_text(encoding="utf-8")
TWO = {
    "malignant": {"of": ["melanoma", "BCC"], "nature": "malignant"},
    "benign": {"of": ["nv", "my own mole"], "nature": "benign"},
}


def params(**changes: object) -> Clean:
    return Clean.check(DEFAULT | changes)


def table(rows: int = 1, **columns: object) -> pd.DataFrame:
    """A table of pictures as it comes, past the classes."""
    ids = [f"p{number:04}" for number in range(rows)]
    fixed = {"image_id": ids, "archive": "a.zip", "member": ids, "sha256": ids, "height": 450, "width": 600}
    return pd.DataFrame({**fixed, "label": "nv", "diagnosis": "nv", **columns}, index=range(rows))


def images(rows: int, **columns: object) -> pd.DataFrame:
    """A table of pictures past the audit, each of a lesion of its own, of mel and nv in turns."""
    labels = np.resize(["mel", "nv"], rows)
    given = {"label": labels, "diagnosis": labels, "lesion_id": [f"L{number}" for number in range(rows)], **columns}
    done = normalise(table(rows, **given), "placeholder")
    return done.assign(group_id=done["image_id"])


def warnings_of(data: pd.DataFrame) -> list[Finding]:
    return find_warnings(data, uncertainty_coefficients(data), {}, [])


def keys(data: pd.DataFrame) -> list[str]:
    """The warnings of this data, but for those that all data so small has."""
    return [warning.key for warning in warnings_of(data) if warning.key != "few_lesions"]


# Classes.


@pytest.mark.parametrize(
    ("classes", "words"),
    [
        ({**TWO, "other": {"of": ["nevus"], "nature": "benign"}}, '"nv" stands twice, in "benign" and "other"'),
        ({"bkl": {"of": ["sk", "seborrheic keratosis"]}}, '"sk" stands twice, in "bkl"'),
        ({"nv": {"of": ["nv"]}, "Nevus": {"of": ["mel"]}}, '"nv" and "Nevus" are the same class'),
        ({"moles": {"of": ["nv"]}}, 'say what the class "moles" counts as'),
        ({"moles": {"of": ["nv"], "nature": "good"}}, "clean.classes.moles.nature"),
        ({"moles": {"of": [], "nature": "benign"}}, "clean.classes.moles.of"),
        ({"moles": {"off": ["nv"]}}, "clean.classes.moles.off: unknown key"),
    ],
)
def test_classes_that_cannot_be_are_found_at_check(classes: dict[str, object], words: str) -> None:
    with pytest.raises(UserError) as error:
        params(classes=classes)
    assert words in str(error.value)


def test_ready_examples_in_the_documentation_are_valid() -> None:
    examples = [YAML(typ="safe").load(block)["clean"] for block in re.findall(r"```yaml\n(.*?)```", AUDIT, re.DOTALL)]
    assert len(examples) == 4
    seven, *_ = [params(**example) for example in examples]
    diagnoses = ["mel", "bcc", "ak", "scc", "sk", "pbk", "nv", "df", "vasc"]
    done = classify(pd.DataFrame({"dx": diagnoses}), seven)
    assert set(done["label"]) == {"mel", "bcc", "akiec", "bkl", "nv", "df", "vasc"}


def test_two_classes_reach_the_tables(raw: Raw) -> None:
    raw.table["dx"] = ["nv"] * 10 + ["my own  Mole"] * 10 + ["MEL"] * 10 + ["Basal cell carcinoma"] * 10
    edit_params(raw.folder, clean={"classes": TWO})
    data, _ = cleaned(raw)
    assert data["label"].value_counts().to_dict() == {"benign": 20, "malignant": 20}
    assert data["diagnosis"].value_counts().to_dict() == dict.fromkeys(["nv", "my own mole", "mel", "bcc"], 10)
    described = read_csv(Path("data/clean/classes.csv"))
    assert described.to_numpy().tolist() == [
        ["benign", "benign", "benign", "nv; my own mole"],
        ["malignant", "malignant", "malignant", "mel; bcc"],
    ]


def test_a_diagnosis_of_no_class(raw: Raw) -> None:
    raw.table["dx"] = ["nv"] * 15 + ["mel"] * 15 + ["df"] * 10
    raw.write()
    mapped = {"classes": {"mel": {"of": ["mel"]}, "mole": {"of": ["nv", "scc"], "nature": "unstated"}}}
    edit_params(raw.folder, clean={**mapped, "max_rejected": 0.01})
    with pytest.raises(UserError, match=r'what becomes of "df" \(10 pictures\). The data has none of: scc'):
        clean.main()
    edit_params(raw.folder, clean={"other_diagnoses": "keep"})
    clean.main()
    kept = read_csv(Path("data/clean/classes.csv")).set_index("label")["nature"]
    assert kept.to_dict() == {"mel": "malignant", "df": "benign", "mole": "unstated"}
    edit_params(raw.folder, clean={"other_diagnoses": "set_aside"})
    clean.main()
    rejects = read_csv(Path("data/clean/rejects.csv"))
    assert set(rejects["reason"]) == {NOT_AMONG}
    assert len(rejects) == 10
    found = json.loads(Path("metrics/data.json").read_text())
    assert found["set_aside"] == 10
    assert "classes_not_in_data" in [warning["key"] for warning in found["warnings"]]


@given(st.lists(st.sampled_from(["nv", "nevus", "MEL", "df", "", "unknown", "my own mole", "other"])), st.data())
def test_each_row_has_a_class_or_a_reason(dx: list[str], data: st.DataObject) -> None:
    rule = data.draw(st.sampled_from(["keep", "set_aside"]))
    classes = data.draw(st.sampled_from([{}, TWO]))
    done = classify(pd.DataFrame({"dx": dx}, dtype=str), params(classes=classes, other_diagnoses=rule))
    assert ((done["label"] == "") != (done["reason"] == "")).all()
    assert ((done["diagnosis"] == "") == (done["reason"] == NO_DIAGNOSIS)).all()
    if not classes or rule == "keep":
        assert NOT_AMONG not in set(done["reason"])
    else:
        assert set(done["label"]) <= {"malignant", "benign", ""}


# Values in one form.


@pytest.mark.parametrize(
    ("written", "age", "status"),
    [
        ("45.0", "45", "given"),
        (" 5 ", "5", "given"),
        ("85+", "85", "given"),
        ("45,5", "45.5", "given"),
        ("120", "120", "given"),
        ("0.0", "", "placeholder"),
        ("", "", "missing"),
        ("Unknown", "", "missing"),
        ("abc", "", "unread"),
        ("200", "", "unread"),
        ("-1", "", "unread"),
        ("inf", "", "unread"),
    ],
)
def test_an_age_is_given_or_says_why_not(written: str, age: str, status: str) -> None:
    done = normalise(table(age=written), "placeholder")
    assert done[["age", "age_status"]].to_numpy().tolist() == [[age, status]]
    lost = unreadable_values(table(age=written))["age"]
    assert lost == ({written: 1} if status == "unread" else {})


def test_zero_may_be_an_age() -> None:
    done = normalise(table(2, age=["0", "0.0"]), "real")
    assert done["age"].tolist() == ["0", "0"]
    assert done["age_status"].tolist() == ["given", "given"]


AGES = st.lists(st.sampled_from(["", "0", "5", "40.0", "85", "abc", "300"]), min_size=1)


@given(AGES, st.sampled_from(["placeholder", "real"]), st.sampled_from(["keep", "mean", "median"]))
def test_filling_touches_no_given_age_and_hides_none(ages: list[str], zero: str, rule: str) -> None:
    before = normalise(table(len(ages), age=ages), zero)
    after = fill_ages(before, rule)
    given = before["age_status"] == "given"
    assert ((before["age"] != "") == given).all()
    assert after[given].equals(before[given])
    filled = after["age_status"] == "filled"
    assert ((after["age"] != "") == (given | filled)).all()
    if rule == "keep" or not given.any():
        assert not filled.any()
    else:
        assert (given | filled).all()
        years = before.loc[given, "age"].astype(float)
        wanted = years.mean() if rule == "mean" else years.median()
        assert after.loc[filled, "age"].astype(float).to_numpy() == pytest.approx(wanted, rel=1e-3)


def test_a_filled_age_is_counted_and_marked(raw: Raw) -> None:
    edit_params(raw.folder, clean={"age_zero": "real", "age_missing": "mean"})
    data, _ = cleaned(raw)
    found = json.loads(Path("metrics/data.json").read_text())
    assert found["ages"] == {"given": 37, "placeholder": 0, "missing": 0, "unread": 0, "filled": 3}
    assert found["ages_filled_with"] == pytest.approx((45 + 0 + 35 * 50) / 37, abs=0.01)
    assert found["unread"]["age"] == {"pictures": 1, "examples": ["abc"]}
    assert (data.loc[data["age_status"] == "filled", "image_id"]).tolist() == ["p01", "p03", "p04"]
    assert "were given 48.51 years, the mean" in Path("reports/data.html").read_text(encoding="utf-8")


@pytest.mark.parametrize(
    ("written", "site"),
    [
        *((site, site) for site in SITES),
        ("unknown", ""),
        ("Posterior torso", "back"),
        ("palms/soles", "acral"),
        ("head/neck", "head and neck"),
        ("oral/genital", "oral or genital"),
        ("Trunk:Posterior trunk:Upper back", "back"),
        ("Trunk:Lateral trunk:Axilla", "lateral trunk"),
        ("Head and neck:Head:Face:Nose", "face"),
        ("Lower extremity:Foot:Toes", "foot"),
        ("left  Big toe", "left big toe"),
    ],
)
def test_sites_have_one_word(written: str, site: str) -> None:
    done = normalise(table(localization=written), "placeholder")
    assert done["site"].tolist() == [site]
    assert unknown_values(done)["site"] == ({site: 1} if site == "left big toe" else {})


def test_sex_confirmation_and_source_have_one_word() -> None:
    written = {
        "sex": ["M", "female", " Woman", "unknown", "??"],
        "dx_type": ["histopathology", "single image expert consensus", "follow_up", "", "a guess"],
        "dataset": ["Rosendahl", "rosendahl", "rosendahl", "MSK  1", "n/a"],
    }
    done = normalise(table(5, **written), "placeholder")
    assert done["sex"].tolist() == ["male", "female", "female", "", ""]
    assert done["dx_type"].tolist() == ["histo", "consensus", "follow_up", "", "a guess"]
    assert done["source"].tolist() == ["rosendahl", "rosendahl", "rosendahl", "MSK 1", ""]
    assert unreadable_values(table(5, **written)) == {"age": {}, "sex": {"??": 1}}
    assert unknown_values(done)["dx_type"] == {"a guess": 1}


# Warnings.


@pytest.mark.parametrize("seed", range(10))
def test_chance_gives_no_warning(seed: int) -> None:
    random = np.random.default_rng(seed)
    width = random.choice([400, 600, 800], 400)
    data = images(
        400,
        dx_type=random.choice(["histo", "consensus"], 400),
        dataset=random.choice(["a", "b", "c", *(f"rare {number}" for number in range(40))], 400),
        localization=random.choice(list(SITES), 400),
        sex=random.choice(["male", "female", ""], 400),
        age=random.choice(["", "0", "40"], 400),
        width=width,
        height=width * 3 // 4,
    )
    assert keys(data) == []
    assert max(uncertainty_coefficients(data).values()) < 0.05


def halves(mel: str, nv: str, rows: int = 400) -> list[str]:
    return [mel, nv] * (rows // 2)


@pytest.mark.parametrize(
    ("column", "values", "key"),
    [
        ("dx_type", halves("histo", "follow_up"), "dx_type_tells_the_diagnosis"),
        (
            "dx_type",
            [*halves("histo", "histo", 200), *halves("histo", "follow_up", 200)],
            "dx_type_tells_the_diagnosis",
        ),
        ("dataset", halves("clinic", "archive"), "source_tells_the_diagnosis"),
        ("localization", halves("back", "face"), "site_tells_the_diagnosis"),
        ("sex", halves("male", ""), "sex_tells_the_diagnosis"),
        ("age", halves("0", "50"), "age_status_tells_the_diagnosis"),
    ],
)
def test_a_column_that_tells_the_diagnosis(column: str, values: list[str], key: str) -> None:
    data = images(400, **{column: values})
    assert keys(data) == [key]
    told = uncertainty_coefficients(data)[key.removesuffix("_tells_the_diagnosis")]
    assert told == 1 if len(set(values)) == 2 and values[1] != values[0] else 0 < told < 1


def test_pictures_of_one_lesion_are_one_case() -> None:
    """Forty pictures of three lesions at one site prove nothing."""
    site = ["face"] * 40 + ["back", "chest"] * 180
    label = ["df"] * 40 + ["mel", "mel", "nv", "nv"] * 90
    three = [f"few {number % 3}" for number in range(40)] + [f"L{number}" for number in range(360)]
    assert keys(images(400, localization=site, lesion_id=three, label=label)) == []
    assert keys(images(400, localization=site, label=label)) == ["site_tells_the_diagnosis"]


def test_what_chance_would_do_is_no_news() -> None:
    """Where 97 of 100 lesions are nevi, 25 nevi at one site are to be expected."""
    label = ["nv"] * 388 + ["mel"] * 12
    site = ["face"] * 25 + ["back"] * 375
    assert keys(images(400, label=label, localization=site)) == ["unequal_classes"]


def test_a_source_without_a_class() -> None:
    dataset = [*halves("a", "a", 200), *halves("a", "b", 100), *["b"] * 100]
    label = [*halves("mel", "nv", 200), *halves("mel", "nv", 100), *["nv", "df"] * 50]
    (warning,) = [w for w in warnings_of(images(400, dataset=dataset, label=label)) if "source" in w.key]
    assert warning.key == "sources_without_classes"
    assert "b has no mel among 150 pictures" in warning.found
    assert "a has no df among 250 pictures" in warning.found


def test_sizes_that_tell_a_class() -> None:
    random = np.random.default_rng(0)
    width = np.where(np.arange(400) % 2, 600, 900) + random.integers(0, 300, 400)
    data = images(400, width=width, height=width * 3 // 4)
    (warning,) = [w for w in warnings_of(data) if w.key != "few_lesions"]
    assert warning.key == "sizes_differ_by_class"
    assert "mel 1.00, nv 1.00" in warning.found


def test_classes_of_few_lesions_and_unequal_ones() -> None:
    label = ["nv"] * 360 + ["mel"] * 30 + ["df"] * 10
    lesions = [f"L{number // 2}" for number in range(400)]
    found = {w.key: w.found for w in warnings_of(images(400, label=label, lesion_id=lesions))}
    assert found["few_lesions"] == "2 classes with fewer than 50 lesions: mel 15, df 5."
    assert "nv has 360 pictures, df 10" in found["unequal_classes"]
    assert "right in 90.0% of all cases" in found["unequal_classes"]


def test_lesions_that_are_not_named_or_have_two_classes() -> None:
    assert keys(images(400, lesion_id="")) == ["no_lesion_or_patient_ids"]
    assert keys(images(400, lesion_id="", patient_id=[f"P{number}" for number in range(400)])) == []
    assert keys(images(400, lesion_id=["", *(f"L{number}" for number in range(399))])) == ["no_lesion_or_patient_ids"]
    assert keys(images(400, lesion_id=["L", "L", *(f"L{number}" for number in range(398))])) == [
        "lesions_of_two_classes"
    ]


def test_what_a_column_tells_depends_on_neither_order_nor_copies() -> None:
    random = np.random.default_rng(0)
    data = images(300, dx_type=random.choice(["histo", "consensus", ""], 300), lesion_id=np.arange(300).astype(str))
    told = uncertainty_coefficients(data)
    assert uncertainty_coefficients(data.sample(frac=1, random_state=1)) == told
    assert uncertainty_coefficients(pd.concat([data, data.head(100)])) == told
    assert uncertainty_coefficients(images(300, dataset=[f"{number}" for number in range(300)]))["source"] == 0


# The report.


class Page(HTMLParser):
    """What a page would load, its pictures, and its words."""

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


def test_the_report_says_it_all_and_needs_nothing(raw: Raw) -> None:
    raw.members["pictures/p01.jpg"] = b""
    raw.members["pictures/p02.jpg"] = b"a text file"
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
        with Image.open(io.BytesIO(base64.b64decode(address.removeprefix("data:image/").partition(",")[2]))) as picture:
            picture.load()
    for words in (
        "37 pictures of 20 lesions in 2 classes can be used; 3 were set aside",
        REASONS["empty file"],
        REASONS["no diagnosis"],
        "The data says where a picture was taken in one word: the <b>only</b> clinic.",
        'Examples of ages that cannot be read: "abc".',
        "Source: drawn for <this> test. Licence: none.",
        *(warning["found"] for warning in found["warnings"]),
        *(warning["advice"] for warning in found["warnings"]),
    ):
        assert words in page.words
    assert not re.search(r"\b(nan|None|Series|dtype|<NA>)\b", page.words)


def reported(data: pd.DataFrame, folder: Path) -> bytes:
    """Write the report of this data and return the page."""
    classes = class_table(data, params())
    rejected = pd.DataFrame(columns=["image_id", "archive", "member", "reason"], dtype=str)
    data = data.assign(near_duplicate_id="")
    pairs = pd.DataFrame({"lesion_id_one": [], "lesion_id_other": []}, dtype=str)
    summary = summarise(data, rejected, pairs, classes, uncertainty_coefficients(data), {"age": {}, "sex": {}}, [])
    sheet = folder / "sheet.jpg"
    views = list(draw_views(data))
    Image.new("RGB", (64, 64)).save(sheet)
    write_report(folder / "data.html", data, rejected, classes, summary, params(), {"source": "x"}, views, sheet, sheet)
    return (folder / "data.html").read_bytes()


ODD: dict[str, object] = {
    "label": ["$\\frac$", "_a", "कि", "x" * 200, *(f"class {number}" for number in range(6))] * 4,
    "dataset": ["_$x^", "a}", *(f"camera {number}" for number in range(18))] * 2,
    "localization": [f"site {number}" for number in range(40)],
    "sex": "female",
    "age": ["0", "40"] * 20,
    "width": list(range(100, 140)),
    "height": 100,
}


@pytest.mark.parametrize("left_out", [(), ("label", "dataset", "age"), ("sex", "localization", "width", "height")])
def test_any_data_gives_a_report_and_the_same_one_again(tmp_path: Path, left_out: tuple[str, ...]) -> None:
    data = images(40, **{column: values for column, values in ODD.items() if column not in left_out})
    assert reported(data, tmp_path) == reported(data, tmp_path)


def test_a_view_without_anything_to_show_is_left_out() -> None:
    def drawn(**columns: object) -> set[str]:
        return {view.key for view, png in draw_views(images(40, **columns)) if Image.open(io.BytesIO(png)).width > 500}

    assert drawn(lesion_id="") == {"diagnosis"}
    everything = {
        "dx_type": halves("histo", "", 40),
        "dataset": halves("a", "b", 40),
        "width": np.arange(40) + 500,
        "height": 400,
        "age": "50",
        "sex": halves("male", "female", 40),
        "localization": halves("back", "", 40),
    }
    assert drawn(**everything) == {view.key for view in VIEWS} - {"age"}
    assert drawn(**{**everything, "age": halves("0", "50", 40)}) == {view.key for view in VIEWS}


def test_the_documentation_explains_every_reason_and_warning() -> None:
    section = AUDIT.partition("## What a reason")[2]
    assert all(words in section for words in REASONS)
    source = (ROOT / "lesions/audit/bias_checks.py").read_text()
    named = re.findall(r'Finding\("(\w+)"', source)
    assert len(named) >= 7
    assert all(f"`{key}`" in AUDIT for key in named)
