"""How long do the stages up to `prepare` take for very many images, and how much memory? With ISIC 2024's shape.

    python benchmarks/many_images.py --images 20000 40000

Draws crops of 128 pixels into an HDF5 file with a table of patients beside it, and one in a thousand images again,
recompressed. Then it runs the stages one after the other in a folder of its own, and prints for each how many seconds
it took and how much memory its process had at most, file-backed pages apart.
"""

import argparse
import io
import subprocess
import sys
import tempfile
import threading
import time
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
from PIL import Image
from ruamel.yaml import YAML

ROOT = Path(__file__).parent.parent
STAGES = ("download", "clean", "split", "prepare")
SIZE = 128
DUPLICATES = 1000
"""One image in so many comes again."""


def draw(number: int) -> bytes:
    """Return a JPEG of a blot on skin."""
    random = np.random.default_rng(number)
    light = Image.fromarray(random.integers(150, 220, (4, 4, 3), np.uint8)).resize(
        (SIZE, SIZE), Image.Resampling.BICUBIC
    )
    texture = Image.fromarray(random.integers(0, 60, (32, 32, 3), np.uint8)).resize(
        (SIZE, SIZE), Image.Resampling.BICUBIC
    )
    y, x = np.mgrid[:SIZE, :SIZE] / SIZE - random.uniform(0.4, 0.6, (2, 1, 1))
    angle = np.arctan2(y, x)
    edge = random.uniform(0.1, 0.3) * (1 + 0.2 * np.sin(angle * random.integers(2, 6) + random.uniform(0, 6)))
    inside = 1 / (1 + np.exp((np.hypot(x, y) - edge) * 60))
    colour = random.uniform(30, 120, 3)
    pixels = np.asarray(light, float) - np.asarray(texture)
    pixels += inside[..., None] * (colour - 140)
    file = io.BytesIO()
    Image.fromarray(pixels.clip(0, 255).astype(np.uint8)).save(file, "JPEG", quality=90)
    return file.getvalue()


def again(content: bytes) -> bytes:
    """Return an image recompressed."""
    file = io.BytesIO()
    Image.open(io.BytesIO(content)).save(file, "JPEG", quality=70)
    return file.getvalue()


def write(folder: Path, number: int) -> None:
    """Write the data set: one image in a thousand is malignant, and ten are of one patient."""
    folder.mkdir(parents=True)
    ids = [f"ISIC_{place:07}" for place in range(number)]
    originals = number - number // DUPLICATES
    with ProcessPoolExecutor() as pool, h5py.File(folder / "train-image.hdf5", "w") as file:
        for place, content in enumerate(pool.map(draw, range(originals), chunksize=256)):
            file[ids[place]] = np.void(content)
        for place in range(originals, number):
            file[ids[place]] = np.void(again(file[ids[place - originals]][()].tobytes()))
    numbers = np.arange(number)
    table = pd.DataFrame({"isic_id": ids, "target": (numbers % 1000 == 0).astype(int)})
    table = table.assign(patient_id=[f"IP_{place // 10}" for place in numbers], age_approx=50, sex="male")
    table.assign(tbp_lv_location="Torso Back", attribution="drawn").to_csv(folder / "train-metadata.csv", index=False)


def anonymous_mib(pid: int) -> float:
    """Return how much memory of a process no file stands behind, in MiB."""
    try:
        lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(("RssAnon", "RssShmem"))) / 1024


def run(stage: str, folder: Path) -> tuple[float, float]:
    """Run a stage; return its seconds, and MiB at most."""
    start, peak = time.perf_counter(), 0.0
    log = (folder / f"{stage}.log").open("w")
    process = subprocess.Popen([sys.executable, "-m", f"stages.{stage}"], cwd=folder, stdout=log, stderr=log)

    def watch() -> None:
        nonlocal peak
        while process.poll() is None:
            peak = max(peak, anonymous_mib(process.pid))
            time.sleep(0.05)

    watching = threading.Thread(target=watch)
    watching.start()
    process.wait()
    watching.join()
    if process.returncode:
        raise SystemExit((folder / f"{stage}.log").read_text())
    return time.perf_counter() - start, peak


def measure(number: int, folder: Path) -> None:
    """Run all stages on so many images, and print a line for each."""
    yaml = YAML()  # which keeps comments, and makes no objects
    params = yaml.load((ROOT / "params.yaml").read_text())
    params["download"] |= {"source": "folder", "folder": "incoming"}
    for name in ("stages", "lesions"):
        (folder / name).symlink_to(ROOT / name)
    (folder / "dvc.yaml").write_bytes((ROOT / "dvc.yaml").read_bytes())
    with (folder / "params.yaml").open("w") as file:
        yaml.dump(params, file)
    write(folder / "incoming", number)
    for stage in STAGES:
        seconds, mib = run(stage, folder)
        print(f"{number:9,} {stage:10} {seconds:8.0f} s {1000 * seconds / number:6.2f} ms an image {mib:7.0f} MiB")
    found = pd.read_csv(folder / "data/clean/duplicates.csv")
    print(f"{number:9,} duplicates: {len(found):,} pairs found, {number // DUPLICATES:,} made", flush=True)


def main() -> None:
    """Measure for each number of images."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, nargs="+", default=[20_000, 40_000])
    for number in parser.parse_args().images:
        with tempfile.TemporaryDirectory() as folder:
            measure(number, Path(folder))


if __name__ == "__main__":
    main()
