"""TensorFlow, set up so that the same inputs give the same bits. Import it before anything that imports Keras.

Results depend on how many threads share one operation, so that number is fixed and not the machine's; what is
left is the processor's instruction set.
"""

import gc
import os
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext

from lesions.core.stage import say

os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever a person has in ~/.keras
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors only: its start-up notes look like warnings


@contextmanager
def _quiet() -> Iterator[None]:
    """Pass over what is written to stderr; some of TensorFlow's notes come before it knows its log level."""
    kept, nothing = os.dup(2), os.open(os.devnull, os.O_WRONLY)
    os.dup2(nothing, 2)
    try:
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
        os.close(nothing)


@contextmanager
def _lean_import() -> Iterator[None]:
    """Import in two thirds of the time: without garbage collection, and without packages for parts not used here.

    Keras offers wrappers for scikit-learn and plots by matplotlib where it can import these, which takes a second.
    """
    unused = [name for name in ("sklearn", "matplotlib") if name not in sys.modules]
    collects = gc.isenabled()
    gc.disable()
    for name in unused:
        sys.modules[name] = None  # type: ignore[assignment]  # whoever imports it gets an ImportError
    try:
        yield
    finally:
        for name in unused:
            del sys.modules[name]
        if collects:
            gc.enable()


say("Loading TensorFlow ...")
with _quiet(), _lean_import():
    import keras
    import tensorflow as tf

THREADS = 2

tf.config.threading.set_intra_op_parallelism_threads(THREADS)
tf.config.threading.set_inter_op_parallelism_threads(1)
tf.config.experimental.enable_op_determinism()
for gpu in tf.config.list_physical_devices("GPU"):
    tf.config.experimental.set_memory_growth(gpu, True)  # else all of its memory is taken at once


def seed(value: int) -> None:
    """Seed Python's, NumPy's and TensorFlow's generators, and let the names of layers count from one again."""
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(value)


def all_devices() -> AbstractContextManager[object]:
    """Return the scope in which a model is built and trained: on several GPUs, each takes a part of every batch."""
    if len(tf.config.list_logical_devices("GPU")) > 1:
        scope: AbstractContextManager[object] = tf.distribute.MirroredStrategy().scope()
        return scope
    return nullcontext()
