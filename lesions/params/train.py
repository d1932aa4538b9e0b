"""`train`: the network and how it learns."""

from pydantic import Field, field_validator

from lesions.params.modules import module_names
from lesions.params.section import Section, nearest


class Plateau(Section):
    """Keras's ReduceLROnPlateau."""

    patience: int = Field(ge=1)
    factor: float = Field(gt=0, lt=1)
    min_learning_rate: float = Field(ge=0)


class Train(Section):
    """See params.yaml for what each key means."""

    architecture: str
    epochs: int = Field(ge=1, le=10_000)
    batch: int = Field(ge=1, le=4096)
    learning_rate: float = Field(gt=0, le=1)
    plateau: Plateau
    early_stopping: int = Field(ge=1)
    seed: int = Field(ge=0, lt=2**32)

    @field_validator("architecture")
    @classmethod
    def _architecture_exists(cls, architecture: str) -> str:
        known = module_names("architectures")
        if architecture not in known:
            raise ValueError(f"no such architecture; {nearest(architecture, known)}")
        return architecture
