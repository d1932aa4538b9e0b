"""Split: does any lesion stand on two sides?

Pictures come to train, val and test as split.method says; then the result is audited by lesion, by patient, by
copy and by bytes, independently of how it was made. A split that lets the test pictures' lesions train is named
in split.csv's column `protocol`, which every figure made from it carries on.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from lesions.core.csv_files import read_csv
from lesions.core.json_files import write_json
from lesions.core.stage import run_stage
from lesions.params.split import Split
from lesions.sampling import leakage_experiment as siblings
from lesions.sampling.split import (
    LEFT_OUT,
    SIDES,
    carve,
    deal,
    deal_in_folds,
    divided,
    leave_out_separated,
    published,
    shared_with,
)
from lesions.taxonomy import ordered

OUT = Path("data/split/split.csv")
NAMES = {
    "groups": "group_id",
    "patients": "patient_id",
    "lesions": "lesion_id",
    "identical_pictures": "sha256",
    "near_copies": "near_copy_id",
}
"""What may stand on two sides, and the column of images.csv that names it."""


def main() -> None:
    """Split data/clean/images.csv."""
    params = Split.read()
    images = read_csv(Path("data/clean/images.csv"))
    images, declared = as_declared(images, params) if params.method == "declared" else (dealt(images, params), {})
    images, exchanged = with_siblings(images, params)
    images["protocol"] = protocol(images, params)

    columns = [column for column in ("image_id", "split", "protocol", "fold") if column in images]
    OUT.parent.mkdir(parents=True, exist_ok=True)
    images[columns].to_csv(OUT, index=False)
    folds = {} if params.folds == "none" else {"folds": params.folds, "fold": params.fold}
    found = audit(images)
    result = {
        "method": params.method,
        "protocol": images["protocol"].iloc[0],
        **folds,
        **declared,
        **exchanged,
        **found,
    }
    write_json(Path("metrics/split.json"), result)
    say(result)


def dealt(images: pd.DataFrame, params: Split) -> pd.DataFrame:
    """Add the column `split`, and `fold` where folds are asked for."""
    units = images.assign(group_id=images["image_id"]) if params.method == "image" else images
    if params.folds == "none":
        fractions = {"train": 1 - params.val - params.test, "val": params.val, "test": params.test}
        return images.assign(split=deal(units, fractions, params.seed))
    return images.join(deal_in_folds(units, params.folds, params.fold, params.val, params.seed))


def as_declared(images: pd.DataFrame, params: Split) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Add the column `split` as it was published; and say what had to be added to it or mended."""
    images = images.assign(split=published(images))
    separated = divided(images, "group_id")
    report = {
        "published": {side: int((images["declared_split"] == side).sum()) for side in SIDES},
        "without_a_published_side": int((images["declared_split"] == "").sum()),
        "carved_from_train": [side for side in SIDES if not (images["split"] == side).any()],
        "groups_on_two_published_sides": separated,
        "separated": params.separated,
    }
    if params.separated == "leave_out":
        images["split"] = leave_out_separated(images, images["split"])
    images["split"] = carve(images, images["split"], {"val": params.val, "test": params.test}, params.seed)
    left_out = images["split"] == LEFT_OUT
    report["left_out"] = int(left_out.sum())
    report["left_out_by_class"] = by_class(images, left_out)
    return images, {"declared": report}


def with_siblings(images: pd.DataFrame, params: Split) -> tuple[pd.DataFrame, dict[str, Any]]:
    """Keep one picture of each test group there, if asked to; and say what became of its siblings."""
    if params.siblings == "apart":
        return images, {}
    part = {"withheld": siblings.withhold, "injected": siblings.inject}[params.siblings]
    parted = images.assign(split=part(images, params.seed))
    test, left_out = (parted["split"] == side for side in ("test", LEFT_OUT))
    theirs = (images["split"] == "test") & ~test
    report = {
        "became": params.siblings,
        "of_test_pictures": int(parted.loc[test, "group_id"].isin(images.loc[theirs, "group_id"]).sum()),
        "pictures": int(theirs.sum()),
        "pictures_by_class": by_class(images, theirs),
        "left_out_by_class": by_class(images, left_out),
    }
    return parted, {"siblings": report}


