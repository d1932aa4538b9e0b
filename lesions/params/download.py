"""`download`: where the pictures come from."""

from pydantic import Field, field_validator

from lesions.params.modules import module_names
from lesions.params.section import Section, nearest


class Download(Section):
    """See params.yaml for what each key means."""

    source: str
    folder: str
    pictures: int = Field(ge=100, le=100_000)
    seed: int = Field(ge=0, lt=2**32)

    @field_validator("source")
    @classmethod
    def _source_exists(cls, source: str) -> str:
        known = module_names("sources")
        if source not in known:
            raise ValueError(f"no such source; {nearest(source, known)}")
        return source
