"""The sources that fetch: against a loopback server, over real sockets, with small stand-ins for the archives."""

import hashlib
import json
import os
import re
import signal
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ruamel.yaml import YAML

from lesions.commands.sources import list_sources
from lesions.core.csv_files import read_csv
from lesions.core.json_files import read_json
from lesions.params.clean import Clean
from lesions.params.download import Download
from lesions.sources.common import http as web
from lesions.sources.common.download import DOWNLOADS
from lesions.sources.common.isic_api import read_record
from lesions.sources.common.metadata_table import check_table
from lesions.sources.common.raw_data import Fetched
from lesions.sources.common.remote_file import RemoteFile
from lesions.sources.ham10000 import fetch as ham10000
from lesions.sources.isic_archive import fetch as isic_archive
from lesions.sources.isic_challenge import fetch as isic_challenge
from tests.conftest import ROOT, edit_params, run, small_clone
from tests.sources.isic_replica import SEARCH, Server, record
from tests.sources.sources_helpers import RAW, elsewhere, section, served, stops, zipped

DOCS = (ROOT / "docs/sources.md").read_text(encoding="utf-8")
pytestmark = pytest.mark.usefixtures("here")


def fetch_archive(**values: Any) -> Fetched:
    fetched = isic_archive.fetch(section("isic_archive", **({"collection": 212} | values)), RAW)
    check_table(fetched.table, "table")
    return fetched


def members(archive: str = "images.zip") -> dict[str, bytes]:
    with zipfile.ZipFile(RAW / archive) as opened:
        return {name: opened.read(name) for name in opened.namelist()}


# The ISIC archive


def test_all_pages_and_images_in_order(server: Server) -> None:
    server.records = [record(server, number) for number in range(250, 0, -1)]
    fetched = fetch_archive(query='sex:female AND diagnosis_3:"Nevus"')
    searches = server.requests_for(SEARCH)
    assert len(searches) == 3
    assert all("collections=212" in path and "limit=100" in path for path in searches)
    assert "query=sex%3Afemale+AND+diagnosis_3%3A%22Nevus%22" in searches[0]
    assert list(fetched.table["image_id"]) == [f"ISIC_{number:07d}" for number in range(1, 251)]
    packed = members()
    assert list(packed) == [f"ISIC_{number:07d}.jpg" for number in range(1, 251)]
    assert packed["ISIC_0000007.jpg"] == server.files["/images/ISIC_0000007_full.jpg"]


def test_record_becomes_a_row(server: Server) -> None:
    said: dict[str, Any] = {
        "age_approx": 55.0,
        "sex": "female",
        "lesion_id": "IL_1",
        "patient_id": "IP_1",
        "anatom_site_1": "Trunk",
        "anatom_site_2": "Posterior trunk",
        "diagnosis_confirm_type": "histopathology",
        "diagnosis_4": "Nevus, Spitz",
    }
    server.records = [record(server, 1, **said), record(server, 2, "Melanoma, NOS")]
    fetched = fetch_archive(resolution="thumbnail")
    vienna = "ViDIR Group, Department of Dermatology, Medical University of Vienna"
    assert fetched.table.iloc[0].to_dict() == {
        "lesion_id": "IL_1",
        "image_id": "ISIC_0000001",
        "dx": "nv",
        "dx_type": "histopathology",
        "age": "55",
        "sex": "female",
        "localization": "Trunk:Posterior trunk",
        "dataset": vienna,
        "patient_id": "IP_1",
    }
    content = server.files["/images/ISIC_0000001_thumbnail_256.jpg"]
    assert fetched.provenance["images"][0] == {
        "name": "ISIC_0000001.jpg",
        "address": f"{server.address}/images/ISIC_0000001_thumbnail_256.jpg",
        "bytes": len(content),
        "sha256": hashlib.sha256(content).hexdigest(),
        "licence": "CC-BY-NC",
        "attribution": vienna,
    }
    assert fetched.provenance["licence"] == "CC-0; CC-BY-NC"


