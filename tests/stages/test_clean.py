"""The stage clean: each row and each image is usable, or set aside with its reason."""

import io
import zipfile
from contextlib import suppress
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from lesions.archives import list_members, read_members
from lesions.audit.plots import draw_views, plot_data
from lesions.audit.report import REASONS
from lesions.audit.usable import COLUMNS
from lesions.core.csv_files import read_csv
from lesions.core.errors import UserError
from lesions.core.json_files import read_json, write_json
from stages import clean
from tests.conftest import ROOT, edit_params


def image(shade: int) -> bytes:
    """A JPEG unlike that of any other shade."""
    file = io.BytesIO()
    noise = np.random.default_rng(shade).integers(0, 256, (30, 40, 3), np.uint8)
    Image.fromarray(noise).save(file, "JPEG")
    return file.getvalue()


class Raw:
    """A small data/raw that tests spoil in one way or another."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.members = {f"images/p{number:02}.jpg": image(number) for number in range(40)}
        self.table = pd.DataFrame(
            {
                "lesion_id": [f"L{number // 2}" for number in range(40)],
                "image_id": [f"p{number:02}" for number in range(40)],
                "dx": ["nv"] * 20 + ["mel"] * 20,
                "age": ["45.0", "", "0", "unknown", "abc", *["50"] * 35],
                "sex": ["Male", "unknown", *["female"] * 38],
            }
        )

    def write(self) -> None:
        """Write the archive and the table."""
        raw = self.folder / "data/raw"
        raw.mkdir(parents=True)
        with zipfile.ZipFile(raw / "images.zip", "w") as archive:
            for name, content in self.members.items():
                archive.writestr(name, content)
        self.table.to_csv(raw / "metadata.csv", index=False)
        write_json(raw / "provenance.json", {"source": "drawn for <this> test", "licence": "none"})


@pytest.fixture
def raw(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Raw:
    """The stage's folder; plots, which take most of its time, are drawn where they are what is tested."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    edit_params(tmp_path, clean={"max_rejected": 0.5})
    monkeypatch.setattr(clean, "draw_views", lambda _: iter(()))
    monkeypatch.setattr(clean, "plot_data", lambda *_: None)
    return Raw(tmp_path)


def cleaned(raw: Raw) -> tuple[pd.DataFrame, dict[str, str]]:
    """Run the stage; return the usable images and each rejected id's reason."""
    raw.write()
    clean.main()
    rejects = read_csv(Path("data/clean/rejects.csv"))
    assert not rejects.duplicated(["image_id", "archive", "member"]).any()
    assert all(any(words in reason for words in REASONS) for reason in rejects["reason"])
    return read_csv(Path("data/clean/images.csv")), dict(zip(rejects["image_id"], rejects["reason"], strict=True))


def test_known_groups_are_one_group(raw: Raw) -> None:
    (raw.folder / "known_groups.csv").write_text("image_id,group\np00,a\np39,a\ngone,b\n")
    edit_params(raw.folder, clean={"known_groups": "known_groups.csv"})
    images = cleaned(raw)[0].set_index("image_id")
    assert list(images.loc[["p00", "p39"], "group_id"]) == ["p00", "p00"]
    assert list(images.index[images["known_group_id"] != ""]) == ["p00", "p39"]
    summary = read_json(Path("metrics/data.json"))
    assert summary["known_groups"] == 1
    assert summary["kept_together"] == ["lesion_id", "duplicates", "known_groups"]
    assert "known_groups_without_image" in [warning["key"] for warning in summary["warnings"]]


def test_good_data_stays_whole(raw: Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clean, "draw_views", draw_views)
    monkeypatch.setattr(clean, "plot_data", plot_data)
    images, rejects = cleaned(raw)
    assert list(images.columns) == COLUMNS
    assert len(images) == 40
    assert rejects == {}
    assert list(images["group_id"][:4]) == ["p00", "p00", "p02", "p02"]
    assert list(images["age"][:6]) == ["45", "", "", "", "", "50"]
    assert list(images["age_status"][:6]) == ["given", "missing", "placeholder", "missing", "unread", "given"]
    assert list(images["sex"][:3]) == ["male", "", "female"]
    assert Path("plots/data.png").stat().st_size > 5000
    assert Image.open("plots/contact_sheet.jpg").size[0] > 500


