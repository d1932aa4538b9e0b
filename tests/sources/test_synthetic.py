"""The synthetic source: the same bits everywhere, HAM10000's shape, and images worth learning from."""

import io
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import balanced_accuracy_score
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lesions.core.errors import UserError
from lesions.params.download import Download
from lesions.sources.common.raw_data import Fetched
from lesions.sources.synthetic import fetch as synthetic
from lesions.sources.synthetic.drawing import CAMERAS, HEIGHT, WIDTH, draw
from lesions.sources.synthetic.kinds import KINDS
from lesions.taxonomy import ordered
from tests.conftest import ROOT

ARCHIVES = ["images_part_1.zip", "images_part_2.zip"]


def fetch(raw: Path, images: int, seed: int = 1, workers: int = -1) -> Fetched:
    raw.mkdir()
    params = Download(source="synthetic", folder="data/none", n_images=images, seed=seed)
    return synthetic.fetch(params, raw, workers)


def read_members(raw: Path) -> dict[str, bytes]:
    members = {}
    for name in ARCHIVES:
        with zipfile.ZipFile(raw / name) as archive:
            members.update({member: archive.read(member) for member in archive.namelist()})
    return members


@pytest.fixture(scope="module")
def hundred(tmp_path_factory: pytest.TempPathFactory) -> tuple[Fetched, Path]:
    raw = tmp_path_factory.mktemp("hundred") / "raw"
    return fetch(raw, 100, workers=1), raw


@pytest.fixture(scope="module")
def five_hundred(tmp_path_factory: pytest.TempPathFactory) -> tuple[pd.DataFrame, dict[str, bytes]]:
    raw = tmp_path_factory.mktemp("five_hundred") / "raw"
    return fetch(raw, 500).table, read_members(raw)


@pytest.mark.parametrize("workers", [2, 3])
def test_same_bytes_with_any_workers(hundred: tuple[Fetched, Path], tmp_path: Path, workers: int) -> None:
    fetched, raw = hundred
    again = fetch(tmp_path / "again", 100, workers=workers)
    pd.testing.assert_frame_equal(again.table, fetched.table)
    assert again.provenance == fetched.provenance
    for name in ARCHIVES:
        assert (tmp_path / "again" / name).read_bytes() == (raw / name).read_bytes()


def die(_row: dict[str, object], seed: int) -> tuple[str, bytes]:
    """Take the place of `draw_member` in a process that the system kills."""
    os._exit(seed)


def test_killed_worker_is_a_user_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(synthetic, "draw_member", die)
    with pytest.raises(UserError, match="was killed"):
        fetch(tmp_path / "raw", 100, workers=2)


def test_another_seed_gives_other_lesions(hundred: tuple[Fetched, Path], tmp_path: Path) -> None:
    fetched, raw = hundred
    other = fetch(tmp_path / "other", 100, seed=2)
    assert not other.table.equals(fetched.table)
    assert not set(read_members(tmp_path / "other").values()) & set(read_members(raw).values())


def test_image_depends_on_its_number_alone() -> None:
    alone = draw("mel", "synthetic_b", 3, 40, 2)
    for lesion in (1, 2, 3):
        draw("nv", "synthetic_a", 3, lesion, 1)
    assert draw("mel", "synthetic_b", 3, 40, 2).tobytes() == alone.tobytes()
    changed = [draw("mel", "synthetic_b", *numbers) for numbers in [(4, 40, 2), (3, 41, 2), (3, 40, 1)]]
    assert len({image.tobytes() for image in [alone, *changed]}) == 4


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_under_every_camera(kind: str) -> None:
    for camera in CAMERAS:
        pixels = np.asarray(draw(kind, camera, 1, 5, 1))
        assert pixels.shape == (HEIGHT, WIDTH, 3)
        assert pixels.dtype == np.uint8
        assert pixels.std() > 5
        assert (pixels == 255).mean() < 0.2  # not burnt out


def test_kinds_and_cameras() -> None:
    assert ordered(set(KINDS)) == list(KINDS) == list(synthetic.IMAGES)
    assert sum(camera.share for camera in CAMERAS.values()) == pytest.approx(1)


def test_table_has_the_shape_of_ham10000(five_hundred: tuple[pd.DataFrame, dict[str, bytes]]) -> None:
    table, members = five_hundred
    columns = ["lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization", "dataset"]
    assert list(table.columns) == columns
    assert len(table) == 500
    assert all(isinstance(value, str) for value in table.to_numpy().ravel())
    assert table["image_id"].is_unique
    assert set(table["image_id"] + ".jpg") == set(members)
    assert not table["image_id"].is_monotonic_increasing
    assert not set(table["image_id"]) & set(table["lesion_id"])

    assert (table.loc[table["dx"].isin(["mel", "bcc", "akiec"]), "dx_type"] == "histo").all()
    assert set(table.loc[table["dx_type"] == "follow_up", "dx"]) == {"nv"}
    ages = pd.to_numeric(table["age"])
    assert ages.isna().any()
    assert (ages == 0).any()
    assert (ages.dropna() % 5 == 0).all()
    assert set(table["sex"]) == {"male", "female", "unknown"}
    assert (table["localization"] == "unknown").any()
    assert set(table["dataset"]) == set(CAMERAS)