@pytest.mark.parametrize(
    ("names", "code"),
    [
        (["Benign", "Benign melanocytic proliferations", "Nevus", "Nevus, Atypical"], "nv"),
        (["Malignant", "Malignant melanocytic proliferations (Melanoma)", "Melanoma in situ", "x"], "mel"),
        (["Malignant", "Malignant melanocytic proliferations (Melanoma)"], "mel"),
        (["Malignant", "Malignant adnexal epithelial proliferations - Follicular", "Basal cell carcinoma"], "bcc"),
        (["Indeterminate", "Indeterminate epidermal proliferations", "Solar or actinic keratosis"], "ak"),
        (["Malignant", "Malignant epidermal proliferations", "Squamous cell carcinoma, NOS"], "scc"),
        (["Benign", "Benign epidermal proliferations", "Pigmented benign keratosis"], "pbk"),
        (["Benign", "Benign epidermal proliferations", "Seborrheic keratosis"], "sk"),
        (["Benign", "Benign soft tissue proliferations - Vascular", "Hemangioma"], "vasc"),
        (["Benign", "Benign soft tissue proliferations - Fibro-histiocytic", "Dermatofibroma"], "df"),
        (["Benign", "Benign soft tissue proliferations - Fibro-histiocytic", "Scar"], "scar"),
        (["Benign", "", None], "benign"),
        ([], ""),
    ],
)
def test_deepest_known_diagnosis(names: list[str | None], code: str) -> None:
    clinical = {f"diagnosis_{level}": name for level, name in enumerate(names, start=1)}
    assert read_record({"isic_id": "a", "metadata": {"clinical": clinical}}, "full").row["dx"] == code


def test_second_run_requests_nothing(server: Server) -> None:
    server.records = [record(server, number) for number in range(5)]
    first, packed = fetch_archive(), (RAW / "images.zip").read_bytes()
    server.requested.clear()
    server.records.pop()
    again = fetch_archive()
    assert server.requested == []
    assert again.provenance == first.provenance
    assert again.table.equals(first.table)
    assert (RAW / "images.zip").read_bytes() == packed


