"""The files of a model's folder that belong together, told by their hashes."""

import hashlib
from pathlib import Path

PARTS = ("model.keras", "recipe.json", "likeness.npz", "patient.json")
"""What the thresholds and the temperature in decision.json hold for."""


def hashes(folder: Path) -> dict[str, str]:
    """Return the SHA-256 of each part, in hexadecimal digits."""
    found = {}
    for name in PARTS:
        with (folder / name).open("rb") as file:
            found[name] = hashlib.file_digest(file, "sha256").hexdigest()
    return found
