"""The ISIC challenges whose data are public: what https://challenge.isic-archive.com/data says of files and licences.

Of each year, the task of classification. Not fetched: the tests of 2020 and 2024, whose diagnoses are not published;
masks and superpixels; the DICOM files of 2020; the supplement of 2024, with the pathology of its 1,068 biopsies.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from lesions.sources.common.diagnosis_table import read_isic
from lesions.sources.common.raw_data import Offer
from lesions.sources.common.remote_file import RemoteFile
from lesions.sources.isic_challenge.tables import read_2016, read_2020, read_2024

CC0, BY, BY_NC = "CC0 1.0", "CC BY 4.0", "CC BY-NC 4.0"
ISIC = "International Skin Imaging Collaboration (ISIC)"
VIENNA = "HAM10000: ViDIR Group, Department of Dermatology, Medical University of Vienna"
MSK = "MSK: anonymous"
BARCELONA = "BCN_20000: Department of Dermatology, Hospital Clínic de Barcelona"
PERMISSIVE = (
    "Memorial Sloan Kettering Cancer Center, FNQH Cairns, The University of Queensland, Melanoma Institute Australia, "
    "University of Athens Medical School"
)
SOURCES_2020 = (
    "Hospital Clínic de Barcelona, Medical University of Vienna, Memorial Sloan Kettering Cancer Center, Melanoma "
    "Institute Australia, The University of Queensland, University of Athens Medical School"
)
SOURCES_2024 = (
    "Hospital Clínic de Barcelona, Memorial Sloan Kettering Cancer Center, Hospital of Basel, FNQH Cairns, The "
    "University of Queensland, Melanoma Institute Australia, Monash University and Alfred Health, University of "
    "Athens Medical School, Medical University of Vienna"
)
HAM10000 = "Tschandl, Rosendahl, Kittler: The HAM10000 dataset. Scientific Data 5, 180161 (2018)"
CODELLA = "Codella et al.: Skin Lesion Analysis Toward Melanoma Detection"
HERNANDEZ = "Hernández-Pérez et al.: BCN20000: Dermoscopic lesions in the wild. Scientific Data 11, 641 (2024)"
SLICE_3D = "Kurtansky et al.: The SLICE-3D dataset. Scientific Data 11, 884 (2024)"

BUCKETS = ("https://isic-archive.s3.amazonaws.com/challenges", "https://isic-challenge-data.s3.amazonaws.com")
"""Today's, and the older one."""

KNOWN: dict[str, dict[str, Any]] = {
    # OpenNN, examples: it compares them with the files that it fetches.
    "ISBI2016_ISIC_Part3_Training_Data.zip": {
        "sha256": "d78bd1de08511b514e58784c91fd2d8dab24e407cafd023a7debbceb9155ffb2",
    },
    "ISBI2016_ISIC_Part3_Training_GroundTruth.csv": {
        "sha256": "0ffadd63b7cec650cddfbe5df54d1d3167453fe6004c2bbf05824184b0c4d405",
    },
    # google-deepmind/dm_nevis, melanoma.py; for the archives two more projects have the same.
    "ISIC-2017_Training_Data.zip": {"md5": "a14a7e622c67a358797ae59abb8a0b0c"},
    "ISIC-2017_Training_Part3_GroundTruth.csv": {"md5": "0cb4add57c65c22ca1a1cb469ad1f0c5"},
    "ISIC-2017_Validation_Data.zip": {"md5": "8d6419d942112f709894c0d82f6c9038"},
    "ISIC-2017_Validation_Part3_GroundTruth.csv": {"md5": "8d4826a76adcd8fb928ca52a23ebae4c"},
    "ISIC-2017_Test_v2_Data.zip": {"md5": "5f6a0b5e1f2972bd1f5ea02680489f09"},
    "ISIC-2017_Test_v2_Part3_GroundTruth.csv": {"md5": "9e957b72a0c4f9e0d924889fd03b36ed"},
    # sunlabuiuc/PyHealth, isic2018.py; of the groupings, and the lengths, one smaller project's that compares them.
    "ISIC2018_Task3_Training_GroundTruth.zip": {"md5": "8302427e4ce0c107559531b9f444abe9"},
    "ISIC2018_Task3_Training_LesionGroupings.csv": {"md5": "9517b6aa6902d6c27e234bac8279a64a"},
    "ISIC2018_Task3_Training_Input.zip": {"n_bytes": 2_771_732_744},
    "ISIC_2019_Training_Input.zip": {"n_bytes": 9_771_618_190},
    "ISIC_2019_Training_GroundTruth.csv": {"n_bytes": 1_291_479},
    "ISIC_2019_Training_Metadata.csv": {"n_bytes": 1_214_351},
}
"""What is known of files: the publisher gives no hash and rounds the lengths, so this is from public projects that
fetch them. Of the others nothing is known, and `first_fetch` holds them to what came first."""


