"""A trained model as a thing to ask: three lines from a picture to an answer.

    from lesions import Classifier

    classifier = Classifier.of_folder("models")
    answer = classifier.classify(pixels)  # uint8, (height, width, 3), RGB, of any size; or a file's bytes, or its path
    print(answer.diagnosis, answer.probabilities[answer.diagnosis], answer.alerts["melanoma"])

Where the model weighs age, sex and site, they go beside the picture, as far as they are known:

    classifier.classify(pixels, patient={"age": "55", "sex": "female", "site": "back"})

All that decides an answer lies in the model's folder: the network, the recipe by which a picture becomes pixels, the
classes, what age, sex and site say of them, the temperature, the thresholds. `params.yaml` is not read. A picture gets
the same answer alone or among others, and the same as from the stage `predict`, to the bit.
"""

import lesions.models.common.determinism  # noqa: F401 - before all that imports Keras

# isort: split
import io
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from itertools import islice, repeat
from pathlib import Path
from typing import Self, TypeAlias

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image

from lesions import patient_input as patient_to_ask
from lesions.core.errors import UserError
from lesions.core.json_files import read_json
from lesions.evaluation.decision import SENSITIVITIES, Decision
from lesions.explain.grad_cam import heat_maps
from lesions.images.parallel_map import parallel_map
from lesions.images.preprocessing import Recipe, to_pixels
from lesions.inference import ood as likeness
from lesions.inference.features import with_features
from lesions.inference.metadata_prior import FIELDS, Known, Patient, weighed
from lesions.inference.metadata_prior import load as load_patient
from lesions.inference.predict import BATCH, asked
from lesions.models.common import saving as model_file

Picture: TypeAlias = bytes | str | Path | Image.Image | NDArray[np.uint8]
"""A picture file's bytes, its path, or pixels."""

DIGITS = 7
"""Of the probabilities in predictions.csv, of which the thresholds are."""


@dataclass(frozen=True)
class Answer:
    """What the model says of one picture.

    Attributes:
        name: of the picture, as whoever asked calls it.
        problem: why there is no answer, or ""; with it, all that follows is empty.
        diagnosis: the most probable class.
        probabilities: of each class, as calibrated on validation.
        uncalibrated: of each class, as the network gives them, with what is known of the patient weighed in.
        patient: what is known of the patient, and was weighed in.
        alone: of each class, as the network gives them for the picture alone.
        scores: for each question that the classes allow (melanoma, malignant), the uncalibrated probability.
        alerts: whether that reaches the threshold; None where none was found on validation.
        unlikeness: how unlike the training pictures it is; see `likeness`.
        unlike: whether that is more than of nearly all validation pictures; None where that is not known. Then the
            rest means nothing.
        pixels: uint8, (height, width, 3), what the network was shown.
    """

    name: str
    problem: str = ""
    diagnosis: str = ""
    probabilities: dict[str, float] = field(default_factory=dict)
    uncalibrated: dict[str, float] = field(default_factory=dict)
    patient: Known = field(default_factory=dict)
    alone: dict[str, float] = field(default_factory=dict)
    scores: dict[str, float] = field(default_factory=dict)
    alerts: dict[str, bool | None] = field(default_factory=dict)
    unlikeness: float | None = None
    unlike: bool | None = None
    pixels: NDArray[np.uint8] = field(default_factory=lambda: np.empty((0, 0, 3), np.uint8), repr=False)


