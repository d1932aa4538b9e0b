"""The hash of the first fetch, for files of which nobody publishes one: what comes later must be the same file.

It lies beside the file as `NAME.sha256`, in the form that `sha256sum --check` reads. Whoever gets the file from a
colleague with it gets the colleague's file, or is told.
"""

from pathlib import Path

from lesions.core.errors import UserError
from lesions.core.sanitize import sanitize
from lesions.sources.common.partial_download import writing
from lesions.sources.common.remote_file import file_hashes


def first_sha256(path: Path) -> str:
    """Return a file's SHA-256, which is recorded the first time, and compared from then on.

    Args:
        path: a whole file, found to be usable. It is read to its end.

    Raises:
        UserError: another file came first under this name.
    """
    found = file_hashes(path, ["sha256"])["sha256"]
    record = path.with_name(f"{path.name}.sha256")
    if not record.exists():
        begun = record.with_name(f"{record.name}.part")
        with writing(record):
            begun.write_text(f"{found}  {path.name}\n", encoding="utf-8")
            begun.replace(record)
        return found
    first = next(iter(record.read_text(encoding="utf-8", errors="replace").lower().split()), "nothing")
    if first != found:
        raise UserError(
            f"{path} is not the file that first came under this name: its SHA-256 is {found}; expected "
            f"{sanitize(first)}, as {record.name} beside it says. It was left as it is. Put the first one back if you "
            f"have it. If the publisher has exchanged the file and you want the new one, delete {record} and run "
            "again: whatever was made of the old one no longer compares."
        )
    return found
