"""`pretrained`: a network of Keras Applications, or an EfficientNet-Lite, and its weights at the start."""

from typing import Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

from lesions.core.params import NO_FILE, Section, check_path, did_you_mean
from lesions.params.efficientnet_lite import EFFICIENTNET_LITE, PACKAGES
from lesions.params.keras_applications import IMAGENET, NETWORKS, WITH_WIDTH


class Member(BaseModel):
    """A further member of an ensemble of different networks."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    model: str
    alpha: float = Field(default=1.0, gt=0, le=4)
    weights: Literal["imagenet", "none"] = "imagenet"

    @field_validator("model")
    @classmethod
    def _known(cls, network: str) -> str:
        return _known_network(network, [*NETWORKS, *EFFICIENTNET_LITE])

    @model_validator(mode="after")
    def _can_be_had(self) -> Self:
        _check_width(self.model, self.alpha, self.weights, "name it as pretrained.model, with weights: path")
        return self


class Pretrained(Section):
    """See params.yaml for what each key means."""

    model: str
    alpha: float = Field(gt=0, le=4)
    weights: Literal["imagenet", "path", "none"]
    path: str = Field(min_length=1)
    further_members: list[Member] = Field(default=[], max_length=19)

    @field_validator("model")
    @classmethod
    def _known(cls, network: str) -> str:
        return _known_network(network, [*NETWORKS, *EFFICIENTNET_LITE, "none"])

    @field_validator("path")
    @classmethod
    def _whole_path(cls, path: str) -> str:
        return check_path(path, (".h5", ".keras"))

    @model_validator(mode="after")
    def _can_be_had(self) -> Self:
        if self.model == "none":
            if self.further_members:
                raise ValueError("further_members are the second network of an ensemble and on: set model to the first")
            return self
        _check_width(self.model, self.alpha, self.weights, "set weights to path")
        if self.weights == "path" and self.path == NO_FILE:
            raise ValueError("weights is path, but path names no file: set it to that of a .h5 or .keras file")
        return self


def _known_network(network: str, known: list[str]) -> str:
    """Return the name of a network that there is."""
    if network not in known:
        raise ValueError(f"Keras Applications has no such network; {did_you_mean(network, known)}")
    return network


def _check_width(network: str, alpha: float, weights: str, how: str) -> None:
    """Refuse a width that a network does not have, or of which there are no weights; `how` a file of them is named."""
    if network not in WITH_WIDTH and alpha != 1:
        raise ValueError(f"{network} has one alpha, 1.0; those with more are {', '.join(WITH_WIDTH)}")
    if weights == "imagenet" and network not in PACKAGES and (network, alpha) not in IMAGENET:
        alphas = [width for name, width in IMAGENET if name == network]
        instead = f"set alpha to {' or '.join(map(str, alphas))}, or " if alphas else ""
        raise ValueError(
            f"nobody publishes a hash of the ImageNet weights of {network} at alpha {alpha:g}, and "
            f"without one they are not fetched: {instead}fetch them yourself and {how}"
        )
