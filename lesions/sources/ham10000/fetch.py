"""HAM10000 from the Harvard Dataverse: the two archives and the original table, each verified by its hashes.

Facts, file numbers and MD5 as the Dataverse publishes them, doi:10.7910/DVN/DBW86T; the table must be requested
with `?format=original`, since the server otherwise gives a rewritten one, whose hash differs.
"""

from pathlib import Path

from lesions.core.errors import UserError
from lesions.params.download import Download
from lesions.sources.common.diagnosis_table import read_ham10000
from lesions.sources.common.download import DOWNLOADS, copy_to, download
from lesions.sources.common.raw_data import Fetched, Offer, describe_file
from lesions.sources.common.remote_file import RemoteFile

ORIGIN = {
    "licence": "CC BY-NC 4.0",
    "attribution": "ViDIR Group, Department of Dermatology, Medical University of Vienna",
    "citation": (
        "Tschandl, Rosendahl, Kittler: The HAM10000 dataset, a large collection of multi-source dermatoscopic images "
        "of common pigmented skin lesions. Scientific Data 5, 180161 (2018), doi:10.1038/sdata.2018.161; "
        "doi:10.7910/DVN/DBW86T"
    ),
}
SERVER = "https://dataverse.harvard.edu/api/access/datafile/"

IMAGES = (
    RemoteFile(
        name="HAM10000_images_part_1.zip",
        urls=(SERVER + "3172585",),
        n_bytes=1_366_522_108,
        md5="4639bfa73ab251610530a97c898e6e46",
        sha256="6202a599129c2efe81c25aea8586d422eeda8a4fae5df49dd7b7bbf956d419db",
    ),
    RemoteFile(
        name="HAM10000_images_part_2.zip",
        urls=(SERVER + "3172584",),
        n_bytes=1_403_566_547,
        md5="da43d6cc50f6613013be07e8986b384b",
        sha256="9677f30118c21ecc667a147de369d89acb25efab046fd32f6b13ad677ce2d6d0",
    ),
)
TABLE = RemoteFile(
    name="HAM10000_metadata",
    urls=(SERVER + "4338392?format=original",),
    n_bytes=690_218,
    md5="8f85fb1aa29d80a2797247e434deb79d",
    sha256="de17ec44cb25ea9c3f6378ba18d69224c740afd62e86ec2edc6a894d6aa663d3",
)

CONTENTS = "HAM10000 as published: 10,015 images of 7,470 lesions, 7 diagnoses"
OFFERS = [Offer("", CONTENTS, "2.8 GB", ORIGIN["licence"], (*IMAGES, TABLE))]


def fetch(params: Download, raw: Path) -> Fetched:  # noqa: ARG001 (every source takes both)
    """Bring HAM10000 into a folder.

    Args:
        params: the section `download` of params.yaml; nothing in it changes what is fetched.
        raw: the folder.

    Raises:
        UserError: a file cannot be had, or is not the published one.
    """
    files = [TABLE, *IMAGES]
    for file in files:  # before anything is fetched
        path = DOWNLOADS / file.name
        if path.exists() and (found := path.stat().st_size) != file.n_bytes:
            raise UserError(
                f"{path} is not the file of this name that the Dataverse publishes: it has {found:,} bytes, expected "
                f"{file.n_bytes:,}. A copy with smaller images or an edited table belongs into a folder of its own "
                "(data/incoming, say), to be read with download.source: folder; a rewritten table (.tab) or half "
                "a download is of no use. Move or delete it, then `dvc repro` fetches the published one."
            )
    paths = {file: download(file) for file in files}
    for file in IMAGES:
        copy_to(paths[file], raw)
    verified = "length, MD5 and SHA-256"
    described = [
        describe_file(path, address=file.urls[0], verified=verified, **ORIGIN, **file.hashes)
        for file, path in paths.items()
    ]
    return Fetched(read_ham10000(paths[TABLE]), {"source": "ham10000", **ORIGIN, "files": described})
