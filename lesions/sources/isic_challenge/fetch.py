"""The data of an ISIC challenge: 2018, task 3, with its published split; or 2019, which publishes none.

Nobody publishes a hash of these files. What is held against something is their length as the server states it,
and that each archive opens and holds as many images as the challenge says; the SHA-256 of what came is written
down, so that two people can compare.
"""

from pathlib import Path, PurePosixPath
from tempfile import TemporaryDirectory
from typing import NamedTuple

import pandas as pd

from lesions.archives import is_image, open_archive, read_member
from lesions.core.errors import UserError
from lesions.params.download import Download
from lesions.sources.common.download import copy_to, download
from lesions.sources.common.metadata_table import read_isic
from lesions.sources.common.raw_data import Fetched, Offer, describe_file
from lesions.sources.common.remote_file import RemoteFile

LICENCE = "CC BY-NC 4.0"
VIENNA = "HAM10000: ViDIR Group, Department of Dermatology, Medical University of Vienna"
MSK = "MSK: anonymous"
BARCELONA = "BCN_20000: Department of Dermatology, Hospital Clínic de Barcelona"
HAM10000 = "Tschandl, Rosendahl, Kittler: The HAM10000 dataset. Scientific Data 5, 180161 (2018)"
CODELLA = "Codella et al.: Skin Lesion Analysis Toward Melanoma Detection, {}"
ATTRIBUTION = {2018: f"{VIENNA}; {MSK}", 2019: f"{BARCELONA}; {VIENNA}; {MSK}"}
CITATION = {
    2018: f"{CODELLA.format('2018. arXiv:1902.03368')}; {HAM10000}",
    2019: "; ".join(
        [
            HAM10000,
            CODELLA.format("2017. arXiv:1710.05006"),
            "Combalia et al.: BCN20000: Dermoscopic Lesions in the Wild. arXiv:1908.02288",
        ]
    ),
}
LEFT_OUT = {"ISIC_0035068": "not a photograph"}
"""Images of the test set of 2018 that are listed, and show no lesion."""

VERIFIED = "length and archive structure; nobody publishes a hash"
TABLE_BYTES = 50_000_000
"""A table that unpacks to more is none of these."""


class Part(NamedTuple):
    """One part of a challenge.

    Attributes:
        split: its part of the published split, or "" where there is none.
        n_images: how many its archive holds.
        images: the archive of images.
        truth: the one-hot ground truth, a table or an archive that holds it.
        tables: what else is said of the images: lesions, ages, sites.
    """

    split: str
    n_images: int
    images: RemoteFile
    truth: RemoteFile
    tables: tuple[RemoteFile, ...] = ()


def _file(year: int, name: str) -> RemoteFile:
    """Name a file of a challenge, with the bucket of today and the older one."""
    addresses = (
        f"https://isic-archive.s3.amazonaws.com/challenges/{year}/{name}",
        f"https://isic-challenge-data.s3.amazonaws.com/{year}/{name}",
    )
    return RemoteFile(name=name, urls=addresses)


CHALLENGES = {
    2018: (
        Part(
            "train",
            10_015,
            _file(2018, "ISIC2018_Task3_Training_Input.zip"),
            _file(2018, "ISIC2018_Task3_Training_GroundTruth.zip"),
            (_file(2018, "ISIC2018_Task3_Training_LesionGroupings.csv"),),
        ),
        Part(
            "val",
            193,
            _file(2018, "ISIC2018_Task3_Validation_Input.zip"),
            _file(2018, "ISIC2018_Task3_Validation_GroundTruth.zip"),
        ),
        Part(
            "test",
            1_512,
            _file(2018, "ISIC2018_Task3_Test_Input.zip"),
            _file(2018, "ISIC2018_Task3_Test_GroundTruth.zip"),
        ),
    ),
    2019: (
        Part(
            "",
            25_331,
            _file(2019, "ISIC_2019_Training_Input.zip"),
            _file(2019, "ISIC_2019_Training_GroundTruth.csv"),
            (_file(2019, "ISIC_2019_Training_Metadata.csv"),),
        ),
    ),
}