def test_provenance_without_signatures(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    provenance = []
    for signature in ("first", "second"):
        server.signature = signature
        server.records = [record(server, number) for number in range(5)]
        elsewhere(tmp_path / signature, monkeypatch)
        provenance.append(fetch_archive().provenance)
    assert provenance[0] == provenance[1]
    written = json.dumps(provenance[0])
    assert str(tmp_path) not in written
    assert "Signature" not in written


def test_busy_for_a_while(server: Server) -> None:
    server.records = [record(server, number) for number in range(150)]
    server.troubles = {SEARCH: [429, 503, 500], "/images/ISIC_0000003": [429, 502]}
    assert len(fetch_archive().table) == 150
    assert len(server.requests_for(SEARCH)) == 2 + 3
    assert len(server.requests_for("/images/ISIC_0000003")) == 3


def test_nothing_found(server: Server) -> None:
    stops(fetch_archive, "lists 0 images", "download.collection", "download.query", "gallery.isic-archive.com")
    server.records = [record(server, 1)]
    assert len(fetch_archive().table) == 1  # an empty answer is not kept


def test_missing_image_is_named(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.records = [record(server, number) for number in range(150)]
    del server.files["/images/ISIC_0000007_full.jpg"]
    fetched = fetch_archive()
    assert len(fetched.table) == len(members()) == 149
    assert "ISIC_0000007" not in set(fetched.table["image_id"])
    assert fetched.provenance["gone"] == ["ISIC_0000007"]
    assert "left out: ISIC_0000007 (1 in all)" in capsys.readouterr().out
    server.requested.clear()
    assert fetch_archive().provenance == fetched.provenance
    assert server.requested == []
    assert "ISIC_0000007" in set(fetch_archive(resolution="thumbnail").table["image_id"])


def test_proxy_that_refuses_all(server: Server) -> None:
    """Once it is out of the way all images are fetched, by the same listing."""
    server.records = [record(server, number) for number in range(150)]
    images = {name: server.files.pop(name) for name in list(server.files) if name.startswith("/images/")}
    stops(fetch_archive, "150 of 150 listed images are gone from the ISIC archive, or refused")
    server.files |= images
    assert len(fetch_archive().table) == 150


def test_too_many_missing_images(server: Server) -> None:
    server.records = [record(server, number) for number in range(150)]
    for number in (7, 8):
        del server.files[f"/images/ISIC_{number:07d}_full.jpg"]
    listing = "data/downloads/isic_archive/listing_collection_212.json"
    for _ in range(2):
        stops(fetch_archive, "2 of 150 listed images are gone", "1%", f"delete {listing}")
    Path(listing).unlink()
    server.records = [image for image in server.records if image["isic_id"][-1] not in "78"]
    server.requested.clear()
    assert len(fetch_archive().table) == 120
    assert not server.requests_for("/images/")


def test_expired_links_are_renewed(server: Server) -> None:
    listings = []
    for signature in ("old", "new"):
        server.signature = signature
        listings.append([record(server, number) for number in range(20)])
    server.records = listings[0]
    pages = iter(listings)
    server.change = lambda page: page | {"results": next(pages)}
    assert len(fetch_archive().table) == len(members()) == 20
    assert len(server.requests_for(SEARCH)) == 2


def test_unavailable_image_is_not_missing(server: Server) -> None:
    server.records = [record(server, number) for number in range(150)]
    server.troubles = {"/images/ISIC_0000004": [500] * 2 * web.ATTEMPTS}
    stops(fetch_archive, "1 of 150 images could not be fetched", "ISIC_0000004", "500", "run again")
    server.requested.clear()
    assert len(fetch_archive().table) == 150
    assert server.requested == ["/images/ISIC_0000004_full.jpg"]


def test_image_of_another_length(server: Server) -> None:
    server.records = [record(server, number) for number in range(3)]
    server.files["/images/ISIC_0000001_full.jpg"] += b"more"
    stops(fetch_archive, "1 of 3 images could not be fetched", "ISIC_0000001", "40 bytes; expected 36")
    assert not (RAW / "images.zip").exists()


def test_private_and_undiagnosed_images(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    server.records = [record(server, number) for number in range(5)]
    server.records[1]["public"] = False
    server.records[2]["metadata"]["clinical"] = {}
    fetched = fetch_archive()
    printed = capsys.readouterr().out
    assert "1 images are not public" in printed
    assert "1 images have no diagnosis" in printed
    assert list(fetched.table["dx"]) == ["nv", "", "nv", "nv"]
    assert sorted(members()) == [f"ISIC_000000{number}.jpg" for number in (0, 3, 4)]


def test_image_on_two_pages(server: Server) -> None:
    server.page = 3
    server.records = [record(server, number) for number in (1, 2, 3, 3, 4, 5, 5)]
    assert list(fetch_archive().table["image_id"]) == [f"ISIC_000000{number}" for number in range(1, 6)]


def change(page: dict[str, Any], part: str, key: str, value: object) -> dict[str, Any]:
    """Change a field of the page, of each record, or of a dictionary of each record."""
    if part == "page":
        return page | {key: value}
    for entry in page["results"]:
        target = {"record": entry, "metadata": entry["metadata"], "clinical": entry["metadata"].get("clinical")}[part]
        target[key] = value
    return page


@pytest.mark.parametrize(
    ("part", "key", "value", "words"),
    [
        ("page", "results", None, ["without `results`", "count, next", "interface may have changed"]),
        ("page", "results", [7], ["without a usable `isic_id`"]),
        ("page", "next", 3, ["names '3' as its next page"]),
        ("page", "next", "http://[", ["next page", "expected an address on 127.0.0.1"]),
        ("page", "next", "https://example.org/", ["names 'https://example.org/' as its next page"]),
        ("page", "count", 900, ["ended after 3 of 900 images"]),
        ("record", "isic_id", None, ["without a usable `isic_id`", "ISIC_0024306"]),
        ("record", "isic_id", "../../x", ["without a usable `isic_id`", "../../x"]),
        ("record", "metadata", None, ["None of the 3 images", "metadata.clinical.diagnosis_1"]),
        ("metadata", "clinical", [], ["None of the 3 images", "metadata.clinical.diagnosis_1"]),
        ("record", "files", {"full": "https://example.org"}, ["None of the 3 images", "files.full.url"]),
        ("record", "files", {"full": {"url": "file:///etc/passwd"}}, ["None of the 3 images", "files.full.url"]),
    ],
)
def test_fields_that_have_changed(server: Server, part: str, key: str, value: object, words: list[str]) -> None:
    server.records = [record(server, number) for number in range(3)]
    server.change = lambda page: change(page, part, key, value)
    stops(fetch_archive, *words)
    assert not DOWNLOADS.exists()


@pytest.mark.parametrize(
    ("part", "key", "value"),
    [
        ("page", "count", None),
        ("page", "count", "many"),
        ("record", "copyright_license", None),
        ("record", "attribution", {"name": "x"}),
        ("record", "new", ["unheard of"]),
        ("metadata", "acquisition", None),
        ("clinical", "age_approx", "55-60"),
        ("clinical", "sex", True),
        ("clinical", "lesion_id", 7),
    ],
)
def test_fields_that_are_not_needed(server: Server, part: str, key: str, value: object) -> None:
    server.records = [record(server, number) for number in range(3)]
    server.change = lambda page: change(page, part, key, value)
    assert list(fetch_archive().table["dx"]) == ["nv", "nv", "nv"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
)


@given(JSON, JSON, JSON, st.dictionaries(st.sampled_from(["diagnosis_3", "anatom_site_1", "age_approx", "sex"]), JSON))
def test_any_record_is_a_row_of_text(files: Any, metadata: Any, attribution: Any, clinical: dict[str, Any]) -> None:
    for said in (metadata, {"clinical": metadata}, {"clinical": clinical}):
        answer = {"isic_id": "a", "files": {"full": files}, "metadata": said, "attribution": attribution}
        image = read_record(answer, "full")
        assert all(isinstance(value, str) and "\n" not in value for value in image.row.values())
        assert image.url == "" or image.url.startswith("http")
        assert image.n_bytes is None or image.n_bytes > 0


def test_circular_pages(server: Server) -> None:
    server.records = [record(server, number) for number in range(3)]
    server.change = lambda page: page | {"next": f"{server.address}{SEARCH}?limit=100&page={len(server.requested)}"}
    stops(fetch_archive, "go round in a circle")
    assert len(server.requested) == 2


def test_refused_query(server: Server) -> None:
    server.troubles = {SEARCH: [400]}
    stops(lambda: fetch_archive(query="nevus AND ("), "400", "download.query", "FIELD:VALUE")


def test_unreachable_archive(server: Server) -> None:
    server.troubles = {SEARCH: [503] * web.ATTEMPTS}
    stops(fetch_archive, "503", "Run this again later", "Without a network", "data/downloads/isic_archive")


def test_damaged_listing(server: Server) -> None:
    server.records = [record(server, 1)]
    fetch_archive()
    listing = next((DOWNLOADS / "isic_archive").glob("*.json"))
    for content in (listing.read_text()[:-30], "[]", "{}", '{"gone": {}, "records": 3}'):
        listing.write_text(content)
        stops(fetch_archive, str(listing), "Delete it")


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"source": "isic_archive"}, "download.query: the source isic_archive needs a query, a collection or both"),
        ({"source": "isic_archive", "collection": 0}, "expected the number of a collection"),
        ({"collection": "212"}, "expected the number of a collection"),
        ({"query": " "}, "expected a search on one line"),
        ({"query": "a\nb"}, "expected a search on one line"),
        ({"year": 2021}, "'2024_permissive' or 2024; found 2021"),
        ({"resolution": "large"}, "download.resolution: input should be 'full' or 'thumbnail'"),
        ({"segmentations": False}, "download.segmentations: unknown key"),
    ],
)
def test_parameters_that_cannot_be_used(values: dict[str, object], words: str) -> None:
    all_values = {"source": "synthetic", "folder": "data/none", "images": 100, "seed": 1} | values
    stops(lambda: Download.check(all_values), words)


