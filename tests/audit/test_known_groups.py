"""`clean.known_groups`: images that a person joins are one group, and a wrong table stops with what is wrong."""

from pathlib import Path

import pandas as pd
import pytest

from lesions.audit.groups import group_ids
from lesions.audit.known_groups import known_group_ids, unmatched_images
from lesions.core.errors import UserError
from lesions.core.params import NO_FILE

IDS = pd.Series(["b", "a", "c", "d", "e"])


@pytest.fixture
def table(tmp_path: Path) -> Path:
    return tmp_path / "known_groups.csv"


def test_images_of_a_group_stay_together(table: Path) -> None:
    table.write_text("image_id,group\nb,lesion 7\nc,lesion 7\n")
    found = known_group_ids(IDS, str(table))
    assert found.tolist() == ["b", "", "b", "", ""]
    images = pd.DataFrame({"image_id": IDS, "known_group_id": found, "lesion_id": ["", "L1", "L1", "", ""]})
    assert group_ids(images).tolist() == ["a", "a", "a", "d", "e"]


def test_groups_that_share_an_image_are_one(table: Path) -> None:
    """As lines of several pairs are pasted; also over an image that the data no longer holds."""
    table.write_text("\ufeffimage_id, group\nb,b\nc,b\n\nc,c\ngone,c\ngone,x\nd, x\n", encoding="utf-8")
    assert known_group_ids(IDS, str(table)).tolist() == ["b", "", "b", "b", ""]


def test_without_a_table_there_is_none() -> None:
    assert known_group_ids(IDS, NO_FILE).tolist() == [""] * 5
    assert unmatched_images(NO_FILE, IDS) == []


def test_images_that_the_data_does_not_hold_are_named(table: Path) -> None:
    table.write_text("image_id,group\nb,1\nb.jpg,1\n=x,1\n")
    (warning,) = unmatched_images(str(table), IDS)
    assert warning.key == "known_groups_without_image"
    assert warning.found.endswith("names 2 images that the data does not hold: '=x, b.jpg.")


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "has no line; expected image_id and group"),
        (b"image_id,group\n\xff,1\n", "is no CSV table in UTF-8"),
        (b"image_id,group\na,1,2,3\nb\n", "line 3: expected an image_id and its group, found 'b' and ''"),
        (b"image_id;group\na;1\n", "has the columns image_id;group; expected image_id and group, with a comma"),
        (b"a,1\nb,1\n", "has the columns a, 1; expected image_id and group"),
        (b"image_id,group\na,1\nb,\n", "line 3: expected an image_id and its group, found 'b' and ''"),
    ],
)
def test_wrong_table_stops_with_a_sentence(table: Path, content: bytes, words: str) -> None:
    table.write_bytes(content)
    with pytest.raises(UserError, match=r"known_groups\.csv \(clean\.known_groups\)") as stopped:
        known_group_ids(IDS, str(table))
    assert words in str(stopped.value)