class Part(NamedTuple):
    """One part of a challenge.

    Attributes:
        split: its part of the published split, or "" where there is none.
        n_images: how many its archive holds.
        images: the archive of images.
        tables: the ground truth, a table or an archive that holds it, and what is joined to it.
        metadata: the name of a further table, in the archive of images; or "".
    """

    split: str
    n_images: int
    images: RemoteFile
    tables: tuple[RemoteFile, ...]
    metadata: str = ""


class Challenge(NamedTuple):
    """What can be fetched of one year.

    Attributes:
        contents: images, diagnoses and split, in a few words.
        size: what must be fetched, as a person says it.
        read: reads the tables of a part.
        parts: its parts.
    """

    contents: str
    size: str
    licence: str
    attribution: str
    citation: str
    read: Callable[[list[Path]], pd.DataFrame]
    parts: tuple[Part, ...]


def _files(year: int, *names: str) -> tuple[RemoteFile, ...]:
    return tuple(
        RemoteFile(name, tuple(f"{bucket}/{year}/{name}" for bucket in BUCKETS), **KNOWN.get(name, {}))
        for name in names
    )


def _part(split: str, n_images: int, year: int, *names: str, metadata: str = "") -> Part:
    """Describe a part by the names of its files, the archive of images first."""
    images, *tables = _files(year, *names)
    return Part(split, n_images, images, tuple(tables), metadata)


def _part_2016(split: str, n_images: int, name: str) -> Part:
    prefix = f"ISBI2016_ISIC_Part3_{name}"
    return _part(split, n_images, 2016, f"{prefix}_Data.zip", f"{prefix}_GroundTruth.csv")


def _part_2017(split: str, n_images: int, name: str) -> Part:
    prefix = f"ISIC-2017_{name}"
    files = (f"{prefix}_Data.zip", f"{prefix}_Part3_GroundTruth.csv")
    return _part(split, n_images, 2017, *files, metadata=f"{prefix}_Data_metadata.csv")


def _part_2018(split: str, n_images: int, name: str, *more: str) -> Part:
    prefix = f"ISIC2018_Task3_{name}"
    return _part(split, n_images, 2018, *(f"{prefix}_{end}" for end in ("Input.zip", "GroundTruth.zip", *more)))


def _part_2019(split: str, n_images: int, name: str) -> Part:
    ends = ("Input.zip", "GroundTruth.csv", "Metadata.csv")
    return _part(split, n_images, 2019, *(f"ISIC_2019_{name}_{end}" for end in ends))


def _part_2024(n_images: int, name: str) -> Part:
    return _part("", n_images, 2024, f"{name}_Input.zip", f"{name}_GroundTruth.csv", metadata="metadata.csv")


_2019: dict[str, Any] = {
    "licence": BY_NC,
    "attribution": f"{BARCELONA}; {VIENNA}; {MSK}",
    "citation": f"{HAM10000}; {CODELLA}, 2017. arXiv:1710.05006; {HERNANDEZ}",
    "read": read_isic,
}

