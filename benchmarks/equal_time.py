"""The default training beside a published notebook's, after equal time: balanced accuracy on validation.

    python benchmarks/equal_time.py [--minutes 20] [--folder .]

The folder is one in which `dvc repro` has prepared a data set, HAM10000 say; its split is what both train on, and test
is not read. The notebook's way: the images' files in a folder a class, Keras's `image_dataset_from_directory` with a
cache at 180×180, the published network with Dropout, Adam at 0.001. Ours: params.yaml's network on the prepared pixels
and the augmented images, with ReduceLROnPlateau and without early stopping. Both run at the same time, each on one
core, and minutes are of that core's work, so that nothing else the machine does favours one of them. A line an epoch
shows how far each is; at the end, the metric of the last epoch, as notebooks report it, and that of the epoch with the
least loss on validation, as the stage `train` keeps it.
"""

import argparse
import importlib
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

PX = 180
BATCH = 32
WAYS = ("ours", "notebook")


def train_ours(folder: Path, minutes: float) -> None:
    """Train as the stage does, and print a line an epoch."""
    import lesions.models.common.determinism

    # isort: split
    from lesions.models.common import dataset
    from lesions.models.common.batches import n_steps, train_batches
    from lesions.models.training import fit as fitting
    from lesions.models.training import optimizer as optimisation
    from lesions.models.training.interrupt import Interruption
    from lesions.models.training.validation_metrics import Validation
    from lesions.params.train import Train

    params = Train.read(folder / "params.yaml").model_copy(update={"early_stopping_patience": "none", "epochs": 10_000})
    data = dataset.load(folder / "data")
    train, val = data.rows("train"), data.rows("val")
    lesions.models.common.determinism.seed(params.seed)
    build = importlib.import_module(f"lesions.models.architectures.{params.architecture}").build
    model = build(data.arrays[0].shape[1:], len(data.classes))
    steps = n_steps(len(train), params.batch_size)
    loss = optimisation.loss(params, len(data.classes))
    model.compile(optimisation.optimizer(params, model, 0, params.epochs, steps), loss, jit_compile=False)
    validation = Validation(data.arrays, val, data.labels(val), loss, Interruption())
    callbacks = fitting.keras_callbacks(params, fitting.TrainingPhase(0, params.epochs, head_only=False))
    fit(
        model,
        train_batches(data.arrays, train, data.labels(train), params.batch_size, params.seed),
        minutes,
        steps_per_epoch=steps,
        callbacks=[validation, *callbacks],
        class_weight=optimisation.class_weights(
            optimisation.class_fractions(data.labels(train), None), params.class_weight_power
        ),
    )


def train_as_notebook(folder: Path, minutes: float) -> None:
    """Train as the notebook does, and print a line an epoch."""
    os.environ["KERAS_BACKEND"] = "tensorflow"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
    import keras
    import tensorflow as tf

    from lesions.models.architectures import notebook_dropout
    from lesions.models.training.validation_metrics import metrics

    with tempfile.TemporaryDirectory() as name:
        write_files(folder, Path(name))
        train, val = (
            keras.utils.image_dataset_from_directory(
                Path(name) / split, image_size=(PX, PX), batch_size=BATCH, shuffle=split == "train", verbose=False
            )
            for split in ("train", "val")
        )
        labels = np.concatenate([batch.numpy() for _, batch in val]).astype(np.int64)
        model = notebook_dropout.build((PX, PX, 3), len(train.class_names))
        model.compile("adam", "sparse_categorical_crossentropy", metrics=["accuracy"])

        class Evaluation(keras.callbacks.Callback):  # type: ignore[misc]
            """Adds the metrics of validation that ours has."""

            def on_epoch_end(self, _epoch: int, logs: dict[str, float]) -> None:
                """Evaluate all validation images."""
                probabilities = self.model.predict(val, verbose=0)
                own = np.log(np.maximum(probabilities[np.arange(len(labels)), labels], 1e-7))
                logs |= {"val_loss": float(-own.mean()), **metrics(labels, probabilities)}

        val = val.cache()
        stream = train.cache().shuffle(1000).prefetch(tf.data.AUTOTUNE)
        fit(model, stream, minutes, callbacks=[Evaluation()])


