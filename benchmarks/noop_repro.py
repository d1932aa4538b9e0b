"""How much longer does `dvc repro` take here, with nothing to do, than on ten stages that are empty?

Both are timed in turn, so that a machine whose speed drifts slows both. Run it after `make repro`:

    python benchmarks/noop_repro.py
"""

import subprocess
import sys
import tempfile
import time
from pathlib import Path
from statistics import median

ROOT = Path(__file__).parent.parent
DVC = [sys.executable, "-m", "dvc"]
ROUNDS = 7


def empty_pipeline(folder: Path) -> None:
    """Make a repository with a chain of ten stages that copy a file, and run it once."""
    lines = ["stages:"]
    for number in range(10):
        lines += [
            f"  stage{number}:",
            f"    cmd: cp file{number} file{number + 1}",
            f"    deps: [file{number}]",
            f"    outs: [file{number + 1}]",
        ]
    (folder / "dvc.yaml").write_text("\n".join(lines) + "\n")
    (folder / "file0").write_text("nothing\n")
    for command in (["git", "init", "--quiet"], [*DVC, "init", "--quiet"], [*DVC, "repro", "--quiet"]):
        subprocess.run(command, cwd=folder, check=True)


def seconds(folder: Path) -> float:
    """Return the wall time of a `dvc repro` that has nothing to do.

    Raises:
        SystemExit: it had something to do.
    """
    start = time.perf_counter()
    done = subprocess.run([*DVC, "repro"], cwd=folder, check=True, capture_output=True, text=True)
    taken = time.perf_counter() - start
    if "Running stage" in done.stdout:
        sys.exit(f"{folder}: `dvc repro` had work to do; run `make repro` first")
    return taken


def main() -> None:
    """Print both medians and their ratio."""
    with tempfile.TemporaryDirectory() as name:
        floor = Path(name)
        empty_pipeline(floor)
        seconds(ROOT), seconds(floor)  # to warm the disk's cache
        pairs = [(seconds(ROOT), seconds(floor)) for _ in range(ROUNDS)]
    ratios = sorted(ours / theirs for ours, theirs in pairs)
    print(f"this pipeline, nothing to do: {median(ours for ours, _ in pairs):.2f} s")
    print(f"ten empty stages:             {median(theirs for _, theirs in pairs):.2f} s")
    print(f"ratio: {median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f}, {ROUNDS} pairs)")


if __name__ == "__main__":
    main()
