"""How a stage starts, and how it ends when something is wrong."""

import gc
import shutil
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, TypeAlias

from ruamel.yaml import YAML

from lesions.core.errors import UserError, system_error
from lesions.core.sanitize import printable
from lesions.core.signals import end_like_ctrl_c, end_no_more, end_with_dvc, is_interrupt

BACK = (
    "To go back to the last commit instead, its params.yaml too:\n"
    "  git checkout params.yaml dvc.lock metrics reports\n"
    "  dvc checkout"
)
MENDED = f"Nothing is lost: once this is mended, `dvc repro` goes on from here.\n{BACK}"
INTERRUPTED = f"Interrupted.\nNothing is lost: `dvc repro` goes on from here.\n{BACK}"

Stages: TypeAlias = dict[str, dict[str, Any]]
"""The stages of dvc.yaml."""


def say(doing: str) -> None:
    """Say what takes the next seconds, on stderr: stdout is for what a program may read."""
    print(doing, file=sys.stderr, flush=True)


def run_stage(main: Callable[[], None], *, makes_stale: bool = True) -> None:
    """Run a stage's `main`; on a `UserError`, the system's error or a signal say so, without a traceback; exit with 1.

    DVC removes a stage's outputs before it runs the stage. Whatever ends the stage early, what it had written
    by then is removed too: nothing half-written is taken for an output, and `dvc checkout` finds its way free.

    Args:
        main: in a module of the stage's name.
        makes_stale: whether the results of later stages are removed as the stage starts.
    """
    stage, made, finished = Path(main.__code__.co_filename).stem, list[Path](), False
    end_like_ctrl_c()
    end_with_dvc()
    gc.freeze()  # the modules stay
    gc.enable()
    try:
        stages = read_stages()
        made = list(outputs(stages[stage]))
        if makes_stale:
            _remove(stale_results(stages, stage))
        main()
        end_no_more()
        finished = True
    except UserError as error:
        sys.exit(f"\nERROR: {printable(str(error))}\n{MENDED}")
    except OSError as error:
        sys.exit(f"\nERROR: {system_error(error)}\n{MENDED}")
    except (Exception, KeyboardInterrupt) as error:
        if not is_interrupt(error):
            raise
        sys.exit(f"\n{INTERRUPTED}")
    finally:
        end_no_more()  # a second Ctrl-C would leave a part
        if not finished:
            _remove_if_possible(made)


def read_stages() -> Stages:
    """Return the stages of dvc.yaml in the current folder."""
    stages: Stages = YAML(typ="safe").load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"]
    return stages


def outputs(definition: dict[str, Any]) -> dict[Path, bool]:
    """Return a stage's outputs, each with whether DVC caches it; Git has the others."""
    found = {}
    for out in [*definition["outs"], *definition.get("metrics", [])]:
        path, options = next(iter(out.items())) if isinstance(out, dict) else (out, {})
        found[Path(path)] = options.get("cache", True)
    return found


def stale_results(stages: Stages, stage: str) -> list[Path]:
    """Return the outputs that say what the model is worth, of the stages after one: of evaluate and report.

    While a stage runs, or once it failed, they would be metrics of other data beside new parameters, and
    `dvc exp show` shows them so. They are the outputs of the stages that have one in Git: of such, DVC keeps no run
    cache, and so these two run again, for seconds, even where the stage makes the same outputs as before.

    Args:
        stages: of dvc.yaml.
        stage: which one starts.
    """
    later, found = {stage}, [stage]
    while found:
        made = outputs(stages[found.pop()])
        new = [name for name in stages.keys() - later if any(_reads(dep, made) for dep in stages[name]["deps"])]
        later.update(new)
        found += new
    results = (outputs(stages[name]) for name in sorted(later - {stage}))
    return [path for outs in results if not all(outs.values()) for path in outs]


def _reads(dep: str, outs: Iterable[Path]) -> bool:
    return any(Path(dep).is_relative_to(out) or out.is_relative_to(dep) for out in outs)


def _remove_if_possible(paths: Iterable[Path]) -> None:
    for path in paths:
        try:
            _remove([path])
        except OSError as error:
            say(f"{path} could not be removed: {error.strerror}.")


def _remove(paths: Iterable[Path]) -> None:
    for path in paths:
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