def _files(year: int) -> tuple[RemoteFile, ...]:
    return tuple(file for part in CHALLENGES[year] for file in (part.truth, *part.tables, part.images))


OFFERS = [
    Offer(f"year: {year}", what, size, LICENCE, _files(year))
    for year, what, size in (
        (2018, "task 3: HAM10000, and the published validation (193 images) and test (1,511)", "3.2 GB"),
        (2019, "25,331 images, 8 diagnoses, no published split", "9.8 GB"),
    )
]


def fetch(params: Download, raw: Path) -> Fetched:
    """Bring one year's challenge into the folder `raw`.

    Raises:
        UserError: a file cannot be had, is no archive, or holds something else than the challenge published.
    """
    parts = CHALLENGES[params.year]
    # The tables first: an error in one shows before gigabytes are fetched.
    paths = {file: download(file) for part in parts for file in (part.truth, *part.tables)}
    table = pd.concat([_read_part(part, paths) for part in parts], ignore_index=True).fillna("")
    left_out = {name: reason for name, reason in LEFT_OUT.items() if name in set(table["image_id"])}
    for name, reason in left_out.items():
        print(f"{name} is left out: {reason}.")
    table = table[~table["image_id"].isin(list(left_out))].reset_index(drop=True)
    for part in parts:
        path = paths[part.images] = download(part.images)
        _check_archive(path, part.n_images)
        copy_to(path, raw)
    origin = {"licence": LICENCE, "attribution": ATTRIBUTION[params.year], "citation": CITATION[params.year]}
    files = [describe_file(path, address=file.urls[0], verified=VERIFIED, **origin) for file, path in paths.items()]
    provenance = {"source": "isic_challenge", "year": params.year, **origin, "left_out": left_out, "files": files}
    return Fetched(table, provenance)


def _read_part(part: Part, paths: dict[RemoteFile, Path]) -> pd.DataFrame:
    """Read the tables of one part, in HAM10000's columns."""
    truth = paths[part.truth]
    tables = [paths[file] for file in part.tables]
    if truth.suffix != ".zip":
        return _read_tables([truth, *tables], part)
    with TemporaryDirectory() as folder:
        unpacked = Path(folder, truth.with_suffix(".csv").name)
        unpacked.write_bytes(_read_packed_table(truth))
        return _read_tables([unpacked, *tables], part)


def _read_tables(paths: list[Path], part: Part) -> pd.DataFrame:
    table = read_isic(paths)
    if len(table) != part.n_images:
        raise UserError(
            f"{paths[0].name} has {len(table):,} rows; the challenge published {part.n_images:,}. Delete "
            f"data/downloads/{part.truth.name}, and run again: it is then fetched anew."
        )
    return table.assign(split=part.split) if part.split else table


def _read_packed_table(path: Path) -> bytes:
    """Return the bytes of the table in an archive of ground truth: the one named as the archive.

    No member's name is used as a path, and no more is unpacked than a table can have.
    """
    name = path.with_suffix(".csv").name
    with open_archive(path) as archive:
        members = {PurePosixPath(info.filename).name: info for info in archive.infolist()}
        if name not in members or members[name].file_size > TABLE_BYTES:
            listed = ", ".join(sorted(members)[:5]) or "nothing"
            raise UserError(
                f"{path} does not hold the table {name}, of less than {TABLE_BYTES:,} bytes; it holds {listed}. "
                "Delete it, and run again: it is then fetched anew."
            )
        try:
            return read_member(archive, members[name])
        except ValueError as error:
            raise UserError(f"{name} in {path} cannot be read: {error}. Delete the archive, and run again.") from None


def _check_archive(path: Path, expected: int) -> None:
    """Check that an archive opens and holds so many images."""
    with open_archive(path) as archive:
        found = sum(is_image(info.filename) for info in archive.infolist())
    if found != expected:
        raise UserError(
            f"{path} holds {found:,} images; the challenge published {expected:,}. If it is another archive of "
            "that name, move it away; if it is half a download, delete it. `dvc repro` then fetches it anew."
        )
