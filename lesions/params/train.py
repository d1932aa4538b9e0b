"""`train`: the network and how it learns."""

from typing import Annotated

from pydantic import Field

from lesions.params.modules import module_in
from lesions.params.section import Section


class Plateau(Section):
    """Keras's ReduceLROnPlateau."""

    patience: int = Field(ge=1)
    factor: float = Field(gt=0, lt=1)
    min_learning_rate: float = Field(ge=0)


class Train(Section):
    """See params.yaml for what each key means."""

    architecture: Annotated[str, module_in("architectures", "architecture")]
    epochs: int = Field(ge=1, le=10_000)
    batch: int = Field(ge=1, le=4096)
    learning_rate: float = Field(gt=0, le=1)
    plateau: Plateau
    early_stopping: int = Field(ge=1)
    seed: int = Field(ge=0, lt=2**32)
