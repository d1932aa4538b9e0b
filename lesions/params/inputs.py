"""What `dvc.yaml` takes from params.yaml as an input: DVC hashes it before the stage, and its words name no file."""

import os
from contextlib import suppress
from pathlib import Path

from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from lesions.core.errors import UserError
from lesions.core.params import FILE, read_file
from lesions.core.stage import outputs, read_stages
from lesions.params.clean import Clean, read_known_groups
from lesions.params.download import Download, check_folder
from lesions.params.pretrained import Pretrained
from lesions.params.split import Split, read_earlier_split


def check_inputs() -> None:
    """Check the folder and the files that dvc.yaml takes from params.yaml of the current folder.

    Raises:
        UserError: one is missing, lies where a stage writes, or holds what cannot be hashed; a table is none of
            its kind; or a folder that stages write into is a link.
    """
    made = [out for stage in read_stages().values() for out in outputs(stage)]
    for top in sorted({out.parts[0] for out in made}):
        if Path(top).is_symlink():
            raise UserError(
                f"{top} is a link; expected a folder, since DVC keeps outputs within the project. For room on another "
                "disk move DVC's cache there: `dvc cache dir --local FOLDER`, `dvc config --local cache.type symlink`."
            )
    download = Download.read()
    folder = Path(download.folder)
    known_groups, kept = Path(Clean.read().known_groups), Path(Split.read().keep)
    files = [
        ("weights", "pretrained.path", Path(Pretrained.read().path)),
        ("clean", "clean.known_groups", known_groups),
        ("split", "split.keep", kept),
    ]
    for _, key, path in [("download", "download.folder", folder), *files]:
        _check_apart(key, path, made)
    if folder.is_dir():
        check_folder(folder)
        _check_merged(download)
    elif not _is_made("download"):
        raise UserError(
            f"there is no folder {folder} ({FILE}, download.folder). Make it or name another; for a source that needs "
            "none, data/none."
        )
    for stage, key, file in files:
        if file.exists() and not file.is_file() and not file.is_dir():
            raise UserError(f"{file} is a pipe, a socket or a device ({FILE}, {key}); expected a file.")
        if not os.access(file, os.R_OK) and not _is_made(stage):
            found = "cannot be read" if file.exists() else "does not exist"
            raise UserError(f"{file} {found} ({FILE}, {key}). Name another, or data/none for no file.")
    if known_groups.is_file():
        read_known_groups(str(known_groups))
    if kept.is_file():
        read_earlier_split(str(kept))


def _check_merged(download: Download) -> None:
    """Raise a UserError where a collection of `download.merge` lies in a folder that is not there."""
    for name, collection in (download.merged_collections() if download.source == "merged" else {}).items():
        if collection.source == "folder" and not Path(collection.folder).is_dir():
            raise UserError(
                f"there is no folder {collection.folder}, of the collection {name} ({FILE}, download.merge). Make it, "
                "name another, or take the collection out."
            )


def _check_apart(key: str, path: Path, made: list[Path]) -> None:
    """Raise a UserError where one of dvc.yaml's outputs lies in a path, or the other way round."""
    path = path.resolve()
    for output in made:
        if path.is_relative_to(output.resolve()) or output.resolve().is_relative_to(path):
            raise UserError(
                f"{FILE}: {key} must lie apart from what the pipeline writes, such as {output}; try data/incoming."
            )


def _is_made(stage: str) -> bool:
    """Whether dvc.lock has a stage with today's parameters: then its input may be missing, as with --allow-missing."""
    section = {"weights": "pretrained"}.get(stage, stage)
    with suppress(OSError, YAMLError, KeyError, TypeError):
        lock = YAML(typ="safe").load(Path("dvc.lock").read_text(encoding="utf-8"))
        return bool(lock["stages"][stage]["params"][FILE.name][section] == read_file()[section])
    return False
