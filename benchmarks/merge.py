"""Merged collections: are the duplicates of an image found, and what does it cost when a collection grows?

    HAM10000_DIR=path/to/ham10000 PYTHONPATH=. python benchmarks/merge.py [--images N] [--width PIXELS] [--grown]

First, HAM10000 merged with a third of itself: resized, recompressed, under other ids and lesions, 2 % of it with
another diagnosis. A join is false where the two images are of two lesions and no published pair. Then, HAM10000
without 100 images, and with them: seconds of the stages from download to prepare, each in a process of its own, and
the processor seconds of it, which other work on the machine changes less. `--width` makes each image that wide first,
`--grown` measures the second alone.
"""

import argparse
import io
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from PIL import Image
from ruamel.yaml import YAML

from lesions.archives import image_name
from lesions.audit.known_pairs import PAIRS
from lesions.audit.usable import find_usable
from lesions.core.csv_files import read_csv
from lesions.core.merged_ids import own_id
from lesions.params.clean import Clean
from lesions.params.download import Download
from lesions.sources.common.raw_data import fetch_from

ROOT = Path(__file__).parent.parent
SCALE, QUALITY, OTHER_LABELS, NEW = 0.7, 75, 0.02, 100
STAGES = ("download", "clean", "split", "prepare")


def read_data(folder: Path, limit: int | None) -> tuple[pd.DataFrame, dict[str, bytes]]:
    """Return HAM10000's table and its images' bytes by id; of many the first by id."""
    contents: dict[str, bytes] = {}
    for path in sorted(folder.glob("*.zip")):
        with zipfile.ZipFile(path) as archive:
            names = [name for name in archive.namelist() if name.endswith(".jpg")]
            contents |= {image_name(name): archive.read(name) for name in names}
    table = read_csv(folder / "HAM10000_metadata").sort_values("image_id", ignore_index=True)[:limit]
    return table, {name: contents[name] for name in table["image_id"]}


def as_wide(content: bytes, width: int) -> bytes:
    """Return an image of so many pixels' width, as a JPEG of the quality that HAM10000's have."""
    file = io.BytesIO()
    with Image.open(io.BytesIO(content)) as image:
        resized = image.resize((width, round(image.height * width / image.width)), Image.Resampling.BICUBIC)
    resized.save(file, "JPEG", quality=90)
    return file.getvalue()


def put(folder: Path, table: pd.DataFrame, contents: dict[str, bytes]) -> None:
    """Write a collection: an archive and its table."""
    folder.mkdir(parents=True)
    with zipfile.ZipFile(folder / "images.zip", "w") as archive:
        for name in table["image_id"]:
            archive.writestr(f"{name}.jpg", contents[name])
    table.to_csv(folder / "table.csv", index=False)


def changed(content: bytes) -> bytes:
    """Return an image smaller, and compressed anew."""
    file = io.BytesIO()
    with Image.open(io.BytesIO(content)) as image:
        small = image.resize((round(image.width * SCALE), round(image.height * SCALE)), Image.Resampling.LANCZOS)
    small.save(file, "JPEG", quality=QUALITY)
    return file.getvalue()


