"""The stage prepare: determinism, bounded memory, and no partial output."""

import hashlib
import os
import signal
import subprocess
import sys
import time
from functools import partial
from pathlib import Path
from shutil import copyfile

import pandas as pd
import pytest

from lesions.core import image_array
from lesions.core.deterministic_zip import write_archive
from lesions.images import parallel_map
from lesions.images.archive_images import decode_members
from lesions.images.preprocessing import to_pixels
from stages import prepare
from tests.conftest import edit_params
from tests.images.test_preprocessing import encoded, lesion, preprocessing

ROOT = Path(__file__).parents[2]


def put_images(folder: Path, count: int, size: tuple[int, int] = (60, 45)) -> pd.DataFrame:
    """Write an archive and data/clean/images.csv, for the stage alone; a few images, repeated."""
    sample = [encoded(lesion(size, seed), "JPEG") for seed in range(7)]
    names = [f"{number:05}.jpg" for number in range(count)]
    (folder / "data/raw").mkdir(parents=True)
    (folder / "data/clean").mkdir()
    contents = (sample[number % 7] for number in range(count))
    write_archive(folder / "data/raw/a.zip", zip(names, contents, strict=True))
    images = pd.DataFrame({"image_id": names, "label": "nv", "archive": "a.zip", "member": names})
    images.to_csv(folder / "data/clean/images.csv", index=False)
    for file in ("params.yaml", "dvc.yaml"):
        copyfile(ROOT / file, folder / file)
    return images


def command(before: str = "") -> list[str]:
    """Return the command that runs the stage, after some code."""
    code = f"{before}\nimport runpy\nrunpy.run_module('stages.prepare', run_name='__main__')\n"
    return [sys.executable, "-c", code]


ENVIRONMENT = os.environ | {"PYTHONPATH": str(ROOT)}


def test_workers_and_batches_change_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    images = put_images(tmp_path, 90)
    how = preprocessing(resize_mode="pad", crop_borders=True, colour_constancy="shades_of_grey")
    seen = set()
    for workers, batch in [(1, 16), (2, 16), (3, 16), (8, 16), (2, 1), (3, 7), (2, 1000)]:
        monkeypatch.setattr(parallel_map, "BATCH", batch)
        out = tmp_path / "out"
        pixels = decode_members(tmp_path / "data/raw", images, partial(to_pixels, preprocessing=how), workers=workers)
        image_array.write(out, images[["image_id", "label"]], pixels, how.image_size)
        seen.add(hashlib.sha256((out / "pixels.npy").read_bytes() + (out / "index.csv").read_bytes()).hexdigest())
    assert len(seen) == 1


def test_seed_draws_images_of_no_lesion_alone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Else another seed would have everything trained again."""
    put_images(tmp_path, 5)
    monkeypatch.chdir(tmp_path)
    seen = []
    for seed in (1, 2):
        edit_params(tmp_path, prepare={"seed": seed})
        prepare.main()
        folders = (tmp_path / "data/prepared", tmp_path / "data/ood")
        seen.append([{file.name: file.read_bytes() for file in folder.iterdir()} for folder in folders])
    assert seen[0][0] == seen[1][0]
    assert seen[0][1] != seen[1][1]


@pytest.mark.long
@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="Linux tells a process's largest memory there")
def test_memory_is_bounded(tmp_path: Path) -> None:
    peaks = []
    # Not ru_maxrss, which knows what the process was before it became Python.
    *python, code = command()
    tell = "print(open('/proc/self/status').read().split('VmHWM:')[1].split()[0])"
    for count in (1_000, 12_000):
        folder = tmp_path / str(count)
        put_images(folder, count, (32, 24))
        done = subprocess.run(
            [*python, code + tell], cwd=folder, env=ENVIRONMENT, check=True, stdout=subprocess.PIPE, text=True
        )
        peaks.append(int(done.stdout.split()[-1]) / 1000)  # MB
        written = (folder / "data/prepared/pixels.npy").stat().st_size / 1e6
    assert written > 140
    assert peaks[1] - peaks[0] < 60, peaks
    assert peaks[1] < 400


@pytest.mark.skipif(sys.platform == "win32", reason="resource limits are Unix's")
def test_full_disk(tmp_path: Path) -> None:
    put_images(tmp_path, 300)
    limit = "import resource; resource.setrlimit(resource.RLIMIT_FSIZE, (1_000_000, 1_000_000))"
    done = subprocess.run(command(limit), cwd=tmp_path, env=ENVIRONMENT, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    assert "pixels.npy could not be written: File too large" in done.stderr
    assert "4 MB (300 images of 64×64 pixels)" in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "data/prepared").exists()


@pytest.mark.skipif(sys.platform == "win32", reason="signals are Unix's")
@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGKILL], ids=["SIGINT", "SIGKILL"])
def test_interrupted_run_leaves_nothing(tmp_path: Path, sent: signal.Signals) -> None:
    put_images(tmp_path, 4_000, (600, 450))
    with subprocess.Popen(
        command(), cwd=tmp_path, env=ENVIRONMENT, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as stage:
        unfinished = tmp_path / "data/prepared/pixels.npy.part"
        while not (unfinished.exists() and unfinished.stat().st_size > 100_000):
            assert stage.poll() is None
            time.sleep(0.01)
        stage.send_signal(sent)
        _, printed = stage.communicate(timeout=60)
    assert stage.returncode != 0
    assert not (tmp_path / "data/prepared/pixels.npy").exists()
    if sent == signal.SIGINT:
        assert "Interrupted" in printed
        assert "Traceback" not in printed
        assert not (tmp_path / "data/prepared").exists()
    with pytest.raises(ProcessLookupError):
        os.killpg(stage.pid, 0)  # nobody of its group is left
