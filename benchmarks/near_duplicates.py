"""How many duplicates of images are found, what else is taken for one, and how does it scale?

On HAM10000 where HAM10000_DIR names a folder with its archives and table, else on drawn images:

    python benchmarks/near_duplicates.py            # minutes
    python benchmarks/near_duplicates.py --scale    # up to 400,000 images instead

Of each image a duplicate is made with every change at once, each of random strength, and with each change alone of
every tenth. A join is false where the two images neither show one lesion nor are duplicates by themselves.
"""

import argparse
import io
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.random import Generator
from numpy.typing import NDArray
from PIL import Image, ImageEnhance

from lesions.archives import list_members, read_members
from lesions.audit.duplicates import find_duplicates, near_duplicate_ids
from lesions.audit.near_duplicates import SIZE, Fingerprint, find_near_duplicates, fingerprint
from lesions.audit.temporary_array import temporary_array
from lesions.core.csv_files import read_csv
from lesions.images.decode import decode_image
from lesions.images.parallel_map import parallel_map
from lesions.params.download import Download
from lesions.sources.synthetic import fetch as synthetic

ROOT = Path(__file__).parent.parent
QUALITY = 90
Change = Callable[[Image.Image, Generator], Image.Image]


def crop(image: Image.Image, random: Generator) -> Image.Image:
    """Cut up to 3 % off each edge."""
    left, top, right, bottom = random.uniform(0, 0.03, 4)
    width, height = image.size
    return image.crop((int(left * width), int(top * height), width - int(right * width), height - int(bottom * height)))


def resize(image: Image.Image, random: Generator) -> Image.Image:
    """Resize by a factor from a quarter to two."""
    factor = np.exp(random.uniform(np.log(0.25), np.log(2)))
    return image.resize((int(image.width * factor), int(image.height * factor)), Image.Resampling.LANCZOS)


def turn(image: Image.Image, random: Generator) -> Image.Image:
    """Mirror or turn by a quarter, or do nothing."""
    number = int(random.integers(8))
    return image.transpose(list(Image.Transpose)[number - 1]) if number else image


def brighten(image: Image.Image, random: Generator) -> Image.Image:
    """Brighten or darken by up to 10 %."""
    return ImageEnhance.Brightness(image).enhance(random.uniform(0.9, 1.1))


def recompress(image: Image.Image, random: Generator) -> Image.Image:
    """Store as JPEG of quality 40 to 95, and read that."""
    return Image.open(io.BytesIO(jpeg(image, int(random.integers(40, 96)))))


ALL_AT_ONCE = "all at once"
CHANGES: dict[str, list[Change]] = {
    "crop up to 3 %": [crop],
    "resize 0.25 to 2": [resize],
    "mirror, turn": [turn],
    "brightness ±10 %": [brighten],
    "JPEG 40 to 95": [recompress],
    ALL_AT_ONCE: [crop, resize, turn, brighten, recompress],
}


def jpeg(image: Image.Image, quality: int) -> bytes:
    """Return an image as a JPEG file."""
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=quality)
    return buffer.getvalue()


def read() -> tuple[pd.DataFrame, list[bytes]]:
    """Return a row an image with its lesion, sorted, and the images' bytes."""
    with tempfile.TemporaryDirectory() as name:
        if "HAM10000_DIR" in os.environ:
            folder = Path(os.environ["HAM10000_DIR"])
            table = read_csv(next(folder.glob("HAM10000_metadata*")))
        else:
            folder = Path(name)
            params = Download.read(ROOT / "params.yaml")
            table = synthetic.fetch(params, folder).table
        members = [member for path in sorted(folder.glob("*.zip")) for member in list_members(path)]
        places = pd.DataFrame(members)[["archive", "name", "image_id"]]
        table = table.merge(places, on="image_id").sort_values("image_id", ignore_index=True)
        contents = list(read_members(folder, zip(table["archive"], table["name"], strict=True)))
    good = [isinstance(content, bytes) and is_whole(content) for content in contents]
    kept = [content for content, fine in zip(contents, good, strict=True) if fine and isinstance(content, bytes)]
    return table[good].reset_index(drop=True), kept


def is_whole(content: bytes) -> bool:
    """Tell whether an image can be decoded."""
    try:
        decode_image(content, 8, 8)
    except ValueError:
        return False
    return True


def fingerprint_of(content: bytes) -> Fingerprint:
    """Return an image's fingerprint, as the stage clean makes it."""
    return fingerprint(decode_image(content, SIZE, SIZE))


def stacked(prints: list[Fingerprint]) -> tuple[NDArray[np.uint8], NDArray[np.float32]]:
    """Return fingerprints as the two arrays that are compared."""
    return np.stack([each.luma for each in prints]), np.stack([each.colour for each in prints])


