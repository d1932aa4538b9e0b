"""The sources and architectures there are, found by their files: a new file is all it takes to add one."""

import hashlib
from collections.abc import Callable
from pathlib import Path

from pydantic import AfterValidator

from lesions.core.params import did_you_mean

PACKAGE = Path(__file__).parent.parent


def sources() -> list[str]:
    """Return the names of the sources: the folders of `lesions/sources` with a module `fetch`."""
    return sorted(module.parent.name for module in (PACKAGE / "sources").glob("*/fetch.py"))


def source_sha256(name: str) -> str:
    """Return the SHA-256 of a source's own code, whatever its line ends."""
    files = sorted((PACKAGE / "sources" / name).glob("*.py"))
    code = [f"{file.name}\n".encode() + file.read_bytes().replace(b"\r\n", b"\n") for file in files]
    return hashlib.sha256(b"".join(code)).hexdigest()


def architectures() -> list[str]:
    """Return the names of the networks: the modules of `lesions/models/architectures`."""
    return sorted(module.stem for module in (PACKAGE / "models/architectures").glob("[!_]*.py"))


def one_of(registered: Callable[[], list[str]], what: str) -> AfterValidator:
    """Return pydantic's check that a value is a registered name.

    Args:
        registered: returns the names.
        what: what they name, for the error message: `source` or `architecture`.
    """

    def check(name: str) -> str:
        known = registered()
        if name not in known:
            raise ValueError(f"no such {what}; {did_you_mean(name, known)}")
        return name

    return AfterValidator(check)
