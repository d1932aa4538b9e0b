"""Train: the only slow stage.

The network learns from the training pictures and their copies; validation decides the learning rate, the end,
and which epoch is kept. Test pictures are not looked at.
"""

import lesions.deterministic  # before all that imports Keras

# isort: split
import importlib
import math
import sys
from pathlib import Path

import keras

from lesions import feeding, model_file, parts
from lesions.errors import UserError
from lesions.outputs import read_json, write_json
from lesions.params.train import Train
from lesions.running import run_stage

MODEL = Path("models/model.keras")
HISTORY = Path("plots/history.csv")


def main() -> None:
    """Train the network that params.yaml names."""
    params = Train.read()
    data = parts.load(Path("data"))
    train, val = data.rows("train"), data.rows("val")

    lesions.deterministic.seed(params.seed)
    model = build(params.architecture, data.arrays[0].shape[1:], len(data.classes))
    model.compile(
        optimizer=keras.optimizers.Adam(params.learning_rate),
        loss="sparse_categorical_crossentropy",
        metrics=["accuracy"],
    )
    HISTORY.parent.mkdir(exist_ok=True)
    history = model.fit(
        feeding.endless(data.arrays, train, data.labels(train), params.batch, params.seed),
        steps_per_epoch=feeding.steps(len(train), params.batch),
        epochs=params.epochs,
        validation_data=feeding.once(data.arrays, val, data.labels(val), batch=64),
        callbacks=callbacks(params),
        shuffle=False,  # the stream is shuffled already
        verbose=1 if sys.stdout.isatty() else 2,
    ).history
    refuse_nan(history["loss"], history["val_loss"])

    model_file.save(model, MODEL)
    recipe = {"classes": data.classes, **read_json(Path("data/prepared/recipe.json"))}
    write_json(MODEL.parent / "recipe.json", recipe)
    best = min(range(len(history["val_loss"])), key=history["val_loss"].__getitem__)
    write_json(
        Path("metrics/train.json"),
        {
            "weights": model.count_params(),
            "epochs": len(history["loss"]),
            "best_epoch": best + 1,
            **{name: float(f"{values[best]:.4g}") for name, values in history.items()},
        },
    )
    print(f"{MODEL}: {model.count_params():,} weights, of epoch {best + 1} of {len(history['loss'])}")


def refuse_nan(losses: list[float], val_losses: list[float]) -> None:
    """Stop where the training broke down.

    Raises:
        UserError: says in which epoch a loss was no number.
    """
    for epoch, pair in enumerate(zip(losses, val_losses, strict=True), start=1):
        if not all(map(math.isfinite, pair)):
            raise UserError(
                f"in epoch {epoch} the loss became {pair[0]} in training, {pair[1]} in validation; "
                "lower train.learning_rate in params.yaml."
            )


def build(architecture: str, shape: tuple[int, ...], classes: int) -> keras.Model:
    """Return the named network, not yet trained."""
    model: keras.Model = importlib.import_module(f"lesions.architectures.{architecture}").build(shape, classes)
    return model


def callbacks(params: Train) -> list[keras.callbacks.Callback]:
    """Return what happens after each epoch; the order matters, as the learning rate is written down last."""
    plateau = params.plateau
    return [
        keras.callbacks.ReduceLROnPlateau(
            "val_loss", plateau.factor, plateau.patience, min_lr=plateau.min_learning_rate, verbose=1
        ),
        keras.callbacks.EarlyStopping("val_loss", patience=params.early_stopping, restore_best_weights=True),
        keras.callbacks.TerminateOnNaN(),
        keras.callbacks.CSVLogger(str(HISTORY)),
    ]


if __name__ == "__main__":
    run_stage(main)
