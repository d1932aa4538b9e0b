"""A model's folder, read and checked as a whole: what classify, page, validate, export and programs start from."""

import lesions.models.common.determinism  # noqa: F401 - before all that imports Keras

# isort: split
from dataclasses import dataclass
from pathlib import Path
from typing import Self

import keras

from lesions.core.errors import UserError
from lesions.core.json_files import read_json
from lesions.evaluation.common.temperature_scaling import Calibration
from lesions.evaluation.common.thresholds import Thresholds
from lesions.images.preprocessing import Preprocessing
from lesions.inference.features import feature_model
from lesions.models.calibration import ood, thresholds
from lesions.models.calibration.metadata_prior import MetadataPrior
from lesions.models.common import saving


@dataclass(frozen=True)
class ModelFolder:
    """What the files of a model's folder hold, which belong together.

    Attributes:
        model: from pixels, (N, height, width, 3), to probabilities, (N, classes).
        feature_model: the same, with the features before them.
        preprocessing: how an image file becomes pixels.
        packages: the versions of what trained the network, by name.
        reference: of the out-of-distribution score.
        prior: the metadata prior.
        calibration: the temperature and the biases.
        thresholds: of the tasks and of the out-of-distribution score.
    """

    model: keras.Model
    feature_model: keras.Model
    preprocessing: Preprocessing
    packages: dict[str, str]
    reference: ood.OodReference
    prior: MetadataPrior
    calibration: Calibration
    thresholds: Thresholds

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read a model's folder.

        Raises:
            UserError: a file is missing or damaged, is of another run than the others, or holds a number that is none.
        """
        chosen = thresholds.load(folder)
        made = read_json(folder / "preprocessing.json")
        preprocessing = Preprocessing.from_json(made, folder / "preprocessing.json")
        prior, calibration = MetadataPrior.load(folder), Calibration.load(folder)
        for file, classes in (
            ("preprocessing.json", made.get("classes")),
            (MetadataPrior.FILE, prior.classes),
            (Calibration.FILE, calibration.classes),
        ):
            _require(folder / file, "the classes", classes, chosen.classes)
        model = saving.load(folder / "model.keras")
        _require(folder / "model.keras", "inputs of", _shapes(model.inputs), [(None, *preprocessing.image_size, 3)])
        _require(folder / "model.keras", "outputs of", _shapes(model.outputs), [(None, len(chosen.classes))])
        with_features = feature_model(model)
        reference = ood.load(folder / ood.FILE)
        n_features = with_features.outputs[0].shape[-1]
        _require(folder / ood.FILE, "the number of features", reference.means.shape[1], n_features)
        packages = made.get("packages", {})
        return cls(model, with_features, preprocessing, packages, reference, prior, calibration, chosen)


def _shapes(tensors: list[keras.KerasTensor]) -> list[tuple[int | None, ...]]:
    return [tuple(tensor.shape) for tensor in tensors]


def _require(file: Path, what: str, found: object, expected: object) -> None:
    """Refuse a file that holds something else than the others."""
    if found != expected:
        raise UserError(
            f"{file} has {what} {found}; expected {expected}, as the files beside it. `dvc repro` "
            "makes files that belong together; `git checkout dvc.lock`, then `dvc checkout`, bring the last commit's."
        )
