"""Where the data come from, for a page."""

from typing import Any


def origin(provenance: dict[str, Any]) -> dict[str, list[str]]:
    """Return source, licences, attributions and citations, each once.

    Args:
        provenance: `data/raw/provenance.json`; what it says of each file counts too.
    """
    found = {"Source": [provenance.get("source")]}
    for key in ("licence", "attribution", "citation"):
        found[key.capitalize()] = [provenance.get(key), *(file.get(key) for file in provenance.get("files", []))]
    return {name: list(dict.fromkeys(str(fact) for fact in facts if fact)) for name, facts in found.items()}


def sources_of(provenance: dict[str, Any]) -> list[str]:
    """Return the sources that the data are of: one, or those of the merged collections.

    Args:
        provenance: `data/raw/provenance.json`.
    """
    collections = provenance.get("collections", {"": provenance})
    return sorted({one["source"] for one in collections.values()})


RESTRICTED = ("NC", "non-commercial", "noncommercial", "unstated", "not stated")
"""What a licence holds that does not let everybody use and share the images."""


def restrictions(provenance: dict[str, Any]) -> dict[str, str]:
    """Return the licence of each part of the data that forbids commercial use, or does not say what it allows.

    Args:
        provenance: `data/raw/provenance.json`.

    Returns:
        By collection; by the source's name where the data are of one.
    """
    collections = provenance.get("collections", {provenance["source"]: provenance})
    licences = {name: str(one.get("licence", "not stated")) for name, one in collections.items()}
    return {name: licence for name, licence in licences.items() if any(word in licence for word in RESTRICTED)}
