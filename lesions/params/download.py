"""`download`: where the images come from."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field, ValidationInfo, field_validator

from lesions.core.params import Section
from lesions.core.registry import one_of, sources


class Download(Section):
    """See params.yaml for what each key means.

    What only one source reads has a default here, so that a params.yaml without it stays valid.
    """

    source: Annotated[str, one_of(sources, "source")]
    folder: str = Field(min_length=1)
    n_images: int = Field(ge=100, le=100_000)
    seed: int = Field(ge=0, lt=2**32)
    year: Literal[2018, 2019] = 2018
    collection: int | Literal["none"] = "none"
    query: str = Field("none", max_length=1000, validate_default=True)
    resolution: Literal["full", "thumbnail"] = "full"

    @field_validator("folder")
    @classmethod
    def _folder_is_apart(cls, folder: str) -> str:
        if folder.startswith("~"):
            raise ValueError("write the whole path; ~ is not replaced")
        outputs = Path("data/raw").resolve()
        if outputs.is_relative_to(Path(folder).resolve()) or Path(folder).resolve().is_relative_to(outputs):
            raise ValueError("the folder must lie apart from what the pipeline writes to data/; try data/incoming")
        return folder

    @field_validator("collection", mode="before")
    @classmethod
    def _number_or_none(cls, collection: object) -> object:
        if collection == "none" or (type(collection) is int and collection > 0):
            return collection
        raise ValueError("expected the number of a collection, as in its address on the archive's site, or none")

    @field_validator("query")
    @classmethod
    def _one_line_that_asks_something(cls, query: str, info: ValidationInfo) -> str:
        if not query.strip() or not query.isprintable():
            raise ValueError("expected a search on one line, or none")
        if info.data.get("source") == "isic_archive" and info.data.get("collection") == query == "none":
            raise ValueError("the source isic_archive needs a query, a collection or both; set one of the two")
        return query
