"""`explain`: how many images are shown, and what chance decides."""

from pydantic import Field

from lesions.core.params import Section


class Explain(Section):
    """See params.yaml for what each key means."""

    examples_per_class: int = Field(ge=1, le=20)
    seed: int = Field(ge=0, lt=2**32)
