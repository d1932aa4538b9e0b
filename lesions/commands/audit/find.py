"""What `lesions audit` finds: label suspects, lesions photographed again, and off-topic images."""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from lesions.commands.audit import out_of_fold
from lesions.commands.audit.confident_learning import rank_labels
from lesions.commands.audit.similar_pairs import Floats, rank_pairs, whiten
from lesions.core import image_array
from lesions.core.csv_files import read_csv
from lesions.core.errors import UserError
from lesions.core.image_array import read_array
from lesions.core.stage import say
from lesions.models.calibration import ood

DATA, MODELS = Path("data"), Path("models")


class Found(NamedTuple):
    """What is to be looked at, the most suspicious first.

    Attributes:
        labels: images of which a prediction is known, with `label`, `predicted`, their probabilities, `margin` and
            `suspect`.
        pairs: of images of two groups, `one` and `other`, with both splits and labels.
        off_topic: images with `ood_score`.
        n_images: in all splits.
        leakage: of the predictions.
    """

    labels: pd.DataFrame
    pairs: pd.DataFrame
    off_topic: pd.DataFrame
    n_images: int
    leakage: str


def find(images: pd.DataFrame, study: str, *, test: bool, fast: bool) -> Found:
    """Return what is to be looked at.

    Args:
        images: as of `predictions.read_images`.
        study: see `audit`.
        test: see `audit`.
        fast: see `audit`.

    Raises:
        UserError: there are no predictions of images that are to be shown.
    """
    classes = list(read_csv(DATA / "clean/classes.csv")["label"])
    if study:
        table, leakage = out_of_fold.of_study(study, classes)
    else:
        table, leakage = out_of_fold.of_this_run(DATA, images, classes)
    described = images[["image_id", "split", "lesion_id", "label"]]
    table = described.merge(table, on="image_id").sort_values("image_id", ignore_index=True)
    shown = table if test else table[table["split"] != "test"].reset_index(drop=True)
    if shown.empty:
        raise UserError(
            "All predictions are of test images, and these are shown with --test alone. For other images the network "
            "must not have been trained on them: `lesions audit --study folds`."
        )
    labels = label_table(shown, classes)

    index = read_csv(DATA / "network_outputs/features.csv")
    features = read_array(DATA / "network_outputs/features.npy")
    if len(index) != len(features):
        raise UserError("data/network_outputs: features.csv and features.npy differ in length. Run `dvc repro`.")
    known = index["image_id"].isin(images["image_id"]).to_numpy()
    seen = index.loc[known, ["image_id"]].merge(images, on="image_id", validate="1:1")
    features = np.asarray(features[known], np.float32)
    reference = ood.load(MODELS / ood.FILE)
    pairs = pair_table(seen, features if fast else view_features(seen), classes)
    score = seen[["image_id", "split", "label"]].assign(ood_score=ood.score(reference, features))
    score = score if test else score[score["split"] != "test"]
    off_topic = score.sort_values(["ood_score", "image_id"], ascending=[False, True], ignore_index=True)
    return Found(labels, pairs, off_topic, len(images), leakage)


def label_table(table: pd.DataFrame, classes: list[str]) -> pd.DataFrame:
    """Return images ranked by how probably their label is wrong.

    Args:
        table: one row per image, with `image_id`, `split`, `lesion_id`, `label` and the classes' probabilities.
        classes: their labels.
    """
    probability = table[classes].to_numpy(np.float64)
    label = table["label"].map(classes.index).to_numpy(np.int64)
    ranked = rank_labels(label, probability)
    rows = ranked["row"].to_numpy()
    found = table.loc[rows, ["image_id", "split", "lesion_id", "label"]].reset_index(drop=True)
    return found.assign(
        predicted=[classes[number] for number in ranked["predicted"]],
        label_probability=probability[rows, label[rows]],
        predicted_probability=probability[rows, ranked["predicted"]],
        margin=ranked["margin"],
        suspect=ranked["suspect"],
    )


def view_features(images: pd.DataFrame) -> Floats:
    """Return the features of prepared images, (N, features), as the mean over flips and quarter turns.

    Args:
        images: one row per image, with `image_id`.
    """
    from lesions.commands.audit.view_features import mean_over_views
    from lesions.inference.features import feature_model
    from lesions.models.common import saving

    pixels, index = image_array.read(DATA / "prepared")
    row = pd.Series(np.arange(len(index)), index["image_id"])
    return mean_over_views(
        feature_model(saving.load(MODELS / "model.keras")), pixels, row[images["image_id"]].to_numpy()
    )


def pair_table(images: pd.DataFrame, features: Floats, classes: list[str]) -> pd.DataFrame:
    """Return pairs of images of two groups, the ones that most probably show one lesion first.

    Args:
        images: one row per image, with `image_id`, `split`, `label`, `lesion_id` and `group_id`.
        features: (N, features), in the same order.
        classes: their labels.
    """
    say(f"Comparing {len(images):,} images with one another ...")
    train = (images["split"] == "train").to_numpy()
    label = images["label"].map(classes.index).to_numpy(np.int64)
    vectors = whiten(features, ood.fit_reference(features[train], label[train]).whitening)
    pairs = rank_pairs(vectors, np.unique(images["group_id"], return_inverse=True)[1])
    found = pairs[["similarity", "mutual"]]
    for place in ("one", "other"):
        described = images.loc[pairs[place], ["image_id", "split", "label", "lesion_id"]].reset_index(drop=True)
        described.columns = pd.Index([place, *(f"{column}_{place}" for column in described.columns[1:])])
        found = found.join(described)
    found["across_splits"] = found["split_one"] != found["split_other"]
    return found