@dataclass(frozen=True)
class Classifier:
    """A model's folder, read.

    Attributes:
        model: from pixels to the probabilities.
        looking: the same, with the features before them.
        recipe: how a picture becomes pixels.
        reference: what is kept of the training pictures.
        patient: what age, sex and site say; nothing where the model was not made to ask.
        decision: temperature and thresholds.
        sensitivity: per cent of the melanomas, and of the malignant lesions, that an alert was to find on validation.
        warnings: what may make the answers others than those that were judged.
    """

    model: keras.Model
    looking: keras.Model
    recipe: Recipe
    reference: likeness.Reference
    patient: Patient
    decision: Decision
    sensitivity: int
    warnings: list[str]

    @classmethod
    def of_folder(cls, folder: str | Path = "models", sensitivity: int = 90) -> Self:
        """Read a model's folder.

        Args:
            folder: as the pipeline leaves it: model.keras, recipe.json, likeness.npz, patient.json, decision.json.
            sensitivity: 80, 90 or 95.

        Raises:
            UserError: something is missing or damaged, or of another run.
        """
        folder = Path(folder)
        if sensitivity not in SENSITIVITIES:
            raise UserError(f"a sensitivity of {sensitivity} % has no threshold; expected one of {SENSITIVITIES}.")
        decision = Decision.of_folder(folder)
        made = read_json(folder / "recipe.json")
        if made["classes"] != decision.classes:
            raise UserError(f"{folder} holds a model of {made['classes']} and a decision on {decision.classes}.")
        model = model_file.load(folder / "model.keras")
        return cls(
            model,
            with_features(model),
            Recipe.from_json(made, folder / "recipe.json"),
            likeness.load(folder / "likeness.npz"),
            load_patient(folder),
            decision,
            sensitivity,
            _warnings(made.get("packages", {}), decision.protocol),
        )

    def classify(self, picture: Picture, name: str = "", patient: Known | None = None) -> Answer:
        """Say what one picture shows.

        Args:
            picture: see `Picture`.
            name: what the answer calls it.
            patient: what is known of `age`, `sex` and `site`; see `patient_to_ask.read`.

        Returns:
            The answer, or one that says why there is none.

        Raises:
            UserError: what is said of the patient is not understood, or the model does not weigh it.
        """
        known = patient_to_ask.read(patient or {}, self.patient)
        (answer,) = self._answer([self._decode((name, partial(_content, picture), known))])
        return answer

    def answers(
        self, pictures: Iterable[tuple[str, Callable[[], bytes]]], total: int, patients: Sequence[Known] = ()
    ) -> Iterator[Answer]:
        """Yield an answer a picture, in their order; other threads read and decode ahead, and memory stays flat.

        Args:
            pictures: of each a name, and what returns the file's bytes or raises `OSError` or `ValueError`.
            total: how many there are.
            patients: what is known of each picture's patient, in the words of images.csv; nothing of any without.
        """
        known: Iterable[Known] = patients or repeat({})
        asked_about = ((name, read, patient) for (name, read), patient in zip(pictures, known, strict=False))
        decoded = parallel_map(self._decode, asked_about, total, desc="classifying", use_cluster=False)
        while batch := list(islice(decoded, BATCH)):
            yield from self._answer(batch)

    def heat(self, answers: list[Answer]) -> NDArray[np.float32]:
        """Return of each answer how much each place of its pixels spoke for the diagnosis; see `grad_cam`.

        Returns:
            float32, (answers, height, width), from 0 to 1.
        """
        classes = np.array([self.decision.classes.index(answer.diagnosis) for answer in answers], np.int64)
        return heat_maps(self.model, np.stack([answer.pixels for answer in answers]), classes)

    def _decode(self, picture: tuple[str, Callable[[], bytes], Known]) -> Answer:
        """Return an answer that holds the pixels and the patient alone, or the problem."""
        name, read, patient = picture
        try:
            return Answer(name, patient=patient, pixels=to_pixels(read(), self.recipe))
        except OSError as error:
            return Answer(name, f"cannot be read: {error.strerror or error}")
        except ValueError as error:
            return Answer(name, str(error))

    def _answer(self, batch: list[Answer]) -> Iterator[Answer]:
        """Complete the answers of one batch."""
        good = [answer for answer in batch if not answer.problem]
        found = iter(self._ask(good) if good else [])
        for answer in batch:
            yield answer if answer.problem else next(found)

    def _ask(self, batch: list[Answer]) -> Iterator[Answer]:
        decision = self.decision
        features, alone = asked(self.looking, np.stack([answer.pixels for answer in batch]), decision.model.dihedral)
        known = pd.DataFrame([{field: answer.patient.get(field, "") for field in FIELDS} for answer in batch])
        raw = weighed(alone, self.patient.log_ratios(known))
        # To the digits of unlikeness.csv, of which the threshold is; the last bits hang on the batch's size.
        unlike = [float(f"{score:.6g}") for score in likeness.score(self.reference, features)]
        # As predictions.csv has them and `evaluate` reads them, or a picture on a threshold's edge is another's.
        uncalibrated = np.array([[float(f"{value:.{DIGITS}g}") for value in row] for row in raw])
        uncalibrated /= uncalibrated.sum(axis=1, keepdims=True)
        probability = decision.calibrated(uncalibrated)
        scores = {question: decision.score(question, uncalibrated) for question in decision.thresholds}
        limit = decision.unlikeness.flagged_above
        for row, answer in enumerate(batch):
            ours = {question: float(score[row]) for question, score in scores.items()}
            yield Answer(
                answer.name,
                "",
                decision.classes[int(raw[row].argmax())],
                dict(zip(decision.classes, probability[row].tolist(), strict=True)),
                dict(zip(decision.classes, raw[row].tolist(), strict=True)),
                answer.patient if self.patient.weighs else {},
                dict(zip(decision.classes, alone[row].tolist(), strict=True)),
                ours,
                {question: self._reached(question, score) for question, score in ours.items()},
                unlike[row],
                None if limit is None else unlike[row] > limit,
                answer.pixels,
            )

    def _reached(self, question: str, score: float) -> bool | None:
        least = self.decision.threshold(question, self.sensitivity)
        return None if least is None else score >= least


def _content(picture: Picture) -> bytes:
    """Return it as a file's bytes: with those a recipe begins."""
    if isinstance(picture, bytes):
        return picture
    if isinstance(picture, str | Path):
        return Path(picture).read_bytes()
    file = io.BytesIO()
    image = picture if isinstance(picture, Image.Image) else Image.fromarray(np.asarray(picture))
    image.save(file, "PNG")
    return file.getvalue()


def _warnings(trained_with: dict[str, str], protocol: str) -> list[str]:
    found = []
    ours = {"keras": keras.__version__, "tensorflow": tf.__version__}
    other = [f"{name} {trained_with[name]}" for name in ours if trained_with.get(name, ours[name]) != ours[name]]
    if other:
        here = ", ".join(f"{name} {version}" for name, version in ours.items())
        found.append(
            f"the model was trained with {' and '.join(other)}, and here is {here}: its answers may differ from those "
            "that were judged."
        )
    if protocol != "honest":
        found.append(f"the model's thresholds and calibration are of a leaky protocol: {protocol}.")
    return found
