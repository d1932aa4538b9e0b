"""`download`: where the pictures come from."""

from pathlib import Path
from typing import Annotated

from pydantic import Field, field_validator

from lesions.params.modules import module_in
from lesions.params.section import Section


class Download(Section):
    """See params.yaml for what each key means."""

    source: Annotated[str, module_in("sources", "source")]
    folder: str = Field(min_length=1)
    pictures: int = Field(ge=100, le=100_000)
    seed: int = Field(ge=0, lt=2**32)

    @field_validator("folder")
    @classmethod
    def _folder_is_apart(cls, folder: str) -> str:
        if folder.startswith("~"):
            raise ValueError("write the whole path; ~ is not replaced")
        outputs = Path("data/raw").resolve()
        if outputs.is_relative_to(Path(folder).resolve()) or Path(folder).resolve().is_relative_to(outputs):
            raise ValueError("the folder must lie apart from what the pipeline writes to data/; try data/incoming")
        return folder
