"""Source `folder`: a person's own images, in one of the layouts that data sets of dermoscopy have.

images and a table
    Image archives, loose images or both; and a table with an image's name and its diagnosis, under any of the names
    that HAM10000, the ISIC archive and challenges and others use, or with a column a diagnosis. Parts of one data set
    in several tables, and tables that say more of the same images, are joined.
a folder a class
    `melanoma/1.jpg`, `nevus/2.jpg`; where the data set has a split, below `Train/`, `Val/` and `Test/`.

Nothing is decoded: what is no image, or what nobody lists, is for the next stage to set aside.
"""

import shutil
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

import pandas as pd
from tqdm import tqdm

from lesions.archives import Member, image_name, list_members
from lesions.core.deterministic_zip import write_archive
from lesions.core.errors import UserError
from lesions.params.download import Download
from lesions.sources.common.diagnosis_table import keep_columns
from lesions.sources.common.metadata_table import first_names
from lesions.sources.common.raw_data import Fetched, describe_file
from lesions.sources.folder.class_folders import read_class_folders, safe_name
from lesions.sources.folder.files import FolderFiles, list_files
from lesions.sources.folder.tables import read_labels

PACKED = "images.zip"
"""The archive into which loose images are packed."""

LAYOUTS = """one of
  images, loose or in .zip archives, and a table (CSV) with the columns image_id and dx, as HAM10000 has;
  a folder a class: two or more folders named after diagnoses, which may lie under Train/, Val/ and Test/;
  an ISIC challenge's: images or archives, and the ground truth (CSV), columns image,MEL,NV,BCC,…"""


def fetch(params: Download, raw: Path) -> Fetched:
    """Bring the images and diagnoses of `params.folder` into the folder `raw`; see `bring`."""
    return bring(Path(params.folder), raw)


def bring(folder: Path, raw: Path, copy: Callable[[Path, Path], object] = shutil.copyfile) -> Fetched:
    """Bring a folder's images and diagnoses into the folder `raw`.

    Archives are copied as they are; loose images are packed into one, their bytes unchanged.

    Args:
        folder: in any of the layouts.
        raw: where to.
        copy: what puts an archive there.

    Raises:
        UserError: the folder is missing or has no images, its layout is not recognised, its table
            cannot be used, or an archive is damaged.
    """
    files = list_files(folder, LAYOUTS)
    archived = [(file, member) for file in files.archives for member in list_members(folder / file)]
    if not files.images and not archived:
        raise UserError(
            f"{folder} holds no images; expected .jpg, .png, .bmp, .tif or .webp files, loose or in .zip "
            "archives. Put them there, or name another folder (the pipeline's is download.folder in params.yaml)."
        )
    found = _by_table(folder, files, archived) or _by_class_folders(folder, files)
    written = _write(folder, raw, found.archives, found.members, copy)
    table = found.table
    print(
        f"{folder} has the layout of {found.layout}: {len(found.archives)} archives, {len(found.members):,} loose "
        f"images, {len(table):,} rows of {table['dx'].nunique()} diagnoses."
    )
    not_read = files.passed_over | found.not_read
    for reason, names in not_read.items():
        print(f"Not read, {reason}: {first_names([str(name) for name in names], 3)}.")
    provenance: dict[str, Any] = {
        "source": "folder",
        "layout": found.layout,
        "licence": "unstated: the folder is a person's own",
        "files": [describe_file(file) for file in [*written, *(folder / file for file in found.tables)]],
        "not_read": {reason: [len(names), *map(str, names[:3])] for reason, names in not_read.items()},
    }
    return Fetched(table, provenance)


class _Found(NamedTuple):
    """What is brought of a folder.

    Attributes:
        layout: its name.
        table: HAM10000's columns.
        tables: the files it was read from.
        archives: which are copied.
        members: names in the packed archive, and the loose images for them.
        not_read: for each reason files that are left out.
    """

    layout: str
    table: pd.DataFrame
    tables: list[PurePosixPath]
    archives: list[PurePosixPath]
    members: list[tuple[str, PurePosixPath]]
    not_read: dict[str, list[PurePosixPath]]


