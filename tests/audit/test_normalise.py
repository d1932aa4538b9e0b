"""Values in one form."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lesions.audit.normalise import fill_ages, normalise, unknown_values, unreadable_values
from lesions.taxonomy import SITES
from tests.audit.tables import table
from tests.conftest import edit_params
from tests.stages.test_clean import Raw, cleaned
from tests.stages.test_clean import raw as raw  # noqa: PLC0414 - the fixture


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
def test_age_status(written: str, age: str, status: str) -> None:
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
def test_fill_ages_keeps_given_ages(ages: list[str], zero: str, rule: str) -> None:
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


def test_filled_ages_are_counted(raw: Raw) -> None:
    edit_params(raw.folder, clean={"age_zero": "real", "impute_age": "mean"})
    data, _ = cleaned(raw)
    found = json.loads(Path("metrics/data.json").read_text())
    assert found["ages"] == {"given": 37, "placeholder": 0, "missing": 0, "unread": 0, "filled": 3}
    assert found["ages_filled_with"] == pytest.approx((45 + 0 + 35 * 50) / 37, abs=0.01)
    assert found["unread"]["age"] == {"images": 1, "examples": ["abc"]}
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
def test_sites_are_normalised(written: str, site: str) -> None:
    done = normalise(table(localization=written), "placeholder")
    assert done["site"].tolist() == [site]
    assert unknown_values(done)["site"] == ({site: 1} if site == "left big toe" else {})


def test_sex_confirmation_and_source_are_normalised() -> None:
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
