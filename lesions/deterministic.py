"""TensorFlow, set up so that the same inputs give the same bits. Import it before anything that imports Keras.

Results depend on how many threads share one operation, so that number is fixed and not the machine's; what is
left is the processor's instruction set.
"""

import os

os.environ["KERAS_BACKEND"] = "tensorflow"  # whatever a person has in ~/.keras
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")  # errors only: its start-up notes look like warnings

import keras
import tensorflow as tf

THREADS = 2

tf.config.threading.set_intra_op_parallelism_threads(THREADS)
tf.config.threading.set_inter_op_parallelism_threads(1)
tf.config.experimental.enable_op_determinism()


def seed(value: int) -> None:
    """Seed Python's, NumPy's and TensorFlow's generators, and let the names of layers count from one again."""
    keras.utils.clear_session(free_memory=False)
    keras.utils.set_random_seed(value)
