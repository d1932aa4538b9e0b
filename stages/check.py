"""Check: is every key and value of params.yaml one that some stage understands?

It runs first, so that a wrong key of the last stage is found before an hour of training; and always, since a person's
folder changes without params.yaml. Its output never changes, so running it again reruns nothing.
"""

from pathlib import Path

from lesions.core.stage import run_stage
from lesions.params.all import check_all
from lesions.params.inputs import check_inputs


def main() -> None:
    """Check all sections, and what DVC hashes next."""
    check_all()
    check_inputs()
    out = Path("data/params_checked.txt")
    out.parent.mkdir(exist_ok=True)
    out.write_text("params.yaml holds what the stages expect.\n")


if __name__ == "__main__":
    run_stage(main, makes_stale=False)  # what follows reads an output that is always the same
