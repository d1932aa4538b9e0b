"""One collection or several: each folder in the folder source's layouts, or the `data/raw` of a merge."""

import os
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

from lesions.archives import list_archives
from lesions.core.errors import UserError
from lesions.core.merged_ids import NAME
from lesions.core.sanitize import sanitize
from lesions.sources.common.metadata_table import check_table, read_header, read_table
from lesions.sources.common.raw_data import Fetched, describe_file
from lesions.sources.folder import fetch as folder_source
from lesions.sources.merged.fetch import merge_provenances, merge_tables


def bring(folders: Sequence[Path], raw: Path) -> Fetched:
    """Link the archives of all folders into `raw`; several become one data set, as the source `merged` makes it.

    Args:
        folders: one, or several collections.
        raw: an empty folder.

    Raises:
        UserError: see `lesions.sources.folder.fetch`; or a collection has no name, or that of another, or lies in it.
    """
    if len(folders) == 1:
        collections = _merged_collections(folders[0])
        return _bring_merge(folders[0], collections, raw) if collections else _bring_folder(folders[0], raw)
    fetched = {}
    for name, folder in sorted(_named(folders).items()):
        (raw / name).mkdir()
        fetched[name] = _bring_folder(folder, raw / name)
    return Fetched(merge_tables(fetched), merge_provenances(fetched))


def _bring_folder(folder: Path, raw: Path) -> Fetched:
    return folder_source.bring(folder, raw, _link)


def _link(file: Path, place: Path) -> None:
    place.symlink_to(file.resolve())


def _named(folders: Sequence[Path]) -> dict[str, Path]:
    """Return the folders by the names of the collections: their last parts in small letters."""
    for one, other in permutations(folders, 2):
        if one.resolve().is_relative_to(other.resolve()):
            raise UserError(f"{one} is {other}, or lies in it; expected collections that are apart. Name each once.")
    found: dict[str, Path] = {}
    for folder in folders:
        name = Path(os.path.abspath(folder)).name.lower()  # noqa: PTH100 - a link has its own name
        if not NAME.fullmatch(name):
            raise UserError(
                f"{sanitize(str(folder))}: of several collections each has its folder's name; expected letters, "
                "digits, _ and -. Rename the folder, or name a link to it."
            )
        if name in found:
            raise UserError(f"{found[name]} and {folder} are both called {name}; expected two names. Rename one.")
        found[name] = folder
    return found


def _merged_collections(folder: Path) -> list[str]:
    """Return the collections of a `data/raw` that the source `merged` made; [] of any other folder."""
    file = folder / "metadata.csv"
    if not file.is_file() or "collection" not in read_header(file):
        return []
    # Maybe a person's own table: it may be separated by semicolons, or have another encoding.
    names = sorted(set(read_table(file, only=["collection"])["collection"]))
    return names if all(NAME.fullmatch(name) and (folder / name).is_dir() for name in names) else []


def _bring_merge(folder: Path, collections: list[str], raw: Path) -> Fetched:
    table = read_table(folder / "metadata.csv")
    check_table(table, "metadata.csv")
    files = [describe_file(folder / "metadata.csv")]
    for name in collections:
        (raw / name).mkdir()
        for archive in list_archives(folder / name):
            _link(archive, raw / name / archive.name)
            files.append(describe_file(archive) | {"name": f"{name}/{archive.name}"})
    return Fetched(table, {"source": "merged", "files": files})