def test_unusable_images_are_set_aside(raw: Raw) -> None:
    bomb = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(bomb, "PNG")
    raw.members |= {
        "images/p01.jpg": b"",
        "images/p02.jpg": b"a text file, called .jpg",
        "images/p03.jpg": image(3)[:-200],
        "../../evil.jpg": image(99),
        "/etc/absolute.jpg": image(98),
        "C:\\windows.jpg": image(97),
        "images/stranger.jpg": image(96),
        "again/p06.jpg": image(95),
        "notes.txt": b"no image, and passed over",
        "__MACOSX/._p07.jpg": b"passed over",
    }
    del raw.members["images/p00.jpg"], raw.members["images/p04.jpg"]
    raw.members["images/p04.png"] = bomb.getvalue()
    raw.table.loc[5, "dx"] = "  "
    images, rejects = cleaned(raw)
    reasons = {
        "p00": "listed, but not in any archive",
        "p01": "empty file",
        "p02": "no image",
        "p03": "broken image",
        "p04": "too large",
        "p05": "no diagnosis",
        "p06": "a second image of this id; the first is images/p06.jpg",
        "evil": "unsafe path",
        "absolute": "unsafe path",
        "windows": "unsafe path",
        "stranger": "not listed in the table",
    }
    assert rejects.keys() == reasons.keys()
    for image_id, words in reasons.items():
        assert words in rejects[image_id]
    assert list(images["image_id"]) == [f"p{number:02}" for number in range(6, 40)]


def test_exact_duplicates_share_a_group_or_conflict(raw: Raw) -> None:
    raw.members["images/p11.jpg"] = raw.members["images/p00.jpg"]  # nv and nv
    raw.members["images/p30.jpg"] = raw.members["images/p12.jpg"]  # mel and nv
    images, rejects = cleaned(raw)
    groups = images.set_index("image_id")["group_id"]
    assert groups["p00"] == groups["p01"] == groups["p10"] == groups["p11"] == "p00"
    assert rejects == dict.fromkeys(["p12", "p30"], "the same image is diagnosed as mel and nv: p12, p30")


def test_class_names_are_kept(raw: Raw) -> None:
    raw.table["dx"] = ["basal and squamous"] * 20 + ["<1mm".replace("<", "under ")] * 10 + ["कि"] * 10
    images, rejects = cleaned(raw)
    assert set(images["label"]) == {"basal and squamous", "under 1mm", "कि"}
    assert rejects == {}


@pytest.mark.parametrize("name", ["label", "split", "<b>", 'a"b', "a\\b", "x&y"])
def test_unsafe_class_names_are_refused(raw: Raw, name: str) -> None:
    raw.table.loc[:9, "dx"] = name
    raw.write()
    with pytest.raises(UserError, match="a class cannot be called"):
        clean.main()


def test_unknown_diagnosis_is_none(raw: Raw) -> None:
    raw.table.loc[:3, "dx"] = ["unknown", "NaN", "", "n/a"]
    _, rejects = cleaned(raw)
    assert rejects == dict.fromkeys(["p00", "p01", "p02", "p03"], "no diagnosis")


def test_nothing_usable_at_all(raw: Raw) -> None:
    edit_params(raw.folder, clean={"max_rejected": 1.0})
    raw.members = dict.fromkeys(raw.members, b"no image")
    raw.write()
    with pytest.raises(UserError, match="of mel, nv no image can be used"):
        clean.main()


