"""`predict`: how the model is asked."""

from pydantic import Field

from lesions.core.params import Section


class Predict(Section):
    """See params.yaml for what each key means."""

    dihedral: bool
    patient: bool
    seed: int = Field(ge=0, lt=2**32)
