"""How long does the stage clean take, beside decoding each image once on all cores?

Images of 600×450, HAM10000's own size: those of HAM10000_DIR (enlarged where they are smaller), else drawn ones.
The published files have 277 kB each (2,770,088,655 bytes in 10,015 images), and most of a decoder's time goes by the
byte. Noise brings the enlarged ones to that length.

    python benchmarks/clean_speed.py [--rounds 3]

The whole stage is timed, from starting Python to the written report; the decoding within a running program.
"""

import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
import zipfile
from pathlib import Path
from shutil import copyfile

import numpy as np
from common import ROOT, Row, compared, print_table
from PIL import Image
from ruamel.yaml import YAML

from lesions.archives import list_members, read_members
from lesions.core.deterministic_zip import write_archive
from lesions.images.parallel_map import parallel_map
from lesions.params.download import Download
from lesions.sources.folder import fetch as folder
from lesions.sources.synthetic import fetch as synthetic

SIZE = (600, 450)
NOISE = 7.0
"""Standard deviation of the noise, of 255."""


def enlarge(content: bytes | ValueError) -> bytes:
    """Return an image as a JPEG of 600×450; a broken one as it is."""
    assert isinstance(content, bytes)
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.size == SIZE:
                return content
            pixels = np.asarray(image.convert("RGB").resize(SIZE, Image.Resampling.BICUBIC), np.float32)
    except OSError:
        return content
    noise = np.random.default_rng(len(content)).normal(0, NOISE, (*pixels.shape[:2], 1))
    buffer = io.BytesIO()
    noisy = np.clip(pixels + noise, 0, 255).round().astype(np.uint8)
    Image.fromarray(noisy).save(buffer, "JPEG", quality=100, subsampling=0)
    return buffer.getvalue()


def decode(content: bytes | ValueError) -> None:
    """Decode an image to its last pixel."""
    assert isinstance(content, bytes)
    try:
        with Image.open(io.BytesIO(content)) as image:
            image.load()
    except OSError:
        pass


def prepare(raw: Path) -> None:
    """Write archives and table into `raw`."""
    with tempfile.TemporaryDirectory() as name:
        source = Path(name)
        params = Download.read(ROOT / "params.yaml")
        if "HAM10000_DIR" in os.environ:
            params = params.model_copy(update={"folder": os.environ["HAM10000_DIR"]})
            fetched = folder.fetch(params, source)
        else:
            fetched = synthetic.fetch(params, source)
        fetched.table.to_csv(raw / "metadata.csv", index=False)
        (raw / "provenance.json").write_text('{"source": "benchmark", "files": []}')
        for path in sorted(source.glob("*.zip")):
            names = [member.name for member in list_members(path)]
            contents = read_members(source, ((path.name, member) for member in names))
            large = parallel_map(enlarge, contents, len(names), desc="enlarging")
            write_archive(raw / path.name, zip(names, large, strict=True))


def time_decoding(raw: Path, workers: int) -> float:
    """Return the seconds of decoding each image once; -1 workers are one a core."""
    members = [(m.archive, m.name) for path in sorted(raw.glob("*.zip")) for m in list_members(path)]
    started = time.perf_counter()
    contents = read_members(raw, members)
    for _ in parallel_map(decode, contents, len(members), desc="decoding", workers=workers):
        pass
    return time.perf_counter() - started


def time_clean(clone: Path) -> float:
    """Return the seconds of the stage."""
    started = time.perf_counter()
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "stages.clean"]
    subprocess.run(command, cwd=clone, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def rows(rounds: int = 3) -> list[Row]:
    """Return a row a claim; see `collect`."""
    with tempfile.TemporaryDirectory() as name:
        clone = Path(name)
        raw = clone / "data/raw"
        raw.mkdir(parents=True)
        for file in ("params.yaml", "dvc.yaml"):
            copyfile(ROOT / file, clone / file)
        params = YAML().load(clone / "params.yaml")
        params["clean"]["max_rejected"] = 0.5
        YAML().dump(params, clone / "params.yaml")
        prepare(raw)
        members = [info for path in raw.glob("*.zip") for info in zipfile.ZipFile(path).infolist()]
        length = statistics.mean(info.file_size for info in members) / 1000
        times = [(time_clean(clone), time_decoding(raw, -1), time_decoding(raw, 1)) for _ in range(rounds)]
    table = []
    for place, what in ((1, "on all cores"), (2, "on one core")):
        claim = f"clean of {len(members):,} images of {length:.0f} kB, beside decoding each once {what}"
        table.append(compared(claim, [each[0] for each in times], [each[place] for each in times], "{:.1f} s"))
    return table


if __name__ == "__main__":
    print_table(rows, rounds=3)
