"""`split`: which images train, which choose the epoch, which test."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from lesions.core.own_table import read_two_columns
from lesions.core.params import NO_FILE, Section, check_path

LEAVING_OUT = ("leave_source_out", "leave_collection_out")
"""Methods that test on one source or collection."""


class Split(Section):
    """See params.yaml for what each key means."""

    method: Literal["grouped", "published", "leave_source_out", "leave_collection_out", "image"] = "grouped"
    val_fraction: float = Field(gt=0, lt=1)
    test_fraction: float = Field(gt=0, lt=1)
    test_source: str = "none"
    group_overlap: Literal["leave_out", "keep"] = "leave_out"
    folds: int | Literal["none"] = "none"
    fold: int = Field(default=0, ge=0)
    same_lesion: Literal["apart", "withheld", "injected"] = "apart"
    keep: str = Field(default=NO_FILE, min_length=1)
    seed: int = Field(ge=0, lt=2**32)

    @field_validator("keep")
    @classmethod
    def _whole_path(cls, path: str) -> str:
        return check_path(path, (".csv",))

    @field_validator("folds", mode="before")
    @classmethod
    def _none_or_a_number(cls, folds: object) -> object:
        if folds == "none" or (isinstance(folds, int) and folds in range(2, 101)):
            return folds
        raise ValueError("expected none, or a whole number from 2 to 100")

    @model_validator(mode="after")
    def _something_trains(self) -> Self:
        if self.folds == "none":
            total = self.val_fraction + self.test_fraction
            if total >= 1:
                raise ValueError(
                    f"val_fraction + test_fraction must be below 1, so that something trains; they are {total:g}"
                )
        elif self.val_fraction + 1 / self.folds >= 1:
            raise ValueError(
                f"val_fraction and one fold of {self.folds} must be below 1 together, so that something trains; "
                f"they are {self.val_fraction + 1 / self.folds:g}"
            )
        return self

    @model_validator(mode="after")
    def _same_lesion_needs_groups(self) -> Self:
        if self.same_lesion != "apart" and self.method != "grouped":
            raise ValueError(
                f"same_lesion is {self.same_lesion}, which is made of a grouped split: set method to grouped, or "
                "same_lesion to apart"
            )
        return self

    @model_validator(mode="after")
    def _groups_are_assigned(self) -> Self:
        if self.keep != NO_FILE and (self.method, self.folds, self.same_lesion) != ("grouped", "none", "apart"):
            raise ValueError(
                f"keep is {self.keep}, and only a plain grouped split goes on from an earlier one: set method to "
                f"grouped, folds to none and same_lesion to apart, or keep to {NO_FILE}"
            )
        return self

    @model_validator(mode="after")
    def _source_to_leave_out(self) -> Self:
        if (self.method in LEAVING_OUT) != (self.test_source != "none"):
            raise ValueError(
                f"method is {self.method} and test_source is {self.test_source}: with leave_source_out name the source "
                "to test on, with leave_collection_out the collection, as data/clean/images.csv has it in its column; "
                "with another method set it to none"
            )
        return self

    @model_validator(mode="after")
    def _folds_fit(self) -> Self:
        if self.folds == "none":
            if self.fold:
                raise ValueError(f"fold is {self.fold}, but folds is none: set split.folds, say to {self.fold + 1}")
            return self
        if self.method in ("published", *LEAVING_OUT):
            raise ValueError(
                f"method {self.method} has one test set, and so no folds: set folds to none, or method to grouped"
            )
        if self.fold >= self.folds:
            raise ValueError(f"fold must be from 0 to {self.folds - 1}, since folds is {self.folds}; it is {self.fold}")
        return self


def read_earlier_split(path: str) -> list[tuple[str, str]]:
    """Return the rows of an earlier split.csv, each an image_id and its split; see `read_two_columns`."""
    return read_two_columns(path, "split.keep", ("image_id", "split"))
