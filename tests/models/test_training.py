"""Training: resuming, learning-rate schedules, losses, ensembles and checkpoints."""

import lesions.models.common.determinism  # before all that imports Keras

# isort: split
import errno
import math
import os
import random
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from shutil import copytree
from typing import Any

import keras
import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn.metrics import balanced_accuracy_score, roc_auc_score

from lesions.core.errors import UserError
from lesions.core.signals import ENDING
from lesions.explain.feature_maps import split_at_features
from lesions.inference.features import feature_model
from lesions.models.common import saving as model_file
from lesions.models.training import ensemble
from lesions.models.training import optimizer as optimisation
from lesions.models.training.balance import draw_probabilities
from lesions.models.training.checkpoint import Checkpoint, State, inputs_hash
from lesions.models.training.epoch_log import epoch_line
from lesions.models.training.fit import FitResult, HistoryCsv, SplitData, TrainingData, fit, training_phases
from lesions.models.training.interrupt import Interruption
from lesions.models.training.validation_metrics import metrics
from lesions.params.cross_checks import NO_MEMBERS
from lesions.params.train import Train
from stages.train import networks, refuse_empty_classes
from tests.conftest import edit_params

CLASSES = 3
LAST = {"restore_best_weights": False}
FROZEN = {"freeze_backbone_epochs": 2}
NEVER_EARLY: dict[str, Any] = {"early_stopping_patience": "none"}


def params(**values: Any) -> Train:
    """Parameters of a training that takes seconds."""
    plateau = {"patience": 1, "factor": 0.5, "min_learning_rate": 1e-5, "monitor": "loss"}
    few = {"architecture": "plain", "epochs": 5, "batch_size": 8, "learning_rate": 0.01, "seed": 1}
    return Train.model_validate({**few, "early_stopping_patience": 4, "reduce_lr_on_plateau": plateau, **values})


