"""Several collections as one: fetched each for itself, one copy of an image kept, no group in two splits."""

import io
import itertools
import os
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from lesions.audit import scan
from lesions.audit.merged import DUPLICATE, collection_lines
from lesions.audit.usable import Audit, find_usable
from lesions.core.csv_files import read_csv
from lesions.core.errors import UserError
from lesions.core.json_files import read_json
from lesions.images.decode import decode_image
from lesions.params.clean import Clean
from lesions.params.download import Download
from lesions.params.split import Split
from lesions.sampling.split import n_groups_in_two_splits
from lesions.sampling.split_report import split_images
from lesions.sources.common.raw_data import Fetched, fetch_from
from stages import clean, download
from tests.conftest import copy_of_tree, edit_params

BASE: dict[str, Any] = {"source": "merged", "folder": "incoming", "n_images": 100, "seed": 1}
LABELS = ("mel", "nv", "bkl")


def photograph(seed: int, px: int = 96, quality: int = 90) -> bytes:
    """A JPEG unlike that of any other seed; of one seed, the same image at another size."""
    rng = np.random.default_rng(seed)
    noise = Image.fromarray(rng.integers(60, 220, (9, 12, 3), np.uint8)).resize((384, 288), Image.Resampling.BICUBIC)
    grain = Image.fromarray(rng.integers(0, 256, (72, 96, 3), np.uint8)).resize((384, 288), Image.Resampling.BICUBIC)
    file = io.BytesIO()
    Image.blend(noise, grain, 0.3).resize((px * 4 // 3, px), Image.Resampling.LANCZOS).save(
        file, "JPEG", quality=quality
    )
    return file.getvalue()


def put_collection(folder: Path, rows: list[dict[str, Any]]) -> None:
    """Write a collection's images and table; a row has `image_id`, `dx`, `seed`, and what else the table says."""
    folder.mkdir(parents=True)
    for row in rows:
        size = {key: row[key] for key in ("px", "quality") if key in row}
        (folder / f"{row['image_id']}.jpg").write_bytes(photograph(row["seed"], **size))
    table = pd.DataFrame(rows).drop(columns=["seed", "px", "quality"], errors="ignore").fillna("")
    table.to_csv(folder / "table.csv", index=False)


def collection(first: int, *, px: int = 96, **said: str) -> list[dict[str, Any]]:
    """Twelve images of twelve lesions, four a class."""
    return [
        {"image_id": f"i{number:02}", "dx": LABELS[number % 3], "seed": first + number, "px": px, **said}
        for number in range(12)
    ]


def params(*names: str, **changed: Any) -> Download:
    entries = [{"source": "folder", "folder": f"incoming/{name}"} for name in names]
    return Download.check(BASE | {"merge": entries} | changed)


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fetched(chosen: Download, raw: str = "raw") -> Fetched:
    Path(raw).mkdir(parents=True)
    return fetch_from(chosen, Path(raw))


def audit(result: Fetched, raw: str = "raw", **changed: Any) -> Audit:
    given = Clean.read(Path(__file__).parents[2] / "params.yaml").model_copy(update={"max_rejected": 1.0} | changed)
    return find_usable(Path(raw), result.table, given)


@pytest.mark.usefixtures("here")
def test_merge_of_one_is_that_one() -> None:
    put_collection(Path("incoming/a"), collection(0, lesion_id="L1"))
    one, alone = (
        fetched(params("a")),
        fetched(Download.check(BASE | {"source": "folder", "folder": "incoming/a"}), "own"),
    )
    assert one.table.equals(alone.table)
    assert one.provenance == alone.provenance
    assert {path.name: path.read_bytes() for path in Path("raw").iterdir()} == {
        path.name: path.read_bytes() for path in Path("own").iterdir()
    }


@pytest.mark.usefixtures("here")
def test_ids_belong_to_their_collection() -> None:
    """The same ids are other images and other lesions elsewhere; an image without a camera is of the collection."""
    first, *others = collection(0, lesion_id="L1", patient_id="P")
    put_collection(Path("incoming/a"), [first | {"lesion_id": "NA"}, *others])
    put_collection(Path("incoming/b"), collection(100, lesion_id="L1", dataset="camera"))
    result = fetched(params("b", "a"))
    assert result.table["image_id"].is_unique
    assert set(result.table["lesion_id"]) == {"", "L1@a", "L1@b"}
    assert set(result.table["patient_id"]) == {"P@a", ""}
    assert set(result.table["dataset"]) == {"a", "camera"}
    found = audit(result)
    assert len(found.images) == 24
    assert set(found.images["group_id"]) == {"i00@a", "i00@b"}
    assert found.collections["overlaps"] == [{"collections": ["a", "b"], "pairs": 0, "same_bytes": 0, "conflicts": 0}]


@pytest.mark.usefixtures("here")
def test_better_duplicate_is_kept_and_lesions_are_joined() -> None:
    """`b` holds six of `a`'s images, smaller, under other ids: the larger stay, and b's lesion ids join a's images."""
    put_collection(Path("incoming/a"), collection(0))
    again = [
        row | {"image_id": f"x{row['image_id']}", "px": 72, "quality": 60, "lesion_id": "one"} for row in collection(0)
    ]
    put_collection(Path("incoming/b"), again[:6] + [row | {"lesion_id": "own"} for row in collection(100)])
    found = audit(fetched(params("a", "b")))
    assert list(found.rejects["image_id"]) == [f"xi{number:02}@b" for number in range(6)]
    assert list(found.rejects["reason"]) == [f"{DUPLICATE}: i{number:02}@a is kept" for number in range(6)]
    groups = found.images.set_index("image_id")["group_id"]
    assert set(groups[[f"i{number:02}@a" for number in range(6)]]) == {"i00@a"}
    assert set(groups.drop([f"i{number:02}@a" for number in range(6)])) == {
        *(f"i{n:02}@a" for n in range(6, 12)),
        "i00@b",
    }
    assert found.collections["collections"]["b"]["duplicates"] == 6
    assert found.collections["overlaps"][0] == {"collections": ["a", "b"], "pairs": 6, "same_bytes": 0, "conflicts": 0}
    assert not found.problem


@pytest.mark.usefixtures("here")
def test_published_test_stays_test() -> None:
    """An image of b's published test is kept as a's larger copy, and tested."""
    put_collection(Path("incoming/a"), collection(0))
    tested = [row | {"px": 72, "split": "test"} for row in collection(0)[:6]]
    put_collection(
        Path("incoming/b"), tested + [row | {"image_id": f"n{row['seed']}", "split": "train"} for row in collection(50)]
    )
    found = audit(fetched(params("a", "b")))
    assert set(found.images.loc[found.images["published_split"] == "test", "image_id"]) == {
        f"i{n:02}@a" for n in range(6)
    }
    published = Split.check({"method": "published", "val_fraction": 0.2, "test_fraction": 0.2, "seed": 1})
    split, report = split_images(found.images, list(found.classes["label"]), published)
    assert set(split.loc[split["split"] == "test", "image_id"]) == {f"i{n:02}@a" for n in range(6)}
    assert report["groups_in_two_splits"] == 0


@pytest.mark.usefixtures("here")
def test_conflicts_are_counted_by_pair_of_collections() -> None:
    put_collection(Path("incoming/a"), collection(0))
    wrong = [row | {"dx": "nv" if row["dx"] == "mel" else row["dx"], "px": 72} for row in collection(0)[:6]]
    put_collection(Path("incoming/b"), wrong + [row | {"image_id": f"n{row['seed']}"} for row in collection(50)])
    found = audit(fetched(params("a", "b")))
    assert found.collections["overlaps"] == [{"collections": ["a", "b"], "pairs": 6, "same_bytes": 0, "conflicts": 2}]
    reasons = found.rejects.set_index("image_id")["reason"]
    assert reasons["i00@a"] == "the same image is diagnosed as mel and nv: i00@a, i00@b"
    kept = audit(fetched(params("a", "b"), "again"), "again", label_conflicts="keep_first")
    assert len(kept.images) == 24


@pytest.mark.usefixtures("here")
@pytest.mark.parametrize("rule", ["drop", "keep_first"])
def test_conflicting_image_joins_groups(rule: str) -> None:
    """What is set aside for its diagnosis still says that the lesions of two tables are one."""
    rows = collection(0, lesion_id="L1")
    put_collection(Path("incoming/a"), rows)
    again = rows[0] | {"dx": "bkl", "lesion_id": "L2"}
    put_collection(Path("incoming/b"), [again, *(row | {"lesion_id": "L2"} for row in collection(50)[1:])])
    found = audit(fetched(params("a", "b")), label_conflicts=rule)
    assert len(found.images) == 22 + (rule == "keep_first")
    assert found.images["group_id"].nunique() == 1


@pytest.mark.usefixtures("here")
def test_collections_in_conflict_throughout() -> None:
    put_collection(Path("incoming/a"), collection(0))
    other = {"mel": "malignant", "nv": "benign", "bkl": "benign"}
    put_collection(Path("incoming/b"), [row | {"dx": other[row["dx"]]} for row in collection(0)])
    found = audit(fetched(params("a", "b")), label_conflicts="drop")
    assert found.images.empty
    assert "no image can be used" in found.problem
    assert len(collection_lines(found.collections)) == 3


@settings(deadline=None, max_examples=8, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shared=st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)), max_size=8, unique_by=lambda pair: pair[1]),
    lesions=st.lists(st.integers(0, 3), min_size=12, max_size=12),
    order=st.permutations(["a", "b", "c"]),
)
def test_no_group_is_in_two_splits(
    tmp_path_factory: pytest.TempPathFactory, shared: list[tuple[int, int]], lesions: list[int], order: list[str]
) -> None:
    before = Path.cwd()
    os.chdir(tmp_path_factory.mktemp("merged"))
    try:
        put_collection(Path("incoming/a"), collection(0))
        b = [row | {"lesion_id": f"L{lesion}"} for row, lesion in zip(collection(20), lesions, strict=True)]
        for one, other in shared:
            b[other] |= {"seed": one, "dx": LABELS[one % 3], "px": 72}
        put_collection(Path("incoming/b"), b)
        put_collection(Path("incoming/c"), collection(40))
        first, second = audit(fetched(params("a", "b", "c"))), audit(fetched(params(*order), "other"), "other")
        assert first.images.equals(second.images)
        assert first.rejects.equals(second.rejects)
        assert len(first.images) == 36 - len({other for _, other in shared})
        chosen = Split.check({"method": "grouped", "val_fraction": 0.2, "test_fraction": 0.2, "seed": 1})
        try:
            split, _ = split_images(first.images, list(first.classes["label"]), chosen)
        except UserError:
            return  # lesions of several classes, and too few groups
        assert n_groups_in_two_splits(first.images.assign(split=list(split["split"])), "group_id") == 0
    finally:
        os.chdir(before)


