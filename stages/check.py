"""Check: is every key and value of params.yaml one that some stage understands?

It runs first, so that a wrong key of the last stage is found before an hour of training; and always, since a person's
folder changes without params.yaml. Its output stays the same, so running it again reruns nothing: it changes with the
code of the sources of merged collections alone, which dvc.yaml cannot name.
"""

from pathlib import Path

from lesions.core.registry import source_sha256
from lesions.core.stage import run_stage
from lesions.params.all import check_all
from lesions.params.download import Download
from lesions.params.inputs import check_inputs


def main() -> None:
    """Check all sections, and what DVC hashes next."""
    check_all()
    check_inputs()
    out = Path("data/params_checked.txt")
    out.parent.mkdir(exist_ok=True)
    params = Download.read()
    merged = params.merged_collections().values() if params.source == "merged" else ()
    code = [f"{name} {source_sha256(name)}\n" for name in sorted({one.source for one in merged})]
    out.write_text("".join(["params.yaml holds what the stages expect.\n", *code]), encoding="utf-8", newline="\n")


if __name__ == "__main__":
    run_stage(main, makes_stale=False)  # what follows reads an output that is always the same
