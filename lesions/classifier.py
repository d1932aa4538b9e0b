"""A trained model for other programs: three lines from an image to a prediction.

    from lesions import Classifier

    classifier = Classifier.of_folder("models")
    found = classifier.classify(pixels)  # uint8, (height, width, 3), RGB, of any size; or a file's bytes, or its path
    print(found.diagnosis, found.probabilities[found.diagnosis], found.alerts["melanoma"])

Where the model uses age, sex and site, they go beside the image, as far as they are known:

    classifier.classify(pixels, metadata={"age": "55", "sex": "female", "site": "back"})

All that decides a prediction lies in the model's folder: the network, the preprocessing, the classes, the metadata
prior, the calibration, the decision rule, the thresholds. `params.yaml` is not read. An image gets the same prediction
alone or among others, and the same as from the stages `predict` and `calibrate`, to the bit.
"""

import lesions.models.common.determinism  # noqa: F401 - before all that imports Keras

# isort: split
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from itertools import islice, repeat
from pathlib import Path
from typing import NamedTuple, Self

import keras
import numpy as np
import pandas as pd
import tensorflow as tf
from numpy.typing import NDArray

from lesions.core.errors import UserError
from lesions.evaluation.common.temperature_scaling import Calibration
from lesions.evaluation.common.thresholds import TARGET_SENSITIVITIES, Thresholds
from lesions.explain.grad_cam import heat_maps
from lesions.images.image_input import ImageInput, as_file
from lesions.images.parallel_map import parallel_map
from lesions.images.preprocessing import Preprocessing, to_pixels
from lesions.inference.predict import BATCH_SIZE, predict_batch
from lesions.model_folder import ModelFolder
from lesions.models.calibration import ood, patient_input
from lesions.models.calibration.metadata_prior import FIELDS, MetadataPrior, PatientMetadata, apply_prior
from lesions.models.calibration.patient_input import PatientWords


@dataclass(frozen=True)
class Prediction:
    """What the model predicts of one image.

    Attributes:
        name: of the image.
        problem: why there is no prediction, or ""; with it, all that follows is empty.
        diagnosis: by the decision rule: not always the class with the largest of `probabilities`.
        probabilities: of each class, calibrated on validation.
        uncalibrated: of each class, from the network and the patient's metadata; thresholds are of these.
        prediction_set: the classes that cannot be excluded (`lesions.models.calibration.prediction_sets`), the most
            probable first.
        metadata: what is known of the patient and was used.
        image_only: of each class, from the network alone.
        alerts: of each task that the classes allow (melanoma, malignant), whether its uncalibrated probability reaches
            the threshold; None where none was found on validation.
        ood_score: the out-of-distribution score; see `lesions.models.calibration.ood`.
        is_ood: whether that is higher than of nearly all validation images. Then the rest means nothing.
        pixels: uint8, (height, width, 3), the preprocessed image.
    """

    name: str
    problem: str = ""
    diagnosis: str = ""
    probabilities: dict[str, float] = field(default_factory=dict)
    uncalibrated: dict[str, float] = field(default_factory=dict)
    prediction_set: list[str] = field(default_factory=list)
    metadata: PatientMetadata = field(default_factory=dict)
    image_only: dict[str, float] = field(default_factory=dict)
    alerts: dict[str, bool | None] = field(default_factory=dict)
    ood_score: float | None = None
    is_ood: bool | None = None
    pixels: NDArray[np.uint8] = field(default_factory=lambda: np.empty((0, 0, 3), np.uint8), repr=False)


class Outputs(NamedTuple):
    """What the model says of N images.

    Attributes:
        uncalibrated: float32, (N, classes), of the network and the metadata.
        image_only: the same, of the network alone.
        calibrated: the same, calibrated.
        ood_score: (N,).
    """

    uncalibrated: NDArray[np.float32]
    image_only: NDArray[np.float32]
    calibrated: NDArray[np.float32]
    ood_score: NDArray[np.float32]


