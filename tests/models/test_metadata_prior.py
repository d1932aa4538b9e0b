"""The metadata prior: Bayes's rule on counted lesions, and no change where nothing is known."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lesions.core.errors import UserError
from lesions.models.calibration import patient_input
from lesions.models.calibration.metadata_prior import (
    FIELDS,
    MetadataPrior,
    apply_prior,
    fit_prior,
    values,
)

CLASSES = ["mel", "nv"]


def images(**columns: list[str]) -> pd.DataFrame:
    """Rows of images.csv, each of its own group by default."""
    number = len(next(iter(columns.values())))
    empty = {field: [""] * number for field in FIELDS}
    rows = range(number)
    groups = {
        "lesion_id": [f"l{row}" for row in rows],
        "group_id": [f"g{row}" for row in rows],
        "age_status": ["given"] * number,
    }
    return pd.DataFrame(groups | empty | columns, dtype=str)


def train() -> pd.DataFrame:
    """400 melanomas, mostly of old men, and 800 nevi, mostly of young women."""
    return images(
        label=["mel"] * 400 + ["nv"] * 800,
        sex=["male"] * 300 + ["female"] * 100 + ["male"] * 200 + ["female"] * 600,
        age=["72"] * 400 + ["24"] * 800,
        site=["face", "back"] * 600,
    )


def test_bayes_rule_by_hand() -> None:
    """Worked by hand: of 400 and 800 lesions, 300 and 200 are men's; 20 lesions of the mean patient are added."""
    found = fit_prior(train(), CLASSES)
    men = 500 / 1200
    expected = [np.log((300 + 20 * men) / 420 / men), np.log((200 + 20 * men) / 820 / men)]
    assert found.sex["male"] == pytest.approx(expected, abs=1e-3)
    assert found.site["head and neck"] == pytest.approx([0, 0], abs=1e-3)
    before = np.array([[0.5, 0.5]])
    after = apply_prior(before, found.log_ratios(images(sex=["male"])))
    odds = np.exp(expected[0] - expected[1])
    assert after[0, 0] == pytest.approx(odds / (1 + odds), abs=1e-3)


def test_independent_columns_multiply() -> None:
    found = fit_prior(train(), CLASSES)
    both = found.log_ratios(images(sex=["male"], age=["70"]))
    assert both == pytest.approx(
        found.log_ratios(images(sex=["male"])) + found.log_ratios(images(age=["70"])), abs=1e-12
    )


def test_rare_class_is_not_ruled_out() -> None:
    few = images(label=["mel"] * 3 + ["nv"] * 500, site=["back"] * 253 + ["foot"] * 250)
    ratio = fit_prior(few, CLASSES).site["hand or foot"][0]
    assert np.log(0.5) < ratio < 0


def test_images_of_one_lesion_count_once() -> None:
    once = train()
    often = pd.concat([once, *[once.head(100)] * 9])
    assert fit_prior(often, CLASSES) == fit_prior(once, CLASSES)
    # Where the data name no lesions, what was found to belong together counts once for each diagnosis.
    assert fit_prior(often.assign(lesion_id=""), CLASSES) == fit_prior(once, CLASSES)


def test_all_lesions_of_a_patient_count() -> None:
    """Else one with a melanoma among thirty nevi would be a patient of nevi alone."""
    of_one = train().assign(group_id="patient")
    assert fit_prior(of_one, CLASSES) == fit_prior(train(), CLASSES)


def test_order_of_rows_changes_nothing() -> None:
    assert fit_prior(train().sample(frac=1, random_state=1), CLASSES) == fit_prior(train(), CLASSES)


def test_filled_age_is_unknown() -> None:
    rows = images(age=["72", "72"], age_status=["given", "filled"])
    assert list(values(rows)["age"]) == ["70", ""]
    ratios = fit_prior(train(), CLASSES).log_ratios(rows)
    assert ratios[0].any()
    assert not ratios[1].any()


