"""`lesions audit`: label suspects, lesions photographed again, and off-topic images, for a person to look at.

Nothing is removed. All but the pairs comes from what the stages wrote; for these the network runs once more.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from lesions.commands.audit import out_of_fold
from lesions.commands.audit.confident_learning import rank_labels
from lesions.commands.audit.page import write_page
from lesions.commands.audit.similar_pairs import Floats, rank_pairs, whiten
from lesions.core import image_array
from lesions.core.csv_files import EXACT, read_csv
from lesions.core.errors import UserError, writing
from lesions.core.image_array import read_array
from lesions.core.json_files import read_json
from lesions.core.sanitize import sanitize
from lesions.core.stage import say
from lesions.evaluation.common import predictions
from lesions.models.calibration import ood
from lesions.reporting.common.numbers import quantity

DATA, MODELS = Path("data"), Path("models")
TABLES = ("label_suspects.csv", "similar_pairs.csv", "off_topic.csv")
PAGE = "index.html"
FILES = {PAGE, *TABLES, ".gitignore"}


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


def audit(out: Path, study: str = "", *, test: bool = False, fast: bool = False) -> str:
    """Write the tables and the page, and return what was found, for a person.

    Args:
        out: the folder.
        study: whose out-of-fold predictions are used; without it, those of this run.
        test: whether suspects and off-topic images of test are shown.
        fast: whether images are compared by the features that predict wrote, without running the network.

    Raises:
        UserError: the pipeline has not run, the study has not, or the folder holds what is not of an audit.
    """
    _check_place(out)
    say("Reading what the network says of the images ...")
    images = predictions.read_images(DATA)
    if "known_group_id" not in images:
        raise UserError("data/clean/images.csv is of an earlier version of the pipeline. Run `dvc repro`.")
    found = find(images, study, test=test, fast=fast)
    out.mkdir(parents=True, exist_ok=True)
    with writing(out):
        (out / ".gitignore").write_text("# The images may be of patients.\n*\n", encoding="utf-8")
        for name, table in zip(TABLES, (found.labels, found.pairs, found.off_topic), strict=True):
            text = table.select_dtypes(exclude=["number", "bool"]).columns
            safe = table.assign(**{column: table[column].map(sanitize) for column in text})
            safe.insert(0, "rank", range(1, len(safe) + 1))
            safe.to_csv(out / name, index=False, float_format=EXACT)
    source = read_json(DATA / "raw/provenance.json").get("source")
    with writing(out):
        write_page(out / PAGE, found, images, study, test=test, drawn=source == "synthetic")
    return _words(found, out)


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


def _check_place(out: Path) -> None:
    """Refuse a folder of something else: all in it is to be ignored by Git."""
    if out.exists() and not out.is_dir():
        raise UserError(f"--out {out} is no folder.")
    others = sorted({file.name for file in out.iterdir()} - FILES) if out.exists() else []
    if others:
        raise UserError(
            f"--out {out} holds {sanitize(others[0])}, which no audit wrote, and Git is to ignore all of the folder, "
            "since it gets images of patients. Name another, or an empty one."
        )


def _words(found: Found, out: Path) -> str:
    """Return what was found and what to do, in 80 columns."""
    suspects, across = int(found.labels["suspect"].sum()), found.pairs[found.pairs["across_splits"]]
    mutual = int(across["mutual"].sum())
    splits = found.labels["split"].value_counts()
    counts = ", ".join(f"{name} {number:,}" for name, number in splits.items())
    return (
        f"Label suspects: {quantity(suspects, 'image')} of {len(found.labels):,} ({counts}; "
        f"{found.n_images:,} in all).\n"
        f"Photographed again: {quantity(mutual, 'pair')} across splits to look at, the likeliest first.\n"
        f"Off topic: {len(found.off_topic):,} images, the strangest first.\n"
        f"Open {out / PAGE}; the tables lie beside it. Nothing was removed.\n"
        "The folder holds images, so Git ignores it. To keep a pair in one split, write\n"
        "the two lines below it on that page into a file, and name this in params.yaml:\n"
        "  clean:\n"
        "    known_groups: known_groups.csv"
    )
