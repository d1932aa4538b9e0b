"""The challenges of all years, each in the shape of its files, from a loopback server; the hash of the first fetch."""

import hashlib
from collections.abc import Iterable
from pathlib import Path
from typing import get_args

import pandas as pd
import pytest

from lesions.audit.matching import find_members
from lesions.params.download import Year
from lesions.sources.common.download import DOWNLOADS
from lesions.sources.common.first_fetch import first_sha256
from lesions.sources.common.metadata_table import check_table
from lesions.sources.common.raw_data import Fetched
from lesions.sources.common.remote_file import RemoteFile
from lesions.sources.isic_challenge import fetch as isic_challenge
from lesions.sources.isic_challenge.challenges import CHALLENGES, Part
from tests.sources.isic_replica import Server
from tests.sources.sources_helpers import RAW, elsewhere, section, served, stops, zipped

pytestmark = pytest.mark.usefixtures("here")
TRUTH = "image,MEL,NV,BCC,AKIEC,BKL,DF,VASC\n"
MEL, NV = "1.0,0.0,0.0,0.0,0.0,0.0,0.0", "0.0,1.0,0.0,0.0,0.0,0.0,0.0"
MACOS = {"__MACOSX/train/._I1.jpg": "x", "LICENSE.txt": "CC", "ATTRIBUTION.txt": "ISIC"}


def images(folder: str, names: Iterable[str], **more: str) -> bytes:
    """Pack an archive of images as a challenge's: with a folder, a licence, and further files of that folder."""
    members = {f"{folder}/": "", **MACOS, **{f"{folder}/{name}.jpg": name for name in names}}
    return zipped(members | {f"{folder}/{name.replace('__', '.')}": text for name, text in more.items()})


def truth_of(name: str, rows: list[str]) -> bytes:
    table = TRUTH + "".join(f"{row}\n" for row in rows)
    return zipped({f"{name}/": "", "__MACOSX/._x.csv": "", f"{name}/LICENSE.txt": "CC", f"{name}/{name}.csv": table})


def small(server: Server, real: Part) -> Part:
    """Return a part of two or three images, on the server, in the shape of the real one."""
    name = real.images.name
    ids: tuple[str, ...]
    if name.startswith("ISBI2016"):
        ids = {"train": ("I1", "I2"), "test": ("I3", "I4")}[real.split]
        rows = ("{},benign\n{},malignant\n" if real.split == "train" else "{},0.0\n{},1.0\n").format(*ids)
        contents = [images("Data", ids), rows.encode()]
    elif name.startswith("ISIC-2017"):
        first = {"train": 1, "val": 4, "test": 7}[real.split]
        ids = tuple(f"I{number}" for number in range(first, first + 3))
        table = "image_id,age_approximate,sex\n" + f"{ids[0]},55,female\n{ids[1]},unknown,unknown\n"
        superpixels = {f"{image}_superpixels__png": "x" for image in ids}
        contents = [
            images(name[:-4], ids, **{real.metadata.replace(".", "__"): table}, **superpixels),
            ("image_id,melanoma,seborrheic_keratosis\n" + "{},1.0,0.0\n{},0.0,1.0\n{},0.0,0.0\n".format(*ids)).encode(),
        ]
    elif name.startswith("ISIC2018"):
        diagnoses = {
            "train": {"I1": MEL, "I2": MEL, "I3": NV},
            "val": {"I4": NV, "I5": MEL},
            "test": {"I6": NV, "ISIC_0035068": NV},
        }[real.split]
        ids = tuple(diagnoses)
        groups = b"image,lesion_id,diagnosis_confirm_type\nI1,L1,histopathology\nI2,L1,histopathology\nI3,L2,x\n"
        rows_2018 = [f"{image},{marks}" for image, marks in diagnoses.items()]
        contents = [images("Input", ids), truth_of(real.tables[0].name[:-4], rows_2018), groups][: 1 + len(real.tables)]
    elif name.startswith("ISIC_2019_Training"):
        ids = ("I1", "I2_downsampled")
        contents = [
            images("Input", ids),
            b"image,MEL,NV,AK,SCC,UNK\nI1,1,0,0,0,0\nI2_downsampled,0,0,0,1,0\n",
            b"image,age_approx,anatom_site_general,lesion_id,sex\nI1,55,palms/soles,L1,female\nI2_downsampled,,,,\n",
        ]
    elif name.startswith("ISIC_2019_Test"):
        ids = ("I3", "I4")
        contents = [
            images("Input", ids),
            b"image,MEL,NV,AK,SCC,UNK,score_weight,validation_weight\nI3,0,1,0,0,0,1.0,0.0\nI4,0,0,0,0,1,0.5,1.0\n",
            b"image,age_approx,anatom_site_general,sex\nI3,40,anterior torso,male\nI4,,,\n",
        ]
    elif name.startswith("ISIC_2020"):
        ids = ("I1", "I2", "I3", "I4")
        contents = [
            images("train", ids),
            b"image_name,patient_id,lesion_id,sex,age_approx,anatom_site_general_challenge,diagnosis,benign_malignant,target\n"
            b"I1,P1,L1,male,45,torso,melanoma,malignant,1\nI2,P2,L2,female,30,torso,unknown,benign,0\n"
            b"I3,P2,L3,female,30,,unknown,benign,0\nI4,P3,L3,,,head/neck,nevus,benign,0\n",
            b"image_name_1,image_name_2\nI2,I3\nI2,I_absent\n",
        ]
    else:
        ids = ("I1", "I2")
        metadata = (
            "isic_id,patient_id,age_approx,sex,anatom_site_general,clin_size_long_diam_mm,tbp_lv_A,attribution\n"
            "I1,P1,60.0,male,lower extremity,3.04,20.2,Frazer Institute\nI2,P2,,,,1.1,1.5,MSK\n"
        )
        contents = [images(name[:-4], ids, metadata__csv=metadata), b"isic_id,malignant\nI1,0.0\nI2,1.0\n"]
    described = zip((real.images, *real.tables), contents, strict=True)
    archive, *tables = (served(server, file.name, content) for file, content in described)
    return Part(real.split, len(ids), archive, tuple(tables), real.metadata)


