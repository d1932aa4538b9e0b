"""Split the images into train, validation and test, and audit the split for leakage.

A split that lets the lesions of test images train is named in the column `leakage` of split.csv, which every metric
made from it carries on.
"""

from pathlib import Path

from lesions.core.csv_files import read_csv, write_csv
from lesions.core.json_files import write_json
from lesions.core.stage import run_stage
from lesions.params.split import Split
from lesions.sampling.split_report import describe_split, split_images

CLEAN = Path("data/clean")
OUT = Path("data/split/split.csv")


def main() -> None:
    """Split data/clean/images.csv."""
    params = Split.read()
    classes = list(read_csv(CLEAN / "labels.csv")["label"])
    table, report = split_images(read_csv(CLEAN / "images.csv"), classes, params)
    OUT.parent.mkdir(parents=True, exist_ok=True)
    write_csv(table, OUT)
    write_json(Path("metrics/split.json"), report)
    print(f"{OUT}: " + "\n".join(describe_split(report)))


if __name__ == "__main__":
    run_stage(main)