# HAM10000


def published(server: Server, name: str, content: bytes) -> RemoteFile:
    """Put a file on the server, and describe it as a publisher does who knows what hashes are for."""
    hashes = {kind: hashlib.new(kind, content, usedforsecurity=False).hexdigest() for kind in ("md5", "sha256")}
    return served(server, name, content, n_bytes=len(content), **hashes)


@pytest.fixture
def small_ham10000(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    table = b"lesion_id,image_id,dx,dx_type,age,sex,localization,dataset\nH1,I1,mel,histo,80.0,male,scalp,rosendahl\n"
    parts = [published(server, f"HAM10000_images_part_{n}.zip", zipped({f"I{n}.jpg": b"x" * n})) for n in (1, 2)]
    monkeypatch.setattr(ham10000, "IMAGES", tuple(parts))
    monkeypatch.setattr(ham10000, "TABLE", published(server, "HAM10000_metadata", table))


@pytest.mark.usefixtures("small_ham10000")
def test_ham10000_is_fetched_once(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fetched = ham10000.fetch(section("ham10000"), RAW)
    assert sorted(path.name for path in RAW.iterdir()) == ["HAM10000_images_part_1.zip", "HAM10000_images_part_2.zip"]
    assert list(fetched.table.iloc[0]) == ["H1", "I1", "mel", "histo", "80.0", "male", "scalp", "rosendahl"]
    described = {file["name"]: file for file in fetched.provenance["files"]}
    assert set(described) == {"HAM10000_metadata", "HAM10000_images_part_1.zip", "HAM10000_images_part_2.zip"}
    for name, file in described.items():
        content = server.files[f"/{name}"]
        assert file["bytes"] == len(content)
        assert file["sha256"] == hashlib.sha256(content).hexdigest()
        assert file["md5"] == hashlib.md5(content, usedforsecurity=False).hexdigest()
        assert file["address"].startswith("http")
        assert "Vienna" in file["attribution"]
        assert "180161" in file["citation"]

    assert len(server.requested) == 3

    elsewhere(tmp_path, monkeypatch)
    again = ham10000.fetch(section("ham10000"), RAW)
    assert again.provenance == fetched.provenance
    assert str(tmp_path) not in json.dumps(again.provenance)


@pytest.mark.usefixtures("small_ham10000")
def test_present_archives_are_verified_and_used(server: Server) -> None:
    DOWNLOADS.mkdir(parents=True)
    for path, content in server.files.items():
        Path(DOWNLOADS, path[1:]).write_bytes(content)
    ham10000.fetch(section("ham10000"), RAW)
    assert server.requested == []
    damaged = DOWNLOADS / "HAM10000_images_part_2.zip"
    damaged.write_bytes(damaged.read_bytes()[:-1] + b"?")
    stops(
        lambda: ham10000.fetch(section("ham10000"), RAW), str(damaged), "not the file that is expected", "Move it away"
    )
    assert damaged.exists()


def test_smaller_ham10000_is_refused(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(web, "_session", lambda: pytest.fail("used the network"))
    DOWNLOADS.mkdir(parents=True)
    copy = DOWNLOADS / "HAM10000_images_part_1.zip"
    copy.write_bytes(zipped({"ISIC_0024306.jpg": b"small"}))
    words = [str(copy), "1,366,522,108", "download.source: folder"]
    stops(lambda: ham10000.fetch(section("ham10000"), RAW), *words)
    assert copy.exists()
    assert server.requested == []


# lesions sources


def test_listing_of_sources(here: Path) -> None:
    def line(start: str) -> str:
        return next(line for line in list_sources().splitlines() if line.startswith(start))

    assert run("lesions sources", here) == f"{list_sources()}\n"
    for module in (ROOT / "lesions/sources").glob("*/fetch.py"):
        assert line(module.parent.name)
    assert " ".join(line("ham10000 ").split()).endswith("2.8 GB CC BY-NC 4.0 missing")
    DOWNLOADS.mkdir(parents=True)
    with (DOWNLOADS / "HAM10000_metadata").open("wb") as file:
        file.truncate(690_218)
    assert line("ham10000 ").endswith("part: 1 of 3 files")
    for image in ham10000.IMAGES:
        with (DOWNLOADS / image.name).open("wb") as file:
            file.truncate(image.n_bytes)  # takes no room, and is not hashed
    assert line("ham10000 ").endswith("complete")
    (DOWNLOADS / "HAM10000_metadata").write_bytes(b"other")
    assert line("ham10000 ").endswith("another file of that name")
    (DOWNLOADS / "ISIC_2019_Training_Input.zip.part").touch()
    assert "part: 0 of 3 files" in list_sources()
    (DOWNLOADS / "isic_archive/full").mkdir(parents=True)
    for name in ("ISIC_0000001.jpg", "ISIC_0000002.jpg", "ISIC_0000003.jpg.part"):
        (DOWNLOADS / "isic_archive/full" / name).touch()
    assert "2 images" in line("isic_archive")


def test_listing_fits_a_terminal() -> None:
    assert all(len(line) <= 100 for line in list_sources().splitlines())


# Through DVC, and what docs/sources.md says


def own_source(server: Server) -> str:
    """Return the source that docs/sources.md shows, with its addresses on the server."""
    block = re.findall(r"```python\n(.*?)```", DOCS, re.DOTALL)[0]
    assert block.count("https://example.org/") == 2
    return str(block.replace("https://example.org/", f"{server.address}/"))


def test_killed_download_goes_on(server: Server, tmp_path: Path) -> None:
    clone = small_clone(tmp_path / "clone")
    (clone / "lesions/sources/clinic").mkdir()
    (clone / "lesions/sources/clinic/fetch.py").write_text(own_source(server), encoding="utf-8")
    edit_params(clone, download={"source": "clinic"})
    server.files = {
        "/clinic.csv": b"image_id,dx\na,mel\nb,nv\n",
        "/clinic.zip": zipped({"a.jpg": os.urandom(3_000_000), "b.jpg": os.urandom(1_000_000)}),
    }
    server.stall_after = 2_500_000
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "NO_PROXY": "127.0.0.1"}
    with subprocess.Popen(
        ["dvc", "repro", "download"], cwd=clone, env=environment, start_new_session=True,
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    ) as process:  # fmt: skip
        assert server.stalled.wait(60)
        part = clone / "data/downloads/clinic.zip.part"
        while not part.exists() or part.stat().st_size < 1_000_000:
            assert process.poll() is None
        os.killpg(process.pid, signal.SIGKILL)
    assert process.returncode != 0
    server.released.set()
    assert not (clone / "data/downloads/clinic.zip").exists()

    run("dvc repro download", clone)
    for folder in ("data/downloads", "data/raw"):
        assert (clone / folder / "clinic.zip").read_bytes() == server.files["/clinic.zip"]
    assert list(read_csv(clone / "data/raw/metadata.csv")["image_id"]) == ["a", "b"]
    assert read_json(clone / "data/raw/provenance.json")["files"][1]["name"] == "clinic.zip"
    assert sorted(server.requested) == ["/clinic.csv", "/clinic.zip", "/clinic.zip"]
    assert [int(part[6:-1]) >= 1_000_000 for part in server.ranges] == [True]

    # What DVC does with its outputs leaves the downloads alone: a forced run fetches nothing.
    run("dvc repro --force --single-item download", clone)
    assert len(server.requested) == 3


def test_documented_values_are_accepted() -> None:
    params = YAML(typ="safe").load(ROOT / "params.yaml")
    blocks = re.findall(r"```yaml\n(.*?)```", DOCS, re.DOTALL)
    assert len(blocks) > 2
    for block in blocks:
        own = YAML(typ="safe").load(block)
        Download.check(params["download"] | own["download"])
        Clean.check(params["clean"] | own.get("clean", {}))
    names = {file.name for module in (ham10000, isic_challenge) for offer in module.OFFERS for file in offer.files}
    assert names == set(re.findall(r"`([A-Z][\w-]+(?:\.zip|\.csv|_metadata))`", DOCS)) - {"HAM10000"}
