"""What does a run take, by stage; what does DVC add; and what does a run with nothing to do take beside DVC's floor?

    PYTHONPATH=. python benchmarks/dvc_repro.py [--rounds 1] [--idle-rounds 7] [--params params.yaml]

All runs are in temporary clones of the last commit. A whole run begins without outputs and with an empty cache;
`--params` names a file to use in the place of the default params.yaml. Each stage's command is timed within it, as a
shell script would run them one after the other: one training took 32 s and the next, to the same bits, 49 s on a
virtual machine, which would hide what DVC adds.

With nothing to do, DVC's floor is a chain of as many stages as here, each with one file in and one out. The other floor
is this pipeline with its stages, parameters, data and outputs, and no code in the dependencies: it says what it takes
that a change of code reruns what the code is in.

Wall times of a machine that does other work vary by half; processor time, user's and system's together, varies less.
"""

import os
import resource
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from shutil import copyfile, copytree
from statistics import median
from typing import Any

import pandas as pd
from common import ROOT, Row, compared, measured, print_table
from ruamel.yaml import YAML

DVC = [sys.executable, "-m", "dvc"]
CODE = ("lesions/", "stages/")

TIMED = """import resource, subprocess, sys, time
start = time.perf_counter()
code = subprocess.call([sys.executable, *sys.argv[1:]])
wall, used = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
with open({log!r}, "a") as file:
    file.write(f"{{sys.argv[-1].split('.')[-1]}},{{wall}},{{used.ru_utime + used.ru_stime}},{{used.ru_maxrss}}\\n")
sys.exit(code)
"""
"""In the place of `python`: runs it, and notes the stage, its wall and processor time, and its largest process."""

Times = tuple[float, float]
"""Seconds of wall time and of processor time."""


def call(command: list[str], folder: Path, first_on_path: Path | None = None) -> Times:
    """Run a command there, as in a folder of its own with its own checkpoints; return what it took."""
    places = [*([first_on_path] if first_on_path else []), Path(sys.executable).parent, os.environ["PATH"]]
    environment = os.environ | {
        "PATH": ":".join(map(str, places)),
        "PYTHONPATH": str(folder),
        "XDG_CACHE_HOME": str(folder / ".own_cache"),
        "DVC_NO_ANALYTICS": "1",
    }
    before, start = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    done = subprocess.run(command, cwd=folder, env=environment, check=False, capture_output=True, text=True)
    wall, after = time.perf_counter() - start, resource.getrusage(resource.RUSAGE_CHILDREN)
    if done.returncode:
        sys.exit(f"{shlex.join(command)} failed:\n{(done.stdout + done.stderr)[-2000:]}")
    return wall, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def stages(folder: Path) -> dict[str, Any]:
    """Return the stages of a dvc.yaml."""
    found: dict[str, Any] = YAML(typ="safe").load(folder / "dvc.yaml")["stages"]
    return found


def clone(folder: Path, params: str) -> Path:
    """Make a clone of what is committed, in which nothing has run; "" stands for the params.yaml in it."""
    call(["git", "clone", "--quiet", str(ROOT), str(folder)], folder.parent)
    if params:
        copyfile(params, folder / "params.yaml")
    return folder


def whole_run(folder: Path) -> tuple[Times, pd.DataFrame]:
    """Run the pipeline from nothing; return what it took, and of each stage's command `wall`, `busy` and `kb`."""
    timed = folder / "timed"
    timed.mkdir()
    python = timed / "python"
    python.write_text(f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(timed / "timed.py"))} "$@"\n')
    python.chmod(0o755)
    (timed / "timed.py").write_text(TIMED.format(log=str(timed / "log.csv")))
    times = call([*DVC, "repro"], folder, first_on_path=timed)
    log = pd.read_csv(timed / "log.csv", names=["stage", "wall", "busy", "kb"], index_col="stage")
    assert sorted(log.index) == sorted(stages(folder))
    return times, log


