"""What was decided about a model: its classes, temperature and thresholds, and for which files they hold."""

from pathlib import Path
from typing import Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, ValidationError

from lesions.core.errors import UserError
from lesions.core.model_hashes import hashes
from lesions.evaluation.calibration import tempered

FILE = "decision.json"
SENSITIVITIES = (80, 90, 95)
"""Per cent on validation, at which evaluate chooses thresholds."""


class Model(BaseModel):
    """Which model: the hashes of its files, whether it is asked in all orientations, and about the patient as well."""

    sha256: dict[str, str]
    dihedral: bool
    patient: bool


class Thresholds(BaseModel):
    """Of one question: the classes looked for, and by what it was chosen for the score from which one is found.

    And the classes that they are told from; None in files of before these were kept.
    """

    positive: list[str]
    negative: list[str] | None = None
    at_least: dict[str, float | None]


class Unlikeness(BaseModel):
    """The score above which a picture is unlike those that the model learned from."""

    flagged_above: float | None


class Decision(BaseModel):
    """All of decision.json, which `evaluate` writes."""

    model_config = ConfigDict(frozen=True)

    model: Model
    classes: list[str]
    protocol: str
    temperature: float | None
    thresholds: dict[str, Thresholds]
    unlikeness: Unlikeness

    @classmethod
    def of_folder(cls, folder: Path) -> Self:
        """Read a model folder's decision, and hold it against the files beside it.

        Raises:
            UserError: something is missing, is no decision, or belongs to another model.
        """
        path = folder / FILE
        try:
            decision = cls.model_validate_json(path.read_bytes())
            found = hashes(folder)
        except FileNotFoundError as error:
            raise UserError(
                f"{error.filename} is missing, so there is no model to ask. Make one with `dvc repro`, or fetch your "
                "team's with `dvc pull`."
            ) from None
        except NotADirectoryError:
            raise UserError(f"{folder} is no folder; expected a model's, such as models.") from None
        except PermissionError as error:
            raise UserError(f"{error.filename} must not be read by you. Give yourself the right to.") from None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise UserError(
                f"{path} is no decision that this version of the project can follow ({where}: {first['msg']}). Make "
                "it anew with `dvc repro`."
            ) from None
        other = [name for name, sha256 in found.items() if decision.model.sha256.get(name) != sha256]
        if other:
            raise UserError(
                f"{path} was made for another {' and another '.join(other)} than the one beside it: its thresholds "
                "mean nothing here. They are of two runs, or a file was changed. `dvc repro` or `dvc checkout` "
                "brings files back that belong together."
            )
        return decision

    def calibrated(self, probability: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return probabilities, (N, classes), as calibrated on validation; unchanged where there was none."""
        return probability if self.temperature is None else tempered(probability, self.temperature)

    def threshold(self, question: str, sensitivity: int) -> float | None:
        """Return from which score a question is answered with yes; None where none was found, or it is not asked."""
        asked = self.thresholds.get(question)
        return asked.at_least.get(f"sensitivity of at least {sensitivity}% on val") if asked else None

    def score(self, question: str, probability: NDArray[np.float64]) -> NDArray[np.float64]:
        """Return (N,), what a question's threshold is of: the probability of all classes looked for."""
        columns = [self.classes.index(name) for name in self.thresholds[question].positive]
        total: NDArray[np.float64] = probability[:, columns].sum(axis=1)
        return total
