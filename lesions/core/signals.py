"""What ends a program from outside: Ctrl-C, a time limit, a closed terminal, the end of the program that started it."""

import os
import signal
import threading
import time
from collections.abc import Callable
from types import FrameType
from typing import NoReturn, TypeAlias

ENDING = [getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)]
"""Windows has no SIGHUP."""
WATCH_S = 1.0
"""Seconds between two looks at whether DVC is still there."""

Handler: TypeAlias = Callable[[int, FrameType | None], None]


def end_like_ctrl_c() -> None:
    """From now on let all of `ENDING` raise KeyboardInterrupt, so that what was begun is cleared up."""
    _handle(signal.default_int_handler)


def end_at_once() -> None:
    """Let all of `ENDING` end the program with a word, for while modules load: there is nothing to clear up yet.

    A KeyboardInterrupt there would end in a traceback, or be taken for a module that is missing.
    """
    stderr = os.dup(2)  # since TensorFlow loads while stderr leads nowhere

    def end(number: int, frame: FrameType | None) -> NoReturn:
        del number, frame
        os.write(stderr, b"\nInterrupted.\n")
        os._exit(1)

    _handle(end)


def end_no_more() -> None:
    """From now on ignore all of `ENDING`: what is done must not seem to fail, nor clearing up stop halfway.

    A function that does nothing is not enough: Python, as it ends, puts the system's default in its place.
    """
    for number in ENDING:
        signal.signal(number, signal.SIG_IGN)


def is_interrupt(error: BaseException | None) -> bool:
    """Whether an error is KeyboardInterrupt, or what a library made of one, such as a failed import."""
    while error is not None:
        if isinstance(error, KeyboardInterrupt):
            return True
        error = error.__cause__ or error.__context__
    return False


def end_with_dvc() -> None:
    """End this stage when the DVC that started it is gone: nobody takes its outputs, and a new run may write them."""
    if "DVC_STAGE" in os.environ:
        threading.Thread(target=_watch, args=[os.getppid()], daemon=True).start()


def _watch(parent: int) -> None:
    while os.getppid() == parent:
        time.sleep(WATCH_S)
    os.kill(os.getpid(), signal.SIGTERM)


def _handle(handler: Handler) -> None:
    """Set the handler of each signal that is not ignored, as `nohup` and a shell's background ignore some."""
    for number in ENDING:
        if signal.getsignal(number) is not signal.SIG_IGN:
            signal.signal(number, handler)
