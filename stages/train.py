"""Train: the only slow stage. Interrupted, it goes on at the last finished epoch, to the same bits.

The network learns from the training pictures and their copies; validation decides the learning rate, the end,
and which epoch is kept. Test pictures are not looked at.
"""

import lesions.deterministic  # before all that imports Keras

# isort: split
import importlib
from pathlib import Path

import keras
import tensorflow as tf

from lesions import model_file, parts
from lesions.errors import UserError
from lesions.outputs import read_json, write_json
from lesions.params.train import Train
from lesions.running import run_stage
from lesions.training.checkpoint import Checkpoint, packages
from lesions.training.cost import multiply_adds
from lesions.training.fitting import Fitted, Side, fit

MODEL = Path("models/model.keras")
HISTORY = Path("plots/history.csv")


def main() -> None:
    """Train the network that params.yaml names."""
    params = Train.read()
    data = parts.load(Path("data"))
    train, val = (Side(rows, data.labels(rows)) for rows in (data.rows("train"), data.rows("val")))
    refuse_empty_classes(train, data.classes)

    lesions.deterministic.seed(params.seed)
    HISTORY.parent.mkdir(exist_ok=True)
    with Checkpoint.of_stage("train") as checkpoint:
        try:
            with lesions.deterministic.all_devices():
                model = build(params.architecture, data.arrays[0].shape[1:], len(data.classes))
                fitted = fit(model, data.arrays, train, val, params, checkpoint, HISTORY, data.protocol)
        except (MemoryError, tf.errors.ResourceExhaustedError):
            raise UserError("the memory is too small for this training: lower train.batch or prepare.px.") from None
        write_outputs(model, data, fitted)
        checkpoint.remove()
    print(f"{MODEL}: {model.count_params():,} weights, of epoch {fitted.epoch + 1} of {len(fitted.history)}")


def refuse_empty_classes(train: Side, classes: list[str]) -> None:
    """Stop where a class cannot be learnt.

    Raises:
        UserError: names it.
    """
    present = set(train.labels.tolist())
    if missing := [name for number, name in enumerate(classes) if number not in present]:
        raise UserError(
            f"of {', '.join(missing)} no picture is in train. Give split another seed or smaller val and test, "
            "or leave the class out by clean.classes."
        )


def build(architecture: str, shape: tuple[int, ...], classes: int) -> keras.Model:
    """Return the named network, not yet trained."""
    model: keras.Model = importlib.import_module(f"lesions.architectures.{architecture}").build(shape, classes)
    return model


def write_outputs(model: keras.Model, data: parts.Parts, fitted: Fitted) -> None:
    """Write the model, its recipe, and the figures of the epoch whose weights it has."""
    model_file.save(model, MODEL)
    recipe = {"classes": data.classes, **read_json(Path("data/prepared/recipe.json")), "packages": packages()}
    write_json(MODEL.parent / "recipe.json", recipe)
    figures = {name: float(f"{value:.4g}") for name, value in fitted.history[fitted.epoch].items()}
    # No times: they would change the file's hash.
    cost = {"weights": model.count_params(), "multiply_adds": multiply_adds(model)}
    counts = {**cost, "epochs": len(fitted.history), "best_epoch": fitted.epoch + 1}
    write_json(Path("metrics/train.json"), {"protocol": data.protocol, **counts, **figures, "packages": packages()})


if __name__ == "__main__":
    run_stage(main)
