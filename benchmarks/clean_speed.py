"""How long does the stage clean take, beside decoding each picture once on all cores?

Pictures of 600×450, HAM10000's own size: those of HAM10000_DIR (enlarged where they are smaller), else drawn ones.

    python benchmarks/clean_speed.py [--rounds 3]

The whole stage is timed, from starting Python to the written report; the decoding within a running program.
"""

import argparse
import io
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from shutil import copyfile

from PIL import Image
from ruamel.yaml import YAML

from lesions.archives import list_members, read_members
from lesions.canonical_zip import write_archive
from lesions.parallel import in_order
from lesions.params.download import Download
from lesions.sources import folder, synthetic

ROOT = Path(__file__).parent.parent
SIZE = (600, 450)


def enlarge(content: bytes | ValueError) -> bytes:
    """Return a picture as a JPEG of 600×450; a broken one as it is."""
    assert isinstance(content, bytes)
    try:
        with Image.open(io.BytesIO(content)) as image:
            if image.size == SIZE:
                return content
            buffer = io.BytesIO()
            image.convert("RGB").resize(SIZE, Image.Resampling.BICUBIC).save(buffer, "JPEG", quality=90)
            return buffer.getvalue()
    except OSError:
        return content


def decode(content: bytes | ValueError) -> None:
    """Decode a picture to its last pixel."""
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
            large = in_order(enlarge, contents, len(names), what="enlarging", prefer="threads")
            write_archive(raw / path.name, zip(names, large, strict=True))


def time_decoding(raw: Path) -> float:
    """Return the seconds of decoding each picture once."""
    members = [(m.archive, m.name) for path in sorted(raw.glob("*.zip")) for m in list_members(path)]
    started = time.perf_counter()
    for _ in in_order(decode, read_members(raw, members), len(members), what="decoding", prefer="threads"):
        pass
    return time.perf_counter() - started


def time_clean(clone: Path) -> float:
    """Return the seconds of the stage."""
    started = time.perf_counter()
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "stages.clean"]
    subprocess.run(command, cwd=clone, env=environment, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    """Print both times and their ratio."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=3)
    rounds = parser.parse_args().rounds
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
        pairs = [(time_decoding(raw), time_clean(clone)) for _ in range(rounds)]
    decoding, cleaning = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratios = sorted(cleaning / decoding for decoding, cleaning in pairs)
    print(f"decoding {decoding:.1f} s, clean {cleaning:.1f} s (medians of {rounds})")
    print(f"ratio {statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})")


if __name__ == "__main__":
    main()