def bare(folder: Path, number: int) -> Path:
    """Make a chain of so many stages with one file in and one out, and run it once."""
    chain = {f"stage{n}": {"cmd": f"cp file{n} file{n + 1}", "deps": [f"file{n}"], "outs": [f"file{n + 1}"]}
             for n in range(number)}  # fmt: skip
    folder.mkdir()
    YAML().dump({"stages": chain}, folder / "dvc.yaml")
    (folder / "file0").write_text("nothing\n")
    for command in (["git", "init", "--quiet"], [*DVC, "init", "--quiet"], [*DVC, "repro", "--quiet"]):
        call(command, folder)
    return folder


def without_code(ran: Path, folder: Path) -> Path:
    """Make a second clone that ran, and leave its code out of the dependencies."""
    copytree(ran, folder, symlinks=True)
    pipeline = YAML().load(folder / "dvc.yaml")
    for stage in pipeline["stages"].values():
        stage["deps"] = [dep for dep in stage["deps"] if not dep.startswith(CODE)]
    YAML().dump(pipeline, folder / "dvc.yaml")
    call([*DVC, "commit", "--force", "--quiet"], folder)
    return folder


def idle(folder: Path) -> Times:
    """Return what a `dvc repro` takes that has nothing to do."""
    lock = (folder / "dvc.lock").read_bytes()
    times = call([*DVC, "repro"], folder)
    assert (folder / "dvc.lock").read_bytes() == lock
    return times


def row(claim: str, pairs: list[tuple[Times, Times]]) -> Row:
    """Return a row of the table, of wall times, with the ratio of the processor times in the claim."""
    busy = median(ours[1] / theirs[1] for ours, theirs in pairs)
    ours, theirs = ([both[place][0] for both in pairs] for place in (0, 1))
    return compared(f"{claim}; of processor time {busy:.2f}", ours, theirs, "{:.2f} s")


def by_stage(logs: list[pd.DataFrame], what: str) -> list[Row]:
    """Return a row a stage, one of predict and explain beside train, and one of the largest process."""
    time_of = pd.concat(logs)[["wall", "busy"]].groupby("stage", sort=False).median()
    total = time_of["busy"].sum()
    table = [
        measured(
            f"{what}, stage {stage}: processor time (and wall time), beside all stages'",
            f"{busy:.1f} s ({wall:.1f} s)",
            f"{total:.1f} s",
            f"{busy / total:.2f}",
        )
        for stage, wall, busy in time_of.itertuples()
    ]
    after = [log["busy"]["predict"] + log["busy"]["explain"] for log in logs]
    claim = f"{what}, predict and explain beside train: processor time"
    table.append(compared(claim, after, [log["busy"]["train"] for log in logs], "{:.1f} s"))
    peak = max(log["kb"].max() for log in logs)
    return [*table, measured(f"{what}, largest process", f"{peak / 1e6:.2f} GB")]  # Linux counts in kB


def rows(rounds: int = 1, idle_rounds: int = 7, params: str = "") -> list[Row]:
    """Return a row a claim; see `collect`."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        whole = [whole_run(clone(folder / f"whole{number}", params)) for number in range(rounds)]
        ran = folder / "whole0"
        number = len(stages(ran))
        floors = [bare(folder / "bare", number), without_code(ran, folder / "no_code")]
        for each in (ran, *floors):
            idle(each)  # to warm the disk's cache
        turns = [[idle(each) for each in (ran, *floors)] for _ in range(idle_rounds)]
    what = f"`dvc repro` from nothing, {params or 'the default'}"
    commands = [(log["wall"].sum(), log["busy"].sum()) for _, log in whole]
    return [
        row(f"{what}, beside its commands alone", [(all_of_it, alone) for (all_of_it, _), alone in
                                                   zip(whole, commands, strict=True)]),
        *by_stage([log for _, log in whole], what),
        row(f"`dvc repro` with nothing to do, beside {number} stages with one file in and one out",
            [(ours, floor) for ours, floor, _ in turns]),
        row("`dvc repro` with nothing to do, beside this pipeline with no code in its dependencies",
            [(ours, floor) for ours, _, floor in turns]),
    ]  # fmt: skip


if __name__ == "__main__":
    print_table(rows, rounds=1, idle_rounds=7, params="")
