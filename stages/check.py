"""Check: is every key and value of params.yaml one that some stage understands?

It runs first, so that a wrong key of the last stage is found before an hour of training. Its output never
changes, so running it again reruns nothing.
"""

from pathlib import Path

from lesions.errors import run_stage
from lesions.params.all import check_all
from lesions.params.download import Download


def main() -> None:
    """Check all sections."""
    check_all()
    download = Download.read()
    if download.source == "folder" and not Path(download.folder).is_dir():
        # No error: an experiment in a copy may do without it (`--allow-missing`).
        print(f"NOTE: there is no folder {download.folder!r} (download.folder), so `download` cannot run.")
    out = Path("data/params_checked.txt")
    out.parent.mkdir(exist_ok=True)
    out.write_text("params.yaml holds what the stages expect.\n")


if __name__ == "__main__":
    run_stage(main)
