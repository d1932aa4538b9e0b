"""What several commands make of their options, before the work."""

import tempfile
from pathlib import Path

from lesions.core.errors import UserError
from lesions.core.params import FILE
from lesions.evaluation.bootstrap import Bootstrap
from lesions.params.evaluate import Evaluate

MIN_RESAMPLES, MAX_RESAMPLES = 100, 100_000
"""As for `evaluate.n_bootstrap`."""


def make_writable(folder: Path, what: str) -> None:
    """Make a folder where there is none, and try it.

    Args:
        folder: to write into.
        what: that is written.

    Raises:
        UserError: nothing can be written there.
    """
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise UserError(f"{folder} is no folder to write {what} into: {error.strerror}.") from None


def read_bootstrap(resamples: int | None) -> Bootstrap:
    """Return the bootstrap of `evaluate`, with that many resamples where a number is given.

    Raises:
        UserError: there are too few or too many.
    """
    # A model's folder is enough, wherever it is: without params.yaml the defaults hold.
    params = Evaluate.read() if FILE.exists() else Evaluate(splits=["test"], seed=1)
    bootstrap = Bootstrap(params.n_bootstrap if resamples is None else resamples, params.seed)
    if not MIN_RESAMPLES <= bootstrap.resamples <= MAX_RESAMPLES:
        raise UserError(f"--resamples: expected {MIN_RESAMPLES} to {MAX_RESAMPLES:,}, found {bootstrap.resamples:,}.")
    return bootstrap