def duplicate_maker(contents: list[bytes], name: str) -> Callable[[np.int64], Fingerprint]:
    """Return what makes the fingerprint of one image's duplicate, changed in a way of `CHANGES`."""

    def duplicate(row: np.int64) -> Fingerprint:
        random = np.random.default_rng([list(CHANGES).index(name), int(row)])
        image = Image.open(io.BytesIO(contents[row])).convert("RGB")
        for change in CHANGES[name]:
            image = change(image, random)
        return fingerprint_of(jpeg(image, QUALITY))

    return duplicate


def measure_recall(table: pd.DataFrame, contents: list[bytes], originals: list[Fingerprint], known: pd.Series) -> None:
    """Print for each kind of change how many duplicates are found, and how many joins are false."""
    print(f"\n{'change':18} {'duplicates':>10} {'found':>7} {'false joins':>12}")
    for name, changes in CHANGES.items():
        rows = np.arange(0, len(contents), 1 if len(changes) > 1 else 10)
        duplicates = list(parallel_map(duplicate_maker(contents, name), rows, len(rows), desc=name))
        found = find_near_duplicates(*stacked(originals + duplicates))
        origin = np.concatenate([np.arange(len(originals)), rows])
        one, other = origin[found["one"]], origin[found["other"]]
        whole = len(originals)
        duplicates_found = set(found["other"][(found["one"] < whole) & (found["other"] >= whole) & (one == other)])
        lesions, same = table["lesion_id"].to_numpy(), known.to_numpy()
        false = (one != other) & (lesions[one] != lesions[other]) & ((same[one] == "") | (same[one] != same[other]))
        print(f"{name:18} {len(rows):10,} {len(duplicates_found) / len(rows):7.4f} {int(false.sum()):12}")


def measure_scale(contents: list[bytes], originals: list[Fingerprint]) -> None:
    """Print time, memory and recall for more and more images.

    Of each tenth original there is a duplicate with every change at once; the others are mixed of two originals each.
    """
    luma, colour = stacked(originals)
    rows = np.arange(0, len(contents), 10)
    changed = stacked(list(parallel_map(duplicate_maker(contents, ALL_AT_ONCE), rows, len(rows), desc="changing")))
    print(f"\n{'images':>9} {'seconds':>8} {'ms an image':>12} {'duplicates found':>17} {'peak GB':>8}")
    for count in (10_000, 30_000, 100_000, 400_000):
        random = np.random.default_rng(count)
        share = random.uniform(0.3, 0.7, (count, 1, 1)).astype(np.float32)
        ones, others = random.integers(len(luma), size=(2, count))
        more = temporary_array((count, SIZE, SIZE), np.uint8)
        for start in range(0, count, 1000):
            part = slice(start, start + 1000)
            more[part] = share[part] * luma[ones[part]] + (1 - share[part]) * luma[others[part], ::-1]
        tints = share[:, :, :, None] * colour[ones] + (1 - share[:, :, :, None]) * colour[others, :, ::-1]
        places = random.choice(count, 2 * len(rows), replace=False).reshape(2, len(rows))
        more[places[0]], tints[places[0]] = luma[rows], colour[rows]
        more[places[1]], tints[places[1]] = changed
        started = time.perf_counter()
        found = find_near_duplicates(more, tints)
        seconds = time.perf_counter() - started
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e9 if sys.platform == "darwin" else 1e6)
        recall = len(
            set(zip(*np.sort(places, axis=0), strict=True)) & set(zip(found["one"], found["other"], strict=True))
        )
        print(f"{count:9,} {seconds:8.1f} {1000 * seconds / count:12.2f} {recall / len(rows):17.4f} {peak:8.2f}")


def main() -> None:
    """Print all metrics."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--scale", action="store_true", help="up to 400,000 images instead")
    arguments = parser.parse_args()
    table, contents = read()
    originals = list(parallel_map(fingerprint_of, contents, len(contents), desc="scanning"))
    if arguments.scale:
        measure_scale(contents, originals)
        return
    table = table.assign(sha256=table["image_id"], label=table["dx"])
    pairs = find_duplicates(table, *stacked(originals))
    lesion = table.set_index("image_id")["lesion_id"]
    across = pairs[lesion[pairs["one"]].to_numpy() != lesion[pairs["other"]].to_numpy()]
    print(f"{len(table):,} images: {len(pairs)} pairs are duplicates, {len(across)} of them under two lesions:")
    print(across[["one", "other", "similarity"]].to_string(index=False))
    measure_recall(table, contents, originals, near_duplicate_ids(table, pairs))


if __name__ == "__main__":
    main()
