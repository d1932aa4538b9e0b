"""Training as notebooks do it: TensorFlow as it comes, images from JPEG files. `train_speed.py` runs beside it.

    python benchmarks/notebook_training.py FOLDER

FOLDER holds a folder of files a class. For each line on standard input, `plain PX STEPS` or `notebook PX STEPS`, one
is written: the seconds of a training step. TensorFlow's settings are those of a process, so this is one of its own.
"""

import os
import sys
import time
from functools import cache
from typing import Any

os.environ["KERAS_BACKEND"] = "tensorflow"
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

import keras
import tensorflow as tf
from keras import layers

from lesions.models.architectures import plain

BATCH = 32
WARM = 5
"""Steps before the first that is timed: they also use what was read ahead."""


class Stopwatch(keras.callbacks.Callback):  # type: ignore[misc]  # Keras has no types
    """When each step ended."""

    def __init__(self) -> None:
        super().__init__()
        self.ends: list[float] = []

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Note the time."""
        del batch, logs
        self.ends.append(time.perf_counter())


def step_seconds(model: keras.Model, batches: tf.data.Dataset, steps: int) -> float:
    """Return the mean seconds of a training step, without what fit does before and after."""
    watch = Stopwatch()
    model.fit(batches, steps_per_epoch=steps + WARM, verbose=0, shuffle=False, callbacks=[watch])
    return (watch.ends[-1] - watch.ends[WARM - 1]) / steps


def compiled(model: keras.Model) -> keras.Model:
    """Return a network as the train stage compiles it."""
    model.compile(keras.optimizers.Adam(1e-3), "sparse_categorical_crossentropy", metrics=["accuracy"])
    return model


def published(px: int, classes: int) -> keras.Model:
    """Return the network of the published notebooks."""
    model = keras.Sequential([keras.Input((px, px, 3)), layers.Rescaling(1 / 255)])
    for width in (16, 32, 64):
        model.add(layers.Conv2D(width, 3, padding="same", activation="relu"))
        model.add(layers.MaxPooling2D())
    for layer in (layers.Flatten(), layers.Dense(128, activation="relu"), layers.Dense(classes, activation="softmax")):
        model.add(layer)
    return model


@cache
def prepared(way: str, folder: str, px: int) -> tuple[keras.Model, tf.data.Dataset]:
    """Return a network and its batches: without a cache for `plain`, with one for `notebook`."""
    files = keras.utils.image_dataset_from_directory(folder, image_size=(px, px), batch_size=BATCH, verbose=False)
    classes = len(files.class_names)
    if way == "plain":
        return compiled(plain.build((px, px, 3), classes)), files.repeat()
    return compiled(published(px, classes)), files.cache().prefetch(tf.data.AUTOTUNE).repeat()


def main() -> None:
    """Answer each line."""
    for line in sys.stdin:
        way, px, steps = line.split()
        print(step_seconds(*prepared(way, sys.argv[1], int(px)), int(steps)), flush=True)


if __name__ == "__main__":
    main()
