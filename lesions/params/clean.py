"""`clean`: which pictures can be used."""

from pydantic import Field

from lesions.params.section import Section


class Clean(Section):
    """See params.yaml for what each key means."""

    max_rejected: float = Field(ge=0, le=1)
