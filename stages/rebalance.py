"""Oversample rare classes: augment training images of the classes that have too few.

The split comes before, on purpose: augmenting first, as published notebooks do, puts augmented images of one
original into two splits. `when: before_split` does even that, to show what it is worth; the column `leakage` of
index.csv then names the leak, and every metric carries it on.
"""

from pathlib import Path

from lesions.core import image_array
from lesions.core.csv_files import read_csv, write_csv
from lesions.core.stage import run_stage
from lesions.params.rebalance import Rebalance
from lesions.reporting.common.contact_sheet import contact_sheet
from lesions.sampling.oversampling import (
    AUGMENTED_SPLITS,
    augment_all,
    class_balance,
    describe_oversampling,
    example_rows,
    index_table,
    plan_oversampling,
    read_rows,
)

REBALANCED = Path("data/rebalanced")


def main() -> None:
    """Make the augmented images that `rebalance` describes."""
    params = Rebalance.read()
    classes = list(read_csv(Path("data/clean/labels.csv"))["label"])
    pixels, prepared = image_array.read(Path("data/prepared"))
    images = prepared.merge(read_csv(Path("data/split/split.csv")), on="image_id", validate="1:1")
    originals = images[images["split"].isin(AUGMENTED_SPLITS[params.when])]

    planned = plan_oversampling(originals, params.target, params.copies_per_class, params.seed)
    index = index_table(planned, images, params)
    row_of = {image_id: row for row, image_id in enumerate(images["image_id"])}
    sources = read_rows(pixels, (row_of[image.original] for image in planned))
    image_array.write(REBALANCED, index, augment_all(planned, sources, params), pixels.shape[1:3])

    Path("plots").mkdir(exist_ok=True)
    write_csv(class_balance(images, index, classes), Path("plots/class_balance.csv"))
    augmented, _ = image_array.read(REBALANCED)
    examples = example_rows(originals, pixels, index, augmented, classes)
    contact_sheet(examples, Path("plots/augmented_images.jpg"))
    print(f"{REBALANCED}: {describe_oversampling(images, index)}")


if __name__ == "__main__":
    run_stage(main)
