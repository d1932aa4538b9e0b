"""Source `folder`: three layouts, recognised by the files in the folder; and tables read as text."""

import csv
import io
import os
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from lesions.core.errors import UserError
from lesions.params.download import Download
from lesions.sources.common.metadata_table import check_table, read_table
from lesions.sources.common.raw_data import Fetched
from lesions.sources.folder.class_folders import unique_ids
from lesions.sources.folder.fetch import fetch

Fetch = Callable[[], Fetched]


def image(shade: int) -> bytes:
    buffer = io.BytesIO()
    Image.new("RGB", (4, 3), (shade, 0, 0)).save(buffer, "JPEG")
    return buffer.getvalue()


def put(path: Path, content: bytes | str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def put_archive(path: Path, members: dict[str, bytes]) -> Path:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return put(path, buffer.getvalue())


def named(folder: Path) -> Download:
    """Return parameters with this folder; the source looks at nothing else."""
    values: dict[str, Any] = {"folder": str(folder)}
    return Download.model_construct(**values)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / "incoming"
    made.mkdir()
    return made


@pytest.fixture
def raw(tmp_path: Path) -> Path:
    made = tmp_path / "raw"
    made.mkdir()
    return made


@pytest.fixture
def fetched(folder: Path, raw: Path) -> Fetch:
    return lambda: fetch(named(folder), raw)


def columns(table: pd.DataFrame, *names: str) -> list[list[str]]:
    return [[str(value) for value in row] for row in table[list(names)].to_numpy()]


def packed(raw: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(raw / "images.zip") as archive:
        return {name: archive.read(name) for name in archive.namelist()}


# HAM10000's layout


def test_archives_and_table_are_unchanged(folder: Path, raw: Path, fetched: Fetch) -> None:
    part_1 = put_archive(folder / "part_1.zip", {"a.jpg": image(1), "../../x.jpg": b""})
    put_archive(folder / "deeper" / "part_2.ZIP", {"b.jpg": b"no image"})
    put_archive(folder / "no_images.zip", {"masks.txt": b""})
    put(folder / "HAM10000_metadata", "lesion_id,image_id,dx,age,fold\nL1,a,mel,80.0,1\nL2,b,,,2\n")
    put(folder / "README", "image_id, as dx says")
    put(folder / "__MACOSX" / "x.csv", "image_id,dx\n")
    put(folder / ".hidden.csv", "image_id,dx\n")
    result = fetched()
    assert list(result.table) == ["lesion_id", "image_id", "dx", "age"]
    assert columns(result.table, "image_id", "dx", "age") == [["a", "mel", "80.0"], ["b", "", ""]]
    assert sorted(path.name for path in raw.iterdir()) == ["part_1.zip", "part_2.ZIP"]
    assert (raw / "part_1.zip").read_bytes() == part_1.read_bytes()
    assert result.provenance["layout"] == "HAM10000"
    assert [file["name"] for file in result.provenance["files"]] == [
        "part_1.zip",
        "part_2.ZIP",
        "HAM10000_metadata",
    ]
    assert str(folder) not in str(result.provenance)


def test_layout_is_printed(folder: Path, fetched: Fetch, capsys: pytest.CaptureFixture[str]) -> None:
    put_archive(folder / "a.zip", {"a.jpg": b""})
    put(folder / "b.jpg", b"")
    put(folder / "table.csv", "image_id,dx\na,mel\nb,nv\n")
    fetched()
    line = capsys.readouterr().out
    assert line.count("\n") == 1
    for word in ("HAM10000", "1 archives", "1 loose images", "2 rows", "2 diagnoses"):
        assert word in line


def test_columns_in_any_case(folder: Path, fetched: Fetch) -> None:
    put(folder / "a.jpg", b"")
    put(folder / "t.csv", "\ufeff DX ;Image_ID; Split;patient_id\r\nNevus; a ;Validation;P1\r\nNA;b;2;\r\n")
    table = fetched().table
    assert list(table) == ["image_id", "dx", "patient_id", "split"]
    assert columns(table, "image_id", "dx", "split") == [["a", "Nevus", "val"], ["b", "NA", "2"]]


@pytest.mark.parametrize(
    "name",
    ["lesion id", "lesionid", "Lesion-ID", "LESION.ID", "\u200blesion_id", "\ufeff\ufefflesion_id", "lesion_id\u00a0"],
)
def test_column_that_nearly_has_a_known_name(folder: Path, fetched: Fetch, name: str) -> None:
    put(folder / "a.jpg", b"")
    put(folder / "t.csv", f"{name},image_id,dx\nL1,a,mel\nL2,b,nv\n")
    assert columns(fetched().table, "image_id", "lesion_id") == [["a", "L1"], ["b", "L2"]]


def test_column_under_two_names(folder: Path, fetched: Fetch) -> None:
    put(folder / "a.jpg", b"")
    put(folder / "t.csv", "lesion_id,lesion id,image_id,dx\nL1,L2,a,mel\n,,b,nv\n")
    stops(fetched, "more than one column called lesion_id")


def test_loose_images_are_packed_unchanged(folder: Path, raw: Path, fetched: Fetch) -> None:
    for name in ("z/b.JPG", "a.png", "z/a:b .tif"):
        put(folder / name, name)
    put(folder / "z" / "notes.txt", "image_id\n")
    put(folder / "t.csv", "image_id,dx\na,mel\n")
    fetched()
    assert list(packed(raw).items()) == [
        ("a.png", b"a.png"),
        ("z/a_b .tif", b"z/a:b .tif"),
        ("z/b.JPG", b"z/b.JPG"),
    ]


def test_same_image_twice_is_packed_once(folder: Path, raw: Path, fetched: Fetch) -> None:
    # As in Kaggle's HAM10000, where the same folders stand in capitals and in small letters.
    put_archive(folder / "part_1.zip", {"a.jpg": image(1)})
    put(folder / "part_1" / "a.jpg", image(1))
    put(folder / "part_2" / "b.jpg", image(2))
    put(folder / "PART_2" / "b.jpg", image(2))
    put(folder / "t.csv", "image_id,dx\na,mel\nb,nv\n")
    fetched()
    assert list(packed(raw)) == ["PART_2/b.jpg"]


@pytest.mark.parametrize("archived", [False, True])
def test_two_different_images_of_one_name(folder: Path, fetched: Fetch, archived: bool) -> None:
    put(folder / "x" / "a.jpg", image(1))
    if archived:
        put_archive(folder / "y.zip", {"a.jpg": image(200)})
    else:
        put(folder / "y" / "a.jpg", image(200))
    put(folder / "t.csv", "image_id,dx\na,mel\n")
    with pytest.raises(UserError, match=r"[Tt]wo different images are called a.*y"):
        fetched()


def test_linked_files_are_copied_as_files(folder: Path, raw: Path, fetched: Fetch, tmp_path: Path) -> None:
    """Links within the folder, and into DVC's cache."""
    cache, name = tmp_path / "cache/files/md5", "0" * 30
    stored = put_archive(folder / "stored" / "one", {"a.jpg": image(1)})
    (folder / "part.zip").symlink_to(stored)
    (folder / "b.jpg").symlink_to(put(cache / "1a" / name, image(2)))
    (folder / "t.csv").symlink_to(put(cache / "2b" / name, "image_id,dx\na,mel\n"))
    files = fetched().provenance["files"]
    assert [file["name"] for file in files] == ["images.zip", "part.zip", "t.csv"]
    assert not (raw / "part.zip").is_symlink()
    assert (raw / "part.zip").read_bytes() == stored.read_bytes()
    assert packed(raw) == {"b.jpg": image(2)}


def test_result_without_file_system_order(
    folder: Path, raw: Path, fetched: Fetch, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("mel/a.jpg", "mel/b.jpg", "nv/a.jpg", "nv/c.jpg"):
        put(folder / name, name)
    first = fetched()
    written = (raw / "images.zip").read_bytes()
    scan = os.scandir

    class Backwards:
        def __init__(self, path: str) -> None:
            with scan(path) as entries:
                self.entries = iter(sorted(entries, key=lambda entry: entry.name, reverse=True))

        def __enter__(self) -> "Backwards":
            return self

        def __exit__(self, *_: object) -> None: ...

        def __iter__(self) -> "Backwards":
            return self

        def __next__(self) -> "os.DirEntry[str]":
            return next(self.entries)

        def close(self) -> None: ...

    monkeypatch.setattr(os, "scandir", Backwards)
    second = fetched()
    pd.testing.assert_frame_equal(first.table, second.table)
    assert first.provenance == second.provenance
    assert (raw / "images.zip").read_bytes() == written


# A folder a class


@pytest.mark.parametrize("enclosing", ["", "Skin cancer ISIC", "archive/Skin cancer ISIC"])
def test_class_folders_under_train_and_test(folder: Path, raw: Path, fetched: Fetch, enclosing: str) -> None:
    for name in (
        "Train/melanoma/1.jpg",
        "Train/nevus/2.jpg",
        "TEST/melanoma/3.jpg",
        "validation/nevus/4.png",
    ):
        put(folder / enclosing / name, name)
    put(folder / "LICENSE", "free, as in image")
    result = fetched()
    assert list(result.table) == ["image_id", "dx", "split"]
    assert sorted(columns(result.table, "image_id", "dx", "split")) == [
        ["1", "mel", "train"],
        ["2", "nv", "train"],
        ["3", "mel", "test"],
        ["4", "nv", "val"],
    ]
    assert result.provenance["layout"] == "class folders"
    assert sorted(Path(name).name for name in packed(raw)) == ["1.jpg", "2.jpg", "3.jpg", "4.png"]


def test_two_unknown_classes(folder: Path, raw: Path, fetched: Fetch) -> None:
    put(folder / "Needs_biopsy" / "a.jpg", b"1")
    put(folder / "harmless" / "b.jpg", b"2")
    put(folder / "harmless" / "a.jpg", b"3")
    put(folder / "cover.jpg", b"4")
    table = fetched().table
    assert list(table) == ["image_id", "dx"]
    assert columns(table, "image_id", "dx") == [
        ["needs_biopsy_a", "needs biopsy"],
        ["harmless_a", "harmless"],
        ["b", "harmless"],
    ]
    # What lies in no class folder is packed and not listed: the next stage sets it aside and says so.
    assert packed(raw) == {
        "Needs_biopsy/needs_biopsy_a.jpg": b"1",
        "harmless/harmless_a.jpg": b"3",
        "harmless/b.jpg": b"2",
        "cover.jpg": b"4",
    }


def test_name_in_train_and_test(folder: Path, fetched: Fetch) -> None:
    for name in ("Train/mel/1.jpg", "Test/mel/1.jpg", "Train/nv/1.jpg"):
        put(folder / name, name)
    assert columns(fetched().table, "image_id", "dx") == [
        ["test_mel_1", "mel"],
        ["train_mel_1", "mel"],
        ["nv_1", "nv"],
    ]


NAMES = st.text(st.sampled_from("ab_ :.2é\r"), min_size=1, max_size=4)


SPLITS = st.sampled_from(["", "train", "test"])
CLASSES = st.sampled_from(["a", "b", "a b"])


@given(st.lists(st.tuples(SPLITS, CLASSES, NAMES, st.sampled_from([".jpg", ".png"]))))
def test_ids_are_unique_member_names(rows: list[tuple[str, str, str, str]]) -> None:
    files = [PurePosixPath(split, dx, name + suffix) for split, dx, name, suffix in rows]
    table = pd.DataFrame(
        {"file": files, "split": [row[0] for row in rows], "dx": [row[1] for row in rows]}, dtype=object
    )
    ids = list(unique_ids(table))
    assert len(set(ids)) == len(ids)
    assert all(image_id == image_id.strip() and "\r" not in image_id for image_id in ids)
    assert [PurePosixPath(f"{image_id}.jpg").stem for image_id in ids] == ids


# An ISIC challenge's


TRUTH = "image,MEL,NV,AK,UNK\n"


def test_one_hot_truth_with_groupings_and_metadata(folder: Path, fetched: Fetch) -> None:
    put_archive(folder / "ISIC2018_Task3_Training_Input.zip", {"Input/I1.jpg": b"", "Input/I2.jpg": b""})
    put(folder / "loose" / "I3.jpg", b"")
    put(
        folder / "ISIC_GroundTruth.csv",
        TRUTH + "I1,1.0,0.0,0.0,0.0\nI2,0,0,1,0\nI3,0,0,0,1\nI4,0,0,0,0\n",
    )
    put(folder / "x_LesionGroupings.csv", "image,lesion_id,diagnosis_confirm_type\nI2,L2,histopathology\n")
    put(
        folder / "y_Metadata.csv",
        "image,age_approx,anatom_site_general,lesion_id,sex\nI1,55,palms/soles,L1,female\nI2,,,other,\nI9,1,a,b,c\n",
    )
    result = fetched()
    assert list(result.table) == ["lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization"]
    assert result.table.to_numpy().tolist() == [
        ["L1", "I1", "mel", "", "55", "female", "palms/soles"],
        ["L2", "I2", "ak", "histopathology", "", "", ""],
        ["", "I3", "", "", "", "", ""],
        ["", "I4", "", "", "", "", ""],
    ]
    assert result.provenance["layout"] == "ISIC challenge"
    assert [file["name"] for file in result.provenance["files"]] == [
        "ISIC2018_Task3_Training_Input.zip",
        "images.zip",
        "ISIC_GroundTruth.csv",
        "x_LesionGroupings.csv",
        "y_Metadata.csv",
    ]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ("I1,1,0,0,0\nI2,1,1,0,0\n", ["truth.csv", "I2", "more than one diagnosis", "mel, nv"]),
        ("I1,1,0,0,0\nI2,1,0,0,1\n", ["I2", "mel, unk"]),
        ("I1,0.8,0.2,0,0\n", ["truth.csv", "I1", "0.8", "mel", "expected 1"]),
        ("I1,1,,0,0\n", ["I1", '""', "nv"]),
        ("I1,1,0,0,0\nI1,1,0,0,0\n", ["truth.csv", "I1 (2 times)"]),
        ("", ["truth.csv", "no rows"]),
    ],
)
def test_truth_that_cannot_be_used(folder: Path, fetched: Fetch, rows: str, words: list[str]) -> None:
    put(folder / "I1.jpg", b"")
    put(folder / "truth.csv", TRUTH + rows)
    with pytest.raises(UserError) as error:
        fetched()
    assert all(word in str(error.value) for word in words), str(error.value)


# What stops


def stops(fetched: Fetch, *words: str) -> None:
    with pytest.raises(UserError) as error:
        fetched()
    missing = [word for word in words if word not in str(error.value)]
    assert not missing, f"{missing} not in: {error.value}"


def test_missing_folder(folder: Path, fetched: Fetch) -> None:
    shutil.rmtree(folder)
    stops(fetched, str(folder), "does not exist", "expected", "download.folder")
    put(folder, "a file")
    stops(fetched, "is a file", "download.folder")


def test_empty_folder_and_folder_without_images(folder: Path, fetched: Fetch) -> None:
    stops(fetched, str(folder), "no images", ".jpg", "download.folder")
    put(folder / "t.csv", "image_id,dx\na,mel\n")
    put(folder / ".a.jpg", b"")
    put(folder / "__MACOSX" / "a.jpg", b"")
    stops(fetched, "no images")


@pytest.mark.parametrize(
    "names",
    [
        ["a.jpg"],
        ["mel/a.jpg"],
        ["Train/mel/a.jpg", "Test/mel/b.jpg"],
        ["Train/a.jpg", "Test/b.jpg"],
        ["mel/one/a.jpg", "nv/one/b.jpg"],
        ["HAM10000_images_part_1/a.jpg", "HAM10000_images_part_2/b.jpg"],
    ],
)
def test_no_layout_recognised(folder: Path, fetched: Fetch, names: list[str]) -> None:
    for name in names:
        put(folder / name, b"")
    layouts = ["image_id and dx", "a folder a class", "an ISIC challenge's", "image,MEL"]
    stops(fetched, "not recognised", "no table", *layouts, str(Path(names[0]).parent))


def test_archive_alone(folder: Path, fetched: Fetch) -> None:
    put_archive(folder / "archive.zip", {"mel/a.jpg": b"", "nv/b.jpg": b""})
    stops(fetched, "not recognised", "archives only", "Unpack")


@pytest.mark.parametrize("name", ["HAM10000_metadata", "table.csv"])
def test_table_without_a_needed_column(folder: Path, fetched: Fetch, name: str) -> None:
    put(folder / "HAM10000_images" / "a.jpg", b"")
    put(folder / "other" / "b.jpg", b"")
    put(folder / "aaa.csv", "pixel0,pixel1\n1,2\n")
    put(folder / name, "image_id,dx1,sex\na,mel,male\n")
    stops(
        fetched,
        name,
        "no column dx",
        "image_id, dx1, sex",
        'Diagnoses (mel) are in the column "dx1": call it dx',
        "take the table out",
    )


def test_table_with_duplicate_ids(folder: Path, fetched: Fetch) -> None:
    put(folder / "a.jpg", b"")
    put(folder / "t.csv", "image_id,dx\n" + "".join(f"{n % 12},mel\n" for n in range(30)))
    stops(fetched, "t.csv", "12 image_ids", "0 (3 times)", "and 4 more", "Remove")


ARCHIVE = (
    "isic_id,attribution,copyright_license,age_approx,anatom_site_1,anatom_site_2,diagnosis_1,diagnosis_2,diagnosis_3"
)
TABLES = {
    "ISIC archive": (
        f"{ARCHIVE},sex\na,Clinic,CC-0,55,Trunk,Back,Malignant,Malignant melanocytic proliferations (Melanoma),"
        "Melanoma in situ,male\nb,Clinic,CC-0,40,,,Benign,Benign melanocytic proliferations,Nevus,female\n",
        {"dx": ["mel", "nv"], "age": ["55", "40"], "localization": ["Trunk:Back", ""], "dataset": ["Clinic", "Clinic"]},
        "does not read copyright_license",
    ),
    "target alone": ("image_name,target\na,1\nb,0\n", {"dx": ["malignant", "benign"]}, "target as dx"),
    "PAD-UFES-20": (
        "patient_id,lesion_id,age,gender,region,diagnostic,img_id\nP1,L1,60,MALE,FACE,ACK,a.jpg\nP1,L2,60,MALE,ARM,NEV,b.jpg\n",
        {"dx": ["ACK", "NEV"], "lesion_id": ["L1", "L2"], "sex": ["MALE", "MALE"], "localization": ["FACE", "ARM"]},
        "img_id as image_id",
    ),
    "both names": ("image,image_id,diagnosis,dx\nq,a,q,mel\nq,b,q,nv\n", {"dx": ["mel", "nv"]}, "does not read"),
}


@pytest.mark.parametrize("kind", TABLES)
def test_columns_by_other_names(folder: Path, fetched: Fetch, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    text, expected, said = TABLES[kind]
    for name in ("a", "b"):
        put(folder / f"{name}.jpg", name.encode())
    put(folder / "t.csv", text)
    table = fetched().table
    for column, values in expected.items():
        assert list(table[column]) == values, column
    assert said in capsys.readouterr().out


@pytest.mark.parametrize("other", ["y/part.zip", "y/PART.zip"])
def test_archives_of_one_name(folder: Path, fetched: Fetch, other: str) -> None:
    put_archive(folder / "x" / "part.zip", {"a.jpg": b""})
    put_archive(folder / other, {"b.jpg": b""})
    put(folder / "t.csv", "image_id,dx\na,mel\nb,nv\n")
    stops(fetched, "archives of one name", "part.zip", "Rename")


def test_archive_named_like_the_packed_one(folder: Path, fetched: Fetch) -> None:
    put_archive(folder / "images.zip", {"a.jpg": b""})
    put(folder / "b.jpg", b"")
    put(folder / "t.csv", "image_id,dx\na,mel\n")
    stops(fetched, "images.zip", "loose images", "Rename")


# Tables


HEADERS = ["image_id", "dx", "note"]
VALUES = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=6)


@given(
    rows=st.lists(st.tuples(VALUES, VALUES, VALUES).filter(any), max_size=5),
    separator=st.sampled_from(",;\t"),
    end=st.sampled_from(["\n", "\r\n"]),
    encoding=st.sampled_from(["utf-8", "utf-8-sig"]),
)
def test_text_is_read_as_written(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[str, str, str]],
    separator: str,
    end: str,
    encoding: str,
) -> None:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, delimiter=separator, lineterminator=end, quoting=csv.QUOTE_ALL)
    writer.writerows([HEADERS, *rows])
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(buffer.getvalue().encode(encoding))
    table = read_table(path)
    assert list(table) == HEADERS
    assert [tuple(row) for row in table.to_numpy()] == rows


