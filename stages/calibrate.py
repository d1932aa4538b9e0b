"""Fit the post-processing of the network's outputs on train and validation; test chooses nothing.

The metadata prior and the out-of-distribution reference are fitted on train, the calibration, the decision rule and the
thresholds on validation.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from lesions.core.csv_files import EXACT, read_csv, write_csv
from lesions.core.errors import UserError
from lesions.core.file_hash import sha256_of
from lesions.core.image_array import read_array
from lesions.core.json_files import read_json
from lesions.core.stage import run_stage, say
from lesions.evaluation.common import predictions
from lesions.evaluation.common.tasks import BinaryTask, binary_tasks
from lesions.evaluation.common.thresholds import THRESHOLDS_FILE, ModelId, Provenance, Thresholds
from lesions.models.calibration import metadata_prior, ood, thresholds
from lesions.models.calibration.decision_rule import cost_matrix
from lesions.models.calibration.fit_answers import fit_answers
from lesions.models.calibration.metadata_prior import MetadataPrior
from lesions.params.calibrate import Calibrate

DATA = Path("data")
OUTPUTS = DATA / "network_outputs"
OUT = DATA / "predictions"
MODELS = Path("models")


def main() -> None:
    """Write the fitted parts of the model, and the final predictions."""
    params = Calibrate.read()
    class_table = read_csv(DATA / "clean/classes.csv")
    classes = list(class_table["label"])
    images = predictions.read_images(DATA)
    table = predictions.read(OUTPUTS / "predictions.csv", images, classes)
    corrupted = predictions.read(OUTPUTS / "corrupted.csv", images, classes, ("corruption", "severity"))

    prior = MetadataPrior(classes=classes)
    if params.use_metadata:
        prior = metadata_prior.fit_prior(images[images["split"] == "train"], classes)
    final = metadata_prior.with_metadata(table, prior, images)
    val = final[final["split"] == "val"]
    say(f"Fitting calibration and thresholds on {len(val):,} validation images ...")
    val_images = groups_and_sources(val, images)
    tasks = {name: task for name, task in binary_tasks(class_table).items() if isinstance(task, BinaryTask)}
    index = read_csv(OUTPUTS / "features.csv")
    features = read_array(OUTPUTS / "features.npy")
    train = (index["split"] == "train").to_numpy()
    reference = ood.fit_reference(features[train], index["label"][train].map(classes.index).to_numpy(np.int64))
    scores = index[~train].assign(ood_score=ood.score(reference, features[~train]))
    val_scores = scores.loc[scores["split"] == "val", "ood_score"].to_numpy()
    costs = cost_matrix(params.costs, classes) if params.costs else None
    calibration, rule, chosen, sets = fit_answers(val, val_images, val_scores, classes, tasks, params.optimise, costs)
    calibrated = final.assign(**dict(zip(classes, calibration.apply(final[classes].to_numpy()).T, strict=True)))

    OUT.mkdir(parents=True, exist_ok=True)
    write_csv(final, OUT / "predictions.csv", EXACT)
    write_csv(calibrated, OUT / "predictions_calibrated.csv", EXACT)
    write_csv(metadata_prior.with_metadata(corrupted, prior, images), OUT / "predictions_corrupted.csv", EXACT)
    write_csv(scores, OUT / "ood_scores.csv", EXACT)
    prior.save(MODELS)
    calibration.save(MODELS)
    ood.save(reference, MODELS / ood.FILE)
    network = read_json(OUTPUTS / "model.json")
    hashes = {name: sha256_of(MODELS / name) for name in thresholds.FITTED}
    model = ModelId(sha256=network["sha256"] | hashes, tta=network["tta"], use_metadata=prior.is_active)
    leakage = ", ".join(sorted(set(table["leakage"])))
    Thresholds(
        model=model,
        classes=classes,
        leakage=leakage,
        training_data=training_data(DATA / "raw/provenance.json"),
        tasks=tasks,
        thresholds=chosen,
        prediction_sets=sets,
        decision_rule=rule,
    ).write(MODELS / THRESHOLDS_FILE)
    fitted = f"temperature {calibration.temperature}, {len(classes)} biases, {len(chosen)} thresholds"
    print(f"{MODELS}: {fitted}, from {len(val):,} validation images")


def groups_and_sources(val: pd.DataFrame, images: pd.DataFrame) -> pd.DataFrame:
    """Return `group_id` and `source` of the images of `val`, row by row."""
    known = images.set_index("image_id").reindex(val["image_id"])[["group_id", "source"]].reset_index()
    # An augmented image in val, as of `rebalance.when: before_split`, is a group of its own.
    return known.assign(group_id=known["group_id"].fillna(known["image_id"]), source=known["source"].fillna(""))


def training_data(provenance: Path) -> Provenance:
    """Return what provenance.json says of the data."""
    source = read_json(provenance).get("source")
    if not isinstance(source, str):
        raise UserError(f"{provenance} names no source of the data. Run `dvc repro --force download`.")
    return Provenance(source=source, provenance_sha256=sha256_of(provenance))


if __name__ == "__main__":
    run_stage(main)
