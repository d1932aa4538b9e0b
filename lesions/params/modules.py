"""Which sources and architectures there are: the files of a folder, so that a new file is all it takes."""

from pathlib import Path

from pydantic import AfterValidator

from lesions.params.section import nearest


def module_in(folder: str, what: str) -> AfterValidator:
    """Return the check that a value names a module of `lesions/<folder>`, which holds one `what` a file."""

    def check(name: str) -> str:
        files = (Path(__file__).parent.parent / folder).glob("[!_]*.py")
        known = sorted(file.stem for file in files)
        if name not in known:
            raise ValueError(f"no such {what}; {nearest(name, known)}")
        return name

    return AfterValidator(check)
