"""The data of an ISIC challenge: 2018, task 3, with its published split; or 2019, which publishes none.

Nobody publishes a hash of these files. Verified are their length as the server states it, and that each archive opens
and holds as many images as the challenge says; `provenance.json` has the SHA-256, so that two people can compare.
"""

from pathlib import Path
from typing import NamedTuple

import pandas as pd

from lesions.archives import is_image, open_archive
from lesions.core.errors import UserError
from lesions.params.download import Download
from lesions.sources.common.diagnosis_table import read_isic
from lesions.sources.common.download import copy_to, download
from lesions.sources.common.raw_data import Fetched, Offer, describe_file
from lesions.sources.common.remote_file import RemoteFile

LICENCE = "CC BY-NC 4.0"
VIENNA = "HAM10000: ViDIR Group, Department of Dermatology, Medical University of Vienna"
MSK = "MSK: anonymous"
BARCELONA = "BCN_20000: Department of Dermatology, Hospital Clínic de Barcelona"
HAM10000 = "Tschandl, Rosendahl, Kittler: The HAM10000 dataset. Scientific Data 5, 180161 (2018)"
CODELLA = "Codella et al.: Skin Lesion Analysis Toward Melanoma Detection"
COMBALIA = "Combalia et al.: BCN20000: Dermoscopic Lesions in the Wild. arXiv:1908.02288"
ATTRIBUTION = {2018: f"{VIENNA}; {MSK}", 2019: f"{BARCELONA}; {VIENNA}; {MSK}"}
CITATION = {
    2018: f"{CODELLA}, 2018. arXiv:1902.03368; {HAM10000}",
    2019: f"{HAM10000}; {CODELLA}, 2017. arXiv:1710.05006; {COMBALIA}",
}
LEFT_OUT = {"ISIC_0035068": "not a photograph"}
"""Images of the test set of 2018 that are listed, and show no lesion."""

VERIFIED = "length and archive structure; nobody publishes a hash"
BUCKETS = ("https://isic-archive.s3.amazonaws.com/challenges", "https://isic-challenge-data.s3.amazonaws.com")
"""Today's, and the older one."""


class Part(NamedTuple):
    """One part of a challenge.

    Attributes:
        split: its part of the published split, or "" where there is none.
        n_images: how many its archive holds.
        images: the archive of images.
        tables: the one-hot ground truth, a table or an archive that holds it; then lesions, ages, sites.
    """

    split: str
    n_images: int
    images: RemoteFile
    tables: tuple[RemoteFile, ...]


def _part(year: int, prefix: str, split: str, n_images: int, *tables: str) -> Part:
    """Describe a part by how its files' names begin, and how those of its tables end."""
    images, *others = (
        RemoteFile(f"{prefix}_{end}", tuple(f"{bucket}/{year}/{prefix}_{end}" for bucket in BUCKETS))
        for end in ("Input.zip", *tables)
    )
    return Part(split, n_images, images, tuple(others))


CHALLENGES = {
    2018: (
        _part(2018, "ISIC2018_Task3_Training", "train", 10_015, "GroundTruth.zip", "LesionGroupings.csv"),
        _part(2018, "ISIC2018_Task3_Validation", "val", 193, "GroundTruth.zip"),
        _part(2018, "ISIC2018_Task3_Test", "test", 1_512, "GroundTruth.zip"),
    ),
    2019: (_part(2019, "ISIC_2019_Training", "", 25_331, "GroundTruth.csv", "Metadata.csv"),),
}


def _offer(year: int, contents: str, size: str) -> Offer:
    files = tuple(file for part in CHALLENGES[year] for file in (*part.tables, part.images))
    return Offer(f"year: {year}", contents, size, LICENCE, files)


OFFERS = [
    _offer(2018, "task 3: HAM10000, and the published validation (193 images) and test (1,511)", "3.2 GB"),
    _offer(2019, "25,331 images, 8 diagnoses, no published split", "9.8 GB"),
]


def fetch(params: Download, raw: Path) -> Fetched:
    """Bring one year's challenge into the folder `raw`.

    Raises:
        UserError: a file cannot be had, is no archive, or holds something else than the challenge published.
    """
    parts = CHALLENGES[params.year]
    # The tables first: an error in one shows before gigabytes are fetched.
    paths = {file: download(file) for part in parts for file in part.tables}
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
    table = read_isic([paths[file] for file in part.tables])
    if len(table) != part.n_images:
        raise UserError(
            f"{part.tables[0].name} has {len(table):,} rows; the challenge published {part.n_images:,}. Delete "
            f"{paths[part.tables[0]]}, and run again: it is then fetched anew."
        )
    return table.assign(split=part.split) if part.split else table


def _check_archive(path: Path, expected: int) -> None:
    """Check that an archive opens and holds so many images."""
    with open_archive(path) as archive:
        found = sum(is_image(info.filename) for info in archive.infolist())
    if found != expected:
        raise UserError(
            f"{path} holds {found:,} images; the challenge published {expected:,}. If it is another archive of "
            "that name, move it away; if it is half a download, delete it. `dvc repro` then fetches it anew."
        )