@pytest.fixture(autouse=True)
def small_challenges(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for year, challenge in CHALLENGES.items():
        parts = tuple(small(server, part) for part in challenge.parts)
        monkeypatch.setitem(CHALLENGES, year, challenge._replace(parts=parts))


def fetch_challenge(year: int | str) -> Fetched:
    fetched = isic_challenge.fetch(section("isic_challenge", year=year), RAW)
    check_table(fetched.table, "table")
    return fetched


def rows(table: pd.DataFrame, *columns: str) -> list[list[str]]:
    found: list[list[str]] = table[list(columns)].to_numpy().tolist()
    return found


def test_each_year_that_can_be_chosen_is_known() -> None:
    assert set(get_args(Year)) == set(CHALLENGES)


@pytest.mark.parametrize("year", CHALLENGES)
def test_no_image_of_any_year_is_set_aside_and_a_second_run_fetches_nothing(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, year: int | str
) -> None:
    fetched = fetch_challenge(year)
    found, rejects = find_members(RAW, fetched.table)
    assert len(found) == len(fetched.table)
    assert set(rejects["image_id"]) <= {"ISIC_0035068"}
    described = {file["name"]: file for file in fetched.provenance["files"]}
    parts = CHALLENGES[year].parts
    assert set(described) == {file.name for part in parts for file in (part.images, *part.tables)}
    for name, file in described.items():
        assert file["sha256"] == hashlib.sha256(server.files[f"/{name}"]).hexdigest()
        assert "SHA-256 of what first came; the publisher gives no hash" in file["verified"]
        assert file["licence"] == CHALLENGES[year].licence
        assert file["attribution"]
        assert file["citation"]
    assert sorted(path.name for path in RAW.iterdir()) == sorted(part.images.name for part in parts)
    n_requested = len(server.requested)
    assert fetch_challenge(year).provenance == fetched.provenance
    assert len(server.requested) == n_requested
    elsewhere(tmp_path, monkeypatch)
    assert fetch_challenge(year).provenance == fetched.provenance


def test_2016_without_header() -> None:
    assert rows(fetch_challenge(2016).table, "image_id", "dx", "split") == [
        ["I1", "benign", "train"],
        ["I2", "malignant", "train"],
        ["I3", "benign", "test"],
        ["I4", "malignant", "test"],
    ]


def test_2017_with_superpixels(capsys: pytest.CaptureFixture[str]) -> None:
    table = fetch_challenge(2017).table
    assert rows(table[:4], "image_id", "dx", "age", "sex", "split") == [
        ["I1", "mel", "55", "female", "train"],
        ["I2", "sk", "unknown", "unknown", "train"],
        ["I3", "nv", "", "", "train"],
        ["I4", "mel", "55", "female", "val"],
    ]
    said = capsys.readouterr().out
    assert "Of ISIC-2017_Training_Data.zip 6 files are not read, since they are no images: " in said
    assert "I3_superpixels.png" in said
    assert "metadata" not in said


def test_2018_has_a_published_split(capsys: pytest.CaptureFixture[str]) -> None:
    fetched = fetch_challenge(2018)
    assert rows(fetched.table, "image_id", "dx", "lesion_id", "split") == [
        ["I1", "mel", "L1", "train"],
        ["I2", "mel", "L1", "train"],
        ["I3", "nv", "L2", "train"],
        ["I4", "nv", "", "val"],
        ["I5", "mel", "", "val"],
        ["I6", "nv", "", "test"],
    ]
    assert "ISIC_0035068 is left out: not a photograph" in capsys.readouterr().out
    assert fetched.provenance["left_out"] == {"ISIC_0035068": "not a photograph"}


def test_2019_with_its_test_and_without(capsys: pytest.CaptureFixture[str]) -> None:
    columns = ("image_id", "dx", "age", "sex", "localization", "lesion_id")
    training = [["I1", "mel", "55", "female", "palms/soles", "L1"], ["I2_downsampled", "scc", "", "", "", ""]]
    alone = fetch_challenge(2019).table
    assert "split" not in alone
    assert rows(alone, *columns) == training
    assert "UNK" not in capsys.readouterr().out
    both = fetch_challenge("2019_with_test").table
    assert rows(both, *columns) == [*training, ["I3", "nv", "40", "male", "anterior torso", ""], ["I4", *[""] * 5]]
    assert list(both["split"]) == ["train", "train", "test", "test"]
    assert "1 of 4 images (25.0%) have no diagnosis (UNK)" in capsys.readouterr().out


def test_2020_joins_published_duplicates(capsys: pytest.CaptureFixture[str]) -> None:
    table = fetch_challenge(2020).table
    assert rows(table, "image_id", "dx", "patient_id", "lesion_id", "localization") == [
        ["I1", "melanoma", "P1", "L1", "torso"],
        ["I2", "benign", "P2", "L2", "torso"],
        ["I3", "benign", "P2", "L2", ""],
        ["I4", "nevus", "P3", "L2", "head/neck"],
    ]
    assert "2 published pairs of duplicates: 1 of two lesions by their ids, now of one." in capsys.readouterr().out


@pytest.mark.parametrize("year", [2024, "2024_permissive"])
def test_2024_with_patients_from_the_archive(year: int | str) -> None:
    table = fetch_challenge(year).table
    assert table.to_dict("records") == [
        {
            "image_id": "I1",
            "dx": "benign",
            "age": "60.0",
            "sex": "male",
            "localization": "lower extremity",
            "dataset": "Frazer Institute",
            "patient_id": "P1",
        },
        {
            "image_id": "I2",
            "dx": "malignant",
            "age": "",
            "sex": "",
            "localization": "",
            "dataset": "MSK",
            "patient_id": "P2",
        },
    ]


def test_addresses_and_lengths_of_the_real_files() -> None:
    files = [file for offer in isic_challenge.OFFERS for file in offer.files]
    for file in files:
        today, older = file.urls
        year = today.split("/")[4]
        assert today == f"https://isic-archive.s3.amazonaws.com/challenges/{year}/{file.name}"
        assert older == f"https://isic-challenge-data.s3.amazonaws.com/{year}/{file.name}"
        assert year in file.name
    assert len({file.name for file in files}) == 30
    assert sum(1 for file in set(files) if file.hashes) == 10


@pytest.mark.parametrize(
    ("year", "name", "content", "words"),
    [
        (2018, "ISIC2018_Task3_Training_Input.zip", images("x", ["I1"]), ["holds 1 images", "published 3", "anew"]),
        (2018, "ISIC2018_Task3_Training_Input.zip", images("x", ["I1"])[:-9], ["Training_Input.zip", "Move it away"]),
        (2018, "ISIC2018_Task3_Training_GroundTruth.zip", zipped({"x.csv": TRUTH}), ["not hold the table", "x.csv"]),
        (
            *(2018, "ISIC2018_Task3_Training_GroundTruth.zip"),
            zipped({"../ISIC2018_Task3_Training_GroundTruth.csv": "0" * 60_000_000}),
            ["not hold the table", "of less than 50,000,000 bytes"],
        ),
        (
            *(2018, "ISIC2018_Task3_Training_GroundTruth.zip"),
            truth_of("ISIC2018_Task3_Training_GroundTruth", [f"I1,{MEL}"]),
            ["has 1 rows", "published 3"],
        ),
        (2018, "ISIC2018_Task3_Training_LesionGroupings.csv", b"<!DOCTYPE html><html>log in</html>", ["Groupings.csv"]),
        (2016, "ISBI2016_ISIC_Part3_Test_GroundTruth.csv", b"I3,0.0\nI4,0.5\n", ["row 2", '"0.5"', "I4", "0 or 1"]),
        (2016, "ISBI2016_ISIC_Part3_Test_GroundTruth.csv", b"I3,0.0\nI4\n", ["line 2: 1 values", "2 are expected"]),
        (2017, "ISIC-2017_Training_Data.zip", images("x", ["I1", "I2", "I3"]), ["not hold the table ISIC-2017_Tr"]),
        (2020, "ISIC_2020_Training_Duplicates.csv", b"image_name_1\nI1\n", ["image_name_1", "expected two", "Delete"]),
        (2024, "ISIC_2024_Training_Input.zip", images("x", ["I1", "I2"]), ["not hold the table metadata.csv"]),
    ],
)
def test_wrong_challenge_file(year: int, name: str, content: bytes, words: list[str]) -> None:
    DOWNLOADS.mkdir(parents=True)
    (DOWNLOADS / name).write_bytes(content)
    stops(lambda: fetch_challenge(year), *words)
    assert (DOWNLOADS / name).read_bytes() == content
    assert not (DOWNLOADS / f"{name}.sha256").exists()
    assert not list(RAW.iterdir())


# The hash of the first fetch


def test_file_that_was_exchanged_is_refused(server: Server) -> None:
    first = fetch_challenge(2024)
    name = "ISIC_2024_Training_GroundTruth.csv"
    record = DOWNLOADS / f"{name}.sha256"
    assert record.read_text() == f"{hashlib.sha256(server.files[f'/{name}']).hexdigest()}  {name}\n"
    (DOWNLOADS / name).unlink()
    server.files[f"/{name}"] = b"isic_id,malignant\nI1,1.0\nI2,1.0\n"
    for _ in range(2):  # fetched anew, then found
        stops(lambda: fetch_challenge(2024), name, "not the file that first came", "publisher", f"delete {record}")
    record.unlink()
    again = fetch_challenge(2024)
    assert list(again.table["dx"]) == ["malignant", "malignant"]
    assert again.provenance != first.provenance


def test_record_is_what_sha256sum_writes(tmp_path: Path) -> None:
    path = tmp_path / "files/a.zip"
    path.parent.mkdir()
    path.write_bytes(b"content")
    sha256 = hashlib.sha256(b"content").hexdigest()
    record = path.with_name("a.zip.sha256")
    record.write_text(f"{sha256.upper()} *a.zip\n")
    assert first_sha256(path) == sha256
    for damaged in ("", "a.zip", sha256[:60], sha256 + "0"):
        record.write_text(damaged)
        stops(lambda: first_sha256(path), "not the file that first came", damaged or "nothing", f"delete {record}")
    record.unlink()
    assert first_sha256(path) == sha256
    assert sorted(file.name for file in path.parent.iterdir()) == ["a.zip", "a.zip.sha256"]


def test_published_hash_needs_no_record(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    challenge = CHALLENGES[2016]

    def pinned(file: RemoteFile) -> RemoteFile:
        return RemoteFile(file.name, file.urls, sha256=hashlib.sha256(server.files[f"/{file.name}"]).hexdigest())

    parts = tuple(
        part._replace(images=pinned(part.images), tables=tuple(map(pinned, part.tables))) for part in challenge.parts
    )
    monkeypatch.setitem(CHALLENGES, 2016, challenge._replace(parts=parts))
    files = fetch_challenge(2016).provenance["files"]
    assert {file["verified"] for file in files} == {"SHA256, as public projects state; the publisher gives no hash"}
    assert not list(DOWNLOADS.glob("*.sha256"))
