"""`predict`: how the network is run."""

from pydantic import Field

from lesions.core.params import Section


class Predict(Section):
    """See params.yaml for what each key means."""

    tta: bool = False
    seed: int = Field(ge=0, lt=2**32)
