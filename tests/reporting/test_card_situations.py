"""What the card says in a dozen situations, and what it must not: each is evaluated and rendered for real."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from lesions.audit.merged import describe_collections
from lesions.audit.summary import summarise
from lesions.core.csv_files import read_csv
from lesions.core.json_files import write_json
from lesions.reporting.card import context
from lesions.taxonomy import about
from stages import calibrate, evaluate, report, split
from tests.audit.tables import as_audit
from tests.conftest import ROOT, edit_params
from tests.evaluation.outputs import OUTPUTS, put_corrupted, put_features, put_predictions

SPLITS = {"train": 0.4, "val": 0.3, "test": 0.3}
GALLERY: dict[str, Any] = {"split": "test", "leakage": "none", "entries": []}
PASSED = {"verdict": "Passed: with random weights the maps differ, so they depend on the network's weights."}
TRAINED = {"weights": 1000, "multiply_adds": 1000, "epochs": 20, "best_epoch": 16, "packages": {"keras": "3"}}
MERGED = {
    "clinic": {"source": "folder", "licence": "unstated"},
    "vienna": {"source": "ham10000", "licence": "CC BY-NC 4.0"},
}


@dataclass
class Situation:
    """A run, and what its card must say, and must not (regular expressions).

    Attributes:
        lesions: how many of each class.
        skill: how much the network knows; 0 is chance.
        params: values by section.
        edit: a change of the images, before anything is made of them.
        published: of `published_counts`.
    """

    says: list[str]
    never: list[str] = field(default_factory=list)
    lesions: dict[str, int] = field(default_factory=lambda: {"mel": 80, "bcc": 40, "nv": 160})
    skill: float = 1.5
    params: dict[str, dict[str, Any]] = field(default_factory=dict)
    edit: Callable[[pd.DataFrame], pd.DataFrame] = lambda images: images
    source: str = "ham10000"
    leakage: str = "none"
    published: dict[str, dict[str, int]] = field(default_factory=dict)


def with_earlier_split(images: pd.DataFrame) -> pd.DataFrame:
    """Write a table of the splits in which each lesion had one image."""
    first = images.drop_duplicates("lesion_id").rename(columns={"published_split": "split"})
    first[["image_id", "split"]].to_csv("earlier.csv", index=False)
    return images.assign(collection="", diagnosis=images["label"])


COSINE: dict[str, dict[str, Any]] = {
    "train": {"schedule": "cosine", "restore_best_weights": False, "early_stopping_patience": "none"},
    "rebalance": {"target": "none"},
}
PRETRAINED: dict[str, dict[str, Any]] = {
    "train": {"architecture": "pretrained"},
    "pretrained": {"model": "MobileNet", "weights": "path", "path": "data/mine.h5"},
}

SITUATIONS = {
    "usual": Situation(
        [
            r"takes one dermoscopy image of a skin lesion and predicts a probability for each of 3 diagnoses: mel, mel",
            *("Augmented images were added to each class", r"58 dermatologists", "trained on dermoscopy"),
        ],
        ["leaky", "drawings only", "not shown to be better than chance", "The data name no lesions", "are judged"],
    ),
    "cosine to the last epoch": Situation(
        [r"nothing on test: the thresholds and the calibration *\.", "No class was oversampled"],
        ["learning rate falls", "epoch whose weights", "when training ends", "copied up to", "augmented images"],
        params=COSINE,
    ),
    "plateau": Situation(
        ["when the learning rate falls, when training ends, the epoch whose weights are kept, the thresholds and the"]
    ),
    "own weights": Situation([r"from the weights in `data/mine.h5` of MobileNet"], ["ImageNet"], params=PRETRAINED),
    "two classes": Situation(["each of 2 diagnoses", r"by chance, 50\.0 %"], lesions={"mel": 80, "nv": 160}),
    "no lesion ids": Situation(
        ["The data name no lesions: only duplicates", r"images of \d+ groups"],
        [r"\d lesions", "images of one lesion,"],
        edit=lambda images: images.assign(lesion_id="", group_id=images["image_id"]),
    ),
    "no melanoma": Situation(
        ["no class is melanoma alone"],
        ["dermatologists had", "for melanomas on validation", "AUC for melanoma"],
        lesions={"bcc": 80, "bkl": 40, "nv": 160},
    ),
    "network at chance": Situation(
        ["not shown to be better than chance", "so there is nothing for the heat maps to explain"],
        ["what the network learnt"],
        skill=0,
    ),
    "leaky split": Situation(
        ["> \\*\\*These metrics are of a leaky split:\\*\\* split by image", "one run cannot say by how much"],
        ["how large the leak"],
        leakage="split by image (leaky)",
    ),
    "test left out": Situation(
        [r"\*\*Test was not evaluated\*\*", "Test was not evaluated, so no subgroup was"],
        [r"[Tt]est, \d+ images of"],
        params={"evaluate": {"splits": ["val"]}},
    ),
    "drawings": Situation(
        [r"> \*\*This model has seen drawings only"],
        ["58 dermatologists", "dermatologists' sensitivity", "trained on dermoscopy"],
        source="synthetic",
    ),
    "a folder of one's own": Situation(
        ["takes one image of a skin lesion", "Whether its images were taken through a dermatoscope is not stated"],
        ["trained on dermoscopy"],
        source="folder",
    ),
    "published test that lost images": Situation(
        [r"Of 900 images of the published test split \d+ are judged: metrics on it do not compare"],
        published={"test": {"published": 900, "usable": 100}},
    ),
    "an earlier split goes on": Situation(
        [r"280 images keep their split of an earlier table \(`split.keep`\), and \d+ are new since\."],
        params={"split": {"method": "grouped", "keep": "earlier.csv"}},
        edit=with_earlier_split,
    ),
    "one source": Situation([r"that sensitivity for melanomas differs between sources is not known"]),
    "three sources": Situation(
        [r"Chosen without a source's images, that threshold has on these a sensitivity for melanomas of"],
        ["differs between sources is not known: validation has no source with ten groups of melanomas"],
        lesions={"mel": 240, "bcc": 60, "nv": 240},
        edit=lambda images: images.assign(source=[f"clinic {place % 3}" for place in range(len(images))]),
    ),
    "merged collections": Situation(
        [
            "The data are merged of 2 collections",
            r"\| vienna \| \d+ \| \d+ \| 0 \|",
            "### Do collections differ\\?",
            r"pooled over 2 collections \(clinic and vienna\)",
            r"nor what is made of them:\*\* clinic \(unstated\); vienna \(CC BY-NC 4\.0\)\.",
            "takes one image of a skin lesion",
            r"\(`plateau`\), 32 images a step, loss `crossentropy`, drawn with replacement so that each diagnosis",
        ],
        ["### Do sources differ", "class weights", "trained on dermoscopy"],
        lesions={"mel": 240, "bcc": 60, "nv": 240},
        params={"train": {"balance": "both"}},
        edit=lambda images: images.assign(collection=np.where(np.arange(len(images)) // 2 % 2, "vienna", "clinic")),
        source="merged",
    ),
    "a diagnosis for balanced accuracy": Situation(
        [
            r"divided by its share of validation, which is \d+ times as large for the commonest as for the rarest",
            r"It is not always the most probable one\. On test, each diagnosis against the rest",
            "Diagnoses here are those with the largest probability before calibration",
        ],
        ["before calibration. On test"],
        params={"calibrate": {"optimise": "balanced_accuracy"}},
    ),
    "a diagnosis by its cost": Situation(
        [r"least expected cost by the calibrated probabilities: calling mel nv costs 20 and calling bcc nv costs 5"],
        params={"calibrate": {"optimise": "expected_cost", "costs": {"mel": {"nv": 20}, "bcc": {"nv": 5}}}},
    ),
    "some ten test images": Situation(
        ["Diagnoses with few groups to evaluate on", "Fewer than 20 groups support no conclusion"],
        lesions={"mel": 12, "nv": 24},
        skill=6,
    ),
    "a class of one test lesion": Situation(["Never excluded"], lesions={"mel": 80, "nv": 160, "df": 4}),
}


def put(situation: Situation) -> None:
    """Write what the stages before calibrate would have written."""
    random = np.random.default_rng(1)
    classes = list(situation.lesions)
    rows = []
    for label, count in situation.lesions.items():
        in_each = np.rint(count * np.array(list(SPLITS.values()))).astype(int)
        for number, name in enumerate(np.repeat(list(SPLITS), in_each)):
            rows += [(f"{label}{number:03}", view, label, name) for view in range(1 + number % 2)]
    images = pd.DataFrame(rows, columns=["lesion_id", "view", "label", "published_split"])
    images["image_id"] = images["lesion_id"] + "-" + images["view"].astype(str)
    images["group_id"], images["sha256"] = images["lesion_id"], images["image_id"]
    images["sex"] = np.where(np.arange(len(images)) % 2, "female", "male")
    known = {"age": "50", "age_status": "given", "site": "back", "source": "a", "dx_type": "histo", "ita": "40.0"}
    images = images.assign(
        patient_id="",
        near_duplicate_id="",
        known_pair_id="",
        known_group_id="",
        skin_tone="",
        width="600",
        height="450",
        **known,
    )
    images = situation.edit(images.sort_values("image_id", ignore_index=True))
    for folder in ("data/raw", "data/clean", OUTPUTS, "models", "metrics", "reports/gallery"):
        Path(folder).mkdir(parents=True)
    images.to_csv("data/clean/images.csv", index=False)
    table = pd.DataFrame([(one, about(one).name, about(one).malignancy, one) for one in classes])
    table.columns = pd.Index(["label", "name", "malignancy", "diagnoses"])
    table.to_csv("data/clean/classes.csv", index=False)
    table[["label"]].to_csv("data/clean/labels.csv", index=False)
    collections = {"collections": MERGED} if situation.source == "merged" else {}
    write_json(Path("data/raw/provenance.json"), {"source": situation.source} | collections)
    split.main()
    write_json(Path("metrics/data.json"), summarise_images(read_csv(Path("data/clean/images.csv")), table, situation))

    outputs = images[["image_id", "published_split", "label"]].rename(columns={"published_split": "split"})
    outputs["leakage"] = situation.leakage
    logits = (
        random.normal(size=(len(images), len(classes)))
        + situation.skill * np.eye(len(classes))[images["label"].map(classes.index)]
    )
    outputs[classes] = (np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)).astype(np.float32)
    put_features(outputs)
    outputs = outputs[outputs["split"] != "train"].reset_index(drop=True)
    put_predictions(outputs)
    put_corrupted(outputs, classes)
    write_json(OUTPUTS / "model.json", {"sha256": {"model.keras": "aa", "preprocessing.json": "bb"}, "tta": False})
    written: dict[str, dict[str, Any]] = {
        "metrics/train": TRAINED,
        "metrics/explain": {"sanity_check": PASSED},
        "reports/gallery/gallery": GALLERY,
        "models/preprocessing": {"image_size": 64, "resize_mode": "squash"},
    }
    for name, content in written.items():
        write_json(Path(f"{name}.json"), content)
    Path("models/model.keras").touch()
    Path("requirements.txt").touch()


def summarise_images(images: pd.DataFrame, classes: pd.DataFrame, situation: Situation) -> dict[str, Any]:
    audit = as_audit(images, classes)
    if situation.source == "merged":
        none = pd.DataFrame(columns=["one", "other", "reason"], dtype=str)
        found = describe_collections(images, images.assign(diagnosis=images["label"]), audit.rejects, none)
        audit = audit._replace(collections=found)
    return summarise(audit, situation.published, {}, {}, [])


@pytest.mark.parametrize("name", SITUATIONS)
def test_card_of(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    situation = SITUATIONS[name]
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(context, "write_plots", lambda *_, **__: [])
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    edit_params(tmp_path, split={"method": "published"}, evaluate={"n_bootstrap": 100})
    for section, values in situation.params.items():
        edit_params(tmp_path, **{section: values})
    put(situation)
    calibrate.main()
    evaluate.main()
    report.main()
    card = re.sub(r"\s+", " ", Path("reports/model_card.md").read_text())
    for words in situation.says:
        assert re.search(words, card), words
    for words in situation.never:
        assert not re.search(words, card), words
    assert not re.search(r"\b(nan|NaN|None|inf)\b", card)
    # A proportion of 0 or 1 has its bounds.
    evaluated = json.loads(Path("reports/evaluation.json").read_text())
    assert evaluated["leakage"] == situation.leakage
    assert not re.search(r"(sensitivity|specificity)[^.|]{0,40} (100\.0|0\.0) %(?! \()", card)
