"""How many planted label errors, re-photographs and off-topic images does `lesions audit` rank first?

    dvc repro calibrate
    python benchmarks/audit.py --weights mobilenet_2_5_224_tf_no_top.h5

In the folder of a run. The weights are those that Keras publishes for MobileNet at alpha 0.25, without the head: a
linear classifier on its features is trained on labels with planted errors too. The network of the run was not: for it,
errors are planted in validation and test alone.
"""

import argparse
import io
from pathlib import Path

import keras
import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageEnhance, ImageFilter
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from lesions.archives import read_members
from lesions.audit.groups import KEYS, components
from lesions.audit.known_pairs import PAIRS
from lesions.audit.near_duplicates import SIZE, find_near_duplicates, fingerprint
from lesions.commands.audit.confident_learning import rank_labels
from lesions.commands.audit.similar_pairs import rank_pairs, whiten
from lesions.commands.audit.view_features import mean_over_views
from lesions.core import image_array
from lesions.core.csv_files import read_csv
from lesions.core.json_files import read_json
from lesions.evaluation.common import predictions
from lesions.images.decode import decode_image
from lesions.images.preprocessing import Preprocessing, as_png, to_pixels
from lesions.inference.features import feature_model
from lesions.inference.predict import in_batches, predict_images
from lesions.models.calibration import ood
from lesions.models.common import saving

DATA, MODELS = Path("data"), Path("models")
PLANTED = 0.02
"""The fraction of the labels that are made wrong."""
REPHOTOGRAPHED = 100
"""Images that are photographed again."""
FIRST = (0.01, 0.02, 0.05)
"""Fractions of a list at which it is read."""
REPEATS = 20
Array = NDArray[np.float64]
Features = NDArray[np.float32]


def read_at(planted: NDArray[np.bool_]) -> dict[str, str]:
    """Return recall and precision of the first of a ranked list, (N,), and the recall that is possible there."""
    found = {}
    for fraction in FIRST:
        first = planted[: round(fraction * len(planted))]
        recall, possible = first.sum() / planted.sum(), min(1, len(first) / planted.sum())
        found[f"first {fraction:.0%}"] = f"{recall:.0%} of {possible:.0%}, {first.mean():.0%}"
    return found


def plant(label: NDArray[np.int64], likely: Array, random: Generator) -> NDArray[np.int64]:
    """Return labels of which `PLANTED` are wrong, each another class by the chances of its class in `likely`."""
    wrong = label.copy()
    for row in random.choice(len(label), round(PLANTED * len(label)), replace=False):
        wrong[row] = random.choice(len(likely), p=likely[label[row]])
    return wrong


def likely_errors(label: NDArray[np.int64], probability: Array) -> dict[str, Array]:
    """Return two tables, (classes, classes), of how labels are made wrong."""
    n_classes = probability.shape[1]
    apart = 1 - np.eye(n_classes)
    confused = apart * np.stack([probability[label == number].mean(axis=0) for number in range(n_classes)])
    return {
        "any other class": apart / apart.sum(axis=1, keepdims=True),
        "as classes are confused": confused / confused.sum(axis=1, keepdims=True),
    }


def of_the_network(images: pd.DataFrame, classes: list[str]) -> None:
    """Print what is found of errors planted among validation and test; training has none of them."""
    table = predictions.read(DATA / "predictions/predictions.csv", images, classes)
    table = table[table["image_id"].isin(images["image_id"])]
    label, probability = table["label"].map(classes.index).to_numpy(np.int64), table[classes].to_numpy(np.float64)
    rows = []
    for kind, likely in likely_errors(label, probability).items():
        lists = []
        for seed in range(REPEATS):
            wrong = plant(label, likely, np.random.default_rng(seed))
            lists.append((wrong != label)[rank_labels(wrong, probability)["row"]])
        rows.append({"the network, planted in val and test": kind, **mean_of(lists)})
    print(pd.DataFrame(rows).to_string(index=False), end="\n\n")


def mean_of(lists: list[NDArray[np.bool_]]) -> dict[str, str]:
    """Return `read_at` of several lists, as means."""
    return read_at(np.mean(lists, axis=0))


