"""Zip archives whose bytes depend on what is in them alone."""

import zipfile
from collections.abc import Iterable
from pathlib import Path


def write_archive(path: Path, members: Iterable[tuple[str, bytes]]) -> None:
    """Write a zip archive whose bytes depend on its members alone: no times, no compression."""
    with zipfile.ZipFile(path, "w", zipfile.ZIP_STORED) as archive:
        for name, content in members:
            info = zipfile.ZipInfo(name)  # dated 1980-01-01, zip's earliest
            info.create_system = 3
            info.external_attr = 0o644 << 16
            archive.writestr(info, content)
