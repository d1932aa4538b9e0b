"""Check: is every key and value of params.yaml one that some stage understands?

It runs first, so that a wrong key of the last stage is found before an hour of training. Its output never
changes, so running it again reruns nothing.
"""

from pathlib import Path

from lesions.errors import run_stage
from lesions.params.all import check_all


def main() -> None:
    """Check all sections."""
    check_all()
    out = Path("data/params_checked.txt")
    out.parent.mkdir(exist_ok=True)
    out.write_text("params.yaml holds what the stages expect.\n")


if __name__ == "__main__":
    run_stage(main)
