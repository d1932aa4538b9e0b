"""What decides a classifier's binary tasks and its diagnosis.

`models/thresholds.json` holds all. `calibrate` writes it; evaluate, the classifier, validate and export read it.
"""

from pathlib import Path
from typing import Annotated, Literal, Self

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field, ValidationError, ValidationInfo, field_validator

from lesions.core.errors import UserError
from lesions.core.json_files import write_json
from lesions.evaluation.common.decision_rule import UNCALIBRATED_ARGMAX, DecisionRule
from lesions.evaluation.common.recalibration import Recalibration
from lesions.evaluation.common.tasks import BinaryTask

THRESHOLDS_FILE = "thresholds.json"
TARGET_SENSITIVITIES = (0.80, 0.90, 0.95)
"""Targets on validation; those of specificity are the same."""
DERMATOLOGISTS = {"sensitivity": 0.866, "specificity": 0.713}
"""Means of 58 dermatologists who classify melanomas and nevi by dermoscopy alone (Haenssle et al., Man against
machine, Annals of Oncology 29, 2018). On their 100 images, not on ours."""
OOD = "ood"
"""The task of finding out-of-distribution images by their score."""


class LeftOutSource(BaseModel):
    """What a threshold does on images of a source that did not choose it.

    Attributes:
        source: of validation images; the threshold is chosen anew on those of all others.
        positive_groups: how many of its groups are positive.
        sensitivity: of that threshold on its images: the value, and exact bounds of the 95 % interval, by group.
    """

    model_config = ConfigDict(frozen=True)

    source: str
    positive_groups: int
    sensitivity: dict[Literal["value", "lower", "upper"], Annotated[float, Field(ge=0, le=1)]]


class Threshold(BaseModel):
    """A score from which a task's answer is yes, and what it was chosen for on validation.

    Attributes:
        task: melanoma, malignant or `OOD`.
        metric: the metric that was to reach the target.
        target: its least value on validation.
        value: the least score that counts as positive (of `OOD`, the highest that does not); None where no score
            reaches the target.
        left_out_sources: of a sensitivity, what it does on each source that did not choose it; those with enough
            positive groups.
    """

    model_config = ConfigDict(frozen=True)

    task: str
    metric: Literal["sensitivity", "specificity"]
    target: Annotated[float, Field(gt=0, lt=1)]
    value: Annotated[float, Field(ge=0, allow_inf_nan=False)] | None
    left_out_sources: list[LeftOutSource] = []

    @property
    def of_dermatologists(self) -> bool:
        """Whether the target is what dermatologists reached."""
        return self.task == "melanoma" and self.target == DERMATOLOGISTS[self.metric]

    @property
    def chosen_for(self) -> str:
        """Say what the threshold was chosen for, for a person to read."""
        if self.of_dermatologists:
            return f"dermatologists' {self.metric} {self.target:.1%}"
        return f"{self.metric} of at least {self.target:.0%}"


def targets(task: str) -> list[tuple[Literal["sensitivity", "specificity"], float]]:
    """Return each metric and target for which a threshold of a task is chosen."""
    both: tuple[Literal["sensitivity", "specificity"], ...] = ("sensitivity", "specificity")
    wanted = [(metric, target) for metric in both for target in TARGET_SENSITIVITIES]
    return [*wanted, ("sensitivity", DERMATOLOGISTS["sensitivity"])] if task == "melanoma" else wanted


class ModelId(BaseModel):
    """Which model: the SHA-256 of its files, and how it is run."""

    sha256: dict[str, str]
    tta: bool
    use_metadata: bool


class PredictionSets(BaseModel):
    """Which diagnoses cannot be excluded.

    Attributes:
        coverage: the fraction of each class's lesions, like those of validation, whose set holds the class.
        least_probability: of each class, the least calibrated probability with which it is in a set.
    """

    model_config = ConfigDict(frozen=True)

    coverage: float = Field(gt=0, lt=1)
    least_probability: dict[str, Annotated[float, Field(ge=0, le=1)]]

    @property
    def never_excluded(self) -> list[str]:
        """Classes of which validation holds too few groups to exclude them anywhere."""
        return [name for name, least in self.least_probability.items() if least == 0]

    def members(self, classes: list[str], calibrated: NDArray[np.floating]) -> NDArray[np.bool_]:
        """Return (N, classes), which classes are in each image's set; the most probable one always is.

        Args:
            classes: labels of the columns.
            calibrated: (N, classes).
        """
        least = np.array([self.least_probability[name] for name in classes])
        members: NDArray[np.bool_] = calibrated >= least
        members[np.arange(len(calibrated)), calibrated.argmax(axis=1)] = True
        return members


class Provenance(BaseModel):
    """What the model was trained on.

    Attributes:
        source: `download.source`, such as ham10000; synthetic: drawings that the project makes itself.
        provenance_sha256: of `data/raw/provenance.json`, which holds the hash of each file of the data.
    """

    source: str
    provenance_sha256: str