def test_collections_keep_their_shares_in_each_split() -> None:
    rows = [(f"{name}{number}", name, label) for name in "ab" for label in LABELS for number in range(40)]
    images = pd.DataFrame(rows, columns=["number", "collection", "label"])
    images["image_id"] = images["group_id"] = images["label"] + images["number"]
    for column in ("lesion_id", "patient_id", "sha256", "near_duplicate_id", "known_pair_id"):
        images[column] = ""
    chosen = Split.check({"method": "grouped", "val_fraction": 0.25, "test_fraction": 0.25, "seed": 1})
    split, _ = split_images(images, list(LABELS), chosen)
    counts = pd.crosstab([images["collection"], images["label"]], split["split"].to_numpy())
    assert (counts == [10, 20, 10]).all(axis=None)
    left, report = split_images(
        images, list(LABELS), chosen.model_copy(update={"method": "leave_collection_out", "test_source": "b"})
    )
    assert set(left.loc[left["split"] == "test", "collection"]) == {"b"}
    assert report["leave_source_out"]["left_out_by"] == "collection"


@pytest.mark.parametrize(
    ("changed", "words"),
    [
        ({"merge": []}, "merge is empty"),
        ({"merge": [{"source": "ham10000"}, {"source": "ham10000", "name": "x"}]}, "ham10000 and x are the same"),
        ({"merge": [{"source": "ham10000"}, {"source": "ham10000"}]}, "two collections called ham10000"),
        ({"merge": [{"source": "folder", "folder": "elsewhere/a"}]}, "must lie in download.folder"),
        ({"merge": [{"source": "folder", "folder": "incoming/../a"}]}, "must lie in download.folder"),
        (
            {"merge": [{"source": "folder", "folder": f"incoming/{name}"} for name in ("a", "a/b")]},
            "lie in one another",
        ),
        ({"merge": [{"source": "ham1000"}]}, 'entry 1: download.source: no such source; did you mean "ham10000"'),
        ({"merge": [{"source": "merged"}]}, "expected the source of one collection"),
        ({"merge": [{"year": 2019}]}, "expected the source of one collection"),
        ({"merge": [{"source": "ham10000", "name": "../x"}]}, "is none that a collection can have"),
        ({"merge": [{"source": "ham10000", "name": "metadata.csv"}]}, "is none that a collection can have"),
        ({"merge": [{"source": "synthetic"}, {"source": "ham10000"}]}, "synthetic is drawn, and the others are not"),
        ({"source": [{"source": "ham10000"}]}, "write `source: merged`, and the list as `merge`"),
    ],
)
def test_merges_that_cannot_be(changed: dict[str, Any], words: str) -> None:
    with pytest.raises(UserError) as error:
        Download.check(BASE | changed)
    assert words in str(error.value)


