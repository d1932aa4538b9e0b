"""`data/raw`: the one shape that every source is brought into.

- zip archives of images, read in place; of merged collections, in a folder each;
- `metadata.csv`, HAM10000's columns;
- `provenance.json`, what each file is and where it came from; without times, which would change its hash.
"""

import importlib
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pandas as pd

from lesions.params.download import Download
from lesions.sources.common.remote_file import RemoteFile, file_hashes

COLUMNS = [
    *("lesion_id", "image_id", "dx", "dx_type", "age", "sex", "localization", "dataset"),
    *("patient_id", "split"),
]
"""The columns of `metadata.csv`: HAM10000's in its order, then those that other data sets have. A merge adds
`collection`."""
NEEDED = ["image_id", "dx"]


@dataclass(frozen=True)
class Fetched:
    """What a source hands over besides the archives that it wrote.

    Attributes:
        table: one row per image, all values text, "" where a value is missing; the `NEEDED` columns and any other
            of `COLUMNS`.
        provenance: where the data came from: layout, licence, attribution, citation, files.
    """

    table: pd.DataFrame
    provenance: dict[str, Any]


def fetch_from(params: Download, raw: Path) -> Fetched:
    """Bring the data of the source that `params.source` names into the folder `raw`; the source's own module does it.

    Args:
        params: the section `download` of params.yaml, or one collection of `download.merge`.
        raw: the folder.

    Raises:
        UserError: the source says why its data cannot be had.
    """
    source = importlib.import_module(f"lesions.sources.{params.source}.fetch")
    fetched: Fetched = source.fetch(params, raw)
    return fetched


class Offer(NamedTuple):
    """What one can get from a source, for `lesions sources`; a source lists its own in `OFFERS`.

    Attributes:
        params: the keys of `download` that choose it, beside `source`.
        contents: images and diagnoses, in a few words.
        size: what must be fetched, as a person says it.
        licence: of the images.
        files: what it takes from data/downloads.
        folder: where in data/downloads it keeps images that are fetched one by one, or "".
    """

    params: str
    contents: str
    size: str
    licence: str
    files: tuple[RemoteFile, ...] = ()
    folder: str = ""


def describe_file(path: Path, **origin: str) -> dict[str, Any]:
    """Return what `provenance.json` says of a file: name, size in bytes, SHA-256.

    Args:
        path: the file.
        origin: what else is known of it, such as `address`, `licence`, `citation`. A `sha256` or `md5` among
            it was found right when the file was fetched; the SHA-256 is not computed again then.
    """
    hashes: dict[str, str] = {name: origin.pop(name) for name in ("md5", "sha256") if name in origin}
    if "sha256" not in hashes:
        hashes |= file_hashes(path, ["sha256"])
    return {"name": path.name, "bytes": path.stat().st_size, **hashes, **origin}
