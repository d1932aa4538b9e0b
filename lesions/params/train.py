"""`train`: the network and how it learns."""

from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from lesions.core.params import Section
from lesions.core.registry import architectures, one_of

MonitoredMetric = Literal["val_loss", "val_accuracy", "val_balanced_accuracy", "val_macro_auc"]
"""Metrics of the whole validation set after each epoch; `lesions.models.training.validation_metrics` computes it."""


class ReduceLrOnPlateau(Section):
    """Keras's ReduceLROnPlateau."""

    monitor: MonitoredMetric | Literal["loss"] = "val_loss"
    patience: int = Field(ge=1)
    factor: float = Field(gt=0, lt=1)
    min_learning_rate: float = Field(ge=0, le=1)
    min_delta: float = Field(default=1e-4, ge=0, allow_inf_nan=False)
    cooldown: int = Field(default=0, ge=0)


class Augment(BaseModel):
    """`train.augment`: random changes of the training images in each epoch; see params.yaml. By default, none."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    flip: Literal["none", "horizontal", "all"] = "none"
    transpose: bool = False
    rotate: float = Field(default=0, ge=0, le=180)
    shift: float = Field(default=0, ge=0, le=0.5)
    zoom: float = Field(default=0, ge=0, le=0.5)
    brightness: float = Field(default=0, ge=0, lt=1)
    contrast: float = Field(default=0, ge=0, lt=1)
    colour: float = Field(default=0, ge=0, lt=1)


class Train(Section):
    """See params.yaml for what each key means."""

    architecture: Annotated[str, one_of(architectures, "architecture")]
    ensemble_size: int = Field(default=1, ge=1, le=20)
    epochs: int = Field(ge=1, le=10_000)
    batch_size: int = Field(ge=1, le=4096)
    optimizer: Literal["adam", "adamw", "sgd"] = "adam"
    learning_rate: float = Field(gt=0, le=1)
    weight_decay: float = Field(default=0.0, ge=0, lt=1)
    schedule: Literal["plateau", "cosine", "constant"] = "plateau"
    warmup_epochs: int = Field(default=0, ge=0)
    reduce_lr_on_plateau: ReduceLrOnPlateau
    monitor: MonitoredMetric = "val_loss"
    restore_best_weights: bool = True
    early_stopping_patience: Annotated[int, Field(ge=1)] | Literal["none"]
    loss: Literal["crossentropy", "focal"] = "crossentropy"
    focal_gamma: float = Field(default=2.0, ge=0, le=10)
    class_weight_power: float = Field(default=0.0, ge=0, le=1)
    logit_adjustment_tau: float = Field(default=0.0, ge=0, le=1)
    balance: Literal["none", "class", "collection", "both"] = "none"
    freeze_backbone_epochs: int = Field(default=0, ge=0)
    backbone_lr_multiplier: float = Field(default=1.0, gt=0, le=1)
    augment: Augment = Augment()
    seed: int = Field(ge=0, lt=2**32)

    @model_validator(mode="after")
    def _fits_together(self) -> Self:
        if self.weight_decay and self.optimizer == "adam":
            raise ValueError("weight_decay is for adamw and sgd: set optimizer to one of them, or weight_decay to 0.0")
        if self.warmup_epochs and self.schedule != "cosine":
            raise ValueError(f"warmup_epochs belongs to schedule: cosine, and schedule is {self.schedule}")
        if self.schedule == "plateau" and self.reduce_lr_on_plateau.min_learning_rate > self.learning_rate:
            raise ValueError(
                f"reduce_lr_on_plateau.min_learning_rate is above learning_rate, {self.learning_rate:g}, which could "
                "never fall: set it to 0.0, or schedule to constant"
            )
        if self.balance in ("class", "both") and (self.class_weight_power or self.logit_adjustment_tau):
            raise ValueError(
                f"balance is {self.balance}, which draws all classes alike often: set class_weight_power and "
                "logit_adjustment_tau to 0.0, or balance to none"
            )
        if max(self.warmup_epochs, self.freeze_backbone_epochs) >= self.epochs:
            raise ValueError(f"warmup_epochs and freeze_backbone_epochs must be fewer than the {self.epochs} epochs")
        return self
