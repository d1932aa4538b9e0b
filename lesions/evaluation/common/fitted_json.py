"""A fitted part of a model, as one JSON file of its folder: the one reader and writer of these."""

from pathlib import Path
from typing import ClassVar, Self

from pydantic import BaseModel, ConfigDict, ValidationError

from lesions.core.errors import UserError
from lesions.core.json_files import write_json


class FittedJson(BaseModel):
    """All of a JSON file that `calibrate` writes.

    Attributes:
        FILE: the file's name.
        CONTENT: what it holds, for messages.
    """

    model_config = ConfigDict(frozen=True)

    FILE: ClassVar[str]
    CONTENT: ClassVar[str]

    def save(self, folder: Path) -> None:
        """Write the file into a model's folder."""
        write_json(folder / self.FILE, self.model_dump())

    @classmethod
    def load(cls, folder: Path) -> Self:
        """Read the file of a model's folder.

        Raises:
            UserError: it is damaged.
        """
        path = folder / cls.FILE
        try:
            return cls.model_validate_json(path.read_bytes())
        except ValidationError as error:
            raise UserError(
                f"{path} holds no {cls.CONTENT} ({error.errors()[0]['msg']}). `dvc checkout` or `dvc repro` brings "
                "back the one that belongs to the model."
            ) from None
