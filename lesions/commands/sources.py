"""`lesions sources`: list the sources, what each offers, and how much of it is downloaded."""

import importlib
from pathlib import Path

from lesions.archives import is_image
from lesions.core import registry
from lesions.sources.common.download import DOWNLOADS
from lesions.sources.common.raw_data import Offer

HEAD = ("source", "set also", "to fetch", "licence", f"in {DOWNLOADS.as_posix()}")


def list_sources() -> str:
    """Return a table of all sources, as a person reads it; asks no network, and hashes nothing."""
    entries = [
        ((name, offer.params, offer.size, offer.licence, _state(offer)), offer.contents)
        for name in registry.sources()
        for offer in _offers_of(name)
    ]
    columns = zip(HEAD, *(cells for cells, _ in entries), strict=True)
    widths = [max(map(len, column)) for column in columns]

    def line(cells: tuple[str, ...]) -> str:
        return "  ".join(cell.ljust(width) for cell, width in zip(cells, widths, strict=True)).rstrip()

    return "\n\n".join([line(HEAD), *(f"{line(cells)}\n    {contents}" for cells, contents in entries)])


def _offers_of(source: str) -> list[Offer]:
    """Return what a source offers; of one that lists nothing, how its module describes itself."""
    module = importlib.import_module(f"lesions.sources.{source}.fetch")
    first_line = (module.__doc__ or "").strip().partition("\n")[0].rstrip(".")
    described = Offer("", first_line.rpartition("`: ")[2], "nothing", "-")
    offers: list[Offer] = getattr(module, "OFFERS", [described])
    return offers


def _state(offer: Offer) -> str:
    """Say how much of an offer is downloaded, by names and lengths."""
    if offer.folder:
        images = sum(is_image(path.name) for path in (DOWNLOADS / offer.folder).glob("*/*"))
        return f"{images:,} images"
    states = [_file_state(DOWNLOADS / file.name, file.n_bytes) for file in offer.files]
    complete = states.count("complete")
    if "other" in states:
        return "another file of that name"
    if complete == len(states):
        return "complete" if states else "-"
    return f"part: {complete} of {len(states)} files" if complete or "begun" in states else "missing"


def _file_state(path: Path, expected: int | None) -> str:
    if path.is_file():
        return "complete" if expected in (None, path.stat().st_size) else "other"
    return "begun" if path.with_name(f"{path.name}.part").exists() else "missing"