class Thresholds(BaseModel):
    """All of thresholds.json.

    Attributes:
        model: for which model the thresholds hold.
        classes: their labels, in the order of the network's outputs.
        leakage: `none`, or the name of the leak between the splits.
        training_data: what the model was trained on.
        tasks: by name; those that the classes allow.
        thresholds: of each task, and of `OOD`; scores are sums of uncalibrated probabilities.
        prediction_sets: from which probability each class is in a set.
        decision_rule: how the diagnosis follows from the probabilities; an earlier version wrote none.
        recalibrated: None where all was fitted on the model's own validation images.
    """

    model_config = ConfigDict(frozen=True)

    model: ModelId
    classes: Annotated[list[str], Field(min_length=2)]
    leakage: str
    training_data: Provenance
    tasks: dict[str, BinaryTask]
    thresholds: list[Threshold]
    prediction_sets: PredictionSets
    decision_rule: DecisionRule = UNCALIBRATED_ARGMAX
    recalibrated: Recalibration | None = None

    @field_validator("classes")
    @classmethod
    def _each_once(cls, classes: list[str]) -> list[str]:
        if len(set(classes)) < len(classes) or "" in classes:
            raise ValueError("expected the name of each class once")
        return classes

    @field_validator("tasks")
    @classmethod
    def _tasks_of_the_classes(cls, tasks: dict[str, BinaryTask], info: ValidationInfo) -> dict[str, BinaryTask]:
        known = set(info.data.get("classes", []))
        for name, task in tasks.items():
            if set(task.positive) & set(task.negative) or not {*task.positive, *task.negative} <= known:
                raise ValueError(f"{name}: expected classes of the model, each positive or negative")
        both = [tasks[name].positive for name in ("melanoma", "malignant") if name in tasks]
        if len(both) == 2 and not set(both[0]) <= set(both[1]):
            raise ValueError("melanoma is not among the malignant classes")
        return tasks

    @field_validator("thresholds")
    @classmethod
    def _of_the_tasks(cls, thresholds: list[Threshold], info: ValidationInfo) -> list[Threshold]:
        for one in thresholds:
            if one.task not in {OOD, *info.data.get("tasks", {})}:
                raise ValueError(f"there is no task {one.task}")
            if one.task != OOD and (one.value or 0) > 1 + 1e-5:  # a sum of float32 may exceed 1 by its rounding
                raise ValueError(f"{one.task}: {one.value} is no probability")
        if not any(one.task == OOD and one.value is not None for one in thresholds):
            raise ValueError(f"expected a threshold of {OOD}")
        return thresholds

    @field_validator("prediction_sets")
    @classmethod
    def _of_the_classes(cls, sets: PredictionSets, info: ValidationInfo) -> PredictionSets:
        if set(sets.least_probability) != set(info.data.get("classes", [])):
            raise ValueError("expected one probability per class")
        return sets

    @field_validator("decision_rule")
    @classmethod
    def _of_these_classes(cls, rule: DecisionRule, info: ValidationInfo) -> DecisionRule:
        if rule.calibration is not None and rule.calibration.classes != info.data.get("classes"):
            raise ValueError("the decision rule is of other classes")
        return rule

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read thresholds.json.

        Raises:
            UserError: it is missing or damaged.
        """
        try:
            return cls.model_validate_json(path.read_bytes())
        except FileNotFoundError:
            raise UserError(
                f"{path} is missing, so there is no model to run. Make one with `dvc repro`, or fetch your team's with "
                "`dvc pull`."
            ) from None
        except NotADirectoryError:
            raise UserError(f"{path.parent} is no folder; expected a model's, such as models.") from None
        except PermissionError:
            raise UserError(f"{path} must not be read by you. Give yourself the right to.") from None
        except ValidationError as error:
            first = error.errors()[0]
            where = ".".join(map(str, first["loc"]))
            raise UserError(
                f"{path} holds no thresholds that this version of the project can read ({where}: {first['msg']}). "
                "Make it anew with `dvc repro`."
            ) from None

    def write(self, path: Path) -> None:
        """Write thresholds.json."""
        write_json(path, self.model_dump(exclude=None if self.recalibrated else {"recalibrated"}))

    @property
    def fitted_on(self) -> str:
        """On which images all was fitted, for a person to read."""
        return "the images that it was recalibrated on" if self.recalibrated else "the model's own validation images"

    def of_task(self, task: str) -> list[Threshold]:
        """Return a task's thresholds, in the order of `targets`."""
        return [threshold for threshold in self.thresholds if threshold.task == task]

    def find(self, task: str, metric: str, target: float) -> Threshold | None:
        """Return one threshold; None where there is none."""
        return next((one for one in self.of_task(task) if (one.metric, one.target) == (metric, target)), None)

    def value(self, task: str, metric: str, target: float) -> float | None:
        """Return the value of one threshold; None where there is none."""
        return found.value if (found := self.find(task, metric, target)) else None

    @property
    def ood_threshold(self) -> float:
        """The out-of-distribution score above which an image is flagged."""
        return next(threshold.value for threshold in self.of_task(OOD) if threshold.value is not None)
