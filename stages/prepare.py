"""Decode and resize all usable images, once, into one array.

How is written beside it, so that a later image can be treated exactly alike.
"""

from functools import partial
from pathlib import Path

import numpy as np

from lesions.core import image_array
from lesions.core.csv_files import read_csv
from lesions.core.json_files import write_json
from lesions.core.stage import run_stage
from lesions.images.archive_images import decode_members
from lesions.images.content_cache import open_cache
from lesions.images.ood_images import ood_images
from lesions.images.preprocessing import Preprocessing, to_pixels
from lesions.params.prepare import Prepare

RAW = Path("data/raw")
PREPARED, OOD = Path("data/prepared"), Path("data/ood")


def main() -> None:
    """Decode the images of data/clean/images.csv."""
    params = Prepare.read()
    preprocessing = Preprocessing(
        image_size=params.shape,
        resize_mode=params.resize_mode,
        crop_borders=params.crop_borders,
        colour_constancy=params.colour_constancy,
    )
    images = read_csv(Path("data/clean/images.csv"))
    write_json(PREPARED / "preprocessing.json", preprocessing.to_json())
    decode = partial(to_pixels, preprocessing=preprocessing)
    with open_cache("pixels", (np.uint8, (*preprocessing.image_size, 3)), [], preprocessing) as cache:
        pixels = decode_members(RAW, images, decode, cache=cache)
        image_array.write(PREPARED, images[["image_id", "label"]], pixels, preprocessing.image_size)
    ood_table, ood_pixels = ood_images(preprocessing, params.seed)
    image_array.write(OOD, ood_table, ood_pixels, preprocessing.image_size)
    height, width = preprocessing.image_size
    print(f"{PREPARED}: {len(images):,} images of {height}×{width} pixels")


if __name__ == "__main__":
    run_stage(main)
