"""Which sources and architectures there are: the files of a folder, so that a new file is all it takes."""

from pathlib import Path


def module_names(folder: str) -> list[str]:
    """Return the names of the modules in `lesions/<folder>`, sorted."""
    files = (Path(__file__).parent.parent / folder).glob("*.py")
    return sorted(file.stem for file in files if file.stem != "__init__")