def of_folds(images: pd.DataFrame, classes: list[str], features: Array) -> None:
    """Print the same of a linear classifier, trained in five folds by group on labels with errors as well."""
    label = images["label"].map(classes.index).to_numpy(np.int64)
    rows = []
    likely = likely_errors(label, folds(features, label, images["group_id"], len(classes)))
    for kind, chances in likely.items():
        wrong = plant(label, chances, np.random.default_rng(0))
        ranked = rank_labels(wrong, folds(features, wrong, images["group_id"], len(classes)))
        rows.append(
            {"a linear classifier, five folds, planted everywhere": kind, **read_at((wrong != label)[ranked["row"]])}
        )
    print(pd.DataFrame(rows).to_string(index=False), end="\n\n")


def folds(features: Array, label: NDArray[np.int64], groups: pd.Series, n_classes: int) -> Array:
    """Return out-of-fold probabilities, (N, classes)."""
    probability = np.zeros((len(label), n_classes))
    for train, test in StratifiedGroupKFold(5, shuffle=True, random_state=0).split(features, label, groups):
        model = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300)).fit(
            features[train], label[train]
        )
        probability[np.ix_(test, model[-1].classes_)] = model.predict_proba(features[test])
    return probability


def rephotograph(image: Image.Image, random: Generator) -> Image.Image:
    """Return an image as a second photograph may be: turned, nearer, aside, in other light, soft, compressed again."""
    width, height = image.size
    pad = max(image.size) // 2
    wide = Image.fromarray(np.pad(np.asarray(image), ((pad, pad), (pad, pad), (0, 0)), mode="reflect"))
    turned = wide.rotate(random.uniform(0, 360), Image.Resampling.BICUBIC)
    zoom = random.uniform(1, 1.4)
    across, down = width / zoom, height / zoom
    left = pad + (width - across) / 2 + random.uniform(-0.08, 0.08) * width
    top = pad + (height - down) / 2 + random.uniform(-0.08, 0.08) * height
    again = turned.resize((width, height), Image.Resampling.BICUBIC, (left, top, left + across, top + down))
    for enhance in (ImageEnhance.Brightness, ImageEnhance.Contrast):
        again = enhance(again).enhance(random.uniform(0.8, 1.2))
    tinted = np.asarray(again) * random.uniform(0.92, 1.08, 3)
    again = Image.fromarray(tinted.clip(0, 255).astype(np.uint8)).filter(
        ImageFilter.GaussianBlur(random.uniform(0, 0.8))
    )
    file = io.BytesIO()
    again.save(file, "JPEG", quality=int(random.integers(50, 91)))
    return Image.open(file).convert("RGB")


def of_pairs(
    images: pd.DataFrame, features: Features, all_pixels: NDArray[np.uint8], prepared_rows: NDArray[np.int64]
) -> None:
    """Print where re-photographs stand in the list of pairs, and how many the search for near-duplicates finds."""
    random = np.random.default_rng(0)
    rows = np.sort(random.choice(len(images), REPHOTOGRAPHED, replace=False))
    chosen = images.iloc[rows]
    read = read_members(DATA / "raw", zip(chosen["archive"], chosen["member"], strict=True))
    contents = [content for content in read if isinstance(content, bytes)]
    again = [as_png(rephotograph(Image.open(io.BytesIO(content)).convert("RGB"), random)) for content in contents]
    file = MODELS / "preprocessing.json"
    preprocessing = Preprocessing.from_json(read_json(file), file)
    pixels = np.stack([to_pixels(content, preprocessing) for content in again])
    model = feature_model(saving.load(MODELS / "model.keras"))
    place = np.arange(len(pixels))
    more, _ = predict_images(model, in_batches(pixels), len(pixels), False, "re-photographs")
    turned = mean_over_views(model, all_pixels, prepared_rows)
    both = {
        "as they are (--fast)": (features, more),
        "turned": (turned, mean_over_views(model, pixels, place)),
    }
    prints = [fingerprint(decode_image(content, SIZE, SIZE)) for content in [*contents, *again]]
    near = find_near_duplicates(np.stack([one.luma for one in prints]), np.stack([one.colour for one in prints]))
    hashed = int((near["other"] - near["one"] == len(rows)).sum())
    print(f"{len(rows)} re-photographs, of which the search for near-duplicates finds {hashed}:")
    groups = np.unique(images["group_id"], return_inverse=True)[1]
    of_all = np.concatenate([groups, groups.max() + 1 + place])
    original = np.concatenate([groups, groups[rows]])
    table = []
    for kind, (ours, theirs) in both.items():
        whitening = whitening_of(images, ours)
        ranked = rank_pairs(whiten(np.concatenate([ours, theirs]), whitening), of_all)
        planted = (ranked["other"] >= len(images)) & (original[ranked["one"]] == original[ranked["other"]])
        planted &= ~ranked["other"].where(planted).duplicated()  # one may be paired with several images of its lesion
        list_of_all = complete(planted.to_numpy(), len(rows))
        table.append({"re-photographs": kind, "in the list": int(planted.sum()), **read_at(list_of_all)})
        of_known_pairs(images, whiten(ours, whitening), kind)
    print(pd.DataFrame(table).to_string(index=False), end="\n\n")


