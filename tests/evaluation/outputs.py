"""The outputs of a network that knows some classes, for the stages calibrate and evaluate."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from lesions.core.csv_files import EXACT
from lesions.core.json_files import write_json
from stages import calibrate, evaluate
from tests.conftest import ROOT

CLASSES = ["mel", "bcc", "nv"]
OUTPUTS = Path("data/network_outputs")


def put_all() -> pd.DataFrame:
    """Write all that calibrate reads into the current folder; return predictions.csv.

    There are 400 lesions, some of two images.
    """
    random = np.random.default_rng(1)
    lesion = np.repeat(np.arange(400), random.integers(1, 3, 400))
    label = random.choice(CLASSES, 400, p=[0.3, 0.1, 0.6])[lesion]
    images = pd.DataFrame({"image_id": [f"p{n:03}" for n in range(len(lesion))], "label": label})
    images["group_id"] = images["lesion_id"] = [f"g{n}" for n in lesion]
    images["sex"] = np.where(lesion % 40 == 0, "", np.where(lesion % 2, "female", "male"))
    images = images.assign(age="50", age_status="given", site="back", skin_tone="tan", source="a", dx_type="histo")
    for folder in ("data/raw", "data/clean", "data/split", OUTPUTS):
        Path(folder).mkdir(parents=True)
    write_json(Path("data/raw/provenance.json"), {"source": "ham10000"})
    images.to_csv("data/clean/images.csv", index=False)
    pd.DataFrame(
        {"label": CLASSES, "malignancy": ["malignant", "malignant", "benign"], "diagnoses": CLASSES, "name": CLASSES}
    ).to_csv("data/clean/classes.csv", index=False)
    images["split"] = np.where(lesion < 100, "train", np.where(lesion < 200, "val", "test"))
    images["leakage"] = "none"
    images[["image_id", "split", "leakage"]].to_csv("data/split/split.csv", index=False)
    logits = random.normal(size=(len(lesion), 3)) + 1.5 * np.eye(3)[images["label"].map(CLASSES.index)]
    table = images[["image_id", "split", "label", "leakage"]].copy()
    table[CLASSES] = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)
    put_features(table)
    table = table[table["split"] != "train"].reset_index(drop=True)
    put_predictions(table)
    put_corrupted(table)
    write_json(OUTPUTS / "model.json", {"sha256": {"model.keras": "aa", "preprocessing.json": "bb"}, "tta": False})
    params = (ROOT / "params.yaml").read_text(encoding="utf-8")
    Path("params.yaml").write_text(params.replace("n_bootstrap: 1000", "n_bootstrap: 100"), encoding="utf-8")
    return table


def put_predictions(table: pd.DataFrame) -> None:
    """Write predictions.csv."""
    table.to_csv(OUTPUTS / "predictions.csv", index=False, float_format=EXACT)


def put_corrupted(table: pd.DataFrame, classes: list[str] = CLASSES) -> None:
    """Write corrupted.csv: of test, the more uniform the stronger the corruption."""
    test = table[table["split"] == "test"]
    tables = []
    for severity in (1, 2, 3):
        worse = test.assign(corruption="blur", severity=severity)
        worse[classes] = test[classes] * (1 - severity / 3) + severity / 3 / len(classes)
        tables.append(worse)
    pd.concat(tables).to_csv(OUTPUTS / "corrupted.csv", index=False, float_format=EXACT)


def put_features(table: pd.DataFrame) -> None:
    """Write features of all images, and of two that show no lesion: one far away, and one in the middle."""
    others = pd.DataFrame({"image_id": ["a", "b"], "split": ["generated", "shipped"], "label": ["noise", "flower"]})
    index = pd.concat([table[["image_id", "split", "label"]], others]).assign(leakage="none")
    index.to_csv(OUTPUTS / "features.csv", index=False)
    features = np.random.default_rng(2).normal(size=(len(index), 3))
    features[-2:] = [9, 9, 9], [0, 0, 0]
    np.save(OUTPUTS / "features.npy", features.astype(np.float32))


def evaluated(table: pd.DataFrame) -> dict[str, Any]:
    """Run calibrate and evaluate on these predictions; return the report."""
    put_predictions(table)
    calibrate.main()
    return evaluate_again()


def evaluate_again() -> dict[str, Any]:
    """Run evaluate; return the report."""
    evaluate.main()
    report: dict[str, Any] = json.loads(Path("reports/evaluation.json").read_text())
    return report


def models() -> dict[str, bytes]:
    """Return the files of the folder models."""
    return {path.name: path.read_bytes() for path in sorted(Path("models").iterdir())}


def keep_rows(table: pd.DataFrame, rows: "pd.Series[bool]") -> pd.DataFrame:
    """Remove the other images from all that the stages read; return the rest of the predictions."""
    gone = set(table["image_id"][~rows])
    for file in (Path("data/clean/images.csv"), Path("data/split/split.csv"), OUTPUTS / "corrupted.csv"):
        known = pd.read_csv(file, dtype=str, keep_default_na=False)
        known[~known["image_id"].isin(gone)].to_csv(file, index=False)
    index = pd.read_csv(OUTPUTS / "features.csv", dtype=str, keep_default_na=False)
    kept = (~index["image_id"].isin(gone)).to_numpy()
    index[kept].to_csv(OUTPUTS / "features.csv", index=False)
    np.save(OUTPUTS / "features.npy", np.load(OUTPUTS / "features.npy")[kept])
    return table[rows]
