"""How long does `dvc repro` take from nothing, and how much memory does its largest process need?

A fresh clone of the last commit, with this environment's packages and an empty cache:

    python benchmarks/whole_run.py
"""

import os
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parent.parent


def main() -> None:
    """Print the wall time, each stage's share of it, and the peak memory."""
    environment = os.environ | {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"}
    with tempfile.TemporaryDirectory() as name:
        subprocess.run(["git", "clone", "--quiet", ROOT, name], check=True)
        start = last = time.perf_counter()
        stage = "start"
        process = subprocess.Popen(["dvc", "repro"], cwd=name, env=environment, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        for line in process.stdout:
            if line.startswith("Running stage"):
                now = time.perf_counter()
                print(f"{stage:10} {now - last:6.1f} s")
                stage, last = line.split("'")[1], now
        if process.wait():
            sys.exit("dvc repro failed")
        end = time.perf_counter()
    print(f"{stage:10} {end - last:6.1f} s")
    peak = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / (1e9 if sys.platform == "darwin" else 1e6)
    print(f"all        {end - start:6.1f} s, largest process {peak:.2f} GB, {os.cpu_count()} cores")


if __name__ == "__main__":
    main()
