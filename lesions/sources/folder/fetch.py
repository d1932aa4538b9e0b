"""Source `folder`: a person's own images, in one of three layouts, recognised by what the folder holds.

HAM10000's
    Image archives, loose images or both, and a table with the columns `image_id` and `dx`.
a folder a class
    `melanoma/1.jpg`, `nevus/2.jpg`; where the data set has a split, below `Train/`, `Val/` and `Test/`.
an ISIC challenge's
    Image archives, loose images or both, and the one-hot ground truth `image,MEL,NV,…`; its lesion
    groupings and its metadata are joined if they are there.

Nothing is decoded: what is no image, or what nobody lists, is for the next stage to set aside.
"""

import os
import re
import shutil
import zlib
from collections.abc import Callable
from itertools import takewhile
from pathlib import Path, PurePosixPath

import pandas as pd
from tqdm import tqdm

from lesions.archives import MAX_BYTES, Member, is_image, list_members
from lesions.core.deterministic_zip import write_archive
from lesions.core.errors import UserError
from lesions.params.download import Download, check_folder
from lesions.sources.common.column_names import our_names
from lesions.sources.common.diagnosis_table import SPLITS, keep_columns, read_ham10000, read_isic, table_kind
from lesions.sources.common.metadata_table import check_table, read_header, read_table
from lesions.sources.common.raw_data import Fetched, describe_file
from lesions.taxonomy import code_of

PACKED = "images.zip"
"""The archive into which loose images are packed."""

TABLES = {"", ".csv", ".tsv", ".tab", ".txt"}
"""How the names of tables end; HAM10000's own has no extension."""

IMAGE_FOLDER = re.compile(r"ham10000 images|isic.* input")
"""What HAM10000 and the challenges call their folders of images: no classes, if the table is missing."""

LAYOUTS = """one of
  HAM10000's: .zip archives or images, and a table (CSV) with the columns image_id and dx;
  a folder a class: two or more folders named after diagnoses, which may lie under Train/, Val/ and Test/;
  an ISIC challenge's: .zip archives or images, and the ground truth (CSV), columns image,MEL,NV,BCC,…"""


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
    files = _list_files(folder)
    loose = [file for file in files if is_image(str(file))]
    archives = [file for file in files if file.suffix.lower() == ".zip"]
    archived = [(file, member) for file in archives for member in list_members(folder / file)]
    if not loose and not archived:
        raise UserError(
            f"{folder} holds no images; expected .jpg, .png, .bmp, .tif or .webp files, loose or in .zip "
            "archives. Put them there, or name another folder (the pipeline's is download.folder in params.yaml)."
        )
    layout, used = _recognise(folder, files)
    if layout == "class folders":
        archives = []
        if archived:
            print("The archives are left out: no table says what their images show.")
        classes = _read_class_folders(folder, loose)
        table = keep_columns(classes[classes["dx"] != ""]).reset_index(drop=True)
        members = list(zip(classes["member"], classes["file"], strict=True))
    else:
        archives = list(dict.fromkeys(file for file, _ in archived))
        paths = [folder / file for file in used]
        table = read_isic(paths) if layout == "ISIC challenge" else read_ham10000(paths[0])
        found = [*(member.image_id for _, member in archived), *(file.stem for file in loose)]
        if set(table["image_id"]).isdisjoint(found):
            raise UserError(
                f"None of the images that {used[0].name} lists is there. Found: {table['image_id'].iloc[0]} in the "
                f"table, {found[0]} in the folder. Expected: an image's name without folder and extension."
            )
        kept = _drop_duplicates(folder, loose, archived, set(table["image_id"]))
        members = [(_safe_name(str(file)), file) for file in kept]
    written = _write(folder, raw, archives, members, copy)
    print(
        f"{folder} has the layout of {layout}: {len(archives)} archives, {len(members):,} loose images, "
        f"{len(table):,} rows of {table['dx'].nunique()} diagnoses."
    )
    described = [*written, *(folder / file for file in used)]
    provenance = {
        "source": "folder",
        "layout": layout,
        "licence": "unstated: the folder is a person's own",
        "files": [describe_file(file) for file in described],
    }
    return Fetched(table, provenance)


def _list_files(folder: Path) -> list[PurePosixPath]:
    """List the images, archives and possible tables below a folder, relative to it, sorted by name."""
    if not folder.is_dir():
        found = "is a file" if folder.exists() else "does not exist"
        raise UserError(
            f"The folder {folder} {found}; expected your images and their diagnoses in it, {LAYOUTS}\n"
            "Make it, or name another one (the pipeline's is download.folder in params.yaml)."
        )
    check_folder(folder)
    files = []
    for parent, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".") and name != "__MACOSX"]
        for name in names:
            path = Path(parent, name)
            wanted = path.suffix.lower() in TABLES | {".zip"} or is_image(name)
            if not wanted or name.startswith("."):
                continue
            if is_image(name) and path.stat().st_size > MAX_BYTES:
                raise UserError(f"{path} has more than {MAX_BYTES:,} bytes; expected an image. Take it out.")
            files.append(PurePosixPath(path.relative_to(folder)))
    return sorted(files, key=str)


