"""Train the network. An interrupted training resumes at its last finished epoch, to the same bits.

The network learns from the training images and the augmented ones; validation decides the learning rate, the end, and
the best epoch. No test image is read.
"""

import lesions.models.common.determinism  # before all that imports Keras

# isort: split
import importlib
from collections.abc import Callable
from functools import partial
from pathlib import Path

import keras
import pandas as pd
import tensorflow as tf

from lesions.core.errors import UserError
from lesions.core.json_files import read_json, write_json
from lesions.core.stage import run_stage, say
from lesions.models.common import dataset
from lesions.models.common import saving as model_file
from lesions.models.training import ensemble
from lesions.models.training import optimizer as optimisation
from lesions.models.training.balance import draw_probabilities
from lesions.models.training.checkpoint import Checkpoint, packages
from lesions.models.training.fit import FitResult, HistoryCsv, SplitData, TrainingData, fit
from lesions.models.training.flops import multiply_adds
from lesions.params.train import Train

MODEL = Path("models/model.keras")
HISTORY = Path("plots/history.csv")


def main() -> None:
    """Train the network that params.yaml names."""
    params = Train.read()
    data = dataset.load(Path("data"))
    train, val = (SplitData(rows, data.labels(rows)) for rows in (data.rows("train"), data.rows("val")))
    refuse_empty_classes(train, data.classes)
    probabilities = draw_probabilities(params.balance, train.labels, data.collections(train.rows))
    images = TrainingData(data.arrays, train, val, probabilities)

    say(f"{len(train.rows):,} images to train on, {len(val.rows):,} of validation. Building {params.architecture} ...")
    HISTORY.parent.mkdir(exist_ok=True)
    shape, builders = data.arrays[0].shape[1:], networks(params)
    with Checkpoint.for_stage("train") as first:
        checkpoints = [first.for_member(number) for number in range(params.ensemble_size)]
        models: list[keras.Model] = []
        fits: list[FitResult] = []
        try:
            if params.ensemble_size > 1:
                ensemble.require_one_size([build(shape, len(data.classes)) for build in builders])
            for number, checkpoint in enumerate(checkpoints):
                ours = params.model_copy(update={"seed": ensemble.member_seed(number, params.seed)})
                lesions.models.common.determinism.seed(ours.seed)
                with lesions.models.common.determinism.all_devices():
                    models.append(builders[number % len(builders)](shape, len(data.classes)))
                    history_csv = HistoryCsv(
                        HISTORY, data.leakage, [epoch for result in fits for epoch in result.history]
                    )
                    fits.append(fit(models[-1], images, ours, checkpoint, history_csv))
        except (MemoryError, tf.errors.ResourceExhaustedError):
            raise UserError(
                "the memory is too small for this training: lower train.batch_size or prepare.image_size."
            ) from None
        model = ensemble.merge_members(models)
        if params.logit_adjustment_tau:
            fractions = optimisation.class_fractions(train.labels, probabilities)
            optimisation.apply_logit_adjustment(model, fractions, params.logit_adjustment_tau)
        say(f"Writing {MODEL} ...")
        write_outputs(model, data, fits)
        for checkpoint in checkpoints:
            checkpoint.remove()
    kept = " and ".join(f"epoch {result.epoch + 1} of {len(result.history)}" for result in fits)
    print(f"{MODEL}: {model.count_params():,} weights, of {kept}")


def refuse_empty_classes(train: SplitData, classes: list[str]) -> None:
    """Stop where a class cannot be learnt.

    Raises:
        UserError: names it.
    """
    present = set(train.labels.tolist())
    if missing := [name for label, name in enumerate(classes) if label not in present]:
        raise UserError(
            f"of {', '.join(missing)} no image is in train. Give split another seed or smaller val and test, "
            "or leave the class out by clean.classes."
        )


def networks(params: Train) -> list[Callable[[tuple[int, ...], int], keras.Model]]:
    """Return what builds each network of the ensemble, of an image's shape and the number of classes; one if alike."""
    architecture = importlib.import_module(f"lesions.models.architectures.{params.architecture}")
    if params.architecture != "pretrained":
        return [architecture.build]
    return [partial(architecture.build, folder=folder) for folder in architecture.member_folders()]


def write_outputs(model: keras.Model, data: dataset.Dataset, fits: list[FitResult]) -> None:
    """Write the model, its preprocessing, and the metrics of its epochs: of several networks, the means.

    Epochs are counted through all of them, as in the table.
    """
    model_file.save(model, MODEL)
    preprocessing = {
        "classes": data.classes,
        **read_json(Path("data/prepared/preprocessing.json")),
        "packages": packages(),
    }
    write_json(MODEL.parent / "preprocessing.json", preprocessing)
    kept = pd.DataFrame([result.history[result.epoch] for result in fits]).mean()
    metrics = {str(name): float(f"{value:.4g}") for name, value in kept.items()}
    epochs = sum(len(result.history) for result in fits)
    best = epochs - len(fits[-1].history) + fits[-1].epoch + 1
    # No times: they would change the file's hash.
    cost = {"weights": model.count_params(), "multiply_adds": multiply_adds(model)}
    counts = {**cost, "epochs": epochs, "best_epoch": best}
    write_json(Path("metrics/train.json"), {"leakage": data.leakage, **counts, **metrics, "packages": packages()})


if __name__ == "__main__":
    run_stage(main)
