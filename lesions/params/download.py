"""`download`: where the images come from."""

import os
import re
import stat
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, Self

from pydantic import Field, ValidationError, ValidationInfo, field_validator, model_validator

from lesions.core.errors import UserError
from lesions.core.merged_ids import NAME
from lesions.core.params import NO_FILE, Section
from lesions.core.registry import one_of, sources

IN_DVC_CACHE = re.compile(r"/files/md5/[0-9a-f]{2}/[0-9a-f]{30}$")
"""Where links lead in a folder that DVC tracks, with `cache.type symlink`: its name is a hash of the content."""


Year = Literal[2016, 2017, 2018, 2019, "2019_with_test", 2020, "2024_permissive", 2024]
"""The ISIC challenges that can be fetched; of 2019 and 2024, two sets each."""


class Download(Section):
    """See params.yaml for what each key means.

    What only one source reads has a default here, so that a params.yaml without it stays valid.
    """

    source: Annotated[str, one_of(sources, "source")]
    merge: list[dict[str, Any]] = Field(default_factory=list)
    folder: str = Field(min_length=1)
    n_images: int = Field(ge=100, le=100_000)
    seed: int = Field(ge=0, lt=2**32)
    year: Year = 2018
    collection: int | Literal["none"] = "none"
    query: str = Field("none", max_length=1000, validate_default=True)
    resolution: Literal["full", "thumbnail"] = "full"

    @field_validator("source", mode="before")
    @classmethod
    def _one_source(cls, source: object) -> object:
        if isinstance(source, list):
            raise ValueError("several collections stand under merge: write `source: merged`, and the list as `merge`")
        return source

    @field_validator("folder")
    @classmethod
    def _whole_path(cls, folder: str) -> str:
        if folder.startswith("~"):
            raise ValueError("write the whole path; ~ is not replaced")
        if "\0" in folder:
            raise ValueError("no folder has the character NUL in its name")
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

    @model_validator(mode="after")
    def _mergeable(self) -> Self:
        if self.source == "merged":
            self._check_apart(self.merged_collections())
        return self

    def merged_collections(self) -> dict[str, "Download"]:
        """Return the collections of `merge` by name, in the order of their names.

        Each is a section `download` of its own: what an entry does not say, such as the seed, is as it is here.

        Raises:
            ValueError: there is none, or an entry is none, or has another's name.
        """
        if not self.merge:
            raise ValueError("merge is empty; list the collections, such as `- {source: ham10000}`")
        found: dict[str, Download] = {}
        for number, entry in enumerate(self.merge, 1):
            name, collection = self._collection(number, entry)
            if name in found:
                raise ValueError(f"merge has two collections called {name}; give entry {number} another `name`")
            found[name] = collection
        return dict(sorted(found.items()))

    def _collection(self, number: int, entry: dict[str, Any]) -> tuple[str, "Download"]:
        """Return the name of an entry of `merge`, and the entry as a section of its own."""
        own = {key: value for key, value in entry.items() if key != "name"}
        if entry.get("source", "merged") == "merged" or "merge" in entry:
            raise ValueError(f"merge, entry {number}: expected the source of one collection, as in `source: ham10000`")
        defaults = self.model_dump(exclude={"source", "merge", "folder"})
        try:
            collection = Download.model_validate({"folder": NO_FILE, **defaults, **own})
        except ValidationError as error:
            problems = "; ".join(self._sentence(detail) for detail in error.errors())
            raise ValueError(f"merge, entry {number}: {problems}") from None
        by_itself = Path(collection.folder).name.lower() if collection.source == "folder" else collection.source
        name = entry.get("name", by_itself)
        if not isinstance(name, str) or not NAME.fullmatch(name):
            raise ValueError(
                f"merge, entry {number}: the name {name!r} is none that a collection can have; expected small letters, "
                "digits, _ and -, such as `name: clinic`"
            )
        return name, collection

    def _check_apart(self, collections: dict[str, "Download"]) -> None:
        """Raise a ValueError where one collection stands twice, or a folder is none that DVC watches."""
        folders = {
            name: Path(os.path.normpath(one.folder)) for name, one in collections.items() if one.source == "folder"
        }
        watched = Path(os.path.normpath(self.folder))
        for name, folder in folders.items():
            if watched not in folder.parents:
                raise ValueError(
                    f"merge: the folder {folder} of {name} must lie in download.folder, which DVC watches for new "
                    f"images; it is {self.folder}. Set it to one that holds the folders of all, such as data/incoming"
                )
        drawn = [name for name, one in collections.items() if one.source == "synthetic"]
        if drawn and len(drawn) < len(collections):
            raise ValueError(f"merge: {drawn[0]} is drawn, and the others are not; take one kind out")
        names = list(collections)
        for place, one in enumerate(names):
            for other in names[place + 1 :]:
                if collections[one] == collections[other]:
                    raise ValueError(f"merge: {one} and {other} are the same collection; take one out")
                mine, theirs = folders.get(one), folders.get(other)
                if mine and theirs and (mine.is_relative_to(theirs) or theirs.is_relative_to(mine)):
                    raise ValueError(f"merge: the folders of {one} and {other} lie in one another; expected them apart")


def check_folder(folder: Path) -> None:
    """Check that a person's folder holds files that can be read, and nothing else: DVC hashes all of it.

    A link out of it could bring any file of this machine into data/raw, and to the team's store.

    Raises:
        UserError: names what is no file, a link that leads out of the folder or nowhere, what cannot be read, or a
            name that is no UTF-8.
    """
    home = Path(os.path.realpath(folder))
    for parent, folders, names in os.walk(folder, onerror=_refuse):
        for name in (*folders, *names):
            path = os.path.join(parent, name)  # noqa: PTH118 - ten times as fast, and there may be 100,000
            if reason := _unfit_reason(path, home):
                raise UserError(
                    f"{path} {reason}. Mend it, or take it out of {folder} (the pipeline's is download.folder in "
                    "params.yaml)."
                )


def _unfit_reason(path: str, home: Path) -> str:
    """Say why a file or folder below `home` cannot be one of a person's images, or ""."""
    try:
        path.encode()
    except UnicodeEncodeError:
        return "has a name that is no UTF-8, the encoding of names that DVC knows"
    mode = os.lstat(path).st_mode
    if stat.S_ISLNK(mode):
        target = Path(os.path.realpath(path))
        if not target.exists():
            return f"is a link to {target}, which is not there"
        if target.is_dir():
            return "is a link to a folder; expected the folder itself, since such links are not followed"
        mode = target.stat().st_mode
        apart = not target.is_relative_to(home) and not IN_DVC_CACHE.search(target.as_posix())
        if stat.S_ISREG(mode) and apart:
            return f"is a link to {target}; expected the file itself, since links out of the folder are not followed"
    if not stat.S_ISREG(mode) and not stat.S_ISDIR(mode):
        return "is a pipe, a socket or a device; expected a file"
    return "" if os.access(path, os.R_OK) else "cannot be read: no permission"


def _refuse(error: OSError) -> NoReturn:
    raise UserError(f"The folder {error.filename} cannot be read: {error.strerror}. Mend or remove it.")
