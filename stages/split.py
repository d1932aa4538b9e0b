"""Split: does any lesion stand on two sides?

Groups of pictures are dealt to train, val and test, class by class; then the result is audited by lesion and
by bytes, independently of how it was made.
"""

from pathlib import Path
from typing import Any

import pandas as pd

from lesions.outputs import write_json
from lesions.params.split import Split
from lesions.running import run_stage
from lesions.splitting import SIDES, deal, divided
from lesions.tables import read_csv
from lesions.taxonomy import ordered

OUT = Path("data/split/split.csv")


def main() -> None:
    """Split data/clean/images.csv."""
    params = Split.read()
    images = read_csv(Path("data/clean/images.csv"))
    fractions = {"train": 1 - params.val - params.test, "val": params.val, "test": params.test}
    images["split"] = deal(images, fractions, params.seed)

    OUT.parent.mkdir(parents=True, exist_ok=True)
    images[["image_id", "split"]].to_csv(OUT, index=False)
    result = audit(images)
    write_json(Path("metrics/split.json"), result)
    sides = ", ".join(f"{side} {result[side]['pictures']:,}" for side in SIDES)
    print(f"{OUT}: {sides}; {result['groups_on_two_sides']} groups stand on two sides")


def audit(images: pd.DataFrame) -> dict[str, Any]:
    """Count what stands on two sides, and the pictures and lesions of each side and class."""
    classes = ordered(set(images["label"]))
    result: dict[str, Any] = {
        "groups_on_two_sides": divided(images, "group_id"),
        "patients_on_two_sides": divided(images, "patient_id"),
        "lesions_on_two_sides": divided(images, "lesion_id"),
        "identical_pictures_on_two_sides": divided(images, "sha256"),
    }
    for side in SIDES:
        ours = images[images["split"] == side]
        result[side] = {
            "pictures": len(ours),
            "groups": int(ours["group_id"].nunique()),
            "pictures_by_class": {label: int((ours["label"] == label).sum()) for label in classes},
            "groups_by_class": {
                label: int(ours.loc[ours["label"] == label, "group_id"].nunique()) for label in classes
            },
        }
    return result


if __name__ == "__main__":
    run_stage(main)