def by_class(images: pd.DataFrame, rows: pd.Series) -> dict[str, int]:
    """Count some of the pictures, for every class."""
    return {label: int((images.loc[rows, "label"] == label).sum()) for label in ordered(set(images["label"]))}


def protocol(images: pd.DataFrame, params: Split) -> str:
    """Return `honest`, or the name of the leak."""
    if params.method == "image":
        return "split by image (leaky)"
    if params.siblings == "injected":
        return siblings.LEAK
    if divided(images, "group_id"):
        return "published split that divides lesions (leaky)"
    return "honest"


def audit(images: pd.DataFrame) -> dict[str, Any]:
    """Count what stands on two sides, and what each side holds of each class, and of what has trained.

    Returns:
        How many groups, patients, lesions, identical pictures and copies stand on two sides; and for each side
        its pictures, groups, known lesions, pictures whose lesion is unknown, and `seen_in_train`: the fraction
        of pictures of whose lesion another picture, or of which a copy, is in train; with unknown lesions, at
        least that. A figure is None where nothing is known of it; `undefined` gives the reasons.
    """
    unnamed = [name for name in ("patients", "lesions") if (images[NAMES[name]] == "").all()]
    result: dict[str, Any] = {
        f"{name}_on_two_sides": None if name in unnamed else divided(images, key) for name, key in NAMES.items()
    }
    result["undefined"] = [f"{name}: the data name none" for name in unnamed]
    keys = ["lesion_id", "near_copy_id", "sha256"]
    images = images.assign(seen_in_train=shared_with(images, "train", keys))
    for side in SIDES:
        ours = images[images["split"] == side]
        of_class = {label: figures(ours[ours["label"] == label]) for label in ordered(set(images["label"]))}
        result[side] = {}
        for name, value in figures(ours).items():
            if name != "seen_in_train" or side != "train":
                result[side][name] = value
                result[side][f"{name}_by_class"] = {label: found[name] for label, found in of_class.items()}
    return result


def figures(images: pd.DataFrame) -> dict[str, int | float | None]:
    """Return the figures of some pictures of one side; see `audit`."""
    lesions = images.loc[images["lesion_id"] != "", "lesion_id"]
    seen = images["seen_in_train"]
    return {
        "pictures": len(images),
        "groups": int(images["group_id"].nunique()),
        "lesions": int(lesions.nunique()) if len(lesions) else None,
        "lesion_unknown": len(images) - len(lesions),
        "seen_in_train": round(float(seen.mean()), 4) if len(lesions) or seen.any() else None,
    }


def say(result: dict[str, Any]) -> None:
    """Print what was made, and what a person should not overlook."""
    sides = ", ".join(f"{side} {result[side]['pictures']:,}" for side in SIDES)
    print(f"{OUT}: {sides}; {result['groups_on_two_sides']:,} groups stand on two sides")
    declared = result.get("declared")
    if declared and declared["groups_on_two_published_sides"]:
        mended = {
            "leave_out": f"{declared['left_out']:,} pictures of them were left out, so that none does now",
            "keep": "they were kept there (split.separated)",
        }
        print(
            f"The published split has {declared['groups_on_two_published_sides']:,} groups on two sides: "
            f"{mended[declared['separated']]}."
        )
    if declared and declared["carved_from_train"]:
        print(f"It has no {' and no '.join(declared['carved_from_train'])}: dealt from its training part, by group.")
    if "siblings" in result:
        moved = result["siblings"]
        became = {
            "withheld": "left out",
            "injected": "put into train, in exchange for as many training pictures of each class",
        }
        print(
            f"{moved['of_test_pictures']:,} test pictures have siblings: {moved['pictures']:,}, "
            f"{became[moved['became']]}."
        )
    if result["protocol"] != "honest":
        seen = result["test"]["seen_in_train"]
        share = "an unknown share" if seen is None else f"{seen:.1%}"
        print(
            f"WARNING: {result['protocol']}: of {share} of the test pictures, the lesion or a copy is in train. "
            "Every figure made from this split is named so."
        )


if __name__ == "__main__":
    run_stage(main)