def test_class_balance_and_images_per_lesion(
    five_hundred: tuple[pd.DataFrame, dict[str, bytes]],
) -> None:
    table, _ = five_hundred
    counts = table["dx"].value_counts()
    assert 0.55 < counts["nv"] / len(table) < 0.7
    assert counts["nv"] > 5 * counts["mel"] > 5 * counts["df"]
    per_lesion = table.groupby("lesion_id").size()
    assert 0.70 < len(per_lesion) / len(table) < 0.80  # 7,470 lesions of 10,015 images
    assert per_lesion.max() >= 3
    of_a_lesion = table.groupby("lesion_id")[["dx", "dx_type", "age", "sex", "localization", "dataset"]]
    assert (of_a_lesion.nunique() == 1).all(axis=None)


@pytest.mark.parametrize(("images", "lesions"), [(100, 6), (1000, 14), (10_000, 40)])
def test_every_class_can_be_split(images: int, lesions: int) -> None:
    rows = synthetic._describe_lesions(images, np.random.default_rng(1))
    assert len(rows) == images
    assert rows.groupby("dx")["lesion"].nunique().min() >= lesions
    assert not rows.duplicated(["lesion", "view"]).any()


def test_planted_defects(five_hundred: tuple[pd.DataFrame, dict[str, bytes]]) -> None:
    table, members = five_hundred
    table = table.assign(content=[members[f"{name}.jpg"] for name in table["image_id"]])
    twins = table[table.duplicated("content", keep=False)].groupby("content")
    assert twins.ngroups == 2
    assert (twins["lesion_id"].nunique() == 2).all()
    assert sorted(twins["dx"].nunique()) == [1, 2]  # one of them contradicts itself

    broken = []
    for name, content in members.items():
        with Image.open(io.BytesIO(content)) as image:
            assert image.size == (WIDTH, HEIGHT)
            try:
                image.load()
            except OSError:
                broken.append(name)
    assert len(broken) == 1


def test_mean_colour_is_a_weak_predictor(
    five_hundred: tuple[pd.DataFrame, dict[str, bytes]],
) -> None:
    table, members = five_hundred
    table = table.assign(content=[members[f"{name}.jpg"] for name in table["image_id"]])
    table = table.drop_duplicates("content", keep=False)
    colours, kept = [], []
    for content in table["content"]:
        try:
            colours.append(np.asarray(Image.open(io.BytesIO(content))).mean(axis=(0, 1)))
            kept.append(True)
        except OSError:
            kept.append(False)
    table = table[kept]
    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000))
    folds = StratifiedGroupKFold(5, shuffle=True, random_state=0)
    guesses = cross_val_predict(model, np.array(colours), table["dx"], groups=table["lesion_id"], cv=folds)
    assert 0.16 < balanced_accuracy_score(table["dx"], guesses) < 0.38  # chance: 0.143


def test_views_of_a_lesion_are_similar() -> None:
    """Colours' deciles, which no angle or position changes, are nearest to those of the same lesion."""
    first, second = [
        np.array(
            [
                np.percentile(np.asarray(draw(kind, "synthetic_a", 1, lesion, view)), range(5, 100, 10), axis=(0, 1))
                for kind in KINDS
                for lesion in range(1, 7)
            ]
        ).reshape(len(KINDS), 6, -1)
        for view in (1, 2)
    ]
    distances = np.abs(first[:, :, None] - second[:, None]).mean(axis=-1)  # kind, lesion, lesion
    own = np.einsum("kll->kl", distances)
    assert np.median(own) < 0.6 * np.median(distances)
    assert (distances.argmin(axis=2) == np.arange(6)).mean() > 0.4  # chance: 1/6


OLD_PROCESSOR = {
    "NPY_DISABLE_CPU_FEATURES": " ".join(np.show_config(mode="dicts")["SIMD Extensions"].get("found", [])),
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX512F,-AVX2,-FMA,-FMA4",
}
"""Environment variables that keep NumPy and the C library from what they have for newer processors alone."""


def test_same_bytes_on_an_older_processor(hundred: tuple[Fetched, Path], tmp_path: Path) -> None:
    fetched, _ = hundred
    program = (
        "import sys; from pathlib import Path; from tests.sources.test_synthetic import fetch; "
        "fetched = fetch(Path(sys.argv[1]), 100, workers=1); "
        "print(fetched.table.to_csv(), fetched.provenance)"
    )
    done = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", program, str(tmp_path / "raw")],
        check=True,
        cwd=ROOT,
        env=os.environ | OLD_PROCESSOR,
        capture_output=True,
        text=True,
    )
    assert done.stdout.strip() == f"{fetched.table.to_csv()} {fetched.provenance}".strip()
