"""The drawn data set is worth training on: the default network beats a linear model on mean colour."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.metrics import roc_auc_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lesions.core import image_array
from lesions.core.csv_files import read_csv
from stages import clean, download, prepare, split
from tests.conftest import ROOT, edit_params


def test_network_beats_mean_colour(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On the same test set: the committed metrics of the default run, and a model fitted here."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    edit_params(tmp_path, prepare={"image_size": 16})
    monkeypatch.setattr(clean, "_write_report", lambda *_: {"groups": 0, "warnings": []})  # it draws for seconds
    for stage in (download, clean, split, prepare):
        stage.main()
    pixels, index = image_array.read(Path("data/prepared"))
    images = index.merge(read_csv(Path("data/split/split.csv")), on="image_id")
    colours = pd.DataFrame(np.asarray(pixels).mean(axis=(1, 2)))
    train, test = images["split"] == "train", images["split"] == "test"
    model = make_pipeline(StandardScaler(), LogisticRegression(class_weight="balanced", max_iter=1000))
    model.fit(colours[train], images["label"][train])
    # Not the balanced accuracy: of the rarest classes five test images are too few.
    linear = roc_auc_score(images["label"][test], model.predict_proba(colours[test]), multi_class="ovr")

    report = json.loads((ROOT / "reports/evaluation.json").read_text())
    assert report["test"]["images"] == test.sum()
    assert linear < 0.8
    assert report["test"]["metrics"]["macro_auc"]["value"] > linear + 0.1
