"""Check: is every key and value of params.yaml one that some stage understands?

It runs first, so that a wrong key of the last stage is found before an hour of training. Its output never
changes, so running it again reruns nothing.
"""

from pathlib import Path

from lesions.core.errors import UserError
from lesions.core.stage import run_stage
from lesions.params.all import check_all
from lesions.params.download import Download


def main() -> None:
    """Check all sections."""
    check_all()
    download = Download.read()
    # DVC would say so only after it removed data/raw. An experiment in a temporary folder may do without it.
    if not Path(download.folder).is_dir() and ".dvc/tmp/exps" not in Path.cwd().as_posix():
        raise UserError(
            f"there is no folder {download.folder} (params.yaml, download.folder). Make it or name another; "
            "for a source that needs none, data/none."
        )
    out = Path("data/params_checked.txt")
    out.parent.mkdir(exist_ok=True)
    out.write_text("params.yaml holds what the stages expect.\n")


if __name__ == "__main__":
    run_stage(main, makes_stale=False)  # what follows reads an output that is always the same
