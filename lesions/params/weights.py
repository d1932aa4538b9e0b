"""`weights`: the network that was trained before, and what its weights are at the start."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from lesions.core.params import Section, nearest
from lesions.params.keras_applications import IMAGENET, NETWORKS, WITH_WIDTH

NO_FILE = "data/none"
"""Stands for "no file": DVC wants to see something under each name that dvc.yaml gives it."""


class Weights(Section):
    """See params.yaml for what each key means."""

    network: str
    width: float = Field(gt=0, le=4)
    initial: Literal["imagenet", "path", "none"]
    path: str = Field(min_length=1)

    @field_validator("network")
    @classmethod
    def _known(cls, network: str) -> str:
        if network != "none" and network not in NETWORKS:
            raise ValueError(f"Keras Applications has no such network; {nearest(network, [*NETWORKS, 'none'])}")
        return network

    @field_validator("path")
    @classmethod
    def _whole_path(cls, path: str) -> str:
        if path.startswith("~"):
            raise ValueError("write the whole path; ~ is not replaced")
        if path != NO_FILE and not path.endswith((".h5", ".keras")):
            raise ValueError(f"expected a file .h5, .weights.h5 or .keras, or {NO_FILE} for none")
        return path

    @model_validator(mode="after")
    def _can_be_had(self) -> Self:
        if self.network == "none":
            return self
        if self.network not in WITH_WIDTH and self.width != 1:
            raise ValueError(f"{self.network} has one width, 1.0; those with more are {', '.join(WITH_WIDTH)}")
        if self.initial == "imagenet" and (self.network, self.width) not in IMAGENET:
            widths = [width for network, width in IMAGENET if network == self.network]
            instead = f"set width to {' or '.join(map(str, widths))}, or " if widths else ""
            raise ValueError(
                f"nobody publishes a hash of the ImageNet weights of {self.network} at width {self.width:g}, and "
                f"without one they are not fetched: {instead}fetch them yourself and set initial to path"
            )
        if self.initial == "path" and self.path == NO_FILE:
            raise ValueError("initial is path, but path names no file: set it to that of a .h5 or .keras file")
        return self
