"""Ctrl-C while a network trains: the step in hand is finished first.

Python would raise KeyboardInterrupt wherever it is, also between TensorFlow and what it calls back; that has ended the
process with a damaged heap, without a word and with half of its outputs on the disk.
"""

import signal
from types import FrameType, TracebackType
from typing import Any, Self

import keras


class Interruption(keras.callbacks.Callback):  # type: ignore[misc]
    """A callback that raises KeyboardInterrupt between two steps, once Ctrl-C was pressed within its `with` block.

    Pressed a second time, it raises at once. A process that ignores Ctrl-C, as one in the background does, goes on
    ignoring it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._interrupted = False
        self._before: Any = None

    def __enter__(self) -> Self:
        """Take over Ctrl-C."""
        self._before = signal.getsignal(signal.SIGINT)
        if self._before is not signal.SIG_IGN:
            signal.signal(signal.SIGINT, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Give Ctrl-C back."""
        signal.signal(signal.SIGINT, self._before)

    def _note(self, _number: int, _frame: FrameType | None) -> None:
        if self._interrupted:
            raise KeyboardInterrupt
        self._interrupted = True

    def _end_if_interrupted(self) -> None:
        if self._interrupted:
            raise KeyboardInterrupt

    def on_train_batch_end(self, batch: int, logs: object = None) -> None:
        """End between two steps of training."""
        del batch, logs
        self._end_if_interrupted()

    def on_predict_batch_end(self, batch: int, logs: object = None) -> None:
        """End between two steps of validation."""
        del batch, logs
        self._end_if_interrupted()