def whitening_of(images: pd.DataFrame, features: Features) -> Features:
    """Return the whitening of `lesions audit`, of the training images."""
    train = (images["split"] == "train").to_numpy()
    label = np.unique(images["label"], return_inverse=True)[1]
    return ood.fit_reference(features[train], label[train]).whitening


def complete(planted: NDArray[np.bool_], number: int) -> NDArray[np.bool_]:
    """Return a list to which those that are not in it are added at its end."""
    return np.concatenate([planted, np.ones(number - int(planted.sum()), bool)])


def of_known_pairs(images: pd.DataFrame, vectors: Features, kind: str) -> None:
    """Print at which rank the known pairs stand, were they not known."""
    held = [pair for pair in PAIRS if set(pair) <= set(images["image_id"])]
    if not held:
        return
    group = components(images, [key for key in KEYS if key != "known_pair_id"])
    ranked = rank_pairs(vectors, np.unique(group, return_inverse=True)[1])
    ids = images["image_id"].to_numpy()
    rank = {pair: number for number, pair in enumerate(zip(ids[ranked["one"]], ids[ranked["other"]], strict=True), 1)}
    group_of = dict(zip(ids, group, strict=True))
    joined = [pair for pair in held if group_of[pair[0]] == group_of[pair[1]]]
    found = sorted(rank[pair] for pair in held if pair in rank)
    print(
        f"{kind}: of {len(held)} known pairs, were they not known, {len(joined)} are near-duplicates; of the others "
        f"{len(found)} are in the list of {len(ranked):,} pairs ({int(ranked['mutual'].sum()):,} mutual), at {found}."
    )


def main() -> None:
    """Print all."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--weights", help="file of MobileNet, alpha 0.25, without the head")
    arguments = parser.parse_args()
    images, classes = predictions.read_images(DATA), list(read_csv(DATA / "clean/classes.csv")["label"])
    index, features = read_csv(DATA / "network_outputs/features.csv"), np.load(DATA / "network_outputs/features.npy")
    reference = ood.load(MODELS / ood.FILE)
    print("of all that was planted, how much is found, of how much could be; and how much of these is planted:\n")
    of_the_network(images, classes)
    pixels, prepared = image_array.read(DATA / "prepared")
    if arguments.weights:
        network = keras.applications.MobileNet(
            pixels.shape[1:], 0.25, include_top=False, weights=arguments.weights, pooling="avg"
        )
        imagenet = np.concatenate(
            [network.predict_on_batch(part / np.float32(127.5) - 1) for part in in_batches(pixels)]
        )
        of_folds(prepared[["image_id"]].merge(images, on="image_id"), classes, imagenet)

    known = index["image_id"].isin(images["image_id"]).to_numpy()
    seen, ours = index.loc[known, ["image_id"]].merge(images, on="image_id"), features[known]
    of_prepared = prepared[["image_id"]].merge(seen, on="image_id")
    order = pd.Series(np.arange(len(seen)), seen["image_id"])[of_prepared["image_id"]].to_numpy()
    held = np.flatnonzero(prepared["image_id"].isin(seen["image_id"]))
    of_pairs(of_prepared, ours[order], pixels, held)
    score = ood.score(reference, np.concatenate([ours, features[(index["split"] == "shipped").to_numpy()]]))
    off_topic = np.arange(len(score)) >= len(ours)
    print(pd.DataFrame([{"off-topic images": "", **read_at(off_topic[np.argsort(-score)])}]).to_string(index=False))


if __name__ == "__main__":
    main()