def test_values_stay_text(tmp_path: Path) -> None:
    path = put(tmp_path / "t.csv", "image_id,dx,age\n007,NA,055\nnan,None,\n,,\n\n")
    assert read_table(path).to_numpy().tolist() == [["007", "NA", "055"], ["nan", "None", ""]]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", ["t.csv", "no column image_id and no column dx", "none", "lesion_id"]),
        ("img_id,diagnosis\na,mel\n", ["no column image_id", "img_id, diagnosis"]),
        ("image_id,dx\n", ["no rows"]),
        ("image_id,dx\na,mel\n ,nv\n", ["1 rows without image_id", "row 2"]),
        ("image_id,dx\na,mel\na ,nv\n", ["a (2 times)"]),
    ],
)
def test_table_that_cannot_be_used(tmp_path: Path, content: str, words: list[str]) -> None:
    with pytest.raises(UserError) as error:
        check_table(read_table(put(tmp_path / "t.csv", content)), "t.csv")
    assert all(word in str(error.value) for word in words), str(error.value)


# The real thing


@pytest.mark.skipif("HAM10000_DIR" not in os.environ, reason="HAM10000_DIR names no folder with HAM10000")
def test_real_ham10000(raw: Path) -> None:
    result = fetch(named(Path(os.environ["HAM10000_DIR"])), raw)
    assert len(result.table) == 10_015
    assert result.table["lesion_id"].nunique() == 7_470
    assert set(result.table["dx"]) == {"mel", "bcc", "akiec", "bkl", "nv", "df", "vasc"}
    assert len(list(raw.glob("*.zip"))) == 2
