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
