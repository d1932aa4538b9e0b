"""Images of the ISIC archive: a collection, a search, or a search in a collection.

The archive changes from day to day. So the result of a search, once complete, is kept in data/downloads, beside the
images, and never requested again: it always gives the same bits. Delete the file to search anew; images that are
there already are not fetched again.

What an image may be used for differs from one to the next: `provenance.json` says it of each.
"""

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pandas as pd
from tqdm import tqdm

from lesions.core.deterministic_zip import write_archive
from lesions.core.errors import UserError
from lesions.params.download import Download
from lesions.sources.common.diagnosis_table import keep_columns
from lesions.sources.common.download import DOWNLOADS, download_many
from lesions.sources.common.http import WebError
from lesions.sources.common.isic_api import Image, check_record, read_record, search, search_address
from lesions.sources.common.raw_data import Fetched, Offer, describe_file
from lesions.sources.common.remote_file import RemoteFile

FOLDER = DOWNLOADS / "isic_archive"
PACKED = "images.zip"
CITATION = "The ISIC Archive, https://www.isic-archive.com; and the data sets that the attributions name"

GONE_STATUSES = {404, 410}
"""What a server answers for an image that is gone."""

REFUSED = 403
"""What Amazon's servers answer for a link that has expired; and for an image that is gone, too."""

NOT_UNDERSTOOD = {400, 404, 422}
"""What the archive answers to a query that it cannot read."""

MAX_GONE = 0.01
"""The share of the images that may be gone; one image always may."""

OFFERS = [
    Offer(
        "collection or query",
        "any collection of the archive (212 is HAM10000 and the test images of 2018), or a search",
        "as chosen",
        "by image",
        folder=FOLDER.name,
    )
]


def fetch(params: Download, raw: Path) -> Fetched:
    """Bring the images that a collection and a query name into the folder `raw`, packed into one archive.

    Raises:
        UserError: the archive does not answer, or not as expected; nothing was found; too many are gone.
    """
    collection = None if params.collection == "none" else params.collection
    query = None if params.query == "none" else params.query
    address = search_address(collection, query)
    path = FOLDER / _name_listing(collection, query)
    store = FOLDER / params.resolution
    listing: dict[str, Any] = {"address": address, "gone": {}}
    listing |= _read_listing(path) if path.exists() else {"records": _search(address)}
    images = _public_images(listing["records"], params.resolution)

    diagnosed = {name: image for name, image in images.items() if image.row["dx"]}
    gone = set(listing["gone"].get(params.resolution, []))
    wanted = {name: image for name, image in diagnosed.items() if name not in gone}
    _write_listing(path, listing)
    gone |= _fetch_images(wanted, params.resolution, store, address)
    _check_gone(gone, len(diagnosed), path)  # first: a proxy that refuses all is no reason to ask for none again
    listing["gone"][params.resolution] = sorted(gone)
    _write_listing(path, listing)

    present = {name: image for name, image in wanted.items() if name not in gone}
    described: list[dict[str, Any]] = []  # filled while the archive is written: each image is read once
    write_archive(raw / PACKED, _read_images(present, store, described))
    table = keep_columns(pd.DataFrame(image.row for name, image in images.items() if name not in gone))
    provenance = {
        "source": "isic_archive",
        "request": {"collection": collection, "query": query, "resolution": params.resolution},
        "address": address,
        "licence": "; ".join(sorted({image["licence"] for image in described})),
        "attribution": "; ".join(sorted({image["attribution"] for image in described})),
        "citation": CITATION,
        "files": [describe_file(raw / PACKED)],
        "gone": sorted(gone),
        "images": described,
    }
    return Fetched(table, provenance)


def _name_listing(collection: int | None, query: str | None) -> str:
    """Name the file that keeps the result of a search."""
    parts = ["listing"]
    if collection is not None:
        parts.append(f"collection_{collection}")
    if query is not None:
        parts.append(f"query_{hashlib.sha256(query.encode()).hexdigest()[:12]}")
    return "_".join(parts) + ".json"


def _read_listing(path: Path) -> dict[str, Any]:
    """Return the result of an earlier search: its `records`, and by resolution the ids of images that are `gone`."""
    try:
        listing = json.loads(path.read_text(encoding="utf-8"))
        records, _ = list(listing["records"]), dict(listing["gone"])
    except (ValueError, TypeError, KeyError):
        raise UserError(
            f"{path} is not what this pipeline wrote there, the result of a search. Delete it, "
            "and the archive is searched anew; images that are there are not fetched again."
        ) from None
    for record in records:
        check_record(record, str(path))
    print(f"{len(records):,} images as listed in {path}; delete that file to search the archive anew.")
    return dict(listing)


