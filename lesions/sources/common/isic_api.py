"""The ISIC archive's interface, version 2: the pages of a search, and what one record of it says.

Described at https://api.isic-archive.com/api/docs/swagger/. A page is `{results, count, next, previous}`: `count`
on the first page alone, `next` the whole address of the next one or null. Nothing in an answer is taken on trust:
fields may be missing or of another type, pages may repeat, an id becomes a file's name only if it is a plain word.
"""

import re
from typing import Any, NamedTuple
from urllib.parse import urlencode, urlsplit

from tqdm import tqdm

from lesions.core.errors import UserError
from lesions.sources.common.http import get_json
from lesions.taxonomy import deepest_code

API = "https://api.isic-archive.com/api/v2/"
LIMIT = 100
"""Images a page, the most that the archive gives."""

FILES = {"full": "full", "thumbnail": "thumbnail_256"}
"""What the archive calls its two resolutions."""

LEVELS = (5, 4, 3, 2, 1)
"""Levels of a diagnosis and a site, the deepest first."""

MAX_UNLISTED_SHARE = 0.01
"""The share of images by which a listing may fall short of the count on its first page, which is cached."""


class Image(NamedTuple):
    """What the archive says of one image, in HAM10000's words; "" where it says nothing.

    Attributes:
        row: `lesion_id,image_id,dx,dx_type,age,sex,localization,dataset,patient_id`; the data set is the attribution.
        url: of its file; may be signed, and expire.
        n_bytes: how long the file is, or None.
        licence: such as CC-BY-NC.
    """

    row: dict[str, str]
    url: str
    n_bytes: int | None
    licence: str


def search_address(collection: int | None, query: str | None) -> str:
    """Return the address of a search's first page."""
    wanted = {"query": query, "collections": collection}
    given = {name: value for name, value in wanted.items() if value is not None}
    return f"{API}images/search/?{urlencode({**given, 'limit': LIMIT})}"


def search(address: str) -> list[dict[str, Any]]:
    """Return the records of all pages from this address on, each id once, sorted by it.

    Raises:
        UserError: an answer is none of this interface's, the pages go round in a circle, or end early.
        WebError: there is no answer, or the archive refuses the query.
    """
    records: dict[str, dict[str, Any]] = {}
    listed = 0
    count = None
    page_address: str | None = address
    with tqdm(desc="list", unit=" images", disable=None) as bar:
        while page_address:
            page = get_json(page_address)
            results, following = _read_page(page, page_address)
            if count is None:
                count = page.get("count")
                bar.total = count if isinstance(count, int) else None
            known = len(records)
            listed += len(results)
            for record in results:
                records.setdefault(record["isic_id"], record)
            if following and len(records) == known:
                raise UserError(
                    f"The ISIC archive's pages go round in a circle: {page_address} has no image that an earlier "
                    "page had not. Run again later, or narrow download.query."
                )
            bar.update(len(records) - known)
            page_address = following
    if isinstance(count, int) and listed < count * (1 - MAX_UNLISTED_SHARE):
        raise UserError(
            f"The ISIC archive's listing ended after {listed:,} of {count:,} images. Run again: "
            "a listing is kept only when it is complete."
        )
    return [records[image_id] for image_id in sorted(records)]


def read_record(record: dict[str, Any], resolution: str) -> Image:
    """Read one record; a field that is missing, or of another type than expected, is taken as not said.

    Args:
        record: as `search` returns it.
        resolution: of the file, a key of `FILES`.
    """
    clinical = {name: _text(value) for name, value in _dictionary(record, "metadata", "clinical").items()}
    file = _dictionary(record, "files", FILES[resolution])
    url, size = file.get("url"), file.get("size")
    row = {
        "lesion_id": clinical.get("lesion_id", ""),
        "image_id": _text(record["isic_id"]),
        "dx": deepest_code([clinical.get(f"diagnosis_{level}", "") for level in LEVELS]),
        "dx_type": clinical.get("diagnosis_confirm_type", ""),
        "age": clinical.get("age_approx", ""),
        "sex": clinical.get("sex", ""),
        "localization": ":".join(filter(None, [clinical.get(f"anatom_site_{level}") for level in LEVELS[::-1]])),
        "dataset": _text(record.get("attribution")),
        "patient_id": clinical.get("patient_id", ""),
    }
    return Image(
        row=row,
        url=str(url) if _host(url) else "",
        n_bytes=size if type(size) is int and size > 0 else None,
        licence=_text(record.get("copyright_license")),
    )


def check_record(record: Any, where: str) -> None:
    """Check that a record names its image; the name becomes a file's.

    Args:
        record: as the archive gives it.
        where: it is from, for the message.

    Raises:
        UserError: it does not.
    """
    image_id = record.get("isic_id") if isinstance(record, dict) else None
    if not isinstance(image_id, str) or not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", image_id):
        raise UserError(
            f"{where} lists an image without a usable `isic_id` (found: {str(image_id)[:80]!r}); expected one such "
            "as ISIC_0024306. The archive's interface may have changed."
        )


def _read_page(page: Any, address: str) -> tuple[list[dict[str, Any]], str | None]:
    """Return a page's records and the address of the next page."""
    results = page.get("results") if isinstance(page, dict) else None
    if not isinstance(results, list):
        found = ", ".join(page) if isinstance(page, dict) else type(page).__name__
        raise UserError(
            f"{address} answered without `results` (found: {found or 'nothing'}); expected a page of images. "
            "The archive's interface may have changed: see docs/sources.md for other ways to the same data."
        )
    for record in results:
        check_record(record, address)
    following = page.get("next")
    if following is not None and _host(following) != _host(address):
        raise UserError(
            f"{address} names {str(following)[:200]!r} as its next page; expected an address on {_host(address)}. "
            "The archive's interface may have changed."
        )
    return results, following


def _dictionary(value: Any, *keys: str) -> dict[str, Any]:
    """Return the dictionary below these keys, one within the other; {} where there is none."""
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value if isinstance(value, dict) else {}


def _text(value: Any) -> str:
    """Return a text or number as text on one line, and "" for anything else."""
    if isinstance(value, float):
        return f"{value:g}"
    return " ".join(str(value).split()) if isinstance(value, str | int) and not isinstance(value, bool) else ""


def _host(address: Any) -> str:
    """Return the server that a web address names, or "" where it is no such address."""
    try:
        parts = urlsplit(address if isinstance(address, str) else "")
    except ValueError:
        return ""
    return parts.netloc if parts.scheme in ("http", "https") else ""