def network() -> keras.Model:
    """A small network with moving statistics, and random numbers in each step."""
    lesions.models.common.determinism.seed(1)
    pixels = keras.Input((16, 16, 3))
    x = keras.layers.Rescaling(1 / 127.5, offset=-1)(pixels)
    x = keras.layers.Conv2D(4, 3, strides=4, activation="relu")(x)
    x = keras.layers.BatchNormalization()(x)
    x = keras.layers.Dropout(0.5)(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(pixels, keras.layers.Dense(CLASSES, activation="softmax", name="probabilities")(x))


def data() -> TrainingData:
    """Images whose class can be seen, for train and val."""
    numbers = np.random.default_rng(0)
    labels = numbers.integers(0, CLASSES, 60)
    pixels = numbers.integers(0, 120, (60, 16, 16, 3)).astype(np.uint8)
    pixels[np.arange(60), :, :, labels] += 60
    train, val = np.arange(40), np.arange(40, 60)
    return TrainingData([pixels], SplitData(train, labels[train]), SplitData(val, labels[val]))


class Interrupted(Checkpoint):
    """A checkpoint after which the process ends, so many epochs from now."""

    epochs_left = 1

    def write(self, state: State) -> None:
        """Write, and end."""
        super().write(state)
        self.epochs_left -= 1
        if self.epochs_left == 0:
            raise KeyboardInterrupt


def trained(folder: Path, given: Train, stops: tuple[int, ...] = ()) -> tuple[list[bytes], FitResult, bytes]:
    """Train, interrupted after so many epochs each time; return the weights, the metrics and the table."""
    folder.mkdir()
    table = HistoryCsv(folder / "history.csv", "none")
    for epochs in stops:
        checkpoint = Interrupted(folder / "state")
        checkpoint.epochs_left = epochs
        with pytest.raises(KeyboardInterrupt):
            fit(network(), data(), given, checkpoint, table)
    model = network()
    result = fit(model, data(), given, Checkpoint(folder / "state"), table)
    return [weight.tobytes() for weight in model.get_weights()], result, (folder / "history.csv").read_bytes()


@pytest.mark.parametrize(
    ("values", "stops"),
    [
        pytest.param({}, (1, 2), id="plateau", marks=pytest.mark.long),
        pytest.param(
            {"schedule": "cosine", "warmup_epochs": 1, "optimizer": "adamw", "weight_decay": 0.01, **LAST},
            (2, 1),
            id="cosine",
        ),
        pytest.param(
            {"freeze_backbone_epochs": 2, "backbone_lr_multiplier": 0.1, "loss": "focal", "monitor": "val_macro_auc"},
            (2, 1),
            id="head first",
        ),
        pytest.param(
            {"optimizer": "sgd", "class_weight_power": 1.0, "early_stopping_patience": 1, "learning_rate": 0.5},
            (1,),
            id="stopped early",
            marks=pytest.mark.long,
        ),
    ],
)
def test_resumed_training_has_the_same_bits(tmp_path: Path, values: dict[str, Any], stops: tuple[int, ...]) -> None:
    whole = trained(tmp_path / "whole", params(**values))
    assert trained(tmp_path / "again", params(**values), stops) == whole
    result = whole[1]
    assert all("learning_rate" in epoch for epoch in result.history)  # of which a plot is made
    if "early_stopping_patience" in values:
        assert len(result.history) < 5
    # After the last epoch nothing is left to do but to write the outputs.
    finished = trained(tmp_path / "finished", params(**values), (len(result.history),))
    assert finished == whole


def test_learning_rate_schedules(tmp_path: Path) -> None:
    plateau = params().reduce_lr_on_plateau.model_dump() | {"min_delta": 9.0}
    _, result, _ = trained(tmp_path / "plateau", params(reduce_lr_on_plateau=plateau))
    rates = [metrics["learning_rate"] for metrics in result.history]
    assert rates == pytest.approx([0.01, 0.01, 0.005, 0.0025, 0.00125])
    _, result, _ = trained(tmp_path / "cosine", params(schedule="cosine", warmup_epochs=2, **NEVER_EARLY))
    rates = [metrics["learning_rate"] for metrics in result.history]
    assert rates[0] == pytest.approx(0.005)
    assert rates[1] == pytest.approx(0.01)
    assert rates[2] > rates[3] > rates[4] == pytest.approx(0, abs=1e-6)


def test_frozen_backbone(tmp_path: Path) -> None:
    before, model = network(), network()
    given = params(epochs=3, freeze_backbone_epochs=2, early_stopping_patience="none", restore_best_weights=False)
    assert [phase.head_only for phase in training_phases(given)] == [True, False]
    checkpoint = Interrupted(tmp_path / "state")
    checkpoint.epochs_left = 2
    with pytest.raises(KeyboardInterrupt):
        fit(model, data(), given, checkpoint, HistoryCsv(tmp_path / "history.csv", "none"))
    same = [np.array_equal(a, b) for a, b in zip(before.get_weights(), model.get_weights(), strict=True)]
    assert same[:-2] == [True] * (len(same) - 2)
    assert same[-2:] == [False, False]


def test_ensemble_is_the_mean_of_logits(tmp_path: Path) -> None:
    images = data()
    members, answers = [], []
    for number in range(3):
        model, given = network(), params(epochs=2, seed=ensemble.member_seed(number, 1))
        fit(model, images, given, Checkpoint(None), HistoryCsv(tmp_path / "history.csv", "none"))
        members.append(model)
        answers.append(np.log(model(images.arrays[0], training=False).numpy().astype(np.float64)))
    assert len({answer.tobytes() for answer in answers}) == 3
    whole = ensemble.merge_members(members)
    wanted = np.exp(np.mean(answers, axis=0))
    found = whole(images.arrays[0], training=False).numpy()
    assert found == pytest.approx(wanted / wanted.sum(axis=1, keepdims=True), abs=1e-6)
    model_file.save(whole, tmp_path / "model.keras")
    read = model_file.load(tmp_path / "model.keras")
    assert np.array_equal(read(images.arrays[0], training=False).numpy(), found)
    # It is opened like one network: three times the maps, and the features that the last layer reads.
    maps, features = split_at_features(read).feature_extractor(images.arrays[0][:2])
    assert (maps.shape, features.shape) == ((2, 4, 4, 12), (2, 12))
    assert feature_model(read)(images.arrays[0][:2])[0].shape == (2, 12)
    assert ensemble.merge_members(members[:1]) is members[0]


def test_member_seeds() -> None:
    assert ensemble.member_seed(0, 7) == 7
    assert len({ensemble.member_seed(number, seed) for seed in range(20) for number in range(5)}) == 100


def test_ensemble_of_other_networks_is_refused() -> None:
    for architecture in NO_MEMBERS:
        several = params(architecture=architecture, ensemble_size=2)
        with pytest.raises(UserError, match=r"feature maps.*Set train\.ensemble_size to 1"):
            ensemble.require_one_size([build((32, 32, 3), CLASSES) for build in networks(several)])
    for architecture in ("plain", "residual"):
        (build,) = networks(params(architecture=architecture, ensemble_size=2))
        ensemble.require_one_size([build((32, 32, 3), CLASSES)])
    with pytest.raises(UserError, match="of one size, and these are of 2×2 and 4×4"):
        ensemble.require_one_size([build((size, size, 3), CLASSES) for size in (32, 64)])


def test_damaged_checkpoint_is_ignored(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "state")
    assert checkpoint.read() is None
    state = State([{"loss": 0.1}], finished=False, model=[np.ones(3)], optimizer=[], kept=[np.zeros(2)], kept_epoch=0)
    checkpoint.write(state)
    back = checkpoint.read()
    assert back is not None
    assert back.history == state.history
    assert np.array_equal(back.kept[0], state.kept[0])
    content = (tmp_path / "state").read_bytes()
    for broken in (content[:-1], b"", content[:40] + bytes([content[40] ^ 1]) + content[41:], os.urandom(200)):
        (tmp_path / "state").write_bytes(broken)
        assert checkpoint.read() is None


def test_cache_that_cannot_be_written_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """As in a container whose user has no home."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr("lesions.models.training.checkpoint.inputs_hash", lambda _: "hash")
    state = State([], finished=False, model=[], optimizer=[], kept=[], kept_epoch=0)
    with Checkpoint.for_stage("train") as checkpoint:
        checkpoint.write(state)
        assert checkpoint.read() is None
    assert "no checkpoints are kept" in capsys.readouterr().out


def test_full_cache_keeps_the_last_checkpoint(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    checkpoint = Checkpoint(tmp_path / "state.checkpoint")
    state = State([], finished=False, model=[], optimizer=[], kept=[], kept_epoch=0)
    checkpoint.write(state)

    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    for epoch in (1, 2):
        checkpoint.write(state._replace(kept_epoch=epoch))
    back = checkpoint.read()
    assert back is not None
    assert back.kept_epoch == 0
    assert [file.name for file in tmp_path.iterdir()] == ["state.checkpoint"]
    (printed,) = capsys.readouterr().out.splitlines()
    assert printed.startswith(f"{tmp_path}: No space left on device: no further checkpoints are kept")
    checkpoint.remove()
    assert not list(tmp_path.iterdir())


def test_checkpoint_depends_on_all_inputs(workspace: Path, tmp_path: Path) -> None:
    clone = copytree(workspace, tmp_path / "clone", symlinks=True)
    home = Path.cwd()
    try:
        os.chdir(clone)
        names = [inputs_hash("train")]
        edit_params(clone, train={"seed": 5})
        names.append(inputs_hash("train"))
        with (clone / "lesions/models/architectures/plain.py").open("a") as code:
            code.write("# another network\n")
        names.append(inputs_hash("train"))
        (clone / "data/split/split.csv").unlink()
        (clone / "data/split/split.csv").write_text("another split")
        names.append(inputs_hash("train"))
        edit_params(clone, predict={"tta": True})
        (clone / "lesions/models/training/.fit.py.swp").write_text("open in an editor")
        assert inputs_hash("train") == names[-1]
    finally:
        os.chdir(home)
    assert len(set(names)) == 4


LABELS = st.lists(st.integers(0, 3), min_size=2, max_size=40).map(np.array)


@given(LABELS, st.integers(0, 1000))
def test_validation_metrics_equal_scikit_learn(labels: NDArray[np.int64], seed: int) -> None:
    probabilities = np.random.default_rng(seed).dirichlet(np.ones(4), len(labels)).astype(np.float32)
    found = metrics(labels, probabilities)
    predicted = probabilities.argmax(axis=1)
    present = np.unique(labels)
    assert found["val_accuracy"] == (predicted == labels).mean()
    if len(present) > 1:
        with warnings.catch_warnings(action="ignore"):
            assert found["val_balanced_accuracy"] == pytest.approx(balanced_accuracy_score(labels, predicted))
        areas = [roc_auc_score(labels == number, probabilities[:, number]) for number in present]
        assert found["val_macro_auc"] == pytest.approx(np.mean(areas))
    broken = metrics(labels, np.full_like(probabilities, np.nan))
    assert all(math.isnan(value) for value in broken.values())


@given(LABELS)
def test_class_weights_average_one(labels: NDArray[np.int64]) -> None:
    _, labels = np.unique(labels, return_inverse=True)
    fractions = optimisation.class_fractions(labels, None)
    assert optimisation.class_weights(fractions, 0.0) is None
    for power in (0.5, 0.75, 1.0):
        weights = optimisation.class_weights(fractions, power)
        assert weights is not None
        assert np.mean([weights[int(label)] for label in labels]) == pytest.approx(1)
        counts = np.bincount(labels)
        products = [weight * counts[number] ** power for number, weight in weights.items()]
        assert products == pytest.approx([products[0]] * len(products))


def test_class_fractions_are_of_what_is_drawn() -> None:
    """Of nine images of one collection, eight nevi, and one melanoma of another, as often drawn as all of the nine."""
    labels, collections = np.array([0] + [1] * 8 + [0]), np.array(["a"] * 9 + ["b"])
    drawn = draw_probabilities("collection", labels, collections)
    assert optimisation.class_fractions(labels, drawn) == pytest.approx([0.5 / 9 + 0.5, 4 / 9])
    assert optimisation.class_fractions(labels, None) == pytest.approx([0.2, 0.8])


def test_logit_adjustment() -> None:
    images, model = data(), network()
    fractions = optimisation.class_fractions(np.array([0, 0, 0, 1, 2, 2]), None)
    before = model(images.arrays[0], training=False).numpy()
    optimisation.apply_logit_adjustment(model, fractions, 0.5)
    wanted = before / np.sqrt([3, 1, 2])
    found = model(images.arrays[0], training=False).numpy()
    assert found == pytest.approx(wanted / wanted.sum(axis=1, keepdims=True), abs=1e-6)


def test_focal_loss() -> None:
    labels, probabilities = np.array([0, 2]), np.array([[0.6, 0.3, 0.1], [0.2, 0.3, 0.5]], np.float32)
    true = np.array([0.6, 0.5])
    focal = optimisation.loss(params(loss="focal", focal_gamma=3.0), 3)(labels, probabilities)
    assert np.asarray(focal) == pytest.approx(-((1 - true) ** 3) * np.log(true), rel=1e-5)
    plain_loss = optimisation.loss(params(), 3)(labels, probabilities)
    assert np.asarray(plain_loss) == pytest.approx(-np.log(true), rel=1e-5)


def test_model_is_saved_without_its_loss(tmp_path: Path) -> None:
    model = network()
    model.compile(loss=optimisation.loss(params(loss="focal"), CLASSES))
    model_file.save(model, tmp_path / "model.keras")
    read = model_file.load(tmp_path / "model.keras")
    assert all(np.array_equal(*pair) for pair in zip(read.get_weights(), model.get_weights(), strict=True))


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"weight_decay": 0.1}, "weight_decay is for adamw and sgd"),
        ({"warmup_epochs": 1}, "warmup_epochs belongs to schedule: cosine"),
        ({"freeze_backbone_epochs": 5}, "must be fewer than the 5 epochs"),
        (
            {"reduce_lr_on_plateau": {"patience": -1, "factor": 0.5, "min_learning_rate": 0.0}},
            "greater than or equal to 1",
        ),
    ],
)
def test_contradictory_values_are_refused(values: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        params(**values)


def test_class_without_training_images_is_named() -> None:
    with pytest.raises(UserError, match="of df no image is in train"):
        refuse_empty_classes(SplitData(np.arange(2), np.array([0, 2])), ["mel", "df", "nv"])


def test_nan_loss_writes_no_checkpoint(tmp_path: Path) -> None:
    checkpoint = Checkpoint(tmp_path / "state")
    model = network()
    model.get_layer("probabilities").bias.assign([math.nan] * CLASSES)
    with pytest.raises(UserError, match=r"in epoch 1 the loss became nan.*lower train.learning_rate"):
        fit(model, data(), params(), checkpoint, HistoryCsv(tmp_path / "history.csv", "none"))
    assert checkpoint.read() is None


def hashes(clone: Path) -> dict[str, bytes]:
    files = ("models/model.keras", "models/preprocessing.json", "metrics/train.json", "plots/history.csv")
    return {file: (clone / file).read_bytes() for file in files}


def kill_and_resume(workspace: Path, folder: Path, kills: int, seed: int) -> tuple[int, str]:
    """Kill a training with SIGKILL once an epoch is over, the later kills at random moments; then let it end.

    Return how many kills left a checkpoint (one that came during the process's last moments leaves none), and what the
    training said that ended.
    """
    clone = copytree(workspace, folder / "clone", symlinks=True)
    environment = os.environ | {"XDG_CACHE_HOME": str(folder / "cache"), "PYTHONPATH": str(clone)}
    command = [sys.executable, "-m", "stages.train"]
    numbers, resumed = random.Random(seed), 0  # noqa: S311 - no secret

    def checkpoints() -> list[Path]:
        return list((folder / "cache/lesions/training").glob("*.checkpoint"))

    for out in ("models", "plots/history.csv", "metrics/train.json"):
        subprocess.run(["rm", "-r", out], cwd=clone, check=True)
    for _ in range(kills):
        with subprocess.Popen(command, cwd=clone, env=environment, stdout=subprocess.DEVNULL) as stage:
            started = time.monotonic()
            while stage.poll() is None and not checkpoints():
                time.sleep(0.01)
                assert time.monotonic() - started < 120
            # The first epoch is over; some of the later moments fall into writing the file.
            time.sleep(numbers.uniform(0, 3) if kills > 1 else 0)
            stage.kill()
            stage.wait()
        resumed += bool(checkpoints())
    # With one core visible: the number changes nothing.
    cores = os.sched_getaffinity(0)
    os.sched_setaffinity(0, {min(cores)})
    try:
        done = subprocess.run(command, cwd=clone, env=environment, capture_output=True, text=True, check=True)
    finally:
        os.sched_setaffinity(0, cores)
    assert not checkpoints()
    assert hashes(clone) == hashes(workspace)
    return resumed, done.stdout


@pytest.mark.skipif(sys.platform != "linux", reason="signals are Unix's, and choosing cores Linux's")
def test_killed_once(workspace: Path, tmp_path: Path) -> None:
    resumed, printed = kill_and_resume(workspace, tmp_path, 1, seed=1)
    assert ("Going on after epoch" in printed) == (resumed == 1)


@pytest.mark.long
@pytest.mark.skipif(sys.platform != "linux", reason="signals are Unix's, and choosing cores Linux's")
def test_killed_ten_times(workspace: Path, tmp_path: Path) -> None:
    longer = copytree(workspace, tmp_path / "longer", symlinks=True)
    edit_params(
        longer, train={"ensemble_size": 2, "epochs": 20, "early_stopping_patience": 20, "logit_adjustment_tau": 0.25}
    )
    command = [sys.executable, "-m", "stages.train"]
    subprocess.run(command, cwd=longer, check=True, env=os.environ | {"PYTHONPATH": str(longer)})
    resumed, _ = kill_and_resume(longer, tmp_path, 10, seed=2)
    assert resumed >= 8


def test_history_grows_epoch_by_epoch(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lengths = []

    class Watched(Checkpoint):
        """Reads the table at each epoch's end, as an editor does."""

        def write(self, state: State) -> None:
            lengths.append(len(pd.read_csv(tmp_path / "history.csv")))
            super().write(state)

    result = fit(network(), data(), params(epochs=2), Watched(None), HistoryCsv(tmp_path / "history.csv", "none"))
    assert lengths == [1, 2]
    table = pd.read_csv(tmp_path / "history.csv")
    assert list(table["epoch"]) == [1, 2]
    assert list(table["val_macro_auc"]) == [metrics["val_macro_auc"] for metrics in result.history]

    lines = capsys.readouterr().out.splitlines()
    losses = [f"loss {one['loss']:.4f}, val_loss {one['val_loss']:.4f}" for one in result.history]
    assert [line.split(", val_balanced")[0] for line in lines] == [
        f"Epoch {number}/2: {both}" for number, both in enumerate(losses, 1)
    ]
    assert [line.endswith(", best") for line in lines] == [n == result.epoch or n == 0 for n in range(2)]


@pytest.mark.parametrize("monitor", ["val_loss", "val_accuracy", "val_balanced_accuracy", "val_macro_auc"])
def test_epoch_line_fits_a_terminal(monitor: str) -> None:
    names = ("loss", "val_loss", "val_accuracy", "val_balanced_accuracy", "val_macro_auc")
    line = epoch_line(99, params(epochs=100, monitor=monitor), dict.fromkeys(names, 0.123456))
    assert line.startswith("Epoch 100/100: loss 0.1235, val_loss 0.1235, val_")
    assert monitor in line
    assert len(f"{line}, best") <= 80


@pytest.fixture
def ends_by_default(number: int) -> Iterator[None]:
    """Under `nohup` SIGHUP is ignored, and stays so."""
    before = signal.signal(number, signal.default_int_handler)
    yield
    signal.signal(number, before)


@pytest.mark.parametrize("number", ENDING)
@pytest.mark.usefixtures("ends_by_default")
def test_signal_waits_for_the_step(number: int) -> None:
    arrays, train, *_ = data()
    steps = []

    def press(batch: int, logs: object = None) -> None:
        del logs
        os.kill(os.getpid(), number)
        steps.append(batch)

    before = signal.getsignal(number)
    model = network()
    model.compile("sgd", "sparse_categorical_crossentropy")
    pressing = keras.callbacks.LambdaCallback(on_train_batch_begin=press)
    pixels = arrays[0][train.rows]
    with Interruption() as interruption, pytest.raises(KeyboardInterrupt):
        model.fit(pixels, train.labels, batch_size=8, verbose=0, callbacks=[pressing, interruption])
    assert steps == [0]
    with Interruption() as interruption:
        press(1)  # noted, and no more
        with pytest.raises(KeyboardInterrupt):
            press(2)
    assert steps == [0, 1]
    assert signal.getsignal(number) == before