def _by_table(folder: Path, files: FolderFiles, archived: list[tuple[PurePosixPath, Member]]) -> _Found | None:
    """Return what the tables of a folder list; None where none has diagnoses."""
    without_images = {*files.archives} - {file for file, _ in archived}
    tables = [*files.tables, *sorted(file for file in without_images if file.suffix.lower() == ".zip")]
    names = {*(member.image_id for _, member in archived), *(image_name(file.name) for file in files.images)}
    labels = read_labels(folder, tables, names)
    if labels is None:
        return None
    listed = set(labels.table["image_id"])
    archives = list(dict.fromkeys(file for file, member in archived if member.image_id in listed))
    strangers = [file for file in files.archives if file not in {*archives, *labels.used}]
    not_read = {"archives that hold no image of the table": strangers} if strangers else {}
    archived = [(file, member) for file, member in archived if file in archives]
    kept = _drop_duplicates(folder, files.images, archived, listed)
    members = [(safe_name(str(file)), file) for file in kept]
    return _Found(labels.layout, labels.table, labels.used, archives, members, not_read)


def _by_class_folders(folder: Path, files: FolderFiles) -> _Found:
    classes = read_class_folders(folder, files.images, LAYOUTS)
    table = keep_columns(classes[classes["dx"] != ""]).reset_index(drop=True)
    left_out = {
        "archives: no table says what their images show": files.archives,
        "folders without an image": files.empty,
        "images in no folder of a class": list(classes["file"][classes["dx"] == ""]),
    }
    members = list(zip(classes["member"], classes["file"], strict=True))
    not_read = {reason: names for reason, names in left_out.items() if names}
    return _Found("class folders", table, [], [], members, not_read)


def _drop_duplicates(
    folder: Path, loose: list[PurePosixPath], archived: list[tuple[PurePosixPath, Member]], listed: set[str]
) -> list[PurePosixPath]:
    """Leave out loose images that are there a second time, as where archives lie beside their contents."""
    # What the next stage sets aside, such as `../a.jpg`, must not stand in for a loose image of its name.
    seen = {member.image_id: (file, member.crc) for file, member in archived if not member.problem}
    kept = [file for file in loose if image_name(file.name) not in listed]
    for file in (file for file in loose if image_name(file.name) in listed):
        crc = zlib.crc32((folder / file).read_bytes())
        first, expected = seen.setdefault(image_name(file.name), (file, crc))
        if crc != expected:
            raise UserError(
                f"Two different images are called {image_name(file.name)}: {file} and one in {first}; expected one. "
                "Take the wrong one out."
            )
        if first == file:
            kept.append(file)
    return sorted(kept, key=str)


def _write(
    folder: Path,
    raw: Path,
    archives: list[PurePosixPath],
    members: list[tuple[str, PurePosixPath]],
    copy: Callable[[Path, Path], object],
) -> list[Path]:
    """Copy archives, pack loose images by their member names, and return the archives written."""
    names = [archive.name for archive in archives] + [PACKED] * bool(members)
    twice = sorted({name for name in names if sum(other.lower() == name.lower() for other in names) > 1})
    if twice:
        raise UserError(
            f"{folder} has archives of one name: {', '.join(twice)}; expected different ones, since all come "
            f"into one folder, and loose images into {PACKED}. Rename one."
        )
    for archive in tqdm(archives, desc="copy", unit="archive", disable=None):
        copy(folder / archive, raw / archive.name)
    if members:
        packing = tqdm(sorted(members), desc="pack", unit="image", disable=None)
        write_archive(raw / PACKED, ((name, (folder / file).read_bytes()) for name, file in packing))
    return [raw / name for name in sorted(names)]
