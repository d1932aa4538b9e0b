"""Prepare: decode once, never again.

All usable pictures become rows of one array; how is written beside it, so that a later picture can be
treated exactly alike.
"""

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from lesions.archives import read_members
from lesions.core import image_array as packed
from lesions.core.csv_files import read_csv
from lesions.core.errors import UserError
from lesions.core.json_files import write_json
from lesions.core.stage import run_stage
from lesions.images.parallel_map import parallel_map
from lesions.images.preprocessing import Recipe, to_pixels
from lesions.params.prepare import Prepare

RAW = Path("data/raw")
PREPARED = Path("data/prepared")


def main() -> None:
    """Decode the pictures of data/clean/images.csv."""
    params = Prepare.read()
    recipe = Recipe(px=params.shape, fit=params.fit, borders=params.borders, colour_constancy=params.colour_constancy)
    images = read_csv(Path("data/clean/images.csv"))
    write_json(PREPARED / "recipe.json", recipe.to_json())
    packed.write(PREPARED, images[["image_id", "label"]], decoded(RAW, images, recipe), recipe.px)
    height, width = recipe.px
    print(f"{PREPARED}: {len(images):,} pictures of {height}×{width} pixels")


def decoded(raw: Path, images: pd.DataFrame, recipe: Recipe, workers: int = -1) -> Iterator[NDArray[np.uint8]]:
    """Yield the pictures of `images`, which has `archive` and `member`, in its order.

    Threads, since Pillow decodes and resizes without Python's lock, and no picture is copied between processes.
    """
    members = zip(images["archive"], images["member"], strict=True)
    decode_one = partial(decode, recipe=recipe)
    return parallel_map(decode_one, read_members(raw, members), len(images), desc="decoding", workers=workers)


def decode(content: bytes | ValueError, recipe: Recipe) -> NDArray[np.uint8]:
    """Decode one picture that the clean stage found good; see `recipe.to_pixels`."""
    if isinstance(content, ValueError):
        raise UserError(f"a picture in {RAW} was good before and no longer is: {content}") from content
    return to_pixels(content, recipe)


if __name__ == "__main__":
    run_stage(main)