def _write_listing(path: Path, listing: dict[str, Any]) -> None:
    """Write the result of a complete search, never half of it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_suffix(".part")
    part.write_text(json.dumps(listing), encoding="utf-8")
    part.replace(path)


def _search(address: str) -> list[dict[str, Any]]:
    """Search the archive, and say what to do where it gives no answer."""
    try:
        return search(address)
    except WebError as error:
        if error.status in NOT_UNDERSTOOD:
            mend = (
                "The ISIC archive does not understand download.query, or has no such download.collection. Try the "
                "search on https://gallery.isic-archive.com; it is written as FIELD:VALUE, joined by AND and OR."
            )
        else:
            mend = (
                "Run this again later. Without a network: whoever has made the same search has its result and the "
                f"images in {FOLDER}; put a copy of that folder there."
            )
        raise UserError(f"{error}\n{mend}") from None


def _public_images(records: list[dict[str, Any]], resolution: str) -> dict[str, Image]:
    """Return the public images, by id, and say what is passed over; not without any, nor where all lack a field."""
    read = [read_record(record, resolution) for record in records if record.get("public") is not False]
    if private := len(records) - len(read):
        print(f"{private:,} images are not public, and are passed over.")
    if not read:
        raise UserError(
            f"The ISIC archive lists {len(records):,} images for this download.collection and download.query, "
            f"{private:,} of them not public: none that can be fetched. Choose others; what collections there are, "
            "and what a search finds, is shown on https://gallery.isic-archive.com."
        )
    undiagnosed = sum(not image.row["dx"] for image in read)
    unaddressed = sum(not image.url for image in read)
    for count, field in ((undiagnosed, "metadata.clinical.diagnosis_1"), (unaddressed, f"files.{resolution}.url")):
        if count == len(read):
            raise UserError(
                f"None of the {count:,} images that the ISIC archive lists has a {field}; expected it in almost "
                "every one. Choose others, as with download.query, or another download.resolution; if it is the "
                "same with all, the archive's interface has changed, and this version cannot read it."
            )
    if undiagnosed:
        print(f"{undiagnosed:,} images have no diagnosis: they are listed, and not fetched.")
    return {image.row["image_id"]: image for image in read}


def _fetch_images(wanted: dict[str, Image], resolution: str, store: Path, address: str) -> set[str]:
    """Fetch the images that are not in `store` yet, and return the ids of those that are gone.

    The archive's links may be signed, and expire; where some fail, all are requested anew, once.
    """
    failed = _fetch_once(wanted, store)
    if any(_status(error) not in GONE_STATUSES for error in failed.values()):
        print(f"{len(failed):,} images could not be had: requesting new links from the archive.")
        records = {record["isic_id"]: record for record in _search(address)}
        fresh = {name: read_record(records[name], resolution) for name in failed if name in records}
        failed = _fetch_once({name: fresh.get(name, wanted[name]) for name in failed}, store)
    others = [error for error in failed.values() if _status(error) not in {*GONE_STATUSES, REFUSED}]
    if others:
        raise UserError(
            f"{len(others):,} of {len(wanted):,} images could not be fetched; the first: {others[0]}\n"
            f"What came is kept in {store}: run again, and only the others are fetched."
        )
    return set(failed)


def _status(error: UserError) -> int | None:
    """Return the HTTP status behind an error, or None."""
    return error.status if isinstance(error, WebError) else None


def _fetch_once(wanted: dict[str, Image], store: Path) -> dict[str, UserError]:
    """Fetch images, and return why which ones failed."""
    files = {
        name: RemoteFile(f"{name}.jpg", (image.url,), image.n_bytes) for name, image in wanted.items() if image.url
    }
    results = download_many(list(files.values()), store, desc="images")
    without: dict[str, UserError] = {name: WebError(f"{name} has no address", 404) for name in wanted.keys() - files}
    return without | {name: got for name, got in zip(files, results, strict=True) if isinstance(got, UserError)}


def _check_gone(gone: set[str], wanted: int, listing: Path) -> None:
    if gone:
        more = " …" if len(gone) > 8 else ""
        print(f"Gone from the archive, and left out: {', '.join(sorted(gone)[:8])}{more} ({len(gone):,} in all).")
    if len(gone) > MAX_GONE * wanted and (len(gone) > 1 or wanted == 1):
        raise UserError(
            f"{len(gone):,} of {wanted:,} listed images are gone from the ISIC archive, or refused, more than "
            f"{MAX_GONE:.0%}: the listing is out of date, or a proxy is in the way. Run again without it, or delete "
            f"{listing} to search anew; what came is kept."
        )


def _read_images(images: dict[str, Image], store: Path, described: list[dict[str, Any]]) -> Iterator[tuple[str, bytes]]:
    """Yield archive members in the order of ids, and describe each for the provenance."""
    for name in tqdm(sorted(images), desc="pack", unit="image", disable=None):
        content = (store / f"{name}.jpg").read_bytes()
        image = images[name]
        described.append(
            {
                "name": f"{name}.jpg",
                "address": image.url.partition("?")[0],  # without the signature, which is another one each time
                "bytes": len(content),
                "sha256": hashlib.sha256(content).hexdigest(),
                "licence": image.licence or "unstated",
                "attribution": image.row["dataset"] or "unstated",
            }
        )
        yield f"{name}.jpg", content
