"""The one kind of error that a person can mend, and how a stage ends on it."""

import sys
from collections.abc import Callable


class UserError(Exception):
    """Something in the data or the parameters is wrong, and the reader of the message can mend it.

    The message names the file, row or key, what was found, what was expected, and what to do.
    """


def run_stage(main: Callable[[], None]) -> None:
    """Run a stage's `main`; on a `UserError` print its message, without a traceback, and exit with 1.

    DVC removes a stage's outputs before it runs the stage, so the message also says how the last good
    ones come back.
    """
    try:
        main()
    except UserError as error:
        print(f"\nERROR: {error}", file=sys.stderr)
        print(
            "Nothing is lost: `dvc checkout` brings the last good outputs back; once this is mended, "
            "`dvc repro` goes on from here.",
            file=sys.stderr,
        )
        sys.exit(1)
