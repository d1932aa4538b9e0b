"""The stage calibrate: what is fitted on train and validation, and that test chooses nothing."""

import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from lesions.core.csv_files import EXACT
from lesions.core.file_hash import sha256_of
from lesions.evaluation.common.temperature_scaling import Calibration
from lesions.evaluation.common.thresholds import Thresholds
from lesions.models.calibration.metadata_prior import MetadataPrior
from lesions.models.calibration.temperature_scaling import fit_calibration
from lesions.models.calibration.thresholds import FILES
from stages import calibrate
from tests.conftest import edit_params
from tests.evaluation import outputs
from tests.evaluation.outputs import CLASSES, OUTPUTS, models, put_corrupted, put_predictions

PREDICTIONS = Path("data/predictions")
UNSURE = [0.5, 0.25, 0.25]


@pytest.fixture
def predicted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> pd.DataFrame:
    """What calibrate reads, in a folder of its own; the table of predictions."""
    monkeypatch.chdir(tmp_path)
    return outputs.put_all()


def calibrated(table: pd.DataFrame) -> dict[str, bytes]:
    """Run the stage on these predictions; return the files of models."""
    put_predictions(table)
    calibrate.main()
    return models()


@pytest.mark.parametrize("use_metadata", [False, True])
def test_test_chooses_nothing(predicted: pd.DataFrame, use_metadata: bool) -> None:
    """Other predictions, features and labels of test leave every file of models as it was."""
    edit_params(Path(), calibrate={"use_metadata": use_metadata})
    before = calibrated(predicted)
    test = predicted["split"] == "test"
    predicted.loc[test, CLASSES] = UNSURE
    predicted.loc[test, "label"] = "bcc"
    images = pd.read_csv("data/clean/images.csv", dtype=str, keep_default_na=False)
    of_test = images["image_id"].isin(predicted["image_id"][test])
    images.loc[of_test, ["label", "sex", "age"]] = ["bcc", "female", "20"]
    images.to_csv("data/clean/images.csv", index=False)
    put_corrupted(predicted)
    index = pd.read_csv(OUTPUTS / "features.csv")
    features = np.load(OUTPUTS / "features.npy")
    features[~index["split"].isin(["train", "val"])] *= 7
    np.save(OUTPUTS / "features.npy", features)
    assert calibrated(predicted) == before
    # And what is of validation does choose.
    predicted.loc[predicted["split"] == "val", CLASSES] = UNSURE
    after = calibrated(predicted)
    assert {name for name in before if before[name] != after[name]} == {"calibration.json", "thresholds.json"}


def test_thresholds_reach_their_targets(predicted: pd.DataFrame) -> None:
    """Each is the best of all the scores of validation, by brute force."""
    calibrated(predicted)
    thresholds = Thresholds.read(Path("models/thresholds.json"))
    val = predicted[predicted["split"] == "val"]
    for name, task in thresholds.tasks.items():
        positive = val["label"].isin(task.positive).to_numpy()
        score = val[task.positive].to_numpy(np.float64).sum(axis=1)
        assert len(thresholds.of_task(name)) == {"melanoma": 7, "malignant": 6}[name]
        for one in thresholds.of_task(name):
            rates = {
                value: {
                    "sensitivity": (score >= value)[positive].mean(),
                    "specificity": 1 - (score >= value)[~positive].mean(),
                }
                for value in score
            }
            reached = {value: rate for value, rate in rates.items() if rate[one.metric] >= one.target - 1e-9}
            other = "specificity" if one.metric == "sensitivity" else "sensitivity"
            assert one.value in reached
            assert reached[one.value][other] == max(rate[other] for rate in reached.values())
    scores = pd.read_csv(PREDICTIONS / "ood_scores.csv").query("split == 'val'")["ood_score"].astype(np.float32)
    assert thresholds.ood_threshold in set(scores)
    assert (scores > thresholds.ood_threshold).mean() <= 0.01
    assert (scores >= thresholds.ood_threshold).mean() > 0.01


def test_calibration_is_fitted_on_val_and_applied_to_all(predicted: pd.DataFrame) -> None:
    calibrated(predicted)
    calibration = Calibration.load(Path("models"))
    val = predicted[predicted["split"] == "val"]
    label = val["label"].map(CLASSES.index).to_numpy()
    assert calibration == fit_calibration(label, val[CLASSES].to_numpy(np.float32), CLASSES)
    final, found = (
        pd.read_csv(PREDICTIONS / f"{name}.csv")[CLASSES].to_numpy(np.float32)
        for name in ("predictions", "predictions_calibrated")
    )
    assert (found == calibration.apply(final)).all()


def test_no_metadata_leaves_bits_equal(predicted: pd.DataFrame) -> None:
    calibrated(predicted)
    for ours, theirs in (("predictions", "predictions"), ("predictions_corrupted", "corrupted")):
        final, raw = (
            pd.read_csv(PREDICTIONS / f"{ours}.csv", dtype=str),
            pd.read_csv(OUTPUTS / f"{theirs}.csv", dtype=str),
        )
        pd.testing.assert_frame_equal(final, raw[final.columns])
    assert not MetadataPrior.load(Path("models")).is_active
    assert not Thresholds.read(Path("models/thresholds.json")).model.use_metadata


def test_metadata_changes_predictions(predicted: pd.DataFrame) -> None:
    edit_params(Path(), calibrate={"use_metadata": True})
    calibrated(predicted)
    assert (PREDICTIONS / "predictions.csv").read_bytes() != (OUTPUTS / "predictions.csv").read_bytes()
    assert Thresholds.read(Path("models/thresholds.json")).model.use_metadata


def test_csv_keeps_every_float32() -> None:
    bits = np.random.default_rng(1).integers(0, 0x3F800001, 20_000, np.uint32)  # from 0 to 1
    values = bits.view(np.float32)
    written = pd.DataFrame({"mel": values}).to_csv(index=False, float_format=EXACT)
    read = pd.read_csv(io.StringIO(written), dtype=str)["mel"]
    assert (pd.to_numeric(read).to_numpy().astype(np.float32) == values).all()


def test_thresholds_name_every_file(predicted: pd.DataFrame) -> None:
    calibrated(predicted)
    sha256 = Thresholds.read(Path("models/thresholds.json")).model.sha256
    assert set(sha256) == set(FILES)
    assert sha256["model.keras"] == "aa"
    for name in ("calibration.json", "metadata_prior.json", "ood.npz"):
        assert sha256[name] == sha256_of(Path("models", name))
