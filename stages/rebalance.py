"""Rebalance: extra training pictures only, the same bits everywhere.

Classes that fall short of the target get augmented copies of their own training pictures. The split comes
before, on purpose: copies made first, as published notebooks do, end up on both sides of it.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import Augmentor
import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesions import packed
from lesions.parallel import in_order
from lesions.params.rebalance import Rebalance
from lesions.rebalancing import Copy, augment, plan
from lesions.running import run_stage
from lesions.sheets import contact_sheet
from lesions.tables import read_csv
from lesions.taxonomy import ordered

REBALANCED = Path("data/rebalanced")


def main() -> None:
    """Make the copies that params.yaml asks for."""
    params = Rebalance.read()
    pixels, index = packed.read(Path("data/prepared"))
    images = index.merge(read_csv(Path("data/split/split.csv")), on="image_id", validate="1:1")
    train = images[images["split"] == "train"]

    copies = plan(train, params.target, params.seed)
    label_of = dict(zip(images["image_id"], images["label"], strict=True))
    rows = pd.DataFrame(
        [(copy.name, copy.image_id, label_of[copy.image_id], "train") for copy in copies],
        columns=["image_id", "original", "label", "split"],
    )
    packed.write(REBALANCED, rows, make(copies, pixels, images["image_id"], params), pixels.shape[1:3])
    Path("plots").mkdir(exist_ok=True)
    balance(train["label"], rows["label"]).to_csv("plots/class_balance.csv", index=False)
    contact_sheet(sample_rows(train, pixels[train.index], params), Path("plots/copies.png"))
    print(f"{REBALANCED}: {len(copies):,} copies beside {len(train):,} training pictures")


def make(
    copies: list[Copy], pixels: NDArray[np.uint8], image_ids: pd.Series, params: Rebalance, workers: int = -1
) -> Iterator[NDArray[np.uint8]]:
    """Yield the copies, in order; `image_ids` names the rows of `pixels`."""
    pipeline = Augmentor.Pipeline()
    for operation in params.operations:
        operation.add_to(pipeline)
    row_of = {image_id: row for row, image_id in enumerate(image_ids)}
    return in_order(
        partial(augment, operations=pipeline.operations, seed=params.seed),
        ((pixels[row_of[copy.image_id]], copy) for copy in copies),
        len(copies),
        what="copying",
        prefer="processes",
        workers=workers,
    )


def balance(before: pd.Series, copies: pd.Series) -> pd.DataFrame:
    """Count the training pictures of each class, before and after, for the plot."""
    classes = ordered(set(before))
    after = pd.concat([before, copies])
    return pd.DataFrame(
        [
            {"diagnosis": label, "when": when, "pictures": int((labels == label).sum())}
            for label in classes
            for when, labels in (("before", before), ("after", after))
        ]
    )


def sample_rows(
    train: pd.DataFrame, pixels: NDArray[np.uint8], params: Rebalance, each: int = 9
) -> list[tuple[str, list[NDArray[np.uint8]]]]:
    """Return each class's first original with its first copies beside it, for the contact sheet."""
    rows = []
    for label in ordered(set(train["label"])):
        row = int(np.flatnonzero(train["label"] == label)[0])
        image_id = str(train["image_id"].iloc[row])
        copies = [Copy(image_id, number) for number in range(each)]
        made = make(copies, pixels[[row]], pd.Series([image_id]), params, workers=1)
        rows.append((f"{label}: {image_id} and its copies", [pixels[row], *made]))
    return rows


if __name__ == "__main__":
    run_stage(main)