@cache
def small_archive() -> bytes:
    """An archive of three images."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for number in range(3):
            archive.writestr(f"images/é{number}.jpg", image(number))
    return buffer.getvalue()


@settings(max_examples=150)
@given(st.data())
def test_damaged_archive_gives_reasons(data: st.DataObject) -> None:
    content = bytearray(small_archive())
    directory = len(content) - 260  # damage there is what archives trip over
    for _ in range(data.draw(st.integers(1, 4))):
        content[data.draw(st.integers(directory, len(content) - 1))] = data.draw(st.integers(0, 255))
    with TemporaryDirectory() as name, suppress(UserError):
        Path(name, "images.zip").write_bytes(content)
        members = [(m.archive, m.name) for m in list_members(Path(name, "images.zip")) if not m.problem]
        assert all(isinstance(read, bytes | ValueError) for read in read_members(Path(name), members))


@pytest.mark.parametrize("column", ["lesion_id", "age", "sex"])
def test_columns_that_a_data_set_lacks(raw: Raw, column: str) -> None:
    raw.table = raw.table.drop(columns=column)
    images, _ = cleaned(raw)
    if column != "lesion_id":
        assert (images[column] == "").all()
    else:
        assert (images["group_id"] == images["image_id"]).all()


def test_too_many_rejects(raw: Raw) -> None:
    edit_params(raw.folder, clean={"max_rejected": 0.1})
    raw.members |= {f"images/p{number:02}.jpg": b"x" for number in range(10)}
    raw.write()
    with pytest.raises(
        UserError, match=r"10 of 40 images \(25.0%\) must be set aside, more than clean.max_rejected"
    ) as found:
        clean.main()
    assert "10 no image" in str(found.value)
    assert "p00, p01, p02, p03, and 6 more" in str(found.value)
    assert "  clean:\n    max_rejected: 0.25\n" in str(found.value)
    listed = read_csv(Path("data/stopped/rejects.csv"))
    assert list(listed["image_id"]) == [f"p{number:02}" for number in range(10)]
    assert "10 of 40 images (25.0%) must be set aside" in Path("data/stopped/data.html").read_text()
    edit_params(raw.folder, clean={"max_rejected": 0.5})
    clean.main()
    assert not Path("data/stopped").exists()


def test_nothing_is_shown_of_data_without_a_usable_image(raw: Raw) -> None:
    raw.members = dict.fromkeys(raw.members, b"x")
    raw.write()
    with pytest.raises(UserError, match=r"rejects.csv lists all of them[.]$"):
        clean.main()
    assert [file.name for file in Path("data/stopped").glob("*.html")] == []


def test_images_that_nobody_lists_stop_nothing(raw: Raw) -> None:
    raw.members |= {f"test/t{number:02}.jpg": image(number) for number in range(50, 90)}
    raw.write()
    clean.main()
    assert len(read_csv(Path("data/clean/images.csv"))) == 40
    assert set(read_csv(Path("data/clean/rejects.csv"))["reason"]) == {"not listed in the table"}


def test_conflicts_are_shown_before_anything_stops(raw: Raw, capsys: pytest.CaptureFixture[str]) -> None:
    """Six images lie under mel and nv; two of them in two published splits."""
    raw.members |= {f"images/p{number:02}.jpg": image(number + 20) for number in range(6)}
    edit_params(raw.folder, clean={"max_rejected": 0.1})
    raw.table["split"] = ["test"] * 2 + ["train"] * 33 + ["test"] * 5
    raw.write()
    with pytest.raises(UserError, match="12 of 40 images"):
        clean.main()
    said = capsys.readouterr().out
    assert "6 pairs of duplicates, 6 of them with the same bytes; 6 under two diagnoses" in said
    assert "6 mel and nv: 6 of 20 images of mel, 6 of 20 images of nv" in said
    assert "2 pairs in two published splits" in said
    rows = [line.split() for line in said.splitlines()]
    assert ["test", "keep", "7", "5", "2"] in rows
    assert ["test", "drop", "5", "5", "0"] in rows
    assert ["all", "keep_first", "34", "14", "20"] in rows
    assert "Of 7 images of the published test" in said


def test_contradictions_that_stop(raw: Raw) -> None:
    edit_params(raw.folder, clean={"label_conflicts": "error"})
    raw.members["images/p00.jpg"] = image(20)
    raw.write()
    with pytest.raises(UserError, match=r"2 images contradict their duplicates[^$]*diagnosed as mel and nv: p00, p20"):
        clean.main()


def test_one_class_alone_stops(raw: Raw) -> None:
    raw.table["dx"] = "nv"
    raw.write()
    with pytest.raises(UserError, match=r"1 diagnosis \(nv\); expected two or more"):
        clean.main()


@pytest.mark.parametrize("kept", [0, 10, 0.5, 0.99])
def test_truncated_archive_is_refused(raw: Raw, kept: float) -> None:
    raw.write()
    file = raw.folder / "data/raw/images.zip"
    content = file.read_bytes()
    file.write_bytes(content[: int(kept * len(content)) if kept < 1 else int(kept)])
    with pytest.raises(UserError, match=r"images\.zip cannot be opened as a zip archive"):
        list_members(file)