def fit(model: Any, batches: Any, limit: float, callbacks: list[Any], **how: Any) -> None:
    """Train until the time is over, the epoch in hand and its validation included."""
    import keras

    started = time.process_time()

    class Clock(keras.callbacks.Callback):  # type: ignore[misc]
        """Prints a line an epoch, and ends."""

        def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
            """End once the time is over."""
            del batch, logs
            self.model.stop_training |= time.process_time() - started > 60 * limit

        def on_epoch_end(self, epoch: int, logs: dict[str, float]) -> None:
            """Print the metrics of validation."""
            shown = {name: value for name, value in logs.items() if name.startswith("val_")}
            minutes = (time.process_time() - started) / 60
            print(json.dumps({"epoch": epoch + 1, "minutes": minutes, **shown}), flush=True)

    model.fit(batches, epochs=10_000, verbose=0, shuffle=False, callbacks=[*callbacks, Clock()], **how)


def write_files(folder: Path, out: Path) -> None:
    """Write the images of train and val as files, a folder a class, as they stand in the archives."""
    from lesions.archives import read_members
    from lesions.core.csv_files import read_csv

    images = read_csv(folder / "data/clean/images.csv").merge(read_csv(folder / "data/split/split.csv"), on="image_id")
    images = images[images["split"].isin(["train", "val"])]
    members = list(zip(images["archive"], images["member"], strict=True))
    contents = read_members(folder / "data/raw", members)
    for row, content in zip(images.to_dict("records"), contents, strict=True):
        assert isinstance(content, bytes)
        file = out / row["split"] / row["label"] / f"{row['image_id']}{Path(row['member']).suffix}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)


def on_one_core(way: str, core: int, folder: Path, minutes: float) -> subprocess.Popen[str]:
    """Start one of the ways."""
    command = [sys.executable, __file__, "--way", way, "--folder", str(folder), "--minutes", str(minutes)]
    return subprocess.Popen([*command, "--core", str(core)], stdout=subprocess.PIPE, text=True)


def summary(way: str, epochs: list[dict[str, float]]) -> dict[str, str | int]:
    """Return a way's row."""
    best = min(epochs, key=lambda epoch: epoch["val_loss"])
    return {
        "way": way,
        "epochs": len(epochs),
        "minutes": f"{epochs[-1]['minutes']:.1f}",
        "balanced accuracy, last epoch": f"{epochs[-1]['val_balanced_accuracy']:.3f}",
        "of the epoch with the least loss": f"{best['val_balanced_accuracy']:.3f}",
        "macro AUC of that": f"{best['val_macro_auc']:.3f}",
    }


def main() -> None:
    """Train both, and print the table."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=20)
    parser.add_argument("--folder", type=Path, default=Path())
    parser.add_argument("--way", choices=WAYS, help="one alone, in this process")
    parser.add_argument("--core", type=int, help="which it may use")
    arguments = parser.parse_args()
    if arguments.way:
        if arguments.core is not None:
            os.sched_setaffinity(0, {arguments.core})
        (train_ours if arguments.way == "ours" else train_as_notebook)(arguments.folder, arguments.minutes)
        return
    cores: list[int] = sorted(os.sched_getaffinity(0))[:2]
    processes = [
        on_one_core(way, core, arguments.folder, arguments.minutes) for way, core in zip(WAYS, cores, strict=True)
    ]
    printed = [process.communicate()[0] for process in processes]
    table = [
        summary(way, [json.loads(line) for line in text.splitlines() if line.startswith("{")])
        for way, text in zip(WAYS, printed, strict=True)
    ]
    print(pd.DataFrame(table).to_string(index=False))


if __name__ == "__main__":
    main()
