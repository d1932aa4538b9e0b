"""Warnings that are true."""

import numpy as np
import pandas as pd
import pytest

from lesions.audit.associations import uncertainty_coefficients
from lesions.taxonomy import SITES
from tests.audit.tables import images, keys, warnings_of


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
def test_column_that_tells_the_diagnosis(column: str, values: list[str], key: str) -> None:
    data = images(400, **{column: values})
    assert keys(data) == [key]
    coefficient = uncertainty_coefficients(data)[key.removesuffix("_tells_the_diagnosis")]
    assert coefficient == 1 if len(set(values)) == 2 and values[1] != values[0] else 0 < coefficient < 1


def test_one_lesion_is_one_case() -> None:
    """Forty images of three lesions at one site prove nothing."""
    site = ["face"] * 40 + ["back", "chest"] * 180
    label = ["df"] * 40 + ["mel", "mel", "nv", "nv"] * 90
    three = [f"few {number % 3}" for number in range(40)] + [f"L{number}" for number in range(360)]
    assert keys(images(400, localization=site, lesion_id=three, label=label)) == []
    assert keys(images(400, localization=site, label=label)) == ["site_tells_the_diagnosis"]


def test_chance_is_no_finding() -> None:
    """Where 97 of 100 lesions are nevi, 25 nevi at one site are to be expected."""
    label = ["nv"] * 388 + ["mel"] * 12
    site = ["face"] * 25 + ["back"] * 375
    assert keys(images(400, label=label, localization=site)) == ["unequal_classes"]


def test_source_without_a_class() -> None:
    dataset = [*halves("a", "a", 200), *halves("a", "b", 100), *["b"] * 100]
    label = [*halves("mel", "nv", 200), *halves("mel", "nv", 100), *["nv", "df"] * 50]
    (warning,) = [w for w in warnings_of(images(400, dataset=dataset, label=label)) if "source" in w.key]
    assert warning.key == "sources_without_classes"
    assert "b has no mel among 150 images" in warning.found
    assert "a has no df among 250 images" in warning.found


def test_sizes_that_tell_a_class() -> None:
    random = np.random.default_rng(0)
    width = np.where(np.arange(400) % 2, 600, 900) + random.integers(0, 300, 400)
    data = images(400, width=width, height=width * 3 // 4)
    (warning,) = [w for w in warnings_of(data) if w.key != "few_lesions"]
    assert warning.key == "sizes_differ_by_class"
    assert "mel 1.00, nv 1.00" in warning.found


def test_few_lesions_and_imbalance() -> None:
    label = ["nv"] * 360 + ["mel"] * 30 + ["df"] * 10
    lesions = [f"L{number // 2}" for number in range(400)]
    found = {w.key: w.found for w in warnings_of(images(400, label=label, lesion_id=lesions))}
    assert found["few_lesions"] == "2 classes with fewer than 50 lesions: mel 15, df 5."
    assert "nv has 360 images, df 10" in found["unequal_classes"]
    assert "right in 90.0% of all cases" in found["unequal_classes"]


def test_missing_ids_and_lesions_of_two_classes() -> None:
    assert keys(images(400, lesion_id="")) == ["no_lesion_or_patient_ids"]
    assert keys(images(400, lesion_id="", patient_id=[f"P{number}" for number in range(400)])) == []
    assert keys(images(400, lesion_id=["", *(f"L{number}" for number in range(399))])) == ["no_lesion_or_patient_ids"]
    assert keys(images(400, lesion_id=["L", "L", *(f"L{number}" for number in range(398))])) == [
        "lesions_of_two_classes"
    ]


def test_duplicates_that_stay_under_two_classes() -> None:
    duplicates = [*["a"] * 2, *["b"] * 2, *[""] * 396]
    labels = ["mel", "nv", "nv", "nv", *halves("mel", "nv", 396)]
    named = images(400, near_duplicate_id=duplicates, label=labels)
    (found,) = [one for one in warnings_of(named) if one.key == "duplicates_of_two_classes"]
    assert found.found.startswith("2 images have a duplicate under another diagnosis")
    assert "duplicates_of_two_classes" not in keys(named.assign(label=["nv"] * 4 + labels[4:]))


def test_uncertainty_coefficients_ignore_order_and_duplicates() -> None:
    random = np.random.default_rng(0)
    data = images(300, dx_type=random.choice(["histo", "consensus", ""], 300), lesion_id=np.arange(300).astype(str))
    coefficients = uncertainty_coefficients(data)
    assert uncertainty_coefficients(data.sample(frac=1, random_state=1)) == coefficients
    assert uncertainty_coefficients(pd.concat([data, data.head(100)])) == coefficients
    assert uncertainty_coefficients(images(300, dataset=[f"{number}" for number in range(300)]))["source"] == 0


def test_classes_of_unknown_malignancy() -> None:
    named = images(60, label=np.resize(["nv", "melanoma nos"], 60), diagnosis=np.resize(["nv", "melanoma nos"], 60))
    assert keys(named)[:2] == ["melanoma_unstated", "no_malignant_class"]
    two = images(60, label=np.resize(["malignant", "benign"], 60), diagnosis=np.resize(["malignant", "benign"], 60))
    assert not {"melanoma_unstated", "no_malignant_class"} & set(keys(two))


def test_class_of_malignant_and_benign_diagnoses() -> None:
    diagnosis = np.resize(["mel", "nv", "bcc", "nv"], 400)
    label = np.where(diagnosis == "mel", "mel", "rest")
    found = next(
        warning for warning in warnings_of(images(400, label=label, diagnosis=diagnosis)) if "made of" in warning.found
    )
    assert found.key == "malignant_with_benign"
    assert "rest of bcc (malignant) and nv (benign)" in found.found


def test_collections_are_compared_as_sources_are() -> None:
    data = images(400, collection=halves("a", "b"))
    assert keys(data) == ["collection_tells_the_diagnosis", "collections_without_classes"]
    assert "a has no nv; b has no mel" in warnings_of(data)[1].found
