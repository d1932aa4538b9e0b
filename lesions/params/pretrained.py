"""`pretrained`: a network of Keras Applications, or an EfficientNet-Lite, and its weights at the start."""

from typing import Literal, Self

from pydantic import Field, field_validator, model_validator

from lesions.core.params import NO_FILE, Section, check_path, did_you_mean
from lesions.params.efficientnet_lite import EFFICIENTNET_LITE, PACKAGES
from lesions.params.keras_applications import IMAGENET, NETWORKS, WITH_WIDTH


class Pretrained(Section):
    """See params.yaml for what each key means."""

    model: str
    alpha: float = Field(gt=0, le=4)
    weights: Literal["imagenet", "path", "none"]
    path: str = Field(min_length=1)

    @field_validator("model")
    @classmethod
    def _known(cls, network: str) -> str:
        known = [*NETWORKS, *EFFICIENTNET_LITE, "none"]
        if network not in known:
            raise ValueError(f"Keras Applications has no such network; {did_you_mean(network, known)}")
        return network

    @field_validator("path")
    @classmethod
    def _whole_path(cls, path: str) -> str:
        return check_path(path, (".h5", ".keras"))

    @model_validator(mode="after")
    def _can_be_had(self) -> Self:
        if self.model == "none":
            return self
        if self.model not in WITH_WIDTH and self.alpha != 1:
            raise ValueError(f"{self.model} has one alpha, 1.0; those with more are {', '.join(WITH_WIDTH)}")
        if self.weights == "imagenet" and self.model not in PACKAGES and (self.model, self.alpha) not in IMAGENET:
            alphas = [width for network, width in IMAGENET if network == self.model]
            instead = f"set alpha to {' or '.join(map(str, alphas))}, or " if alphas else ""
            raise ValueError(
                f"nobody publishes a hash of the ImageNet weights of {self.model} at alpha {self.alpha:g}, and "
                f"without one they are not fetched: {instead}fetch them yourself and set weights to path"
            )
        if self.weights == "path" and self.path == NO_FILE:
            raise ValueError("weights is path, but path names no file: set it to that of a .h5 or .keras file")
        return self
