"""The leakage experiment: two splits that differ in the other images of test lesions alone, whatever the table."""

import pandas as pd
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from lesions.core.errors import UserError
from lesions.sampling.leakage_experiment import LEAK, drop_same_lesion, leak_same_lesion
from lesions.sampling.split import LEFT_OUT, n_groups_in_two_splits, stratified_group_split
from stages import split
from tests.sampling.test_split import FRACTIONS, one_diagnosis_a_group
from tests.stages.test_split import folder as folder  # noqa: PLC0414 - the fixture
from tests.stages.test_split import images_table, run_split


def arms(table: pd.DataFrame, seed: int) -> tuple[pd.Series, pd.Series]:
    try:
        return drop_same_lesion(table, seed), leak_same_lesion(table, seed)
    except UserError:
        assume(False)
        raise


@given(one_diagnosis_a_group(), st.integers(0, 100))
def test_two_arms_differ_in_leaked_images_only(table: pd.DataFrame, seed: int) -> None:
    table["split"] = stratified_group_split(table, FRACTIONS, seed)
    withheld, injected = arms(table, seed)
    in_test = table["split"] == "test"
    for splits in (withheld, injected):
        assert (splits == "val").equals(table["split"] == "val")
        assert (splits == "test").equals(withheld == "test")
        assert set(table.loc[splits == "test", "group_id"]) == set(table.loc[in_test, "group_id"])
        assert not table.loc[splits == "test", "group_id"].duplicated().any()
        counts = table["label"][splits == "train"].value_counts()
        assert counts.equals(table.loc[table["split"] == "train", "label"].value_counts().reindex(counts.index))
        assert (splits == LEFT_OUT).sum() == in_test.sum() - (splits == "test").sum()
    others = in_test & (withheld != "test")
    assert (withheld[others] == LEFT_OUT).all()
    assert (injected[others] == "train").all()
    assert n_groups_in_two_splits(table.assign(split=withheld), "group_id") == 0
    assert n_groups_in_two_splits(table.assign(split=injected), "group_id") == table.loc[others, "group_id"].nunique()
    mixed = table.sample(frac=1, random_state=seed)
    assert arms(mixed, seed)[1].sort_index().equals(injected)


def test_stage_names_and_counts_the_leak(capsys: pytest.CaptureFixture[str]) -> None:
    apart, plain = run_split(images_table())
    assert "same_lesion" not in plain
    withheld, withheld_report = run_split(images_table(), same_lesion="withheld")
    injected, injected_report = run_split(images_table(), same_lesion="injected")
    assert set(withheld["leakage"]) == {"none"}
    assert set(injected["leakage"]) == {LEAK}
    assert withheld_report["test"]["seen_in_train"] == withheld_report["groups_in_two_splits"] == 0
    tests = (withheld["split"] == "test").sum()
    with_others = injected_report["same_lesion"]["of_test_images"]
    assert injected_report["test"]["seen_in_train"] == pytest.approx(with_others / tests, abs=6e-5)
    assert (
        with_others == injected_report["groups_in_two_splits"] == injected_report["same_lesion"]["images"] > 5
    )  # pairs in these tables
    assert {**injected_report["same_lesion"], "became": "withheld"} == withheld_report["same_lesion"]
    assert withheld_report["train"]["images_by_class"] == injected_report["train"]["images_by_class"]
    assert plain["train"]["images_by_class"] == withheld_report["train"]["images_by_class"]
    assert (apart["split"] == "test").sum() == tests + injected_report["same_lesion"]["images"]
    printed = capsys.readouterr().out
    assert f"{with_others} test images share their lesion with others: {with_others}, left out." in printed
    assert f"WARNING: {LEAK}" in printed


def test_leakage_experiment_with_folds() -> None:
    result, audit = run_split(images_table(), same_lesion="injected", folds=5, fold=2)
    assert set(result["leakage"]) == {LEAK}
    assert (result["fold"][result["split"] == "test"] == "2").all()
    assert audit["val"]["seen_in_train"] == 0


def test_impossible_exchange_is_refused() -> None:
    rows = [
        ("a1", "a", "mel", "test"),
        ("a2", "a", "nv", "test"),
        ("b1", "b", "mel", "test"),
        ("t1", "t", "nv", "train"),
    ]
    table = pd.DataFrame(rows, columns=["image_id", "group_id", "label", "split"])
    seed = next(seed for seed in range(50) if gone(table, seed))
    with pytest.raises(UserError, match=r"then of nv there is none.*Try another split\.seed"):
        drop_same_lesion(table, seed)
    many = pd.DataFrame([(f"a{n}", "a", "nv", "test") for n in range(4)], columns=table.columns)
    with pytest.raises(UserError, match=r"of nv there are 3 images of lesions in test, and 1 training images"):
        leak_same_lesion(pd.concat([many, table.tail(1)], ignore_index=True), 1)
    with pytest.raises(UserError, match="same_lesion is injected, which is made of a grouped split"):
        run_split(images_table(), method="image", same_lesion="injected")


def gone(table: pd.DataFrame, seed: int) -> bool:
    try:
        return not (drop_same_lesion(table, seed) == "test").any()
    except UserError:
        return True


def test_card_names_the_leakage_experiment() -> None:
    from lesions.reporting.common.templates import ENVIRONMENT, one_line

    split_words = ENVIRONMENT.get_template("reporting/card/sentences.md.jinja").module.split_words  # type: ignore[attr-defined]
    _, audit = run_split(images_table(), same_lesion="injected")
    assert "the others were put into train, in exchange for as many training images" in one_line(split_words(audit, {}))
    assert "the others" not in split_words(run_split(images_table())[1], {})
    assert split.OUT.is_file()
