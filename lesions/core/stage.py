"""How a stage starts, and how it ends when something is wrong."""

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

from ruamel.yaml import YAML

from lesions.core.errors import NO_ROOM, UserError

RESTORE = (
    "Nothing is lost: `dvc checkout` brings the last good outputs back; once this is mended, "
    "`dvc repro` goes on from here."
)


def run_stage(main: Callable[[], None]) -> None:
    """Run a stage's `main`; on a `UserError` or Ctrl-C say so, without a traceback, and exit with 1.

    DVC removes a stage's outputs before it runs the stage. Whatever ends the stage early, what it had written
    by then is removed too: nothing half-written is taken for an output, and `dvc checkout` finds its way free.
    """
    finished = False
    try:
        main()
        finished = True
    except UserError as error:
        # Names from archives and folders may hold what a terminal obeys.
        printable = "".join(c if c.isprintable() or c == "\n" else ascii(c)[1:-1] for c in str(error))
        sys.exit(f"\nERROR: {printable}\n{RESTORE}")
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        where = f"{error.filename}: " if error.filename else ""
        sys.exit(f"\nERROR: {where}{os.strerror(error.errno)}. Make room on the disk.\n{RESTORE}")
    except KeyboardInterrupt:
        sys.exit(f"\nInterrupted.\n{RESTORE}")
    finally:
        if not finished:
            _remove_outputs(Path(main.__code__.co_filename).stem)


def _remove_outputs(stage: str) -> None:
    """Remove what dvc.yaml names as the stage's outputs."""
    definition = YAML(typ="safe").load(Path("dvc.yaml").read_text(encoding="utf-8"))["stages"][stage]
    for out in [*definition["outs"], *definition.get("metrics", [])]:
        path = Path(out if isinstance(out, str) else next(iter(out)))
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)
