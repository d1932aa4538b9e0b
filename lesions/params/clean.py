"""`clean`: which images can be used, what their classes are, and how gaps in the table are read."""

from typing import Literal

from pydantic import Field, field_validator

from lesions.core.own_table import read_two_columns
from lesions.core.params import Section, check_path
from lesions.core.sanitize import unsafe_label
from lesions.taxonomy import DIAGNOSES, Malignancy, about, code_of

GROUP_COLUMNS = ("image_id", "group")
"""Columns of the table that `clean.known_groups` names."""
CODES = {diagnosis.code for diagnosis in DIAGNOSES}


class OwnClass(Section):
    """A class made of one or more diagnoses.

    Attributes:
        diagnoses: the diagnoses, by any of their names.
        malignancy: what it counts as; may be left out where the taxonomy knows the class itself.
    """

    diagnoses: list[str] = Field(min_length=1)
    malignancy: Malignancy | None = None


class Clean(Section):
    """See params.yaml for what each key means."""

    max_rejected: float = Field(ge=0, le=1)
    label_conflicts: Literal["drop", "keep_first", "keep", "error"]
    known_groups: str = Field(min_length=1)
    classes: dict[str, OwnClass]
    unmapped_diagnoses: Literal["stop", "keep", "set_aside"]
    age_zero: Literal["placeholder", "real"]
    impute_age: Literal["keep", "mean", "median"]

    @field_validator("known_groups")
    @classmethod
    def _whole_path(cls, path: str) -> str:
        return check_path(path, (".csv",))

    @field_validator("classes")
    @classmethod
    def _each_diagnosis_has_one_class(cls, classes: dict[str, OwnClass]) -> dict[str, OwnClass]:
        labels: dict[str, str] = {}
        taken: dict[str, str] = {}
        for name, made in classes.items():
            label = code_of(name)
            for written in (name, *made.diagnoses):
                if reason := unsafe_label(written):
                    raise ValueError(f"{written!r} is no name of a class or diagnosis: it {reason}")
            if label in labels:
                raise ValueError(f'"{labels[label]}" and "{name}" are the same class; write it once')
            if made.malignancy is None and label not in CODES:
                raise ValueError(f'say what the class "{name}" counts as, malignancy: benign, malignant or unstated')
            labels[label] = name
            for diagnosis in map(code_of, made.diagnoses):
                if diagnosis in taken:
                    places = f'"{name}"' if taken[diagnosis] == name else f'"{taken[diagnosis]}" and "{name}"'
                    raise ValueError(f'the diagnosis "{diagnosis}" stands twice, in {places}; it can have one class')
                taken[diagnosis] = name
        return classes

    def class_of(self) -> dict[str, str]:
        """Return the class of each diagnosis that `classes` names, both as codes."""
        return {
            code_of(diagnosis): code_of(name) for name, made in self.classes.items() for diagnosis in made.diagnoses
        }

    def malignancy_of(self, label: str) -> Malignancy:
        """Return what a class counts as: as `classes` says, else as the taxonomy does."""
        said = {code_of(name): made.malignancy for name, made in self.classes.items()}
        return said.get(label) or about(label).malignancy


def read_known_groups(path: str) -> list[tuple[str, str]]:
    """Return the rows of a table of known groups, each an image_id and its group; see `read_two_columns`."""
    return read_two_columns(path, "clean.known_groups", GROUP_COLUMNS)
