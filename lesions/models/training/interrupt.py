"""Ctrl-C, or another signal to end, while a network trains: the step in hand is finished first.

Python would raise KeyboardInterrupt wherever it is, also between TensorFlow and what it calls back; that has ended the
process with a damaged heap, without a word and with half of its outputs on the disk.
"""

import signal
from types import FrameType, TracebackType
from typing import Any, Self

import keras

from lesions.core.signals import ENDING


class Interruption(keras.callbacks.Callback):  # type: ignore[misc]
    """A callback that raises KeyboardInterrupt between two steps, once a signal to end came within its `with` block.

    At a second one it raises at once. A process that ignores such a signal, as one in the background does Ctrl-C, goes
    on ignoring it.
    """

    def __init__(self) -> None:
        super().__init__()
        self._interrupted = False
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        """Take over the signals."""
        self._before = {number: signal.getsignal(number) for number in ENDING}
        for number, before in self._before.items():
            if before is not signal.SIG_IGN:
                signal.signal(number, self._note)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        """Give them back."""
        for number, before in self._before.items():
            signal.signal(number, before)

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
