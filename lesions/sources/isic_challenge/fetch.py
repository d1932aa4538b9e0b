"""The data of an ISIC challenge, with its published split where it has one.

The publisher gives no hash of these files. A file is compared with what is known of it from elsewhere, and else with
what first came under its name; each archive must hold as many images as the challenge says; `provenance.json` has the
SHA-256 of all, so that two people can compare.
"""

from pathlib import Path, PurePosixPath

import pandas as pd

from lesions.archives import is_image, open_archive
from lesions.core.errors import UserError
from lesions.params.download import Download
from lesions.sources.common.download import copy_to, download
from lesions.sources.common.first_fetch import first_sha256
from lesions.sources.common.metadata_table import first_names
from lesions.sources.common.raw_data import Fetched, describe_file
from lesions.sources.common.remote_file import RemoteFile
from lesions.sources.isic_challenge.challenges import CHALLENGES, OFFERS, Challenge, Part
from lesions.sources.isic_challenge.tables import add_metadata

__all__ = ["OFFERS", "fetch"]

LEFT_OUT = {"ISIC_0035068": "not a photograph"}
"""Images of the test set of 2018 that are listed, and show no lesion."""


def fetch(params: Download, raw: Path) -> Fetched:
    """Bring one year's challenge into the folder `raw`.

    Raises:
        UserError: a file cannot be had, is no archive, holds something else than the challenge published, or is another
            than the one that first came.
    """
    challenge = CHALLENGES[params.year]
    # The tables first: an error in one shows before gigabytes are fetched.
    paths = {file: download(file) for part in challenge.parts for file in part.tables}
    tables = [_read_part(challenge, part, paths) for part in challenge.parts]
    for place, part in enumerate(challenge.parts):
        path = paths[part.images] = download(part.images)
        _check_archive(path, part)
        if part.metadata:
            tables[place] = add_metadata(tables[place], path, part.metadata)
    table = pd.concat(tables, ignore_index=True).fillna("")
    left_out = {name: reason for name, reason in LEFT_OUT.items() if name in set(table["image_id"])}
    for name, reason in left_out.items():
        print(f"{name} is left out: {reason}.")
    table = table[~table["image_id"].isin(list(left_out))].reset_index(drop=True)
    if missing := int((table["dx"] == "").sum()):
        print(
            f"{missing:,} of {len(table):,} images ({missing / len(table):.1%}) have no diagnosis (UNK): `clean` sets "
            "them aside, and clean.max_rejected must allow as many."
        )
    origin = {"licence": challenge.licence, "attribution": challenge.attribution, "citation": challenge.citation}
    files = [_describe(file, path, origin) for file, path in paths.items()]
    for part in challenge.parts:
        copy_to(paths[part.images], raw)
    provenance = {"source": "isic_challenge", "year": params.year, **origin, "left_out": left_out, "files": files}
    return Fetched(table, provenance)


def _read_part(challenge: Challenge, part: Part, paths: dict[RemoteFile, Path]) -> pd.DataFrame:
    """Read the tables of one part, in HAM10000's columns."""
    table = challenge.read([paths[file] for file in part.tables])
    if len(table) != part.n_images:
        raise UserError(
            f"{part.tables[0].name} has {len(table):,} rows; the challenge published {part.n_images:,}. Delete "
            f"{paths[part.tables[0]]}, and run again: it is then fetched anew."
        )
    return table.assign(split=part.split) if part.split else table


def _check_archive(path: Path, part: Part) -> None:
    """Check that an archive opens and holds as many images as the part has, and say what else is in it."""
    with open_archive(path) as archive:
        names = [info.filename for info in archive.infolist() if not info.is_dir()]
    found = sum(map(is_image, names))
    if found != part.n_images:
        raise UserError(
            f"{path} holds {found:,} images; the challenge published {part.n_images:,}. If it is another archive of "
            "that name, move it away; if it is half a download, delete it. `dvc repro` then fetches it anew."
        )
    others = [PurePosixPath(name).name for name in names if not is_image(name)]
    if others := [name for name in others if name != part.metadata]:
        print(f"Of {path.name} {len(others):,} files are not read, since they are no images: {first_names(others)}.")


def _describe(file: RemoteFile, path: Path, origin: dict[str, str]) -> dict[str, object]:
    """Return what `provenance.json` says of a file, whose hash is that of the first fetch where none is published."""
    known = " and ".join([*(["length"] if file.n_bytes else []), *(name.upper() for name in file.hashes)])
    facts = [f"{known}, as public projects state"] if known else []
    facts += [] if file.hashes else ["SHA-256 of what first came"]
    verified = "; ".join([*facts, "the publisher gives no hash"])
    hashes = {**file.hashes, "sha256": file.sha256 or first_sha256(path)}
    return describe_file(path, address=file.urls[0], verified=verified, **hashes, **origin)