def contained(table: pd.DataFrame, contents: dict[str, bytes]) -> None:
    """Merge the data with a changed third of it, and print what became of that."""
    random = np.random.default_rng(1)
    third = table.iloc[np.sort(random.choice(len(table), len(table) // 3, replace=False))].copy()
    original = third["image_id"].to_numpy()
    third["image_id"] = [f"X{number:05}" for number in range(len(third))]
    third["lesion_id"] = "L" + third["lesion_id"].str[4:]
    wrong = random.random(len(third)) < OTHER_LABELS
    third.loc[wrong, "dx"] = np.where(third.loc[wrong, "dx"] == "nv", "mel", "nv")
    again = {new: changed(contents[old]) for new, old in zip(third["image_id"], original, strict=True)}
    put(Path("incoming/ham10000"), table, contents)
    put(Path("incoming/third"), third, again)
    entries = [{"source": "folder", "folder": f"incoming/{name}"} for name in ("ham10000", "third")]
    chosen = {"source": "merged", "folder": "incoming", "merge": entries, "n_images": 100, "seed": 1}
    Path("raw").mkdir()
    began = time.perf_counter()
    found = find_usable(
        Path("raw"),
        fetch_from(Download.check(chosen), Path("raw")).table,
        Clean.read(ROOT / "params.yaml").model_copy(update={"max_rejected": 1.0}),
    )
    seconds = time.perf_counter() - began
    origin = dict(zip(third["image_id"], original, strict=True)) | dict(
        zip(table["image_id"], table["image_id"], strict=True)
    )
    lesion = table.set_index("image_id")["lesion_id"]
    pairs = found.duplicates[found.duplicates["reason"].isin(["same bytes", "near-duplicate"])]
    one, other = (pairs[column].str.split("@").str[0].map(origin) for column in ("one", "other"))
    across = (pairs["one"].str.split("@").str[1] != pairs["other"].str.split("@").str[1]).to_numpy()
    joined = {
        own_id(name, "third") for name in [*pairs["one"][across], *pairs["other"][across]] if name.endswith("@third")
    }
    known = {frozenset(pair) for pair in PAIRS}
    false = sum(
        lesion[a] != lesion[b] and frozenset((a, b)) not in known
        for a, b in zip(one[across], other[across], strict=True)
    )
    print(f"{len(third):,} of {len(table):,} images again, {int(wrong.sum())} of them under another diagnosis:")
    print(f"joined {len(joined):,} ({len(joined) / len(third):.2%}); pairs of two lesions {false}")
    print(f"listed as conflicts between the collections: {found.collections['overlaps'][0]['conflicts']}")
    print(
        f"set aside as duplicates: {found.collections['collections']['third']['duplicates']:,}; {seconds:.0f} s in all"
    )


def grown(table: pd.DataFrame, contents: dict[str, bytes]) -> None:
    """Run the stages on all but 100 images, then on all, and print the seconds of each."""
    for name in ("lesions", "stages", "dvc.yaml", "data/none"):
        path = ROOT / name
        Path(name).parent.mkdir(exist_ok=True)
        (shutil.copytree if path.is_dir() else shutil.copyfile)(path, name)
    Path(".dvc").mkdir()
    yaml = YAML(typ="safe")
    params: dict[str, Any] = yaml.load((ROOT / "params.yaml").read_text(encoding="utf-8"))
    params["download"] |= {"source": "folder", "folder": "data/incoming"}
    params["prepare"]["image_size"] = 128
    with Path("params.yaml").open("w", encoding="utf-8") as file:
        yaml.dump(params, file)
    new = np.random.default_rng(1).choice(len(table), NEW, replace=False)
    before, first = None, 0.0
    for rows in (table[~table.index.isin(new)], table, table):
        shutil.rmtree("data/incoming", ignore_errors=True)
        put(Path("data/incoming"), rows, contents)
        if before is not None:
            shutil.copyfile("data/split/split.csv", "data/earlier.csv")
            params["split"]["keep"] = "data/earlier.csv"
            with Path("params.yaml").open("w", encoding="utf-8") as file:
                yaml.dump(params, file)
        took, began_with = {}, _processor_seconds()
        for stage in STAGES:
            for out in {"download": ["data/raw"], "clean": ["data/clean"], "prepare": ["data/prepared"]}.get(stage, []):
                shutil.rmtree(out, ignore_errors=True)
            began = time.perf_counter()
            subprocess.run([sys.executable, "-m", f"stages.{stage}"], check=True, stdout=subprocess.DEVNULL)
            took[stage] = time.perf_counter() - began
        now = read_csv(Path("data/split/split.csv")).set_index("image_id")["split"]
        moved = 0 if before is None else int((before != now[before.index]).sum())
        shown = ", ".join(f"{stage} {seconds:.1f}" for stage, seconds in took.items())
        processor = _processor_seconds() - began_with
        first = first or processor
        print(f"{len(rows):,} images: {shown}; {sum(took.values()):.1f} s in all; {moved} images changed their split")
        print(f"processor seconds: {processor:.1f}, {processor / first:.0%} of the first run's", flush=True)
        before = now


def _processor_seconds() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Measure both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int)
    parser.add_argument("--width", type=int)
    parser.add_argument("--grown", action="store_true")
    chosen = parser.parse_args()
    table, contents = read_data(Path(os.environ["HAM10000_DIR"]), chosen.images)
    if chosen.width:
        contents = {name: as_wide(content, chosen.width) for name, content in contents.items()}
    for measure in (grown,) if chosen.grown else (contained, grown):
        with tempfile.TemporaryDirectory() as folder:
            os.chdir(folder)
            measure(table, contents)
            os.chdir(ROOT)


if __name__ == "__main__":
    main()
