"""The real data, where HAM10000_DIR names a folder with HAM10000's archives and table, at any resolution."""

import json
import os
import re
from pathlib import Path
from time import monotonic

import pytest

from lesions.audit.known_pairs import PAIRS, REASON
from lesions.core.csv_files import read_csv
from stages import clean, download, split
from tests.conftest import ROOT, copy_of_tree, edit_params, run

pytestmark = pytest.mark.skipif("HAM10000_DIR" not in os.environ, reason="HAM10000_DIR is not set")

HAM10000 = {"source": "folder", "folder": str(Path(os.environ.get("HAM10000_DIR", "")).absolute())}


def test_table_groups_and_split(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    edit_params(tmp_path, download=HAM10000)
    for stage in (download, clean, split):
        stage.main()

    data = json.loads(Path("metrics/data.json").read_text())
    assert (data["images"], data["lesions"], data["set_aside"]) == (10_015, 7_470, 0)
    counts = {"mel": 1113, "bcc": 514, "akiec": 327, "bkl": 1099, "nv": 6705, "df": 115, "vasc": 142}
    assert data["classes"] == counts
    assert {column: data["missing"][column] for column in ("age", "sex", "site")} == {"age": 57, "sex": 57, "site": 234}
    assert data["ages"] == {"given": 9919, "placeholder": 39, "missing": 57, "unread": 0, "filled": 0}
    assert [warning["key"] for warning in data["warnings"]] == [
        "dx_type_tells_the_diagnosis",
        "sources_without_classes",
        "unequal_classes",
    ]
    # The two pairs of files with the same bytes that are known (here they also share their lesion).
    images = read_csv(Path("data/clean/images.csv")).set_index("image_id")
    assert data["exact_duplicates"] == 2
    for one, other in (("ISIC_0024777", "ISIC_0029938"), ("ISIC_0024366", "ISIC_0029861")):
        for column in ("sha256", "lesion_id", "group_id"):
            assert images[column][one] == images[column][other]

    # Each known pair is one group of two lesion ids, and in one split.
    splits = read_csv(Path("data/split/split.csv")).set_index("image_id")["split"]
    assert data["known_pairs"] == len({images["group_id"][one] for one, _ in PAIRS}) == 18
    for one, other in PAIRS:
        assert images["lesion_id"][one] != images["lesion_id"][other]
        assert images["group_id"][one] == images["group_id"][other]
        assert images["label"][one] == images["label"][other]
        assert splits[one] == splits[other]
    pairs = read_csv(Path("data/clean/duplicates.csv"))
    assert set(PAIRS) == set(pairs.loc[pairs["reason"] == REASON, ["one", "other"]].itertuples(index=False, name=None))
    # Most of its images are too blue for an estimate of the skin tone; light skin is most of the rest.
    tones = data["skin_tones"]
    assert 0.3 < sum(tones.values()) / 10_015 < 0.5
    assert tones["very light"] > tones["light"] > tones["intermediate"] > tones["tan"] > tones["dark"]

    audit = json.loads(Path("metrics/split.json").read_text())
    assert [audit[f"{what}_in_two_splits"] for what in ("groups", "lesions", "identical_images")] == [0, 0, 0]
    for label, number in counts.items():
        assert audit["test"]["images_by_class"][label] == pytest.approx(0.2 * number, abs=6)
        assert audit["val"]["images_by_class"][label] == pytest.approx(0.15 * number, abs=6)


@pytest.mark.long
def test_whole_pipeline(tmp_path: Path) -> None:
    clone = copy_of_tree(tmp_path / "clone")
    edit_params(clone, download=HAM10000, prepare={"image_size": 96}, rebalance={"target": 0.25}, train={"epochs": 8})
    started = monotonic()
    printed = run("dvc repro", clone, timeout=3600)
    print(f"{monotonic() - started:.0f} s\n{printed[-2000:]}")
    evaluated = json.loads((clone / "reports/evaluation.json").read_text())["test"]
    assert evaluated["metrics"]["macro_auc"]["value"] >= 0.90
    assert evaluated["metrics"]["accuracy"]["value"] > evaluated["majority_baseline"]["accuracy"]
    assert re.findall(r"Running stage '(\w+)'", printed)[-1] == "report"
