"""Run the benchmarks one after the other, and write benchmarks/RESULTS.md: one table, and the machine it is of.

    python benchmarks/collect.py

A script beside this one takes part by offering `rows()` and, where there is more that takes long, `scale()`. Both
return a dictionary a row, with the texts `claim`, `ours`, `theirs`, `ratio` and `spread`. Each of them runs in a
process of its own, so that none starts with the memory of another. It takes under half an hour on two idle cores.
"""

import ast
import importlib
import json
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import joblib
from PIL import features

HERE = Path(__file__).parent
COLUMNS = {"claim": "what", "ours": "ours", "theirs": "theirs", "ratio": "ratio", "spread": "least to most"}
TABLES = {"rows": "", "scale": " --scale"}
"""The functions that a script may offer, and what its command prints the same with."""
PARTS = ("collect", "common", "notebook_training")
"""Scripts that a person does not run by themselves."""
PACKAGES = ("numpy", "pandas", "pillow", "scipy", "Augmentor", "joblib", "distributed")

Row = dict[str, str]


def machine() -> list[Row]:
    """Describe this machine, without naming it."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 1e9
    packages = [f"{package} {version(package)}" for package in PACKAGES]
    return [
        {"what": "processor", "is": f"{processor()}, {joblib.cpu_count()} cores"},
        {"what": "memory", "is": f"{memory:.0f} GB"},
        {"what": "system", "is": f"{platform.system()}, {platform.machine()}, Python {platform.python_version()}"},
        {"what": "packages", "is": ", ".join([*packages, f"libjpeg-turbo {features.version('libjpeg_turbo')}"])},
        {"what": "images", "is": "real ones" if os.environ.get("HAM10000_FULL_SIZE_DIR") else "drawn ones"},
        {"what": "other work while it ran", "is": f"a load of {os.getloadavg()[0]:.1f} before the first benchmark"},
    ]


def processor() -> str:
    """Return the processor's name."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or platform.machine()
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.machine()


def offered(script: Path) -> list[str]:
    """Return which of the tables a script offers, without running it."""
    functions = {node.name for node in ast.parse(script.read_text()).body if isinstance(node, ast.FunctionDef)}
    return [table for table in TABLES if table in functions]


def run(script: Path, table: str) -> list[Row] | None:
    """Run one script's table in a process of its own; None where it fails, which it says itself."""
    with tempfile.TemporaryDirectory() as name:
        result = Path(name, "rows.json")
        environment = os.environ | {"PYTHONPATH": str(HERE.parent)}
        command = [sys.executable, __file__, script.stem, table, str(result)]
        if subprocess.run(command, check=False, env=environment).returncode:
            return None
        rows: list[Row] = json.loads(result.read_text())
        return rows


def markdown(rows: list[Row], columns: dict[str, str]) -> list[str]:
    """Return the lines of a table."""
    lines = [f"| {' | '.join(columns.values())} |", "|" + "---|" * len(columns)]
    return lines + [f"| {' | '.join(row[column].replace('|', '/') for column in columns)} |" for row in rows]


def main() -> None:
    """Write the table, anew after each benchmark; exit with 1 where one failed."""
    about = machine()
    scripts = sorted(HERE.glob("*.py"))
    rows, failed = [], []
    for script, table in ((script, table) for table in TABLES for script in scripts if table in offered(script)):
        command = f"PYTHONPATH=. python benchmarks/{script.name}{TABLES[table]}"
        started = time.monotonic()
        found = run(script, table)
        print(f"== {command}: {time.monotonic() - started:.0f} s", flush=True)
        if found is None:
            failed.append(command)
        else:
            rows += [{**row, "command": f"`{command}`"} for row in found]
        others = [f"`{path.name}`" for path in scripts if not offered(path) and path.stem not in PARTS]
        write(about, rows, others)
    print(f"{HERE.name}/RESULTS.md: {len(rows)} rows")
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def write(about: list[Row], rows: list[Row], others: list[str]) -> None:
    """Write RESULTS.md."""
    lines = [
        "# What was measured",
        "",
        "Written by `make bench`. Ours and the alternative did the same work on the same images, in turn, in one",
        "run; values are medians of the rounds, and the ratio is the median of their ratios. Ratios carry over to",
        "other machines; speeds do not. Times are of the clock, where nothing else is said.",
        "",
        *markdown(about, {"what": "", "is": ""}),
        "",
        *markdown(rows, {**COLUMNS, "command": "printed by"}),
        "",
        f"Beside these, by their own commands: {', '.join(others)}.",
    ]
    (HERE / "RESULTS.md").write_text("\n".join(lines) + "\n", encoding="utf-8")


if __name__ == "__main__":
    if len(sys.argv) > 1:
        name, wanted, file = sys.argv[1:]
        Path(file).write_text(json.dumps(getattr(importlib.import_module(name), wanted)()))
    else:
        main()