@dataclass(frozen=True)
class Classifier:
    """A model's folder, read.

    Attributes:
        model: from pixels to the probabilities.
        feature_model: the same, with the features before them.
        preprocessing: how an image file becomes pixels.
        reference: of the out-of-distribution score.
        prior: the metadata prior.
        calibration: the temperature and the biases.
        thresholds: of the tasks and of the out-of-distribution score.
        sensitivity: of the melanomas, and of the malignant lesions, that an alert was to reach on validation.
        warnings: what makes the predictions worthless, or may make them differ from those that were evaluated.
    """

    model: keras.Model
    feature_model: keras.Model
    preprocessing: Preprocessing
    reference: ood.OodReference
    prior: MetadataPrior
    calibration: Calibration
    thresholds: Thresholds
    sensitivity: float
    warnings: list[str]

    @classmethod
    def of_folder(cls, folder: str | Path = "models", sensitivity: int = 90) -> Self:
        """Read a model's folder.

        Args:
            folder: as the pipeline leaves it, with model.keras, thresholds.json and the files that these name.
            sensitivity: in per cent: 80, 90 or 95.

        Raises:
            UserError: something is missing or damaged, or of another run.
        """
        folder = Path(folder)
        if sensitivity / 100 not in TARGET_SENSITIVITIES:
            expected = ", ".join(f"{100 * one:.0f}" for one in TARGET_SENSITIVITIES)
            raise UserError(f"a sensitivity of {sensitivity} % has no threshold; expected one of {expected}.")
        read = ModelFolder.read(folder)
        return cls(
            read.model,
            read.feature_model,
            read.preprocessing,
            read.reference,
            read.prior,
            read.calibration,
            read.thresholds,
            sensitivity / 100,
            _warnings(read.packages, read.thresholds),
        )

    def classify(self, image: ImageInput, name: str = "", metadata: PatientWords | None = None) -> Prediction:
        """Classify one image.

        Args:
            image: see `ImageInput`.
            name: of the image, in the prediction.
            metadata: what is known of `age`, `sex` and `site`; see `patient_input.read`.

        Returns:
            The prediction, or one that says why there is none.

        Raises:
            UserError: the metadata is not understood, or the model does not use it.
        """
        known = patient_input.read(metadata or {}, self.prior)
        (prediction,) = self.predict([self.decode((name, partial(as_file, image), known))])
        return prediction

    def classify_all(
        self,
        images: Iterable[tuple[str, Callable[[], bytes]]],
        n_images: int,
        metadata: Sequence[PatientMetadata] = (),
    ) -> Iterator[Prediction]:
        """Yield a prediction for each image, in their order; threads decode ahead, and memory stays flat.

        Args:
            images: of each a name, and what returns the file's bytes or raises `OSError` or `ValueError`.
            n_images: how many there are.
            metadata: what is known of each image's patient, in the words of images.csv; empty where nothing is.

        Raises:
            UserError: the metadata are not of as many images.
        """
        if metadata and len(metadata) != n_images:
            raise UserError(
                f"metadata of {len(metadata):,} images, and {n_images:,} images; expected one for each. Give {{}} for "
                "an image of whose patient nothing is known."
            )
        known: Iterable[PatientMetadata] = metadata or repeat({})
        inputs = ((name, read, patient) for (name, read), patient in zip(images, known, strict=False))
        decoded = parallel_map(self.decode, inputs, n_images, desc="classifying", use_cluster=False)
        while batch := list(islice(decoded, BATCH_SIZE)):
            yield from self.predict(batch)

    def heat_maps(self, predictions: list[Prediction]) -> NDArray[np.float32]:
        """Return the Grad-CAM heat map of each prediction, for its diagnosis.

        Args:
            predictions: N of them, each with pixels.

        Returns:
            float32, (N, height, width), from 0 to 1.
        """
        classes = np.array([self.thresholds.classes.index(one.diagnosis) for one in predictions], np.int64)
        return heat_maps(self.model, np.stack([one.pixels for one in predictions]), classes)

    def decode(self, image: tuple[str, Callable[[], bytes], PatientMetadata]) -> Prediction:
        """Return a prediction that holds the pixels and the metadata alone, or the problem.

        Args:
            image: its name, what returns the bytes or raises (`classify_all`), and what is known of the patient.
        """
        name, read, metadata = image
        try:
            return Prediction(name, metadata=metadata, pixels=to_pixels(read(), self.preprocessing))
        except OSError as error:
            return Prediction(name, f"cannot be read: {error.strerror or error}")
        except (ValueError, UserError) as error:  # the latter where the memory is too small for this image
            return Prediction(name, str(error))

    def predict(self, batch: list[Prediction]) -> Iterator[Prediction]:
        """Complete at most `BATCH_SIZE` predictions of `decode`."""
        good = [one for one in batch if not one.problem]
        found = iter(self._run(good) if good else [])
        for one in batch:
            yield one if one.problem else next(found)

    def outputs(self, pixels: NDArray[np.uint8], patients: pd.DataFrame) -> Outputs:
        """Run the network, and calibrate, as the stages `predict` and `calibrate` do.

        Args:
            pixels: (N, height, width, 3), N being at most `BATCH_SIZE`.
            patients: N rows, with `FIELDS`.
        """
        features, image_only = predict_batch(self.feature_model, pixels, self.thresholds.model.tta)
        uncalibrated = apply_prior(image_only, self.prior.log_ratios(patients))
        calibrated = self.calibration.apply(uncalibrated)
        return Outputs(uncalibrated, image_only, calibrated, ood.score(self.reference, features))

    def alerts(self, uncalibrated: NDArray[np.float32]) -> dict[str, list[bool | None]]:
        """Return for each task whether each of (N, classes) uncalibrated probabilities reaches the threshold."""
        thresholds, found = self.thresholds, {}
        for name, task in thresholds.tasks.items():
            threshold = thresholds.value(name, "sensitivity", self.sensitivity)
            score = task.score(thresholds.classes, uncalibrated)
            found[name] = [None] * len(score) if threshold is None else (score >= threshold).tolist()
        return found

    def _run(self, batch: list[Prediction]) -> Iterator[Prediction]:
        known = pd.DataFrame([{field: one.metadata.get(field, "") for field in FIELDS} for one in batch])
        found = self.outputs(np.stack([one.pixels for one in batch]), known)
        classes, ood_threshold = self.thresholds.classes, self.thresholds.ood_threshold
        alerts, diagnoses = self.alerts(found.uncalibrated), self.thresholds.decision_rule.answers(found.uncalibrated)
        members = self.thresholds.prediction_sets.members(classes, found.calibrated)
        for row, one in enumerate(batch):
            uncalibrated, image_only, calibrated, ood_score = (of[row].tolist() for of in found)
            if not np.isfinite([*uncalibrated, *image_only, *calibrated, ood_score]).all():
                yield replace(one, problem="the network's numbers for it are not finite")
                continue
            yield replace(
                one,
                diagnosis=classes[diagnoses[row]],
                probabilities=dict(zip(classes, calibrated, strict=True)),
                uncalibrated=dict(zip(classes, uncalibrated, strict=True)),
                prediction_set=[classes[label] for label in np.argsort(calibrated)[::-1] if members[row, label]],
                metadata=one.metadata if self.prior.is_active else {},
                image_only=dict(zip(classes, image_only, strict=True)),
                alerts={name: reached[row] for name, reached in alerts.items()},
                ood_score=ood_score,
                is_ood=ood_score > ood_threshold,
            )


def _warnings(trained_with: dict[str, str], chosen: Thresholds) -> list[str]:
    """Return sentences on what makes the predictions worthless, or may make them differ from those evaluated."""
    found = [chosen.recalibrated.warning] if chosen.recalibrated else []
    if chosen.training_data.source == "synthetic":
        found.append(
            "the model was trained on drawings that the project makes itself, and on no photograph: its predictions "
            "mean nothing for a real lesion."
        )
    if chosen.leakage != "none":
        found.append(f"the model's thresholds and calibration are of a leaky split: {chosen.leakage}.")
    ours = {"keras": keras.__version__, "tensorflow": tf.__version__}
    other = [f"{name} {trained_with[name]}" for name in ours if trained_with.get(name, ours[name]) != ours[name]]
    if other:
        here = ", ".join(f"{name} {version}" for name, version in ours.items())
        found.append(
            f"the model was trained with {' and '.join(other)}, and here is {here}: its predictions may differ from "
            "those that were evaluated."
        )
    return found
