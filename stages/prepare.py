"""Prepare: decode once, never again.

All usable pictures become rows of one array; how is written beside it, so that a later picture can be
treated exactly alike.
"""

from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from lesions import packed, pictures
from lesions.archives import read_members
from lesions.errors import UserError
from lesions.outputs import write_json
from lesions.parallel import in_order
from lesions.params.prepare import Prepare
from lesions.running import run_stage
from lesions.tables import read_csv

RAW = Path("data/raw")
PREPARED = Path("data/prepared")


def main() -> None:
    """Decode the pictures of data/clean/images.csv."""
    height, width = Prepare.read().shape
    images = read_csv(Path("data/clean/images.csv"))
    members = zip(images["archive"], images["member"], strict=True)
    decoded = in_order(
        partial(decode, height=height, width=width),
        read_members(RAW, members),
        len(images),
        what="decoding",
        prefer="threads",
    )
    packed.write(PREPARED, images[["image_id", "label"]], decoded, (height, width))
    write_json(PREPARED / "recipe.json", pictures.recipe(height, width))
    print(f"{PREPARED}: {len(images):,} pictures of {height}×{width} pixels")


def decode(content: bytes | ValueError, height: int, width: int) -> NDArray[np.uint8]:
    """Decode one picture that the clean stage found good; see `pictures.to_pixels`."""
    if isinstance(content, ValueError):
        raise UserError(f"a picture in {RAW} was good before and no longer is: {content}") from content
    return pictures.to_pixels(content, height, width)


if __name__ == "__main__":
    run_stage(main)