CHALLENGES: dict[int | str, Challenge] = {
    2016: Challenge(
        contents="task 3: 900 images and a published test of 379, benign or malignant",
        size="0.8 GB",
        licence=CC0,
        attribution=ISIC,
        citation="Gutman et al.: Skin Lesion Analysis toward Melanoma Detection, 2016. arXiv:1605.01397",
        read=read_2016,
        parts=(_part_2016("train", 900, "Training"), _part_2016("test", 379, "Test")),
    ),
    2017: Challenge(
        contents="task 3: 2,000 images, published validation (150) and test (600): mel, sk, nv",
        size="12.1 GB",
        licence=CC0,
        attribution=ISIC,
        citation=f"{CODELLA}, 2017. arXiv:1710.05006",
        read=read_isic,
        parts=(
            _part_2017("train", 2_000, "Training"),
            _part_2017("val", 150, "Validation"),
            _part_2017("test", 600, "Test_v2"),
        ),
    ),
    2018: Challenge(
        contents="task 3: HAM10000, and the published validation (193 images) and test (1,511)",
        size="3.2 GB",
        licence=BY_NC,
        attribution=f"{VIENNA}; {MSK}",
        citation=f"{CODELLA}, 2018. arXiv:1902.03368; {HAM10000}",
        read=read_isic,
        parts=(
            _part_2018("train", 10_015, "Training", "LesionGroupings.csv"),
            _part_2018("val", 193, "Validation"),
            _part_2018("test", 1_512, "Test"),
        ),
    ),
    2019: Challenge(
        contents="25,331 images, 8 diagnoses, no published split",
        size="9.8 GB",
        parts=(_part_2019("", 25_331, "Training"),),
        **_2019,
    ),
    "2019_with_test": Challenge(
        contents="the same, and the published test: 8,238 images, 2,047 of them of no diagnosis (UNK)",
        size="13.6 GB",
        parts=(_part_2019("train", 25_331, "Training"), _part_2019("test", 8_238, "Test")),
        **_2019,
    ),
    2020: Challenge(
        contents="33,126 images of 2,056 patients, 584 melanomas, no published split",
        size="23 GB",
        licence=BY_NC,
        attribution=f"{ISIC}: {SOURCES_2020}",
        citation=(
            "SIIM-ISIC 2020 Challenge Dataset, doi:10.34970/2020-ds01; Rotemberg et al.: A patient-centric dataset of "
            "images and metadata for identifying melanomas using clinical context. Scientific Data 8, 34 (2021)"
        ),
        read=read_2020,
        parts=(
            _part(
                *("", 33_126, 2020, "ISIC_2020_Training_JPEG.zip"),
                *("ISIC_2020_Training_GroundTruth_v2.csv", "ISIC_2020_Training_Duplicates.csv"),
            ),
        ),
    ),
    "2024_permissive": Challenge(
        contents="SLICE-3D, its part under CC BY: 217,477 crops of body photographs",
        size="0.6 GB",
        licence=BY,
        attribution=f"{ISIC}: {PERMISSIVE}",
        citation=f"SLICE-3D 2024 Permissive Challenge Dataset, doi:10.34970/2024-slice-3d-permissive; {SLICE_3D}",
        read=read_2024,
        parts=(_part_2024(217_477, "ISIC_2024_Permissive_Training"),),
    ),
    2024: Challenge(
        contents="SLICE-3D: 401,059 crops of body photographs, no dermoscopy; 393 malignant",
        size="1.2 GB",
        licence=BY_NC,
        attribution=f"{ISIC}: {SOURCES_2024}",
        citation=f"SLICE-3D 2024 Challenge Dataset, doi:10.34970/2024-slice-3d; {SLICE_3D}",
        read=read_2024,
        parts=(_part_2024(401_059, "ISIC_2024_Training"),),
    ),
}
"""By `download.year`."""

OFFERS = [
    Offer(
        f"year: {year}",
        challenge.contents,
        challenge.size,
        challenge.licence,
        tuple(file for part in challenge.parts for file in (*part.tables, part.images)),
    )
    for year, challenge in CHALLENGES.items()
]
