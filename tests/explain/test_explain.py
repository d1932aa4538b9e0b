"""Explain: heat maps, whether they mean anything, the gallery, and the map of the images."""

import lesions.models.common.determinism  # before all that imports Keras

# isort: split
import json
from pathlib import Path
from shutil import copyfile

import keras
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from keras import layers
from numpy.typing import NDArray
from PIL import Image
from scipy.stats import spearmanr

from lesions.core import image_array
from lesions.core.errors import UserError
from lesions.core.json_files import write_json
from lesions.explain import embedding, gallery, overlay
from lesions.explain import sanity_check as sanity
from lesions.explain.feature_maps import split_at_features
from lesions.explain.grad_cam import heat_maps
from lesions.models.architectures import plain
from lesions.models.common import saving as model_file
from stages import explain
from tests.conftest import ROOT, edit_params
from tests.models.test_architectures import CASE, NAMES, build

PX = 64
HOSTILE = ["../../outside", "<script>alert(1)</script>", "=HYPERLINK($x^2$)"]
"""Names of classes."""


def noise(images: int, px: int = PX, seed: int = 0) -> NDArray[np.uint8]:
    return np.random.default_rng(seed).integers(0, 256, (images, px, px, 3), np.uint8)


def blobs(images: int, seed: int) -> tuple[NDArray[np.uint8], NDArray[np.int64], NDArray[np.int64]]:
    """Return grey noise with one blob in a quarter of it, dark in class 0 and bright in class 1, and the quarters."""
    random = np.random.default_rng(seed)
    pixels = random.integers(100, 140, (images, PX, PX, 3), np.uint8)
    labels, quarters = random.integers(0, 2, images), random.integers(0, 4, images)
    for image, label, quarter in zip(pixels, labels, quarters, strict=True):
        top, left = (PX // 2 * part + PX // 8 for part in divmod(int(quarter), 2))
        image[top : top + PX // 4, left : left + PX // 4] = 250 if label else 10
    return pixels, labels, quarters


@pytest.fixture(scope="module")
def trained() -> keras.Model:
    """The default network, which has learnt to tell a bright blob from a dark one."""
    lesions.models.common.determinism.seed(1)
    model = plain.build((PX, PX, 3), 2)
    model.compile(optimizer=keras.optimizers.Adam(3e-3), loss="sparse_categorical_crossentropy", metrics=["accuracy"])
    pixels, labels, _ = blobs(256, 1)
    model.fit(pixels, labels, batch_size=16, epochs=4, verbose=0)
    return model


def test_map_is_hot_at_the_blob(trained: keras.Model) -> None:
    pixels, labels, quarters = blobs(60, 2)
    assert (trained.predict(pixels, verbose=0).argmax(axis=1) == labels).mean() > 0.95
    bright, quarters = pixels[labels == 1], quarters[labels == 1]
    maps = heat_maps(trained, bright, np.ones(len(bright), np.int64))
    half = PX // 2
    heat = maps.reshape(-1, 2, half, 2, half).mean(axis=(2, 4)).reshape(-1, 4)
    assert (heat.argmax(axis=1) == quarters).mean() > 0.9


def test_map_is_of_the_given_class(trained: keras.Model) -> None:
    pixels = blobs(8, 3)[0]
    one, other = (heat_maps(trained, pixels, np.full(8, label)) for label in (0, 1))
    assert np.abs(one - other).mean() > 0.1


@pytest.mark.parametrize("name", NAMES)
def test_every_network_has_maps_and_features(name: str, tmp_path: Path) -> None:
    lesions.models.common.determinism.seed(1)
    model_file.save(build(CASE[name]._replace(shape=(40, 48, 3), classes=3)), tmp_path / "model.keras")
    model = model_file.load(tmp_path / "model.keras")
    before = model.get_weights()
    pixels = np.random.default_rng(1).integers(0, 256, (6, 40, 48, 3), np.uint8)
    maps = np.stack([heat_maps(model, pixels, np.full(6, label)) for label in range(3)])
    assert maps.shape == (3, 6, 40, 48)
    assert maps.dtype == np.float32
    assert maps.min() >= 0
    # What speaks for no class at any place is possible, for all of them it is not.
    assert set(np.unique(maps.max(axis=(2, 3)))) <= {0, 1}
    assert (maps.max(axis=(0, 2, 3)) == 1).all()
    assert np.ptp(maps[maps.max(axis=(2, 3)) == 1], axis=(1, 2)).min() > 0
    split = split_at_features(model)
    features = split.feature_extractor(pixels)[1]
    assert len(features) == 6
    logits = split.logits(features).numpy()
    assert keras.ops.softmax(logits).numpy() == pytest.approx(model(pixels).numpy(), abs=1e-5)
    assert all(np.array_equal(one, other) for one, other in zip(before, model.get_weights(), strict=True))


def test_nested_network() -> None:
    lesions.models.common.determinism.seed(1)
    parts = [
        *(layers.Rescaling(1 / 255), layers.Conv2D(4, 3, activation="relu"), layers.MaxPooling2D()),
        *(layers.Conv2D(6, 3, activation="relu"), layers.GlobalAveragePooling2D(keepdims=True)),
    ]
    pixels, inner = keras.Input((PX, PX, 3)), keras.Input((PX, PX, 3))
    flat, within = pixels, inner
    for part in parts:
        flat, within = part(flat), part(within)
    flatten, last = layers.Flatten(), layers.Dense(3)
    softmax = layers.Softmax()
    backbone = keras.Model(inner, within)
    head = keras.Sequential([keras.Input((1, 1, 6)), flatten])
    models = [keras.Model(pixels, softmax(last(x))) for x in (flatten(flat), head(backbone(pixels)))]
    labels_of_maps = np.array([0, 1, 2, 0])
    one, other = (heat_maps(model, noise(4), labels_of_maps) for model in models)
    assert np.array_equal(one, other)
    assert one.max() == 1


def test_network_without_dense_layer_is_refused() -> None:
    pixels = keras.Input((PX, PX, 3))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(3, 3)(pixels))
    with pytest.raises(UserError, match="no dense layer that gives the classes"):
        heat_maps(keras.Model(pixels, layers.Softmax()(x)), noise(1), np.zeros(1, np.int64))


def test_random_weights_change_the_maps(trained: keras.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sanity, "DRAWS", 2)
    pixels, labels, _ = blobs(20, 4)
    maps = heat_maps(trained, pixels, labels)
    found = sanity.check(trained, pixels, labels, maps, 1)
    assert found == sanity.check(trained, pixels, labels, maps, 1)
    assert found["rank_correlation"] < sanity.ALIKE
    assert found["verdict"].startswith("Passed")
    assert sanity.correlations(maps, maps) == pytest.approx(1)
    assert sanity.verdict(1.0).startswith("Failed")
    one, again, other = (sanity.random_weights(trained, seed)[0] for seed in (1, 1, 2))
    assert np.array_equal(one, again)
    assert not np.array_equal(one, other)


@given(st.integers(0, 2**32 - 1))
def test_rank_correlation_equals_scipy(seed: int) -> None:
    random = np.random.default_rng(seed)
    one, other = random.integers(0, 5, (2, 3, 4, 6)).astype(np.float32)
    other[2] = 1
    found = sanity.correlations(one, other)
    assert found[:2] == pytest.approx([spearmanr(one[n], other[n], axis=None).statistic for n in (0, 1)])
    assert np.isnan(found[2])


def test_empty_maps_are_counted(trained: keras.Model, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sanity, "DRAWS", 2)
    found = sanity.check(trained, noise(2), np.zeros(2, np.int64), np.zeros((2, PX, PX), np.float32), 1)
    assert (found["rank_correlation"], found["between_images"]) == (None, None)
    assert found["undefined_correlations"] == 2 * sanity.DRAWS
    assert "No map could be compared" in found["verdict"]


@pytest.mark.parametrize("images", [1, 2, 3, 9, 10, 40])
@pytest.mark.parametrize("columns", [1, 2, 60])
def test_any_number_of_images_has_places(images: int, columns: int) -> None:
    for found in (np.random.default_rng(1).normal(size=(images, columns)), np.ones((images, columns))):
        place, method = embedding.places(found.astype(np.float32), 1)
        assert place.shape == (images, 2)
        assert np.isfinite(place).all()
        assert method == ("t-SNE" if images >= 10 and columns > 1 and np.ptp(found) > 0 else "PCA")
        assert np.array_equal(place, embedding.places(found.astype(np.float32), 1)[0])


def test_clusters_stay_apart() -> None:
    random = np.random.default_rng(1)
    found = np.concatenate([random.normal(3 * split, 1, (30, 20)) for split in (-1, 1)]).astype(np.float32)
    place = embedding.places(found, 1)[0]
    nearest = np.linalg.norm(place[:, None] - place + 1e9 * np.eye(60)[..., None], axis=2).argmin(axis=1)
    assert ((nearest < 30) == (np.arange(60) < 30)).all()


def test_gallery_order() -> None:
    table = np.array([[0.9, 0.1], [0.6, 0.4], [0.2, 0.8], [0.4, 0.6], [0.4, 0.6], [0.9, 0.1]])
    labels = np.array([0, 0, 0, 0, 0, 0])
    found = [(example.row, example.kind) for example in gallery.choose(labels, table, 2)]
    assert found == [
        (2, "confident_error"),
        (3, "confident_error"),
        (1, "unconfident_correct"),
        (0, "unconfident_correct"),
    ]


# The stage.


def put(folder: Path, model: keras.Model, table: pd.DataFrame, pixels: NDArray[np.uint8], classes: list[str]) -> None:
    """Write what the stage reads."""
    image_array.write(folder / "data/prepared", table[["image_id", "label"]], pixels, pixels.shape[1:3])
    for name in ("predictions", "clean", "split", "network_outputs"):
        (folder / "data" / name).mkdir()
    known = table[["image_id", "label"]].assign(group_id=table["image_id"], lesion_id="")
    known.to_csv(folder / "data/clean/images.csv", index=False)
    pd.DataFrame({"label": classes}).to_csv(folder / "data/clean/labels.csv", index=False)
    table[["image_id", "split", "leakage"]].to_csv(folder / "data/split/split.csv", index=False)
    table[["image_id", "split", "label", "leakage"]].to_csv(folder / "data/network_outputs/features.csv", index=False)
    features = np.random.default_rng(3).normal(size=(len(table), 5)).astype(np.float32)
    np.save(folder / "data/network_outputs/features.npy", features)
    table.to_csv(folder / "data/network_outputs/predictions.csv", index=False)
    model_file.save(model, folder / "models/model.keras")
    write_json(folder / "models/preprocessing.json", {"classes": classes})
    copyfile(ROOT / "params.yaml", folder / "params.yaml")


def predictions(images: int, classes: list[str], leakage: str = "none") -> pd.DataFrame:
    """Return predictions in which one of three is wrong."""
    random = np.random.default_rng(1)
    labels = np.arange(images) % len(classes)
    probability = random.dirichlet(np.ones(len(classes)), images)
    for row, label in enumerate((labels + (np.arange(images) % 3 == 0)) % len(classes)):
        highest = probability[row].argmax()
        probability[row, [label, highest]] = probability[row, [highest, label]]
    table = pd.DataFrame(
        {
            "image_id": [f"image {row}" for row in range(images)],
            "split": "test",
            "label": [classes[label] for label in labels],
            "leakage": leakage,
        }
    )
    table[classes] = probability
    return table


def small(classes: int) -> keras.Model:
    lesions.models.common.determinism.seed(1)
    pixels = keras.Input((24, 24, 3))
    x = layers.Conv2D(8, 3, strides=2, activation="relu")(layers.Rescaling(1 / 127.5, offset=-1)(pixels))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(pixels, layers.Dense(classes, activation="softmax", name="probabilities")(x))


def written(folder: Path) -> dict[str, bytes]:
    """Return every file of the stage's outputs, and whatever lies elsewhere."""
    return {str(file.relative_to(folder)): file.read_bytes() for file in sorted(folder.rglob("*")) if file.is_file()}


def test_file_names_and_bits(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    table = predictions(30, HOSTILE, "image by image")
    table.loc[:5, "image_id"] = ["../../x", "a\x1b[31m\u202eb", "=1+1", "<img src=x>", "名前\nline", "é" * 299]
    results = []
    for name in ("one", "two"):
        folder = tmp_path / name / "clone"
        put(folder, small(3), table, noise(30, 24), HOSTILE)
        before = set(written(tmp_path))
        monkeypatch.chdir(folder)
        explain.main()
        new = {file for file in set(written(tmp_path)) - before if file.startswith(name)}
        results.append({file.removeprefix(f"{name}/clone/"): (tmp_path / file).read_bytes() for file in new})
    assert results[0] == results[1]
    report = json.loads(results[0]["reports/gallery/gallery.json"])
    files = {f"reports/gallery/{number:04d}.jpg" for number in range(1, len(report["entries"]) + 1)}
    assert set(results[0]) == files | {
        *("metrics/explain.json", "plots/embedding.png", "plots/gallery.jpg", "reports/gallery/gallery.json"),
    }
    assert {f"reports/gallery/{entry['file']}" for entry in report["entries"]} == files
    assert {entry["class"] for entry in report["entries"]} == set(HOSTILE)
    for entry in report["entries"]:
        assert entry["alt"].isprintable()
        assert entry["leakage"] == "image by image"
        assert "Leakage: image by image" in entry["alt"]
        assert (entry["truth"] != entry["predicted"]) == (entry["kind"] == "confident_error")
        assert max(entry["probabilities"], key=entry["probabilities"].get) == entry["predicted"]
        with Image.open(folder / "reports/gallery" / entry["file"]) as image:
            assert image.size == (2 * 256 + overlay.GAP, 256)


@pytest.mark.parametrize("case", ["no errors", "no correct", "one image", "only val", "test is not evaluated"])
def test_missing_parts_are_left_out(case: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    classes = ["mel", "nv", "df"]
    table = predictions(12, classes)
    table = table[table["label"] != "df"].reset_index(drop=True)
    right = np.array([[float(label == name) for name in classes] for label in table["label"]])
    if case == "no errors":
        table[classes] = right
    elif case == "no correct":
        table[classes] = right[:, [1, 0, 2]]
    elif case == "one image":
        table = table[:1]
    else:
        table["split"] = "val"
    shown = len(table)
    if case == "test is not evaluated":
        table = pd.concat(
            [table, table.assign(split="test", image_id=table["image_id"] + " of test")], ignore_index=True
        )
    put(tmp_path, small(3), table, noise(len(table), 24), classes)
    monkeypatch.chdir(tmp_path)
    if case == "test is not evaluated":
        edit_params(tmp_path, evaluate={"splits": ["val"]})
    explain.main()
    report = json.loads(Path("reports/gallery/gallery.json").read_text())
    kinds = {entry["kind"] for entry in report["entries"]}
    expected = {
        "no errors": {"unconfident_correct"},
        "no correct": {"confident_error"},
        "one image": {"confident_error"},
    }
    assert kinds == expected.get(case, {"confident_error", "unconfident_correct"})
    assert report["split"] == ("val" if case in ("only val", "test is not evaluated") else "test")
    metrics = json.loads(Path("metrics/explain.json").read_text())
    assert metrics["gallery"]["df"] == {"images": 0, "errors": 0}
    assert metrics["sanity_check"]["images"] == shown


def test_other_classes_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path, small(3), predictions(6, ["mel", "nv", "df"]), noise(6, 24), ["mel", "bcc", "df"])
    monkeypatch.chdir(tmp_path)
    with pytest.raises(UserError, match=r"is of the classes mel, nv, df, .* Run `dvc repro`"):
        explain.main()