@pytest.mark.usefixtures("here")
def test_a_collection_that_cannot_be_had_is_named() -> None:
    put_collection(Path("incoming/a"), collection(0))
    Path("incoming/b").mkdir()
    with pytest.raises(UserError) as error:
        fetched(params("a", "b"))
    assert "The collection b (download.merge) cannot be had: incoming/b" in str(error.value)
    assert "Nothing is wrong with a;" in str(error.value)


def test_merged_data_through_the_stages(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From params.yaml to the data report; a grown collection's old images are not decoded again."""
    clone = copy_of_tree(tmp_path / "clone")
    monkeypatch.chdir(clone)
    put_collection(clone / "data/incoming/a", collection(0))
    put_collection(
        clone / "data/incoming/b",
        [row | {"px": 72} for row in collection(0)[:3]]
        + [row | {"image_id": f"n{row['seed']}"} for row in collection(50)],
    )
    entries = [{"source": "folder", "folder": f"data/incoming/{name}"} for name in "ab"]
    edit_params(clone, download={"source": "merged", "folder": "data/incoming", "merge": entries})
    download.main()
    clean.main()
    assert read_json(Path("data/raw/provenance.json"))["licence"].startswith("a: unstated")
    assert set(read_csv(Path("data/clean/images.csv"))["archive"]) == {"a/images.zip", "b/images.zip"}
    page = Path("reports/data.html").read_text(encoding="utf-8")
    assert "The data is merged of 2 collections" in page
    before = Path("data/clean/images.csv").read_bytes()

    decoded = itertools.count()
    monkeypatch.setattr(scan, "decode_image", lambda *given: (next(decoded), decode_image(*given))[1])
    clean.main()
    assert next(decoded) == 0
    assert Path("data/clean/images.csv").read_bytes() == before