def test_regions_of_sites() -> None:
    words = ["back", "trunk", "anterior trunk", "face", "head and neck", "acral", "foot", "somewhere", ""]
    assert list(values(images(site=words))["site"]) == [
        *["trunk"] * 3,
        *["head and neck"] * 2,
        *["hand or foot"] * 2,
        "somewhere",
        "",
    ]
    found = fit_prior(train(), CLASSES)
    assert not found.log_ratios(images(site=["somewhere", "oral or genital"])).any()


@given(
    probabilities=st.lists(st.floats(0.01, 1), min_size=2, max_size=2),
    age=st.sampled_from(["", "0", "5", "33.5", "72", "119"]),
    sex=st.sampled_from(["", "female", "male"]),
    site=st.sampled_from(["", "back", "face", "oral or genital"]),
)
def test_unknown_metadata_changes_no_bit(probabilities: list[float], age: str, sex: str, site: str) -> None:
    found = fit_prior(train(), CLASSES)
    before = np.array([probabilities], np.float32) / np.float32(sum(probabilities))
    rows = images(age=[age, ""], sex=[sex, ""], site=[site, ""])
    after = apply_prior(np.repeat(before, 2, axis=0), found.log_ratios(rows))
    assert after[0].sum() == pytest.approx(1)
    assert (after >= 0).all()
    assert (after[1] == before[0]).all()
    inactive = apply_prior(before, MetadataPrior(classes=CLASSES).log_ratios(rows[:1]))
    assert inactive.tobytes() == before.tobytes()


def test_file_is_read_back(tmp_path: Path) -> None:
    found = fit_prior(train(), CLASSES)
    found.save(tmp_path)
    assert MetadataPrior.load(tmp_path) == found
    content = json.loads((tmp_path / MetadataPrior.FILE).read_text())
    (tmp_path / MetadataPrior.FILE).write_text(json.dumps(content | {"sex": {"male": [1.0]}}))
    with pytest.raises(UserError, match=r"expected one number per class.*dvc checkout"):
        MetadataPrior.load(tmp_path)


@pytest.mark.parametrize(
    ("given", "known"),
    [
        (("55", "F", "Posterior torso"), {"age": "55", "sex": "female", "site": "back"}),
        (("", "man", ""), {"age": "", "sex": "male", "site": ""}),
        (("", " ", ""), {}),
        ((55, None, None), {"age": "55", "sex": "", "site": ""}),
        ((None, float("nan"), ""), {}),
    ],
)
def test_input_is_normalised(given: tuple[str | float | None, ...], known: dict[str, str]) -> None:
    assert patient_input.read(dict(zip(FIELDS, given, strict=True)), fit_prior(train(), CLASSES)) == known


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (("old", "", ""), "age old: expected years from 0 to 120"),
        (("nan", "", ""), "expected years"),
        (("5_5", "", ""), "age 5_5: expected years"),
        (("121", "", ""), "expected years"),
        (("-1", "", ""), "expected years"),
        (("", "x", ""), "sex x is not known; known: female, male"),
        (("", "", "bakc"), 'site bakc is not known; did you mean "back"'),
    ],
)
def test_unknown_input_is_refused(given: tuple[str, str, str], message: str) -> None:
    with pytest.raises(UserError, match=message):
        patient_input.read(dict(zip(FIELDS, given, strict=True)), fit_prior(train(), CLASSES))


@pytest.mark.parametrize(("name", "message"), [("Age", 'did you mean "age"'), ("gender", "known: age, sex, site")])
def test_unknown_name_of_metadata_is_refused(name: str, message: str) -> None:
    with pytest.raises(UserError, match=f"metadata: {name} is not known; {message}"):
        patient_input.read({name: "55"}, fit_prior(train(), CLASSES))


def test_inactive_prior_takes_no_metadata() -> None:
    with pytest.raises(UserError, match="uses the image alone"):
        patient_input.read({"age": "55"}, MetadataPrior(classes=CLASSES))
