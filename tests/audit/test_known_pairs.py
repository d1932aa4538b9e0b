"""Images that are known to show one lesion under two ids: one group, named, and warned of where they disagree."""

import pandas as pd

from lesions.audit.groups import group_ids
from lesions.audit.known_pairs import PAIRS, REASON, known_pair_ids, with_known_pairs
from tests.audit.tables import images, warnings_of

ONE, OTHER = PAIRS[0]
FOUND, FOUND_OTHER = PAIRS[1]


def test_pairs_are_those_of_the_paper() -> None:
    assert len(PAIRS) == 18
    assert len({image_id for pair in PAIRS for image_id in pair}) == 36
    assert ("ISIC_0027027", "ISIC_0029036") in PAIRS


def test_both_images_of_a_pair_are_one_group() -> None:
    ids = pd.Series([OTHER, "mine", PAIRS[2][0], ONE])
    table = pd.DataFrame({"image_id": ids, "lesion_id": ["1", "2", "3", "4"], "known_pair_id": known_pair_ids(ids)})
    assert list(table["known_pair_id"]) == [ONE, "", PAIRS[2][0], ONE]
    assert list(group_ids(table)) == [ONE, "mine", PAIRS[2][0], ONE]


def test_known_pairs_stand_among_the_duplicates() -> None:
    held = [ONE, OTHER, FOUND, FOUND_OTHER, "x", "y", PAIRS[2][0]]
    table = pd.DataFrame({"image_id": held, "label": "nv", "lesion_id": [f"L{number}" for number in range(7)]})
    rows = [
        (FOUND, FOUND_OTHER, 0.5, "near-duplicate", "nv", "L2", "nv", "L3"),
        ("x", "y", 1.0, "same bytes", "nv", "L4", "nv", "L5"),
    ]
    columns = ["one", "other", "similarity", "reason", "label_one", "lesion_id_one", "label_other", "lesion_id_other"]
    duplicates = pd.DataFrame(rows, columns=columns)
    pairs = with_known_pairs(duplicates, table)
    assert list(pairs.columns) == columns
    found = pairs[["one", "reason", "lesion_id_other"]].head(2).to_numpy().tolist()
    assert sorted(found) == sorted([[ONE, REASON, "L1"], [FOUND, REASON, "L3"]])
    similarity = pairs.set_index("one")["similarity"]
    assert pd.isna(similarity[ONE])
    assert (similarity[FOUND], similarity["x"]) == (0.5, 1)
    assert list(with_known_pairs(duplicates, table[4:])["one"]) == list(duplicates["one"])
    assert list(with_known_pairs(duplicates[:0], table[:2])["one"]) == [ONE]


def test_two_diagnoses_of_a_known_pair_are_a_warning() -> None:
    pair = {"image_id": [ONE, OTHER], "known_pair_id": ONE}
    assert "lesions_of_two_classes" not in {warning.key for warning in warnings_of(images(2))}
    (found,) = [warning for warning in warnings_of(images(2).assign(**pair)) if warning.key == "lesions_of_two_classes"]
    assert found.found == f"1 lesion with images of more than one class ({ONE}: mel and nv)."
