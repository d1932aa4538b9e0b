"""How long does `dvc repro` take from nothing, how much processor time, and how much memory its largest process?

A fresh clone of the last commit, with this environment's packages and an empty cache:

    python benchmarks/whole_run.py

On a machine that does other work as well, processor time says more than wall time does.
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import psutil  # type: ignore[import-untyped]

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Print the wall time and the processor time, each stage's share of them, and the peak memory."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with tempfile.TemporaryDirectory() as name:
        subprocess.run(["git", "clone", "--quiet", ROOT, name], check=True)
        start = last = time.perf_counter()
        stage, used = "start", 0.0
        process = subprocess.Popen(["dvc", "repro"], cwd=name, env=environment, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("Running stage"):
                now, used_now = time.perf_counter(), processor_seconds(process.pid)
                show(stage, now - last, used_now - used)
                stage, last, used = line.split("'")[1], now, used_now
        if process.wait():
            sys.exit("dvc repro failed")
        end = time.perf_counter()
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    everything = usage.ru_utime + usage.ru_stime  # git clone, too: a tenth of a second
    show(stage, end - last, everything - used)
    show("all", end - start, everything)
    peak = usage.ru_maxrss / (1e9 if sys.platform == "darwin" else 1e6)
    print(f"largest process {peak:.2f} GB, {os.cpu_count()} cores")


def processor_seconds(pid: int) -> float:
    """Return the processor time of a process and of its children that have ended, in seconds."""
    return float(sum(psutil.Process(pid).cpu_times()[:4]))


def show(stage: str, wall: float, processor: float) -> None:
    """Print a line of seconds, of DVC's own after the stage too."""
    print(f"{stage:10} {wall:6.1f} s, processor {processor:6.1f} s", flush=True)


if __name__ == "__main__":
    main()