def _recognise(folder: Path, files: list[PurePosixPath]) -> tuple[str, list[PurePosixPath]]:
    """Name the layout, and the tables to use: the one with the diagnoses, then those to be joined to it."""
    tables = [file for file in files if file.suffix.lower() in TABLES]
    headers = {file: read_header(folder / file) for file in tables}
    kinds = {file: table_kind(header) for file, header in headers.items()}
    main = [file for file in tables if kinds[file] in ("HAM10000", "ISIC challenge")]
    if len(main) > 1:
        raise UserError(
            f"{folder} has {len(main)} tables with diagnoses: {', '.join(map(str, main))}; expected one. "
            "Join them, or take those that are not meant out of the folder."
        )
    if main:
        companions = [file for file in tables if kinds[file] == "ISIC companion"]
        return kinds[main[0]], main + companions * (kinds[main[0]] == "ISIC challenge")
    known_columns = {
        file: len({"image_id", "dx"} & {*header, *our_names(header).values()}) for file, header in headers.items()
    }
    others = [file for file in tables if known_columns[file] or file.suffix.lower() not in ("", ".txt")]
    if others:
        # Taking folders for classes although there is a table could make a diagnosis of `images_part_1`.
        likeliest = max(others, key=lambda file: known_columns[file])
        try:
            check_table(read_table(folder / likeliest), likeliest.name)
        except UserError as error:
            raise UserError(
                f"{error}\nIf the folders are the classes, take the table out; the ground truth of an ISIC "
                "challenge would have the columns image,MEL,NV,BCC,…"
            ) from None
    return "class folders", []


def _drop_duplicates(
    folder: Path, loose: list[PurePosixPath], archived: list[tuple[PurePosixPath, Member]], listed: set[str]
) -> list[PurePosixPath]:
    """Leave out loose images that are there a second time, as where archives lie beside their contents."""
    # What the next stage sets aside, such as `../a.jpg`, must not stand in for a loose image of its name.
    seen = {member.image_id: (file, member.crc) for file, member in archived if not member.problem}
    kept = [file for file in loose if file.stem not in listed]
    for file in (file for file in loose if file.stem in listed):
        crc = zlib.crc32((folder / file).read_bytes())
        first, expected = seen.setdefault(file.stem, (file, crc))
        if crc != expected:
            raise UserError(
                f"Two different images are called {file.stem}: {file} and one in {first}; expected one. "
                "Take the wrong one out."
            )
        if first == file:
            kept.append(file)
    return sorted(kept, key=str)


def _read_class_folders(folder: Path, loose: list[PurePosixPath]) -> pd.DataFrame:
    """Return one row per image: file, image_id, member; dx and split from its folders, "" beside the class folders."""
    folders = [str(file.parent) for file in loose if file.parent.parts]
    enclosing = PurePosixPath(os.path.commonpath(folders or ["."])).parts
    # Train/ encloses nothing, it says something, even where there is no Test/.
    depth = len(list(takewhile(lambda name: name.lower() not in SPLITS, enclosing)))
    rows = []
    for file in loose:
        parts = file.parent.parts[depth:]
        split = SPLITS.get(parts[0].lower(), "") if parts else ""
        rows.append((file, split, parts[1:] if split else parts))
    table = pd.DataFrame(rows, columns=["file", "split", "classes"])
    table["dx"] = [code_of(_safe_name(classes[0])) if classes else "" for classes in table["classes"]]
    deep = table["classes"].map(len) > 1
    unnamed = table["dx"].map(lambda dx: bool(IMAGE_FOLDER.match(dx)))
    if deep.any() or unnamed.any() or len(set(table["dx"]) - {""}) < 2:
        places = sorted({str(file.parent) for file in loose})[:5]
        raise UserError(
            f"The layout of {folder} is not recognised. Found: no table with diagnoses, no folder a class; "
            f"images in: {', '.join(places) or 'archives only'}. Expected {LAYOUTS}\n"
            "Unpack an archive that holds a whole data set; save a spreadsheet as CSV in UTF-8."
        )
    table["image_id"] = unique_ids(table)
    # The path in the folder, by which rejects.csv names a file; but for the name, where several files have it.
    paths = zip(table["file"], table["image_id"], strict=True)
    table["member"] = [_safe_name(str(file.parent / (image_id + file.suffix))) for file, image_id in paths]
    return table if table["split"].any() else table.drop(columns="split")


def unique_ids(table: pd.DataFrame) -> pd.Series:
    """Name images (file, dx, split) by the stem of their file; where that is not unique, by class and split too."""
    ids = table["file"].map(lambda file: _safe_name(file.stem))
    for column in ("dx", "split"):
        prefix = table[column].map(lambda name: name.replace(" ", "_") + "_" if name else "")
        ids = ids.where(~ids.duplicated(keep=False), prefix + ids)
    while (again := ids.duplicated()).any():  # such as a.jpg and a.png
        ids = ids.where(~again, ids + "_2")
    return ids


def _safe_name(name: str) -> str:
    """Replace what makes a member's name unsafe on some system, or unfit for a table."""
    return re.sub(r"^\s+|\s+$|[\\:\x00-\x1f\x7f\ud800-\udfff]", "_", name)


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
