"""What a person's folder holds: images, archives, tables; and what is passed over, with the reason."""

import os
import re
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from lesions.archives import ARCHIVES, EXTENSIONS, MAX_BYTES, is_image
from lesions.core.errors import UserError
from lesions.params.download import check_folder

TABLES = {"", ".csv", ".tsv", ".tab", ".txt"}
"""How the names of tables end; HAM10000's own has no extension."""

HIDDEN = re.compile(r"\.|__MACOSX$|(thumbs\.db|desktop\.ini)$", re.IGNORECASE)
"""What a system puts everywhere; it is passed over without a word."""
SERVER_FOLDER = re.compile(r"@eadir|#recycle|\$recycle\.bin|lost\+found", re.IGNORECASE)
MASK_FOLDER = re.compile(r"(lesion )?(masks?|segmentations?|superpixels)", re.IGNORECASE)
MASK = re.compile(
    r"(?P<image>.+)[ _-](segmentation|superpixels|mask|lesion|roi\d*|contour|attribute_\w+)", re.IGNORECASE
)
"""How ISIC, PH2 and others call what they drew of an image: by its name."""


class FolderFiles(NamedTuple):
    """Files below a folder, relative to it, sorted by name.

    Attributes:
        images: loose ones.
        archives: of images.
        tables: what may be one.
        empty: folders beside folders of images, without one of their own.
        passed_over: for each reason the files that are not read.
    """

    images: list[PurePosixPath]
    archives: list[PurePosixPath]
    tables: list[PurePosixPath]
    empty: list[PurePosixPath]
    passed_over: dict[str, list[PurePosixPath]]


def list_files(folder: Path, layouts: str) -> FolderFiles:
    """List what lies below a folder.

    Args:
        folder: a person's.
        layouts: what a folder may hold, for the message.

    Raises:
        UserError: there is no such folder, or something in it is no file, or no image by its size.
    """
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "does not exist"
        raise UserError(
            f"The folder {folder} {found}; expected your images and their diagnoses in it, {layouts}\n"
            "Make it, or name another one (the pipeline's is download.folder in params.yaml)."
        )
    check_folder(folder)
    files = FolderFiles([], [], [], [], {})
    parents = []
    for parent, folders, names in os.walk(folder):
        place = PurePosixPath(Path(parent).relative_to(folder))
        parents.append(place)
        folders[:] = sorted(name for name in folders if not HIDDEN.match(name))  # in the order of no file system
        with_images = any(map(is_image, names))
        for name in sorted(names):
            if not HIDDEN.match(name):
                _sort_in(files, folder, place / name)
        for name in [name for name in folders if SERVER_FOLDER.fullmatch(name) or (name == "output" and with_images)]:
            reason = "an augmentation tool's output" if name == "output" else "a file server's thumbnails and trash"
            below = (file for file in Path(parent, name).rglob("*") if file.is_file())
            inside = sorted(PurePosixPath(file.relative_to(folder)) for file in below)
            files.passed_over.setdefault(reason, []).extend(inside)
            folders.remove(name)
    images, masks = _without_masks(files.images)
    passed_over = files.passed_over | ({"masks of other images": masks} if masks else {})
    return FolderFiles(
        sorted(images, key=str),
        sorted(files.archives, key=str),
        sorted(files.tables, key=str),
        _empty_classes(parents, images),
        passed_over,
    )


def _sort_in(files: FolderFiles, folder: Path, file: PurePosixPath) -> None:
    kind = file.suffix.lower()
    if kind in EXTENSIONS:
        if (folder / file).stat().st_size > MAX_BYTES:
            raise UserError(f"{folder / file} has more than {MAX_BYTES:,} bytes; expected an image. Take it out.")
        files.images.append(file)
    elif kind in ARCHIVES:
        files.archives.append(file)
    elif kind in TABLES:
        files.tables.append(file)
    else:
        spreadsheet = kind in (".xls", ".xlsx", ".ods")
        reason = "spreadsheets: save them as CSV in UTF-8" if spreadsheet else "no image, table or archive"
        files.passed_over.setdefault(reason, []).append(file)


def _without_masks(images: list[PurePosixPath]) -> tuple[list[PurePosixPath], list[PurePosixPath]]:
    """Return images, and masks: what is called after an image that is there, or as one and lies in a masks' folder."""
    in_mask_folder = {file: any(map(MASK_FOLDER.fullmatch, file.parent.parts)) for file in images}
    stems = {file.stem for file in images if not in_mask_folder[file]}
    masks = []
    for file in images:
        named = MASK.fullmatch(file.stem)
        image = named["image"] if named else file.stem
        if not is_image(file.name) or (image in stems and (named or in_mask_folder[file])):
            masks.append(file)
    return [file for file in images if file not in {*masks}], sorted(masks, key=str)


def _empty_classes(folders: list[PurePosixPath], images: list[PurePosixPath]) -> list[PurePosixPath]:
    """Return folders without an image below, beside a folder with some."""
    filled = {parent for file in images for parent in file.parents}
    beside = {place.parent for place in filled if place.parts}
    return sorted((place for place in folders if place not in filled and place.parent in beside), key=str)
